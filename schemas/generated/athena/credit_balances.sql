-- Not needed to deploy: `publish` makes this table and moves it from run to run.
-- By hand it opens any run that is still kept: put in its bucket and run id.
CREATE EXTERNAL TABLE IF NOT EXISTS `credit_balances` (
  `credit_key` string COMMENT 'The credit',
  `lot` int COMMENT 'The lot',
  `promotion_code` string COMMENT 'The credit\'s name',
  `account_id` string COMMENT 'The credit\'s account',
  `currency` string COMMENT 'ISO 4217 code',
  `business_unit` string COMMENT 'Node, level 1',
  `department` string COMMENT 'Node, level 2',
  `portfolio` string COMMENT 'Node, level 3',
  `product` string COMMENT 'Node, level 4',
  `issue_date` date COMMENT 'Issue date of the credit',
  `end_date` date COMMENT 'Last day; null: open-ended',
  `opening` decimal(38,10) COMMENT 'Left at the end of the month before',
  `issued` decimal(38,10) COMMENT 'The amount, in the issue period',
  `moved` decimal(38,10) COMMENT 'What came from the lot that it continues; negative: what went to the lot that continues it. Zero over a credit',
  `used` decimal(38,10) COMMENT 'Drawn in the month',
  `expired` decimal(38,10) COMMENT 'Lost in the month',
  `remaining` decimal(38,10) COMMENT 'Left at the end of the month',
  `aws_applied` decimal(38,10) COMMENT 'Taken off the invoice in the month, on lot 1 only: a credit has one AWS book'
)
COMMENT 'Each lot over each month from its issue period, or from the month in which it was moved to its node, to the as-of period, without gaps: `opening + issued + moved = used + expired + remaining`.'
PARTITIONED BY (
  `billing_period` string COMMENT 'Billing period, `YYYY-MM`'
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'
LOCATION 's3://DATA_BUCKET/lake/runs/RUN_ID/credit_balances/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'storage.location.template' = 's3://DATA_BUCKET/lake/runs/RUN_ID/credit_balances/billing_period=${billing_period}',
  'projection.billing_period.type' = 'date',
  'projection.billing_period.format' = 'yyyy-MM',
  'projection.billing_period.range' = '2006-01,NOW+1YEAR',
  'projection.billing_period.interval' = '1',
  'projection.billing_period.interval.unit' = 'MONTHS'
);
