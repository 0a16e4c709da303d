-- Dashboard: who earned the credits, and whose spend did they pay for?
--
-- Grain: billing_period, currency, credit_node, node
-- Columns:
--   billing_period        varchar  YYYY-MM
--   period_start          date     First day of the month
--   is_latest_period      varchar  yes or no: the newest month in which a credit paid
--   currency              varchar  ISO 4217 code
--   credit_business_unit  varchar  Node that earned the credit, level 1
--   credit_node           varchar  Node that earned the credit, as text
--   business_unit         varchar  Node that benefited, level 1
--   department            varchar  Node that benefited, level 2; "(none)" if the node ends above
--   portfolio             varchar  Node that benefited, level 3; "(none)" if the node ends above
--   product               varchar  Node that benefited, level 4; "(none)" if the node ends above
--   node                  varchar  Node that benefited, as text
--   benefit               varchar  own: the earning node's own spend; below: that of a node below it
--   credits               bigint   Credits that paid
--   used                  double   What they paid
SELECT
    billing_period,
    CAST(billing_period || '-01' AS date) AS period_start,
    CASE WHEN billing_period = max(billing_period) OVER () THEN 'yes' ELSE 'no' END AS is_latest_period,
    currency,
    credit_business_unit,
    credit_node,
    business_unit,
    coalesce(department, '(none)') AS department,
    coalesce(portfolio, '(none)') AS portfolio,
    coalesce(product, '(none)') AS product,
    node,
    benefit,
    credits,
    CAST(used AS double) AS used
FROM earned_vs_benefited_view
