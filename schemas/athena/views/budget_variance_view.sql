-- Is each node within its budget, and is that because of what it used or because of credits?
--
-- With spend = gross_cost + refunds:
--
--   variance      = budget_amount - net_cost     above zero: under budget
--   usage_effect  = budget_amount - spend        the variance if no credit had been applied
--   credit_effect = -credits_applied             what credits added to it, never below zero
--   variance      = usage_effect + credit_effect
--
-- A node that is "within budget by credits" has a variance of zero or more and a usage effect below zero: it is over
-- budget as soon as its credits are gone. Budgets of different levels are set apart from each other: filter on one
-- level before summing. Nodes without a budget have no row.
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
--   budget_amount    decimal(38,10)  The node's own budget
--   spend            decimal(38,10)  gross_cost + refunds
--   credits_applied  decimal(38,10)  Credits of the internal book, negative
--   net_cost         decimal(38,10)  spend + credits_applied
--   variance         decimal(38,10)  budget_amount - net_cost
--   usage_effect     decimal(38,10)  budget_amount - spend
--   credit_effect    decimal(38,10)  -credits_applied
--   status           varchar         within budget, within budget by credits, over budget
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
    budget_amount,
    gross_cost + refunds AS spend,
    credits_applied,
    net_cost,
    budget_amount - net_cost AS variance,
    budget_amount - (gross_cost + refunds) AS usage_effect,
    -credits_applied AS credit_effect,
    CASE
        WHEN net_cost > budget_amount THEN 'over budget'
        WHEN gross_cost + refunds > budget_amount THEN 'within budget by credits'
        ELSE 'within budget'
    END AS status
FROM net_cost_summary
WHERE budget_amount IS NOT NULL
