-- What a cell was relieved of is what lots drew from it.
SELECT
    coalesce(n.billing_period, c.billing_period) || ' '
        || CAST(coalesce(n.usage_date, c.usage_date) AS varchar) || ' ' || coalesce(n.account_id, c.account_id) || ' '
        || coalesce(n.service, c.service, '-') || ' ' || coalesce(n.currency, c.currency) || ': credits_applied '
        || coalesce(CAST(n.credits_applied AS varchar), '(no such cell)') || ', drawn '
        || coalesce(CAST(c.used AS varchar), '(nothing)') AS problem
FROM staged_net_cost n
FULL OUTER JOIN (
    SELECT
        billing_period,
        usage_date,
        payer_account_id,
        account_id,
        service,
        currency,
        business_unit,
        department,
        portfolio,
        product,
        sum(used) AS used
    FROM staged_credit_consumption
    GROUP BY
        billing_period,
        usage_date,
        payer_account_id,
        account_id,
        service,
        currency,
        business_unit,
        department,
        portfolio,
        product
) c
    ON c.billing_period = n.billing_period
    AND c.usage_date = n.usage_date
    AND c.payer_account_id = n.payer_account_id
    AND c.account_id = n.account_id
    AND coalesce(c.service, '') = coalesce(n.service, '')
    AND c.currency = n.currency
    AND coalesce(c.business_unit, '') = coalesce(n.business_unit, '')
    AND coalesce(c.department, '') = coalesce(n.department, '')
    AND coalesce(c.portfolio, '') = coalesce(n.portfolio, '')
    AND coalesce(c.product, '') = coalesce(n.product, '')
WHERE n.credits_applied IS NULL OR n.credits_applied <> -coalesce(c.used, 0)
