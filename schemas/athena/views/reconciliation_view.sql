-- Does every month tie to the billing export, to the last decimal?
--
-- The sums are computed anew from net_cost; nothing is taken from the published tie-out but the export's own total.
-- tie_out_ok is true where the export's total is the invoiced sum, invoice and net cost differ by the clearing, and the
-- published reconciliation says the same.
--
-- Grain: billing_period, currency
-- Columns:
--   billing_period           varchar         YYYY-MM
--   currency                 varchar         ISO 4217 code
--   export_total             decimal(38,10)  Sum of the unblended cost of every line, straight from the export
--   invoice_net              decimal(38,10)  Sum over net_cost
--   difference               decimal(38,10)  export_total - invoice_net: zero
--   net_cost                 decimal(38,10)  Sum over net_cost
--   clearing                 decimal(38,10)  Sum over net_cost
--   unallocated_aws_credits  decimal(38,10)  AWS credits that wait for allocation, negative
--   rows_read                bigint          Lines of the export
--   tie_out_ok               boolean         True: the month ties out
WITH sums AS (
    SELECT
        billing_period,
        currency,
        sum(invoice_net) AS invoice_net,
        sum(net_cost) AS net_cost,
        sum(clearing) AS clearing
    FROM net_cost
    GROUP BY billing_period, currency
)
SELECT
    coalesce(r.billing_period, s.billing_period) AS billing_period,
    coalesce(r.currency, s.currency) AS currency,
    r.export_total,
    s.invoice_net,
    r.export_total - s.invoice_net AS difference,
    s.net_cost,
    s.clearing,
    r.unallocated_aws_credits,
    r.rows_read,
    coalesce(
        r.export_total = s.invoice_net
        AND s.invoice_net - s.net_cost = s.clearing
        AND r.invoice_net = s.invoice_net
        AND r.net_cost = s.net_cost
        AND r.clearing = s.clearing
        AND r.difference = CAST(0 AS decimal(38,10)),
        false
    ) AS tie_out_ok
FROM reconciliation r
FULL OUTER JOIN sums s
    ON s.billing_period = r.billing_period AND s.currency = r.currency
