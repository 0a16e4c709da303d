-- Not needed to deploy: the program makes this log in the Glue catalogue when it first runs.
-- This is the same table in Athena's words, to read or to append to.
CREATE TABLE IF NOT EXISTS `allocations_log` (
  `allocation_id` string COMMENT 'The revision',
  `lot` int COMMENT 'From 1 as recorded',
  `credit_key` string COMMENT 'The credit',
  `action` string COMMENT '`allocate` (also replaces) or `revoke`',
  `business_unit` string COMMENT 'Node, level 1',
  `department` string COMMENT 'Node, level 2',
  `portfolio` string COMMENT 'Node, level 3',
  `product` string COMMENT 'Node, level 4',
  `amount` decimal(38,10) COMMENT 'Amount of the lot, above zero; null on `revoke`, and on a lot that continues another: it is what is left of that',
  `currency` string COMMENT 'ISO 4217 code, the credit\'s',
  `end_date` date COMMENT 'Last day on which the lot may be used; null: open-ended',
  `reference` string COMMENT 'Contract, ticket or programme, as recorded',
  `recorded_by` string COMMENT 'Who recorded it',
  `recorded_at` timestamp COMMENT 'When, UTC; the newest revision of a credit counts',
  `note` string COMMENT 'Free text',
  `from_period` string COMMENT 'On a lot that continues another: `YYYY-MM` from which on what is left of that one sits here',
  `continues_lot` int COMMENT 'The lot that it continues'
)
LOCATION 's3://DATA_BUCKET/lake/warehouse/finops_credits/allocations_log/'
TBLPROPERTIES (
  'table_type' = 'ICEBERG',
  'format' = 'parquet'
);
