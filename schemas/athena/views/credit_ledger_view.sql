-- Which spend did each credit pay for, in which month and in which place of the order?
--
-- Grain: billing_period, credit_key, lot, node
-- Columns:
--   billing_period        varchar         YYYY-MM
--   credit_key            varchar         The credit
--   lot                   integer         The lot
--   promotion_code        varchar         The credit's name
--   account_id            varchar         The credit's account
--   currency              varchar         ISO 4217 code
--   credit_business_unit  varchar         Node of the lot, level 1
--   credit_department     varchar         Node of the lot, level 2
--   credit_portfolio      varchar         Node of the lot, level 3
--   credit_product        varchar         Node of the lot, level 4
--   credit_node           varchar         Node of the lot as text
--   business_unit         varchar         Node of the spend, level 1
--   department            varchar         Node of the spend, level 2
--   portfolio             varchar         Node of the spend, level 3
--   product               varchar         Node of the spend, level 4
--   node                  varchar         Node of the spend as text
--   used                  decimal(38,10)  What the lot paid of this node's spend
--   fifo_rank             integer         From 1: place in FIFO order among the lots that drew in the month
--   policy                varchar         FIFO policy
--   first_usage_date      date            First day of that spend
--   last_usage_date       date            Last day of that spend
SELECT
    c.billing_period,
    c.credit_key,
    c.lot,
    k.promotion_code,
    k.account_id,
    c.currency,
    c.credit_business_unit,
    c.credit_department,
    c.credit_portfolio,
    c.credit_product,
    c.credit_business_unit || coalesce(' / ' || c.credit_department, '')
        || coalesce(' / ' || c.credit_portfolio, '') || coalesce(' / ' || c.credit_product, '') AS credit_node,
    c.business_unit,
    c.department,
    c.portfolio,
    c.product,
    c.business_unit || coalesce(' / ' || c.department, '') || coalesce(' / ' || c.portfolio, '')
        || coalesce(' / ' || c.product, '') AS node,
    sum(c.used) AS used,
    c.fifo_rank,
    c.policy,
    min(c.usage_date) AS first_usage_date,
    max(c.usage_date) AS last_usage_date
FROM credit_consumption c
LEFT JOIN credits k ON k.credit_key = c.credit_key
GROUP BY
    c.billing_period,
    c.credit_key,
    c.lot,
    k.promotion_code,
    k.account_id,
    c.currency,
    c.credit_business_unit,
    c.credit_department,
    c.credit_portfolio,
    c.credit_product,
    c.business_unit,
    c.department,
    c.portfolio,
    c.product,
    c.fifo_rank,
    c.policy
