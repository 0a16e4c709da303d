-- Month by month: what was spent, what did credits take off, what is left of them, what was lost?
--
-- Grain: billing_period, currency
-- Columns:
--   billing_period   varchar         YYYY-MM
--   currency         varchar         ISO 4217 code
--   gross_cost       decimal(38,10)  Charges and tax
--   refunds          decimal(38,10)  Negative
--   credits_applied  decimal(38,10)  Credits of the internal book, negative
--   net_cost         decimal(38,10)  gross_cost + refunds + credits_applied
--   aws_credits      decimal(38,10)  Credits AWS applied, negative
--   invoice_net      decimal(38,10)  What AWS invoiced
--   clearing         decimal(38,10)  invoice_net - net_cost
--   issued           decimal(38,10)  Allocated credits that were issued in the month
--   used             decimal(38,10)  Drawn in the month: -credits_applied
--   expired          decimal(38,10)  Lost in the month
--   remaining        decimal(38,10)  Left at the end of the month
WITH movements AS (
    SELECT
        billing_period,
        currency,
        gross_cost,
        refunds,
        credits_applied,
        net_cost,
        aws_credits,
        invoice_net,
        clearing,
        CAST(0 AS decimal(38,10)) AS issued,
        CAST(0 AS decimal(38,10)) AS used,
        CAST(0 AS decimal(38,10)) AS expired,
        CAST(0 AS decimal(38,10)) AS remaining
    FROM net_cost_summary
    WHERE level = 0
    UNION ALL
    SELECT
        billing_period,
        currency,
        CAST(0 AS decimal(38,10)),
        CAST(0 AS decimal(38,10)),
        CAST(0 AS decimal(38,10)),
        CAST(0 AS decimal(38,10)),
        CAST(0 AS decimal(38,10)),
        CAST(0 AS decimal(38,10)),
        CAST(0 AS decimal(38,10)),
        issued,
        used,
        expired,
        remaining
    FROM credit_balances
)
SELECT
    billing_period,
    currency,
    sum(gross_cost) AS gross_cost,
    sum(refunds) AS refunds,
    sum(credits_applied) AS credits_applied,
    sum(net_cost) AS net_cost,
    sum(aws_credits) AS aws_credits,
    sum(invoice_net) AS invoice_net,
    sum(clearing) AS clearing,
    sum(issued) AS issued,
    sum(used) AS used,
    sum(expired) AS expired,
    sum(remaining) AS remaining
FROM movements
GROUP BY billing_period, currency
