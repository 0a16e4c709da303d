-- What leaves a lot comes to another lot of the same credit in the same month.
SELECT
    billing_period || ' ' || credit_key || ': its lots moved by ' || CAST(moved AS varchar) || ' in all' AS problem
FROM (
    SELECT billing_period, credit_key, sum(moved) AS moved
    FROM staged_credit_balances
    GROUP BY billing_period, credit_key
) m
WHERE moved <> 0
