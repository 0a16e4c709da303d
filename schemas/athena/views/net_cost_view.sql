-- What does each node cost, in both books, with everything below it?
--
-- Filter on one level before summing: a node's row holds its descendants' cost already.
--
-- Grain: billing_period, currency, level, node
-- Columns:
--   billing_period   varchar         YYYY-MM
--   level            integer         1 business unit to 4 product; 0: everything
--   business_unit    varchar         Node, level 1
--   department       varchar         Node, level 2
--   portfolio        varchar         Node, level 3
--   product          varchar         Node, level 4
--   node             varchar         The node as text; "(all)" at level 0
--   currency         varchar         ISO 4217 code
--   gross_cost       decimal(38,10)  Charges and tax
--   refunds          decimal(38,10)  Negative
--   credits_applied  decimal(38,10)  Credits of the internal book, negative
--   net_cost         decimal(38,10)  gross_cost + refunds + credits_applied
--   aws_credits      decimal(38,10)  Credits AWS applied, negative
--   invoice_net      decimal(38,10)  What AWS invoiced
--   clearing         decimal(38,10)  invoice_net - net_cost
SELECT
    billing_period,
    level,
    business_unit,
    department,
    portfolio,
    product,
    coalesce(business_unit, '(all)') || coalesce(' / ' || department, '') || coalesce(' / ' || portfolio, '')
        || coalesce(' / ' || product, '') AS node,
    currency,
    gross_cost,
    refunds,
    credits_applied,
    net_cost,
    aws_credits,
    invoice_net,
    clearing
FROM net_cost_summary
