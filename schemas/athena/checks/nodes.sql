-- Every node that costs or owns a credit is in the hierarchy; only spend may be Unassigned.
WITH found AS (
    SELECT 'net_cost' AS place, business_unit, department, portfolio, product
    FROM staged_net_cost
    WHERE NOT (business_unit = 'Unassigned' AND department IS NULL)
    UNION
    SELECT 'credit_balances' AS place, business_unit, department, portfolio, product
    FROM staged_credit_balances
)
SELECT
    f.place || ': ' || coalesce(f.business_unit, '(none)') || coalesce('/' || f.department, '')
        || coalesce('/' || f.portfolio, '') || coalesce('/' || f.product, '') || ' is not in the hierarchy' AS problem
FROM found f
LEFT JOIN staged_hierarchy h
    ON h.business_unit = f.business_unit
    AND coalesce(h.department, '') = coalesce(f.department, '')
    AND coalesce(h.portfolio, '') = coalesce(f.portfolio, '')
    AND coalesce(h.product, '') = coalesce(f.product, '')
WHERE h.business_unit IS NULL
