-- Not needed to deploy: `publish` makes this table and moves it from run to run.
-- By hand it opens any run that is still kept: put in its bucket and run id.
CREATE EXTERNAL TABLE IF NOT EXISTS `net_cost` (
  `usage_date` date COMMENT 'UTC day of the usage',
  `payer_account_id` string COMMENT 'Payer account',
  `account_id` string COMMENT 'Usage account',
  `service` string COMMENT 'Service code',
  `currency` string COMMENT 'ISO 4217 code',
  `business_unit` string COMMENT 'Node, level 1',
  `department` string COMMENT 'Node, level 2',
  `portfolio` string COMMENT 'Node, level 3',
  `product` string COMMENT 'Node, level 4',
  `charges` decimal(38,10) COMMENT 'Everything but tax, refunds and credits, in the configured cost column',
  `tax` decimal(38,10) COMMENT 'Tax',
  `gross_cost` decimal(38,10) COMMENT '`charges + tax`',
  `refunds` decimal(38,10) COMMENT 'Negative',
  `aws_credits` decimal(38,10) COMMENT 'Credits AWS applied, negative',
  `invoice_net` decimal(38,10) COMMENT 'What AWS invoiced (unblended): equals the export\'s own total',
  `credits_applied` decimal(38,10) COMMENT 'Credits of the internal book, negative',
  `net_cost` decimal(38,10) COMMENT '`gross_cost + refunds + credits_applied`',
  `clearing` decimal(38,10) COMMENT '`invoice_net - net_cost`',
  `eligible_charges` decimal(38,10) COMMENT 'The part of `charges` that a credit may offset'
)
COMMENT 'Both books per cell: what AWS invoiced and what the node pays net of its credits. A row for every cell with a line, zero sums too.'
PARTITIONED BY (
  `billing_period` string COMMENT 'Billing period, `YYYY-MM`'
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'
LOCATION 's3://DATA_BUCKET/lake/runs/RUN_ID/net_cost/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'storage.location.template' = 's3://DATA_BUCKET/lake/runs/RUN_ID/net_cost/billing_period=${billing_period}',
  'projection.billing_period.type' = 'date',
  'projection.billing_period.format' = 'yyyy-MM',
  'projection.billing_period.range' = '2006-01,NOW+1YEAR',
  'projection.billing_period.interval' = '1',
  'projection.billing_period.interval.unit' = 'MONTHS'
);
