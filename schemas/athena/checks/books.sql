-- The internal book and its clearing hold in every cell:
-- net_cost = gross_cost + refunds + credits_applied, clearing = invoice_net - net_cost.
SELECT
    billing_period || ' ' || CAST(usage_date AS varchar) || ' ' || account_id || ' ' || coalesce(service, '-') || ' '
        || currency || ': gross_cost ' || CAST(gross_cost AS varchar) || ', refunds ' || CAST(refunds AS varchar)
        || ', credits_applied ' || CAST(credits_applied AS varchar) || ', net_cost ' || CAST(net_cost AS varchar)
        || ', invoice_net ' || CAST(invoice_net AS varchar) || ', clearing ' || CAST(clearing AS varchar)
        || ' do not add up' AS problem
FROM staged_net_cost
WHERE gross_cost <> charges + tax
    OR net_cost <> gross_cost + refunds + credits_applied
    OR clearing <> invoice_net - net_cost
