-- What does each node itself cost, day by day, in both books?
--
-- A node's own cost, without what lies below it: sums over any rows count nothing twice.
--
-- Grain: billing_period, usage_date, currency, node
-- Columns:
--   billing_period    varchar         YYYY-MM
--   usage_date        date            UTC day of the usage
--   currency          varchar         ISO 4217 code
--   business_unit     varchar         Node, level 1
--   department        varchar         Node, level 2
--   portfolio         varchar         Node, level 3
--   product           varchar         Node, level 4
--   node              varchar         The node as text
--   charges           decimal(38,10)  Everything but tax, refunds and credits
--   tax               decimal(38,10)  Tax
--   gross_cost        decimal(38,10)  charges + tax
--   refunds           decimal(38,10)  Negative
--   credits_applied   decimal(38,10)  Credits of the internal book, negative
--   net_cost          decimal(38,10)  gross_cost + refunds + credits_applied
--   aws_credits       decimal(38,10)  Credits AWS applied, negative
--   invoice_net       decimal(38,10)  What AWS invoiced
--   clearing          decimal(38,10)  invoice_net - net_cost
--   eligible_charges  decimal(38,10)  The part of charges that a credit may offset
SELECT
    billing_period,
    usage_date,
    currency,
    business_unit,
    department,
    portfolio,
    product,
    business_unit || coalesce(' / ' || department, '') || coalesce(' / ' || portfolio, '')
        || coalesce(' / ' || product, '') AS node,
    sum(charges) AS charges,
    sum(tax) AS tax,
    sum(gross_cost) AS gross_cost,
    sum(refunds) AS refunds,
    sum(credits_applied) AS credits_applied,
    sum(net_cost) AS net_cost,
    sum(aws_credits) AS aws_credits,
    sum(invoice_net) AS invoice_net,
    sum(clearing) AS clearing,
    sum(eligible_charges) AS eligible_charges
FROM net_cost
GROUP BY billing_period, usage_date, currency, business_unit, department, portfolio, product
