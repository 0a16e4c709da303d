-- Not needed to deploy: `publish` makes this table and moves it from run to run.
-- By hand it opens any run that is still kept: put in its bucket and run id.
CREATE EXTERNAL TABLE IF NOT EXISTS `credit_impact` (
  `credit_key` string COMMENT 'The credit',
  `currency` string COMMENT 'ISO 4217 code',
  `issue_period` string COMMENT 'Month of the issue date, `YYYY-MM`',
  `aws_applied` decimal(38,10) COMMENT 'AWS book: taken off the invoice in the period',
  `used` decimal(38,10) COMMENT 'Internal book: drawn in the period'
)
COMMENT 'What each credit with a line or a draw in the period did to it in both books.'
PARTITIONED BY (
  `billing_period` string COMMENT 'Billing period, `YYYY-MM`'
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'
LOCATION 's3://DATA_BUCKET/lake/runs/RUN_ID/credit_impact/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'storage.location.template' = 's3://DATA_BUCKET/lake/runs/RUN_ID/credit_impact/billing_period=${billing_period}',
  'projection.billing_period.type' = 'date',
  'projection.billing_period.format' = 'yyyy-MM',
  'projection.billing_period.range' = '2006-01,NOW+1YEAR',
  'projection.billing_period.interval' = '1',
  'projection.billing_period.interval.unit' = 'MONTHS'
);
