SELECT month, team, CAST(cost AS DOUBLE) AS cost,
    CAST(coalesce(seat_cost, 0) AS DOUBLE) AS seat_cost
FROM chargeback_monthly
