SELECT day, team, people, active_people, messages, output_tokens,
    CAST(cost AS DOUBLE) AS cost
FROM usage_team_daily
