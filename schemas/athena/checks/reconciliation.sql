-- The published reconciliation is the sum of what it reconciles: both books, their clearing, and the credits that wait.
SELECT
    r.billing_period || ' ' || r.currency || ': reconciliation says invoice_net ' || CAST(r.invoice_net AS varchar)
        || ', net_cost ' || CAST(r.net_cost AS varchar) || ', clearing ' || CAST(r.clearing AS varchar)
        || '; net_cost sums to ' || coalesce(CAST(s.invoice_net AS varchar), '(nothing)') || ', '
        || coalesce(CAST(s.net_cost AS varchar), '(nothing)') || ', '
        || coalesce(CAST(s.clearing AS varchar), '(nothing)') AS problem
FROM staged_reconciliation r
LEFT JOIN (
    SELECT
        billing_period,
        currency,
        sum(invoice_net) AS invoice_net,
        sum(net_cost) AS net_cost,
        sum(clearing) AS clearing
    FROM staged_net_cost
    GROUP BY billing_period, currency
) s ON s.billing_period = r.billing_period AND s.currency = r.currency
WHERE r.invoice_net IS DISTINCT FROM s.invoice_net
    OR r.net_cost IS DISTINCT FROM s.net_cost
    OR r.clearing IS DISTINCT FROM s.clearing
UNION ALL
SELECT
    r.billing_period || ' ' || r.currency || ': unallocated_aws_credits is '
        || CAST(r.unallocated_aws_credits AS varchar) || ', but AWS applied '
        || coalesce(CAST(w.aws_applied AS varchar), 'nothing') || ' of the credits that wait' AS problem
FROM staged_reconciliation r
LEFT JOIN (
    SELECT i.billing_period, i.currency, sum(i.aws_applied) AS aws_applied
    FROM staged_credit_impact i
    JOIN staged_credit_queue q ON q.credit_key = i.credit_key
    GROUP BY i.billing_period, i.currency
) w ON w.billing_period = r.billing_period AND w.currency = r.currency
WHERE r.unallocated_aws_credits <> -coalesce(w.aws_applied, 0)
