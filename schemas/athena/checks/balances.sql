-- Every lot's month adds up, and nothing but what moved is below zero:
-- opening + issued + moved = used + expired + remaining.
SELECT
    billing_period || ' ' || credit_key || ' lot ' || CAST(lot AS varchar) || ': opening ' || CAST(opening AS varchar)
        || ' + issued ' || CAST(issued AS varchar) || ' + moved ' || CAST(moved AS varchar) || ' and used ' || CAST(used AS varchar) || ' + expired '
        || CAST(expired AS varchar) || ' + remaining ' || CAST(remaining AS varchar)
        || ' differ, or one is below zero' AS problem
FROM staged_credit_balances
WHERE opening + issued + moved <> used + expired + remaining
    OR opening < 0
    OR issued < 0
    OR used < 0
    OR expired < 0
    OR remaining < 0
