-- Dashboard: how fast is each credit used up?
--
-- Grain: billing_period, credit_key, lot
-- Columns:
--   billing_period    varchar  YYYY-MM
--   period_start      date     First day of the month
--   is_latest_period  varchar  yes or no: the newest month of all
--   credit_key        varchar  The credit
--   lot               integer  The lot
--   credit            varchar  Name and account
--   currency          varchar  ISO 4217 code
--   business_unit     varchar  Node of the lot, level 1
--   department        varchar  Node of the lot, level 2; "(none)" if the node ends above
--   portfolio         varchar  Node of the lot, level 3; "(none)" if the node ends above
--   product           varchar  Node of the lot, level 4; "(none)" if the node ends above
--   node              varchar  Node of the lot as text
--   issue_date        date     Issue date
--   end_date          date     Last day; null: open-ended
--   opening           double   Left at the end of the month before
--   issued            double   The amount, in the issue period, and what moved to the lot less what moved from it
--   used              double   Drawn in the month
--   expired           double   Lost in the month
--   remaining         double   Left at the end of the month: sum over one month only
--   aws_applied       double   Taken off the invoice in the month
SELECT
    billing_period,
    CAST(billing_period || '-01' AS date) AS period_start,
    CASE WHEN billing_period = max(billing_period) OVER () THEN 'yes' ELSE 'no' END AS is_latest_period,
    credit_key,
    lot,
    promotion_code || ' (' || account_id || ')' AS credit,
    currency,
    business_unit,
    coalesce(department, '(none)') AS department,
    coalesce(portfolio, '(none)') AS portfolio,
    coalesce(product, '(none)') AS product,
    node,
    issue_date,
    end_date,
    CAST(opening AS double) AS opening,
    CAST(issued + moved AS double) AS issued,
    CAST(used AS double) AS used,
    CAST(expired AS double) AS expired,
    CAST(remaining AS double) AS remaining,
    CAST(aws_applied AS double) AS aws_applied
FROM credit_balances_view
