-- Not needed to deploy: `publish` makes this table and moves it from run to run.
-- By hand it opens any run that is still kept: put in its bucket and run id.
CREATE EXTERNAL TABLE IF NOT EXISTS `credits` (
  `credit_key` string COMMENT '`id:<credit id>`, or `code:<promotion code>@<account>`',
  `promotion_code` string COMMENT 'The credit\'s name',
  `account_id` string COMMENT 'The owner account where stated, else the account of its earliest line',
  `owner_account_id` string COMMENT 'Stated owner',
  `credit_id` string COMMENT 'Stated id',
  `payer_account_id` string COMMENT 'Payer of its earliest line',
  `currency` string COMMENT 'ISO 4217 code',
  `description` string COMMENT 'Description of its earliest line',
  `credit_class` string COMMENT 'Class by the configured patterns',
  `first_cur_date` date COMMENT 'Earliest usage date among its lines',
  `issue_date` date COMMENT 'The day before, or as set by hand',
  `issue_date_source` string COMMENT '`cur_inferred` or `manual`',
  `issue_period` string COMMENT 'Month of the issue date, `YYYY-MM`',
  `status` string COMMENT '`unallocated`, `invalid`, `active`, `expiring_soon`, `exhausted` or `expired`',
  `allocated_amount` decimal(38,10) COMMENT 'Sum of its lots; null where unallocated or invalid',
  `used` decimal(38,10) COMMENT 'Drawn to date',
  `expired` decimal(38,10) COMMENT 'Lost to date',
  `remaining` decimal(38,10) COMMENT '`allocated_amount - used - expired`',
  `end_date` date COMMENT 'Last day of the lot that ends next among those with something left, else of the one that ends last; null: open-ended, unallocated or invalid',
  `reference` string COMMENT 'Of that lot, as recorded',
  `recorded_by` string COMMENT 'Who recorded the allocation',
  `recorded_at` timestamp COMMENT 'When, UTC',
  `aws_applied` decimal(38,10) COMMENT 'Taken off the invoice to date',
  `last_cur_date` date COMMENT 'Latest usage date among its lines; null where all have gone',
  `days_left` int COMMENT 'End date minus as-of date, negative once past',
  `as_of` date COMMENT 'As-of date of the run',
  `expiring_soon_days` int COMMENT 'Days before its end from which a credit or lot expires soon, as set'
)
COMMENT 'Every registered credit with its allocation and position.'
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'
LOCATION 's3://DATA_BUCKET/lake/runs/RUN_ID/credits/'
TBLPROPERTIES (
  'classification' = 'parquet'
);
