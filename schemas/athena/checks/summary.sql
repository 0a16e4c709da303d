-- Every level of the summary is the sum of the cells at or below the node; level 0 is everything.
WITH levels AS (
    SELECT
        billing_period,
        currency,
        0 AS level,
        '' AS business_unit,
        '' AS department,
        '' AS portfolio,
        '' AS product,
        gross_cost,
        refunds,
        aws_credits,
        invoice_net,
        credits_applied,
        net_cost,
        clearing
    FROM staged_net_cost
    UNION ALL
    SELECT
        billing_period, currency, 1, business_unit, '', '', '',
        gross_cost, refunds, aws_credits, invoice_net, credits_applied, net_cost, clearing
    FROM staged_net_cost
    UNION ALL
    SELECT
        billing_period, currency, 2, business_unit, department, '', '',
        gross_cost, refunds, aws_credits, invoice_net, credits_applied, net_cost, clearing
    FROM staged_net_cost
    WHERE department IS NOT NULL
    UNION ALL
    SELECT
        billing_period, currency, 3, business_unit, department, portfolio, '',
        gross_cost, refunds, aws_credits, invoice_net, credits_applied, net_cost, clearing
    FROM staged_net_cost
    WHERE portfolio IS NOT NULL
    UNION ALL
    SELECT
        billing_period, currency, 4, business_unit, department, portfolio, product,
        gross_cost, refunds, aws_credits, invoice_net, credits_applied, net_cost, clearing
    FROM staged_net_cost
    WHERE product IS NOT NULL
),
sums AS (
    SELECT
        billing_period,
        currency,
        level,
        business_unit,
        department,
        portfolio,
        product,
        sum(gross_cost) AS gross_cost,
        sum(refunds) AS refunds,
        sum(aws_credits) AS aws_credits,
        sum(invoice_net) AS invoice_net,
        sum(credits_applied) AS credits_applied,
        sum(net_cost) AS net_cost,
        sum(clearing) AS clearing
    FROM levels
    GROUP BY billing_period, currency, level, business_unit, department, portfolio, product
)
SELECT
    coalesce(n.billing_period, s.billing_period) || ' ' || coalesce(n.currency, s.currency) || ' level '
        || CAST(coalesce(n.level, s.level) AS varchar) || ' '
        || coalesce(n.business_unit, s.business_unit, '') || '/' || coalesce(n.department, s.department, '') || '/'
        || coalesce(n.portfolio, s.portfolio, '') || '/' || coalesce(n.product, s.product, '') || ': summary says '
        || coalesce(CAST(n.net_cost AS varchar), '(no row)') || ', its cells sum to '
        || coalesce(CAST(s.net_cost AS varchar), '(no cell)') || ', or another amount differs' AS problem
FROM staged_net_cost_summary n
FULL OUTER JOIN sums s
    ON s.billing_period = n.billing_period
    AND s.currency = n.currency
    AND s.level = n.level
    AND s.business_unit = coalesce(n.business_unit, '')
    AND s.department = coalesce(n.department, '')
    AND s.portfolio = coalesce(n.portfolio, '')
    AND s.product = coalesce(n.product, '')
WHERE n.billing_period IS NULL
    OR n.gross_cost <> coalesce(s.gross_cost, 0)
    OR n.refunds <> coalesce(s.refunds, 0)
    OR n.aws_credits <> coalesce(s.aws_credits, 0)
    OR n.invoice_net <> coalesce(s.invoice_net, 0)
    OR n.credits_applied <> coalesce(s.credits_applied, 0)
    OR n.net_cost <> coalesce(s.net_cost, 0)
    OR n.clearing <> coalesce(s.clearing, 0)
    OR n.budget_remaining IS DISTINCT FROM n.budget_amount - n.net_cost
