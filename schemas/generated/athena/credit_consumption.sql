-- Not needed to deploy: `publish` makes this table and moves it from run to run.
-- By hand it opens any run that is still kept: put in its bucket and run id.
CREATE EXTERNAL TABLE IF NOT EXISTS `credit_consumption` (
  `credit_key` string COMMENT 'The credit',
  `lot` int COMMENT 'The lot',
  `credit_business_unit` string COMMENT 'Node of the lot, level 1',
  `credit_department` string COMMENT 'Node of the lot, level 2',
  `credit_portfolio` string COMMENT 'Node of the lot, level 3',
  `credit_product` string COMMENT 'Node of the lot, level 4',
  `usage_date` date COMMENT 'UTC day of the usage',
  `payer_account_id` string COMMENT 'Payer account',
  `account_id` string COMMENT 'Usage account',
  `service` string COMMENT 'Service code',
  `currency` string COMMENT 'ISO 4217 code',
  `business_unit` string COMMENT 'Node of the spend, level 1',
  `department` string COMMENT 'Node of the spend, level 2',
  `portfolio` string COMMENT 'Node of the spend, level 3',
  `product` string COMMENT 'Node of the spend, level 4',
  `used` decimal(38,10) COMMENT 'Above zero',
  `fifo_rank` int COMMENT 'From 1: position, in FIFO order, among the lots that drew in this period',
  `policy` string COMMENT 'FIFO policy'
)
COMMENT 'What each lot took of each cell.'
PARTITIONED BY (
  `billing_period` string COMMENT 'Billing period, `YYYY-MM`'
)
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'
LOCATION 's3://DATA_BUCKET/lake/runs/RUN_ID/credit_consumption/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'projection.enabled' = 'true',
  'storage.location.template' = 's3://DATA_BUCKET/lake/runs/RUN_ID/credit_consumption/billing_period=${billing_period}',
  'projection.billing_period.type' = 'date',
  'projection.billing_period.format' = 'yyyy-MM',
  'projection.billing_period.range' = '2006-01,NOW+1YEAR',
  'projection.billing_period.interval' = '1',
  'projection.billing_period.interval.unit' = 'MONTHS'
);
