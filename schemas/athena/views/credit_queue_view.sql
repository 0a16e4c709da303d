-- Which credits wait for somebody to say whose they are, oldest first, and whom might one ask?
--
-- The hint is the node with the most gross cost on the credit's account to date, in the credit's currency; spend that
-- no rule takes gives none. It is only a hint: AWS puts credits on accounts that did not earn them.
--
-- Grain: credit_key
-- Columns:
--   queue_position        bigint          From 1, the longest waiting first
--   credit_key            varchar         The credit
--   promotion_code        varchar         Its name
--   account_id            varchar         Its account
--   credit_class          varchar         Class by the configured patterns
--   currency              varchar         ISO 4217 code
--   first_cur_date        date            Earliest usage date among its lines
--   issue_date            date            The day before, or as set by hand
--   issue_period          varchar         Month of the issue date, YYYY-MM
--   aws_applied           decimal(38,10)  Taken off the invoice to date
--   days_waiting          integer         As-of date minus first_cur_date
--   reason                varchar         never_allocated, revoked or allocation_invalid
--   likely_business_unit  varchar         Hint, level 1
--   likely_department     varchar         Hint, level 2
--   likely_portfolio      varchar         Hint, level 3
--   likely_product        varchar         Hint, level 4
--   likely_node           varchar         Hint as text; null if none
--   likely_owner_email    varchar         Whom to ask about that node
WITH spend AS (
    SELECT
        account_id,
        currency,
        business_unit,
        department,
        portfolio,
        product,
        row_number() OVER (
            PARTITION BY account_id, currency
            ORDER BY sum(gross_cost) DESC, business_unit, coalesce(department, ''), coalesce(portfolio, ''),
                coalesce(product, '')
        ) AS place
    FROM net_cost
    WHERE business_unit <> 'Unassigned'
    GROUP BY account_id, currency, business_unit, department, portfolio, product
)
SELECT
    row_number() OVER (ORDER BY q.first_cur_date, q.credit_key) AS queue_position,
    q.credit_key,
    q.promotion_code,
    q.account_id,
    q.credit_class,
    q.currency,
    q.first_cur_date,
    q.issue_date,
    q.issue_period,
    q.aws_applied,
    q.days_waiting,
    q.reason,
    s.business_unit AS likely_business_unit,
    s.department AS likely_department,
    s.portfolio AS likely_portfolio,
    s.product AS likely_product,
    h.node AS likely_node,
    h.owner_email AS likely_owner_email
FROM credit_queue q
LEFT JOIN spend s
    ON s.account_id = q.account_id AND s.currency = q.currency AND s.place = 1
LEFT JOIN hierarchy_view h
    ON h.business_unit = s.business_unit
    AND coalesce(h.department, '') = coalesce(s.department, '')
    AND coalesce(h.portfolio, '') = coalesce(s.portfolio, '')
    AND coalesce(h.product, '') = coalesce(s.product, '')
