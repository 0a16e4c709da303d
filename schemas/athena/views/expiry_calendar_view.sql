-- How much lapses in which month, and how much has lapsed already?
--
-- Grain: expiry_month, currency
-- Columns:
--   expiry_month  varchar         Month of the last day, YYYY-MM; null: open-ended
--   currency      varchar         ISO 4217 code
--   credits       bigint          Credits that end in the month
--   issued        decimal(38,10)  Their amounts
--   used          decimal(38,10)  Drawn to date
--   expired       decimal(38,10)  Lost to date
--   remaining     decimal(38,10)  Still to be used, or lost at the end
SELECT
    substr(CAST(end_date AS varchar), 1, 7) AS expiry_month,
    currency,
    count(DISTINCT credit_key) AS credits,
    sum(issued) AS issued,
    sum(used) AS used,
    sum(expired) AS expired,
    sum(issued) - sum(used) - sum(expired) AS remaining
FROM credit_balances
GROUP BY substr(CAST(end_date AS varchar), 1, 7), currency
