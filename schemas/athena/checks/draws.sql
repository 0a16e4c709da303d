-- A lot draws only within its node, its currency and its life.
-- A day outside its billing period counts as that period's first or last day, so it is the month that must fit then.
SELECT
    c.billing_period || ' ' || CAST(c.usage_date AS varchar) || ' ' || c.credit_key || ' lot ' || CAST(c.lot AS varchar)
        || ' draws ' || CAST(c.used AS varchar) || ' ' || c.currency || ' of ' || coalesce(c.business_unit, '(none)')
        || coalesce('/' || c.department, '') || coalesce('/' || c.portfolio, '') || coalesce('/' || c.product, '')
        || ', which it may not' AS problem
FROM staged_credit_consumption c
LEFT JOIN staged_credit_balances b
    ON b.billing_period = c.billing_period AND b.credit_key = c.credit_key AND b.lot = c.lot
WHERE c.used <= 0
    OR c.fifo_rank < 1
    OR c.currency <> b.currency
    OR c.credit_business_unit IS DISTINCT FROM b.business_unit
    OR c.credit_department IS DISTINCT FROM b.department
    OR c.credit_portfolio IS DISTINCT FROM b.portfolio
    OR c.credit_product IS DISTINCT FROM b.product
    OR coalesce(c.business_unit, '') <> c.credit_business_unit
    OR coalesce(c.department, '') <> coalesce(c.credit_department, c.department, '')
    OR coalesce(c.portfolio, '') <> coalesce(c.credit_portfolio, c.portfolio, '')
    OR coalesce(c.product, '') <> coalesce(c.credit_product, c.product, '')
    OR c.billing_period < substr(CAST(b.issue_date AS varchar), 1, 7)
    OR c.billing_period > substr(CAST(b.end_date AS varchar), 1, 7)
    OR (c.usage_date > b.end_date AND substr(CAST(c.usage_date AS varchar), 1, 7) = c.billing_period)
