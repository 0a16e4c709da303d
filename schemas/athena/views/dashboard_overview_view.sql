-- Dashboard: what did each node spend, what did credits take off, what is left of them, what was lost?
--
-- A node's own figures, without what lies below it: any sum counts nothing twice, and rows can be kept from readers by
-- node. Cost is on the node that spent, credits that were issued, used, lost or left on the node that earned them.
--
-- Grain: billing_period, currency, node
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
--   gross_cost        double   Charges and tax
--   refunds           double   Negative
--   credits_applied   double   Credits of the internal book, negative
--   net_cost          double   gross_cost + refunds + credits_applied
--   aws_credits       double   Credits AWS applied, negative
--   invoice_net       double   What AWS invoiced
--   clearing          double   invoice_net - net_cost
--   issued            double   Allocated credits issued in the month
--   used              double   Drawn in the month
--   expired           double   Lost in the month
--   remaining         double   Left at the end of the month: sum over one month only
WITH movements AS (
    SELECT
        billing_period,
        currency,
        business_unit,
        department,
        portfolio,
        product,
        node,
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
    FROM net_cost_daily_view
    UNION ALL
    SELECT
        billing_period,
        currency,
        business_unit,
        department,
        portfolio,
        product,
        node,
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
    FROM credit_balances_view
),
months AS (
    SELECT
        billing_period,
        currency,
        business_unit,
        department,
        portfolio,
        product,
        node,
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
    GROUP BY billing_period, currency, business_unit, department, portfolio, product, node
)
SELECT
    billing_period,
    CAST(billing_period || '-01' AS date) AS period_start,
    CASE WHEN billing_period = max(billing_period) OVER () THEN 'yes' ELSE 'no' END AS is_latest_period,
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
    CAST(clearing AS double) AS clearing,
    CAST(issued AS double) AS issued,
    CAST(used AS double) AS used,
    CAST(expired AS double) AS expired,
    CAST(remaining AS double) AS remaining
FROM months
