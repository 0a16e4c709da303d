-- Every credit waits or is allocated, and none does both.
SELECT
    coalesce(c.credit_key, q.credit_key) || ': '
        || CASE
            WHEN c.credit_key IS NULL THEN 'waits but is not in credits'
            WHEN q.credit_key IS NULL THEN 'is unallocated but does not wait'
            WHEN c.allocated_amount IS NOT NULL THEN 'waits but is allocated'
            ELSE 'waits for another reason than its status says'
        END AS problem
FROM staged_credits c
FULL OUTER JOIN staged_credit_queue q ON q.credit_key = c.credit_key
WHERE c.credit_key IS NULL
    OR (q.credit_key IS NULL AND (c.status IN ('unallocated', 'invalid') OR c.allocated_amount IS NULL))
    OR (
        q.credit_key IS NOT NULL
        AND (
            c.status <> CASE WHEN q.reason = 'allocation_invalid' THEN 'invalid' ELSE 'unallocated' END
            OR c.allocated_amount IS NOT NULL
        )
    )
UNION ALL
SELECT q.credit_key || ': waits because its allocation is invalid, but no issue says why' AS problem
FROM staged_credit_queue q
LEFT JOIN staged_allocation_issues i ON i.credit_key = q.credit_key
WHERE q.reason = 'allocation_invalid' AND i.credit_key IS NULL
