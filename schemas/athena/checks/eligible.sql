-- No cell is relieved of more than a credit may offset, nor of less than nothing.
SELECT
    billing_period || ' ' || CAST(usage_date AS varchar) || ' ' || account_id || ' ' || coalesce(service, '-') || ' '
        || currency || ': credits_applied ' || CAST(credits_applied AS varchar) || ' of eligible_charges '
        || CAST(eligible_charges AS varchar) AS problem
FROM staged_net_cost
WHERE credits_applied > 0 OR (credits_applied < 0 AND -credits_applied > eligible_charges)
