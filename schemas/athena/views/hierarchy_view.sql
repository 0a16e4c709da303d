-- Which nodes are there, and whom does one ask about each?
--
-- The owner and the cost centre are the node's own or else those of the nearest node above that has one.
--
-- Grain: node
-- Columns:
--   business_unit  varchar  Node, level 1
--   department     varchar  Node, level 2
--   portfolio      varchar  Node, level 3
--   product        varchar  Node, level 4
--   node           varchar  The node as text, names joined by " / "
--   level          integer  1 business unit to 4 product
--   owner_email    varchar  Nearest owner at or above the node; null if none
--   cost_center    varchar  Nearest cost centre at or above the node; null if none
SELECT
    n.business_unit,
    n.department,
    n.portfolio,
    n.product,
    n.business_unit || coalesce(' / ' || n.department, '') || coalesce(' / ' || n.portfolio, '')
        || coalesce(' / ' || n.product, '') AS node,
    n.level,
    max_by(a.owner_email, a.level) FILTER (WHERE a.owner_email IS NOT NULL) AS owner_email,
    max_by(a.cost_center, a.level) FILTER (WHERE a.cost_center IS NOT NULL) AS cost_center
FROM hierarchy n
JOIN hierarchy a
    ON a.business_unit = n.business_unit
    AND (a.department IS NULL OR a.department = n.department)
    AND (a.portfolio IS NULL OR a.portfolio = n.portfolio)
    AND (a.product IS NULL OR a.product = n.product)
GROUP BY n.business_unit, n.department, n.portfolio, n.product, n.level
