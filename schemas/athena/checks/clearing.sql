-- Every cent between the books is a credit's: per month, what AWS took off is the sum of the credits' lines, and what
-- the internal book took off is the sum of what they paid. Their difference is the clearing, credit by credit.
SELECT
    coalesce(n.billing_period, i.billing_period) || ' ' || coalesce(n.currency, i.currency)
        || ': net_cost has aws_credits ' || coalesce(CAST(n.aws_credits AS varchar), '(nothing)') || ' and credits_applied '
        || coalesce(CAST(n.credits_applied AS varchar), '(nothing)') || ', the credits have '
        || coalesce(CAST(i.aws_applied AS varchar), '(nothing)') || ' and '
        || coalesce(CAST(i.used AS varchar), '(nothing)') AS problem
FROM (
    SELECT billing_period, currency, sum(aws_credits) AS aws_credits, sum(credits_applied) AS credits_applied
    FROM staged_net_cost
    GROUP BY billing_period, currency
) n
FULL OUTER JOIN (
    SELECT billing_period, currency, sum(aws_applied) AS aws_applied, sum(used) AS used
    FROM staged_credit_impact
    GROUP BY billing_period, currency
) i ON i.billing_period = n.billing_period AND i.currency = n.currency
WHERE coalesce(n.aws_credits, 0) <> -coalesce(i.aws_applied, 0)
    OR coalesce(n.credits_applied, 0) <> -coalesce(i.used, 0)
