-- Generated from the grain of the tables; a test keeps it true.
-- No table holds two rows of one key: nothing was written twice, no old file lies beside a new one.
SELECT 'net_cost: ' || CAST(count(*) AS varchar) || ' rows of one key' AS problem
FROM staged_net_cost
GROUP BY billing_period, usage_date, payer_account_id, account_id, service, currency, business_unit, department, portfolio, product
HAVING count(*) > 1
UNION ALL
SELECT 'net_cost_summary: ' || CAST(count(*) AS varchar) || ' rows of one key' AS problem
FROM staged_net_cost_summary
GROUP BY billing_period, currency, level, business_unit, department, portfolio, product
HAVING count(*) > 1
UNION ALL
SELECT 'credit_consumption: ' || CAST(count(*) AS varchar) || ' rows of one key' AS problem
FROM staged_credit_consumption
GROUP BY billing_period, credit_key, lot, usage_date, payer_account_id, account_id, service, currency, business_unit, department, portfolio, product
HAVING count(*) > 1
UNION ALL
SELECT 'credit_balances: ' || CAST(count(*) AS varchar) || ' rows of one key' AS problem
FROM staged_credit_balances
GROUP BY billing_period, credit_key, lot
HAVING count(*) > 1
UNION ALL
SELECT 'credits: ' || CAST(count(*) AS varchar) || ' rows of one key' AS problem
FROM staged_credits
GROUP BY credit_key
HAVING count(*) > 1
UNION ALL
SELECT 'credit_queue: ' || CAST(count(*) AS varchar) || ' rows of one key' AS problem
FROM staged_credit_queue
GROUP BY credit_key
HAVING count(*) > 1
UNION ALL
SELECT 'credit_impact: ' || CAST(count(*) AS varchar) || ' rows of one key' AS problem
FROM staged_credit_impact
GROUP BY billing_period, credit_key
HAVING count(*) > 1
UNION ALL
SELECT 'allocation_issues: ' || CAST(count(*) AS varchar) || ' rows of one key' AS problem
FROM staged_allocation_issues
GROUP BY allocation_id, lot
HAVING count(*) > 1
UNION ALL
SELECT 'hierarchy: ' || CAST(count(*) AS varchar) || ' rows of one key' AS problem
FROM staged_hierarchy
GROUP BY business_unit, department, portfolio, product
HAVING count(*) > 1
UNION ALL
SELECT 'reconciliation: ' || CAST(count(*) AS varchar) || ' rows of one key' AS problem
FROM staged_reconciliation
GROUP BY billing_period, currency
HAVING count(*) > 1
