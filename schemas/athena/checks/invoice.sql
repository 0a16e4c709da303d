-- The AWS book holds in every cell: invoice_net = gross_cost + refunds + aws_credits.
-- Only where the cost column is unblended: with another one, gross_cost is not what AWS invoices.
SELECT
    billing_period || ' ' || CAST(usage_date AS varchar) || ' ' || account_id || ' ' || coalesce(service, '-') || ' '
        || currency || ': gross_cost ' || CAST(gross_cost AS varchar) || ', refunds ' || CAST(refunds AS varchar)
        || ', aws_credits ' || CAST(aws_credits AS varchar) || ' are not invoice_net ' || CAST(invoice_net AS varchar)
        AS problem
FROM staged_net_cost
WHERE invoice_net <> gross_cost + refunds + aws_credits
