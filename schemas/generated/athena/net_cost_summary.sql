-- Not needed to deploy: `publish` makes this table and moves it from run to run.
-- By hand it opens any run that is still kept: put in its bucket and run id.
CREATE EXTERNAL TABLE IF NOT EXISTS `net_cost_summary` (
  `level` int COMMENT '1 business unit to 4 product; 0: everything',
  `business_unit` string COMMENT 'Node, level 1',
  `department` string COMMENT 'Node, level 2',
  `portfolio` string COMMENT 'Node, level 3',
  `product` string COMMENT 'Node, level 4',
  `currency` string COMMENT 'ISO 4217 code',
  `gross_cost` decimal(38,10) COMMENT 'Charges and tax',
  `refunds` decimal(38,10) COMMENT 'Negative',
  `aws_credits` decimal(38,10) COMMENT 'Credits AWS applied, negative',
  `invoice_net` decimal(38,10) COMMENT 'What AWS invoiced',
  `credits_applied` decimal(38,10) COMMENT 'Credits of the internal book, negative',
  `net_cost` decimal(38,10) COMMENT '`gross_cost + refunds + credits_applied`',
  `clearing` decimal(38,10) COMMENT '`invoice_net - net_cost`',
  `budget_amount` decimal(38,10) COMMENT 'The node\'s own budget row; null if none, never summed',
  `budget_remaining` decimal(38,10) COMMENT '`budget_amount - net_cost`'
)
COMMENT 'Net cost rolled up the hierarchy: one row per node with cost at or below it, or a budget.'
PARTITIONED BY (
  `billing_period` string COMMENT 'Billing period, `YYYY-MM`'
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'
LOCATION 's3://DATA_BUCKET/lake/runs/RUN_ID/net_cost_summary/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'storage.location.template' = 's3://DATA_BUCKET/lake/runs/RUN_ID/net_cost_summary/billing_period=${billing_period}',
  'projection.billing_period.type' = 'date',
  'projection.billing_period.format' = 'yyyy-MM',
  'projection.billing_period.range' = '2006-01,NOW+1YEAR',
  'projection.billing_period.interval' = '1',
  'projection.billing_period.interval.unit' = 'MONTHS'
);
