-- How did each credit move, month by month: what was left, what came, what was used, what lapsed?
--
-- In every row opening + issued + moved = used + expired + remaining.
--
-- Grain: billing_period, credit_key, lot
-- Columns:
--   billing_period  varchar         YYYY-MM
--   credit_key      varchar         The credit
--   lot             integer         The lot: a credit may be split between nodes
--   promotion_code  varchar         The credit's name
--   account_id      varchar         The credit's account
--   currency        varchar         ISO 4217 code
--   business_unit   varchar         Node of the lot, level 1
--   department      varchar         Node of the lot, level 2
--   portfolio       varchar         Node of the lot, level 3
--   product         varchar         Node of the lot, level 4
--   node            varchar         Node of the lot as text
--   issue_date      date            Issue date of the credit
--   end_date        date            Last day; null: open-ended
--   opening         decimal(38,10)  Left at the end of the month before
--   issued          decimal(38,10)  The amount, in the issue period
--   moved           decimal(38,10)  Came from the lot that it continues; negative: went to the lot that continues it
--   used            decimal(38,10)  Drawn in the month
--   expired         decimal(38,10)  Lost in the month
--   remaining       decimal(38,10)  Left at the end of the month
--   aws_applied     decimal(38,10)  Taken off the invoice in the month, on lot 1 only
SELECT
    billing_period,
    credit_key,
    lot,
    promotion_code,
    account_id,
    currency,
    business_unit,
    department,
    portfolio,
    product,
    business_unit || coalesce(' / ' || department, '') || coalesce(' / ' || portfolio, '')
        || coalesce(' / ' || product, '') AS node,
    issue_date,
    end_date,
    opening,
    issued,
    moved,
    used,
    expired,
    remaining,
    aws_applied
FROM credit_balances
