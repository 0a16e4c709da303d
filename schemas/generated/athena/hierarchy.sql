-- Not needed to deploy: `publish` makes this table and moves it from run to run.
-- By hand it opens any run that is still kept: put in its bucket and run id.
CREATE EXTERNAL TABLE IF NOT EXISTS `hierarchy` (
  `business_unit` string COMMENT 'Node, level 1',
  `department` string COMMENT 'Node, level 2',
  `portfolio` string COMMENT 'Node, level 3',
  `product` string COMMENT 'Node, level 4',
  `level` int COMMENT '1 business unit to 4 product',
  `owner_email` string COMMENT 'Whom to ask',
  `cost_center` string COMMENT 'Cost centre'
)
COMMENT 'The nodes of the hierarchy, ancestors included.'
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'
  OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'
LOCATION 's3://DATA_BUCKET/lake/runs/RUN_ID/hierarchy/'
TBLPROPERTIES (
  'classification' = 'parquet'
);
