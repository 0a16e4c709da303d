-- Dashboard: does every month tie to the billing export?
--
-- The flag is computed in reconciliation_view on exact amounts; nothing here is to be compared again.
--
-- Grain: billing_period, currency
-- Columns:
--   billing_period           varchar  YYYY-MM
--   period_start             date     First day of the month
--   currency                 varchar  ISO 4217 code
--   export_total             double   Straight from the export
--   invoice_net              double   Sum over net_cost
--   difference               double   export_total - invoice_net, subtracted exactly
--   difference_exact         varchar  The same to the last decimal
--   net_cost                 double   Sum over net_cost
--   clearing                 double   invoice_net - net_cost
--   unallocated_aws_credits  double   AWS credits that wait for allocation, negative
--   rows_read                bigint   Lines of the export
--   tie_out                  varchar  ties out, or does not tie out
--   failures                 integer  1 where the month does not tie out, else 0
SELECT
    billing_period,
    CAST(billing_period || '-01' AS date) AS period_start,
    currency,
    CAST(export_total AS double) AS export_total,
    CAST(invoice_net AS double) AS invoice_net,
    CAST(difference AS double) AS difference,
    coalesce(CAST(difference AS varchar), '(unknown)') AS difference_exact,
    CAST(net_cost AS double) AS net_cost,
    CAST(clearing AS double) AS clearing,
    CAST(unallocated_aws_credits AS double) AS unallocated_aws_credits,
    rows_read,
    CASE WHEN tie_out_ok THEN 'ties out' ELSE 'does not tie out' END AS tie_out,
    CASE WHEN tie_out_ok THEN 0 ELSE 1 END AS failures
FROM reconciliation_view
