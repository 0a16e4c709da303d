-- Who earned the credits, and whose spend did they pay for?
--
-- A lot lies on the node that earned it and pays for spend at or below that node: used by the earning node's own spend,
-- or by that of a node below it.
--
-- Grain: billing_period, currency, credit_node, node
-- Columns:
--   billing_period        varchar         YYYY-MM
--   currency              varchar         ISO 4217 code
--   credit_business_unit  varchar         Node that earned the credit, level 1
--   credit_department     varchar         Node that earned the credit, level 2
--   credit_portfolio      varchar         Node that earned the credit, level 3
--   credit_product        varchar         Node that earned the credit, level 4
--   credit_node           varchar         Node that earned the credit, as text
--   business_unit         varchar         Node that benefited, level 1
--   department            varchar         Node that benefited, level 2
--   portfolio             varchar         Node that benefited, level 3
--   product               varchar         Node that benefited, level 4
--   node                  varchar         Node that benefited, as text
--   benefit               varchar         own: the earning node's own spend; below: that of a node below it
--   credits               bigint          Credits that paid
--   used                  decimal(38,10)  What they paid
SELECT
    billing_period,
    currency,
    credit_business_unit,
    credit_department,
    credit_portfolio,
    credit_product,
    credit_node,
    business_unit,
    department,
    portfolio,
    product,
    node,
    CASE
        WHEN coalesce(credit_department, '') = coalesce(department, '')
            AND coalesce(credit_portfolio, '') = coalesce(portfolio, '')
            AND coalesce(credit_product, '') = coalesce(product, '') THEN 'own'
        ELSE 'below'
    END AS benefit,
    count(DISTINCT credit_key) AS credits,
    sum(used) AS used
FROM credit_ledger_view
GROUP BY
    billing_period,
    currency,
    credit_business_unit,
    credit_department,
    credit_portfolio,
    credit_product,
    credit_node,
    business_unit,
    department,
    portfolio,
    product,
    node
