-- How fast is each credit used up?
--
-- In every row amount = used_to_date + expired_to_date + remaining.
--
-- Grain: billing_period, credit_key
-- Columns:
--   billing_period   varchar         YYYY-MM
--   credit_key       varchar         The credit
--   promotion_code   varchar         Its name
--   account_id       varchar         Its account
--   currency         varchar         ISO 4217 code
--   issue_date       date            Issue date
--   end_date         date            Last day of the lot that ends last; null: one is open-ended
--   amount           decimal(38,10)  Sum of its lots
--   used             decimal(38,10)  Drawn in the month
--   expired          decimal(38,10)  Lost in the month
--   used_to_date     decimal(38,10)  Drawn up to the end of the month
--   expired_to_date  decimal(38,10)  Lost up to the end of the month
--   remaining        decimal(38,10)  Left at the end of the month
SELECT
    billing_period,
    credit_key,
    promotion_code,
    account_id,
    currency,
    issue_date,
    CASE WHEN count(end_date) = count(*) THEN max(end_date) END AS end_date,
    sum(sum(issued)) OVER (PARTITION BY credit_key ORDER BY billing_period) AS amount,
    sum(used) AS used,
    sum(expired) AS expired,
    sum(sum(used)) OVER (PARTITION BY credit_key ORDER BY billing_period) AS used_to_date,
    sum(sum(expired)) OVER (PARTITION BY credit_key ORDER BY billing_period) AS expired_to_date,
    sum(remaining) AS remaining
FROM credit_balances
GROUP BY billing_period, credit_key, promotion_code, account_id, currency, issue_date
