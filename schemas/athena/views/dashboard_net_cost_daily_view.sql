-- Dashboard: what does each node itself cost, day by day?
--
-- A node's own cost, without what lies below it: sums over any rows count nothing twice.
--
-- Grain: billing_period, usage_date, currency, node
-- Columns:
--   billing_period   varchar  YYYY-MM
--   usage_date       date     UTC day of the usage
--   currency         varchar  ISO 4217 code
--   business_unit    varchar  Node, level 1
--   department       varchar  Node, level 2; "(none)" if the node ends above
--   portfolio        varchar  Node, level 3; "(none)" if the node ends above
--   product          varchar  Node, level 4; "(none)" if the node ends above
--   node             varchar  The node as text
--   gross_cost       double   Charges and tax
--   refunds          double   Negative
--   credits_applied  double   Credits of the internal book, negative
--   net_cost         double   gross_cost + refunds + credits_applied
--   aws_credits      double   Credits AWS applied, negative
--   invoice_net      double   What AWS invoiced
--   clearing         double   invoice_net - net_cost
SELECT
    billing_period,
    usage_date,
    currency,
    business_unit,
    coalesce(department, '(none)') AS department,
    coalesce(portfolio, '(none)') AS portfolio,
    coalesce(product, '(none)') AS product,
    node,
    CAST(gross_cost AS double) AS gross_cost,
    CAST(refunds AS double) AS refunds,
    CAST(credits_applied AS double) AS credits_applied,
    CAST(net_cost AS double) AS net_cost,
    CAST(aws_credits AS double) AS aws_credits,
    CAST(invoice_net AS double) AS invoice_net,
    CAST(clearing AS double) AS clearing
FROM net_cost_daily_view
