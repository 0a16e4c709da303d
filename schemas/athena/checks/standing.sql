-- A credit's totals are those of its lots' months, and what AWS applied is the sum of its months.
-- An allocated credit whose issue month is still to come has no balances yet.
SELECT
    coalesce(c.credit_key, b.credit_key) || ': credits says amount '
        || coalesce(CAST(c.allocated_amount AS varchar), '(none)') || ', used '
        || coalesce(CAST(c.used AS varchar), '(none)') || ', expired ' || coalesce(CAST(c.expired AS varchar), '(none)')
        || ', remaining ' || coalesce(CAST(c.remaining AS varchar), '(none)') || '; balances say '
        || coalesce(CAST(b.issued AS varchar), '(none)') || ', ' || coalesce(CAST(b.used AS varchar), '(none)') || ', '
        || coalesce(CAST(b.expired AS varchar), '(none)') || ', ' || coalesce(CAST(b.remaining AS varchar), '(none)')
        AS problem
FROM staged_credits c
FULL OUTER JOIN (
    SELECT
        credit_key,
        sum(issued) AS issued,
        sum(used) AS used,
        sum(expired) AS expired,
        sum(CASE WHEN billing_period = last_period THEN remaining END) AS remaining
    FROM (
        SELECT
            credit_key,
            issued,
            used,
            expired,
            remaining,
            billing_period,
            max(billing_period) OVER () AS last_period
        FROM staged_credit_balances
    ) m
    GROUP BY credit_key
) b ON b.credit_key = c.credit_key
WHERE (
        b.credit_key IS NOT NULL
        AND (
            c.allocated_amount IS DISTINCT FROM b.issued
            OR c.used IS DISTINCT FROM b.used
            OR c.expired IS DISTINCT FROM b.expired
            OR c.remaining IS DISTINCT FROM b.remaining
        )
    )
    OR (
        b.credit_key IS NULL
        AND c.allocated_amount IS NOT NULL
        AND c.issue_period <= (SELECT max(billing_period) FROM staged_reconciliation)
    )
UNION ALL
SELECT
    coalesce(c.credit_key, i.credit_key) || ': credits says AWS applied '
        || coalesce(CAST(c.aws_applied AS varchar), '(no such credit)') || ', its months say '
        || coalesce(CAST(i.aws_applied AS varchar), '(none)') AS problem
FROM staged_credits c
FULL OUTER JOIN (
    SELECT credit_key, sum(aws_applied) AS aws_applied
    FROM staged_credit_impact
    GROUP BY credit_key
) i ON i.credit_key = c.credit_key
WHERE c.credit_key IS NULL OR c.aws_applied <> coalesce(i.aws_applied, 0)
