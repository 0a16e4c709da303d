-- Dashboard: is each node within its budget, and is that because of what it used or because of credits?
--
-- The effects are defined in budget_variance_view. Filter on one level before summing. Nodes without a budget have no
-- row.
--
-- Grain: billing_period, currency, level, node
-- Columns:
--   billing_period    varchar  YYYY-MM
--   period_start      date     First day of the month
--   is_latest_period  varchar  yes or no: the newest month with a budget
--   level             integer  1 business unit to 4 product; 0: everything
--   business_unit     varchar  Node, level 1; "(all)" at level 0
--   department        varchar  Node, level 2; "(none)" if the node ends above
--   portfolio         varchar  Node, level 3; "(none)" if the node ends above
--   product           varchar  Node, level 4; "(none)" if the node ends above
--   node              varchar  The node as text; "(all)" at level 0
--   currency          varchar  ISO 4217 code
--   budget_amount     double   The node's own budget
--   spend             double   gross_cost + refunds
--   credits_applied   double   Credits of the internal book, negative
--   net_cost          double   spend + credits_applied
--   variance          double   budget_amount - net_cost
--   usage_effect      double   budget_amount - spend
--   credit_effect     double   -credits_applied
--   status            varchar  within budget, within budget by credits, over budget
SELECT
    billing_period,
    CAST(billing_period || '-01' AS date) AS period_start,
    CASE WHEN billing_period = max(billing_period) OVER () THEN 'yes' ELSE 'no' END AS is_latest_period,
    level,
    coalesce(business_unit, '(all)') AS business_unit,
    coalesce(department, '(none)') AS department,
    coalesce(portfolio, '(none)') AS portfolio,
    coalesce(product, '(none)') AS product,
    node,
    currency,
    CAST(budget_amount AS double) AS budget_amount,
    CAST(spend AS double) AS spend,
    CAST(credits_applied AS double) AS credits_applied,
    CAST(net_cost AS double) AS net_cost,
    CAST(variance AS double) AS variance,
    CAST(usage_effect AS double) AS usage_effect,
    CAST(credit_effect AS double) AS credit_effect,
    status
FROM budget_variance_view
