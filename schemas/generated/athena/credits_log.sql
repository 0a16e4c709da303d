-- Not needed to deploy: the program makes this log in the Glue catalogue when it first runs.
-- This is the same table in Athena's words, to read or to append to.
CREATE TABLE IF NOT EXISTS `credits_log` (
  `credit_key` string COMMENT '`id:<credit id>`, or `code:<promotion code>@<account>` where the export states no id',
  `revision` int COMMENT 'From 1, one more with each change',
  `promotion_code` string COMMENT 'The credit\'s name: its description without suffixes',
  `account_id` string COMMENT 'The owner account where stated, else the account of its earliest line',
  `owner_account_id` string COMMENT 'Account after `credit from account:`',
  `credit_id` string COMMENT 'Digits after `credit id:`',
  `payer_account_id` string COMMENT 'Payer of its earliest line',
  `currency` string COMMENT 'ISO 4217 code',
  `description` string COMMENT 'Description of its earliest line, untouched',
  `credit_class` string COMMENT '`promotion`, `goodwill`, `contractual`, or as configured',
  `first_cur_date` date COMMENT 'Earliest usage date among its lines',
  `issue_date` date COMMENT '`first_cur_date` minus one day, or as set by hand',
  `issue_date_source` string COMMENT '`cur_inferred` or `manual`',
  `detected_at` timestamp COMMENT 'Start of the run that found it so, UTC',
  `run_id` string COMMENT 'That run'
)
LOCATION 's3://DATA_BUCKET/lake/warehouse/finops_credits/credits_log/'
TBLPROPERTIES (
  'table_type' = 'ICEBERG',
  'format' = 'parquet'
);
