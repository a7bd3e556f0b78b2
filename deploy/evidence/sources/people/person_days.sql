SELECT day, person, coalesce(team, '(not shown)') AS team, project, model, messages, output_tokens,
    CAST(cost AS DOUBLE) AS cost
FROM usage_person_daily
