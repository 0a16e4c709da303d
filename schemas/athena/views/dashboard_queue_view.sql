-- Dashboard: which credits wait for somebody to say whose they are, and whom might one ask?
--
-- The node is the hint of credit_queue_view, not a fact.
--
-- Grain: credit_key
-- Columns:
--   queue_position  bigint   From 1, the longest waiting first
--   credit_key      varchar  The credit
--   promotion_code  varchar  Its name
--   account_id      varchar  Its account
--   credit_class    varchar  Class by the configured patterns
--   currency        varchar  ISO 4217 code
--   first_cur_date  date     Earliest usage date among its lines
--   issue_date      date     The day before, or as set by hand
--   issue_period    varchar  Month of the issue date, YYYY-MM
--   aws_applied     double   Taken off the invoice to date
--   days_waiting    integer  As-of date minus first_cur_date
--   reason          varchar  never_allocated, revoked or allocation_invalid
--   business_unit   varchar  Likely node, level 1; "(none)" without a hint
--   department      varchar  Likely node, level 2; "(none)" if the node ends above
--   portfolio       varchar  Likely node, level 3; "(none)" if the node ends above
--   product         varchar  Likely node, level 4; "(none)" if the node ends above
--   node            varchar  Likely node as text; "(none)" without a hint
--   owner_email     varchar  Whom to ask about that node; "(none)" if unknown
SELECT
    queue_position,
    credit_key,
    promotion_code,
    account_id,
    credit_class,
    currency,
    first_cur_date,
    issue_date,
    issue_period,
    CAST(aws_applied AS double) AS aws_applied,
    days_waiting,
    reason,
    coalesce(likely_business_unit, '(none)') AS business_unit,
    coalesce(likely_department, '(none)') AS department,
    coalesce(likely_portfolio, '(none)') AS portfolio,
    coalesce(likely_product, '(none)') AS product,
    coalesce(likely_node, '(none)') AS node,
    coalesce(likely_owner_email, '(none)') AS owner_email
FROM credit_queue_view
