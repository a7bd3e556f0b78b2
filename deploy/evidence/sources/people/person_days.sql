SELECT day, person, coalesce(team, '(unassigned)') AS team, project, model, messages, output_tokens,
    CAST(cost AS DOUBLE) AS cost
FROM usage_person_daily
