-- Not needed to deploy: the program makes this log in the Glue catalogue when it first runs.
-- This is the same table in Athena's words, to read or to append to.
CREATE TABLE IF NOT EXISTS `runs_log` (
  `run_id` string COMMENT 'The run',
  `billing_period` string COMMENT '`YYYY-MM`',
  `as_of` date COMMENT 'The run\'s as-of date',
  `source_fingerprint` string COMMENT 'Digest of the export files and settings the period was read with',
  `rows_read` bigint COMMENT 'Lines of the export in the period',
  `policy` string COMMENT 'FIFO policy',
  `outcome` string COMMENT '`published`',
  `started_at` timestamp COMMENT 'UTC',
  `finished_at` timestamp COMMENT 'UTC',
  `exclusions_not_applied` string COMMENT 'Exclusions that could not be applied, separated by commas: there all charges count as eligible; null: none'
)
LOCATION 's3://DATA_BUCKET/lake/warehouse/finops_credits/runs_log/'
TBLPROPERTIES (
  'table_type' = 'ICEBERG',
  'format' = 'parquet'
);
