-- Every month ties to the export, to the last decimal; and there is something to tie out at all.
SELECT
    coalesce(r.billing_period, s.billing_period) || ': the export sums to '
        || coalesce(CAST(r.export_total AS varchar), '(nothing)') || ' ' || coalesce(r.currency, s.currency)
        || ' but net_cost to ' || coalesce(CAST(s.invoice_net AS varchar), '(nothing)') || ', reported difference '
        || coalesce(CAST(r.difference AS varchar), '(nothing)') AS problem
FROM staged_reconciliation r
FULL OUTER JOIN (
    SELECT billing_period, currency, sum(invoice_net) AS invoice_net
    FROM staged_net_cost
    GROUP BY billing_period, currency
) s ON s.billing_period = r.billing_period AND s.currency = r.currency
WHERE r.export_total IS DISTINCT FROM s.invoice_net OR r.difference IS DISTINCT FROM 0
UNION ALL
SELECT 'reconciliation has no rows: nothing is staged, or not where it is looked for' AS problem
FROM (SELECT count(*) AS months FROM staged_reconciliation) r
WHERE r.months = 0
