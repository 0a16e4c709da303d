-- Not needed to deploy: `publish` makes this table and moves it from run to run.
-- By hand it opens any run that is still kept: put in its bucket and run id.
CREATE EXTERNAL TABLE IF NOT EXISTS `reconciliation` (
  `currency` string COMMENT 'ISO 4217 code',
  `export_total` decimal(38,10) COMMENT 'Sum of the unblended cost of every line, straight from the export',
  `invoice_net` decimal(38,10) COMMENT 'Sum over net_cost',
  `net_cost` decimal(38,10) COMMENT 'Sum over net_cost',
  `clearing` decimal(38,10) COMMENT '`invoice_net - net_cost`',
  `unallocated_aws_credits` decimal(38,10) COMMENT 'Part of aws_credits whose credit waits for allocation, negative',
  `difference` decimal(38,10) COMMENT '`export_total - invoice_net`: zero',
  `rows_read` bigint COMMENT 'Lines read',
  `invoice_ids` string COMMENT 'The invoices that lines say they are on, in order, separated by commas; null where none does',
  `lines_without_invoice` bigint COMMENT 'Lines that say none'
)
COMMENT 'The tie-out to the export.'
PARTITIONED BY (
  `billing_period` string COMMENT 'Billing period, `YYYY-MM`'
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'
LOCATION 's3://DATA_BUCKET/lake/runs/RUN_ID/reconciliation/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'storage.location.template' = 's3://DATA_BUCKET/lake/runs/RUN_ID/reconciliation/billing_period=${billing_period}',
  'projection.billing_period.type' = 'date',
  'projection.billing_period.format' = 'yyyy-MM',
  'projection.billing_period.range' = '2006-01,NOW+1YEAR',
  'projection.billing_period.interval' = '1',
  'projection.billing_period.interval.unit' = 'MONTHS'
);
