-- What leaves a lot comes to another lot of the same credit in the same month.
SELECT
    billing_period || ' ' || credit_key || ': its lots moved by ' || CAST(sum(moved) AS varchar) || ' in all' AS problem
FROM staged_credit_balances
GROUP BY billing_period, credit_key
HAVING sum(moved) <> 0
