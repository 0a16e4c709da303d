-- Not needed to deploy: `publish` makes this table and moves it from run to run.
-- By hand it opens any run that is still kept: put in its bucket and run id.
CREATE EXTERNAL TABLE IF NOT EXISTS `allocation_issues` (
  `allocation_id` string COMMENT 'The revision',
  `lot` int COMMENT 'The lot',
  `credit_key` string COMMENT 'The credit it names',
  `recorded_by` string COMMENT 'Who recorded it',
  `recorded_at` timestamp COMMENT 'When, UTC',
  `problem` string COMMENT 'What is wrong'
)
COMMENT 'Newest revisions of the allocations log that cannot be used, with the reason. Their credits wait.'
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'
LOCATION 's3://DATA_BUCKET/lake/runs/RUN_ID/allocation_issues/'
TBLPROPERTIES (
  'classification' = 'parquet'
);
