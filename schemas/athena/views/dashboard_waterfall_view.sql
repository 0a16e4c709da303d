-- Dashboard: by which steps does gross cost become net cost?
--
-- Rows of a waterfall chart. There is no row for net cost: it is the sum of the steps, the chart's total.
--
-- Grain: billing_period, currency, node, step
-- Columns:
--   billing_period    varchar  YYYY-MM
--   period_start      date     First day of the month
--   is_latest_period  varchar  yes or no: the newest month of all
--   currency          varchar  ISO 4217 code
--   business_unit     varchar  Node, level 1
--   department        varchar  Node, level 2; "(none)" if the node ends above
--   portfolio         varchar  Node, level 3; "(none)" if the node ends above
--   product           varchar  Node, level 4; "(none)" if the node ends above
--   node              varchar  The node as text
--   step_order        integer  1 to 3
--   step              varchar  Gross cost, Refunds, Credits applied
--   amount            double   With its sign; a node's own, without what lies below it
SELECT
    o.billing_period,
    o.period_start,
    o.is_latest_period,
    o.currency,
    o.business_unit,
    o.department,
    o.portfolio,
    o.product,
    o.node,
    s.step_order,
    s.step,
    CASE s.step_order WHEN 1 THEN o.gross_cost WHEN 2 THEN o.refunds ELSE o.credits_applied END AS amount
FROM dashboard_overview_view o
CROSS JOIN (VALUES (1, 'Gross cost'), (2, 'Refunds'), (3, 'Credits applied')) AS s (step_order, step)
