-- A lot starts in its issue month with its amount, or in a later month with what moved to it; then every month opens with
-- what the month before left, to the last month of all, without gaps.
WITH lots AS (
    SELECT
        billing_period,
        credit_key,
        lot,
        substr(CAST(issue_date AS varchar), 1, 7) AS issue_period,
        opening,
        issued,
        moved,
        12 * CAST(substr(billing_period, 1, 4) AS integer) + CAST(substr(billing_period, 6, 2) AS integer) AS month,
        lag(12 * CAST(substr(billing_period, 1, 4) AS integer) + CAST(substr(billing_period, 6, 2) AS integer))
            OVER (PARTITION BY credit_key, lot ORDER BY billing_period) AS month_before,
        lag(remaining) OVER (PARTITION BY credit_key, lot ORDER BY billing_period) AS carried_over,
        lead(billing_period) OVER (PARTITION BY credit_key, lot ORDER BY billing_period) AS next_period,
        max(billing_period) OVER () AS last_period
    FROM staged_credit_balances
)
SELECT
    billing_period || ' ' || credit_key || ' lot ' || CAST(lot AS varchar) || ': opening ' || CAST(opening AS varchar)
        || ', issued ' || CAST(issued AS varchar) || ', left the month before '
        || coalesce(CAST(carried_over AS varchar), '(first month)') || ', or a month is missing' AS problem
FROM lots
WHERE (
        month_before IS NULL
        AND (
            opening <> 0
            OR (billing_period = issue_period AND issued <= 0)
            OR (billing_period <> issue_period AND (issued <> 0 OR moved < 0 OR billing_period < issue_period))
        )
    )
    OR (month_before IS NOT NULL AND (opening <> carried_over OR issued <> 0 OR month <> month_before + 1))
    OR (next_period IS NULL AND billing_period <> last_period)
