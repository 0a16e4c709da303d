-- What is left of credits that will lapse, when, and who can still use it?
--
-- Lots with something remaining and an end date, as of the run; soonest first by days_left.
--
-- Grain: credit_key, lot
-- Columns:
--   credit_key      varchar         The credit
--   lot             integer         The lot
--   promotion_code  varchar         The credit's name
--   account_id      varchar         The credit's account
--   currency        varchar         ISO 4217 code
--   business_unit   varchar         Node of the lot, level 1
--   department      varchar         Node of the lot, level 2
--   portfolio       varchar         Node of the lot, level 3
--   product         varchar         Node of the lot, level 4
--   node            varchar         Node of the lot as text
--   owner_email     varchar         Whom to tell: nearest owner at or above the node
--   end_date        date            Last day
--   expiry_month    varchar         Month of the last day, YYYY-MM
--   days_left       integer         End date minus as-of date; 0: the last day
--   remaining       decimal(38,10)  Lost if not used by then
--   status          varchar         expiring_soon within the configured number of days, else active
WITH standing AS (
    SELECT
        b.credit_key,
        b.lot,
        b.promotion_code,
        b.account_id,
        b.currency,
        b.business_unit,
        b.department,
        b.portfolio,
        b.product,
        b.end_date,
        b.remaining,
        row_number() OVER (PARTITION BY b.credit_key, b.lot ORDER BY b.billing_period DESC) AS months_back
    FROM credit_balances b
)
SELECT
    b.credit_key,
    b.lot,
    b.promotion_code,
    b.account_id,
    b.currency,
    b.business_unit,
    b.department,
    b.portfolio,
    b.product,
    b.business_unit || coalesce(' / ' || b.department, '') || coalesce(' / ' || b.portfolio, '')
        || coalesce(' / ' || b.product, '') AS node,
    h.owner_email,
    b.end_date,
    substr(CAST(b.end_date AS varchar), 1, 7) AS expiry_month,
    CAST(date_diff('day', c.as_of, b.end_date) AS integer) AS days_left,
    b.remaining,
    CASE
        WHEN date_diff('day', c.as_of, b.end_date) <= c.expiring_soon_days THEN 'expiring_soon'
        ELSE 'active'
    END AS status
FROM standing b
JOIN credits c ON c.credit_key = b.credit_key
LEFT JOIN hierarchy_view h
    ON h.business_unit = b.business_unit
    AND coalesce(h.department, '') = coalesce(b.department, '')
    AND coalesce(h.portfolio, '') = coalesce(b.portfolio, '')
    AND coalesce(h.product, '') = coalesce(b.product, '')
WHERE b.months_back = 1 AND b.end_date IS NOT NULL AND b.remaining > CAST(0 AS decimal(38,10))
