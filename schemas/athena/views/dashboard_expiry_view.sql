-- Dashboard: what lapses when, what has lapsed, and whose is it?
--
-- Every lot with where it stands as of the run.
--
-- Grain: credit_key, lot
-- Columns:
--   credit_key          varchar  The credit
--   lot                 integer  The lot
--   credit              varchar  Name and account
--   currency            varchar  ISO 4217 code
--   business_unit       varchar  Node of the lot, level 1
--   department          varchar  Node of the lot, level 2; "(none)" if the node ends above
--   portfolio           varchar  Node of the lot, level 3; "(none)" if the node ends above
--   product             varchar  Node of the lot, level 4; "(none)" if the node ends above
--   node                varchar  Node of the lot as text
--   owner_email         varchar  Nearest owner at or above the node; "(none)" if unknown
--   end_date            date     Last day; null: open-ended
--   expiry_month        varchar  Month of the last day, YYYY-MM; "(open-ended)" if there is none
--   expiry_month_start  date     First day of that month; null: open-ended
--   days_left           integer  End date minus as-of date, negative once past; null: open-ended
--   status              varchar  The lot's: active, expiring_soon, exhausted or expired
--   issued              double   The lot's amount, with what moved to it and less what moved from it
--   used                double   Drawn to date
--   expired             double   Lost to date
--   remaining           double   Still to be used, or lost at the end
WITH lots AS (
    SELECT
        credit_key,
        lot,
        promotion_code || ' (' || account_id || ')' AS credit,
        currency,
        business_unit,
        department,
        portfolio,
        product,
        node,
        end_date,
        substr(CAST(end_date AS varchar), 1, 7) AS expiry_month,
        sum(issued + moved) AS issued,
        sum(used) AS used,
        sum(expired) AS expired
    FROM credit_balances_view
    GROUP BY
        credit_key,
        lot,
        promotion_code,
        account_id,
        currency,
        business_unit,
        department,
        portfolio,
        product,
        node,
        end_date
)
SELECT
    l.credit_key,
    l.lot,
    l.credit,
    l.currency,
    l.business_unit,
    coalesce(l.department, '(none)') AS department,
    coalesce(l.portfolio, '(none)') AS portfolio,
    coalesce(l.product, '(none)') AS product,
    l.node,
    coalesce(h.owner_email, '(none)') AS owner_email,
    l.end_date,
    coalesce(l.expiry_month, '(open-ended)') AS expiry_month,
    CAST(l.expiry_month || '-01' AS date) AS expiry_month_start,
    CAST(date_diff('day', c.as_of, l.end_date) AS integer) AS days_left,
    CASE
        WHEN l.expired > CAST(0 AS decimal(38,10)) THEN 'expired'
        WHEN l.issued - l.used = CAST(0 AS decimal(38,10)) THEN 'exhausted'
        WHEN date_diff('day', c.as_of, l.end_date) <= c.expiring_soon_days THEN 'expiring_soon'
        ELSE 'active'
    END AS status,
    CAST(l.issued AS double) AS issued,
    CAST(l.used AS double) AS used,
    CAST(l.expired AS double) AS expired,
    CAST(l.issued - l.used - l.expired AS double) AS remaining
FROM lots l
JOIN credits c ON c.credit_key = l.credit_key
LEFT JOIN hierarchy_view h
    ON h.business_unit = l.business_unit
    AND coalesce(h.department, '') = coalesce(l.department, '')
    AND coalesce(h.portfolio, '') = coalesce(l.portfolio, '')
    AND coalesce(h.product, '') = coalesce(l.product, '')
