-- Not needed to deploy: `publish` makes this table and moves it from run to run.
-- By hand it opens any run that is still kept: put in its bucket and run id.
CREATE EXTERNAL TABLE IF NOT EXISTS `credit_queue` (
  `credit_key` string COMMENT 'The credit',
  `promotion_code` string COMMENT 'Its name',
  `account_id` string COMMENT 'Its account',
  `credit_class` string COMMENT 'Class by the configured patterns',
  `currency` string COMMENT 'ISO 4217 code',
  `first_cur_date` date COMMENT 'Earliest usage date among its lines',
  `issue_date` date COMMENT 'The day before, or as set by hand',
  `issue_period` string COMMENT 'Month of the issue date, `YYYY-MM`',
  `aws_applied` decimal(38,10) COMMENT 'Taken off the invoice to date',
  `days_waiting` int COMMENT 'As-of date minus `first_cur_date`',
  `reason` string COMMENT '`never_allocated`, `revoked` or `allocation_invalid`'
)
COMMENT 'Credits that wait for somebody to say whose they are.'
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'
LOCATION 's3://DATA_BUCKET/lake/runs/RUN_ID/credit_queue/'
TBLPROPERTIES (
  'classification' = 'parquet'
);
