-- What a lot's balance says it used is what it drew.
SELECT
    coalesce(b.billing_period, c.billing_period) || ' ' || coalesce(b.credit_key, c.credit_key) || ' lot '
        || CAST(coalesce(b.lot, c.lot) AS varchar) || ': balance says used '
        || coalesce(CAST(b.used AS varchar), '(no balance)') || ', drawn '
        || coalesce(CAST(c.used AS varchar), '(nothing)') AS problem
FROM staged_credit_balances b
FULL OUTER JOIN (
    SELECT billing_period, credit_key, lot, sum(used) AS used
    FROM staged_credit_consumption
    GROUP BY billing_period, credit_key, lot
) c ON c.billing_period = b.billing_period AND c.credit_key = b.credit_key AND c.lot = b.lot
WHERE coalesce(b.used, 0) <> coalesce(c.used, 0)
