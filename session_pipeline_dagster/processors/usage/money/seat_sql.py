"""SQL of seats: the table, who has one in which month, and what its use would have cost.

A seat names a person or a folder of theirs; it is of the person whom the directory has for that
name in the month. It is paid by the first team that its person has in the month, because months are
paid whole; and a team's seats are one for each person whose first team it is.
"""

from session_pipeline_dagster.people.directory import UNASSIGNED
from session_pipeline_dagster.processors.usage.people.whose import (
    FIRST,
    LAST,
    PERSON,
    with_people,
)

COLUMNS = """person VARCHAR, plan VARCHAR, price DECIMAL(38,12), valid_from DATE, valid_to DATE,
        team VARCHAR"""
"""Of the table `seats`."""

KEY = "concat_ws(chr(31), coalesce(person, ''), coalesce(team, ''), plan, valid_from::VARCHAR)"
"""SQL over its columns that names a row."""

_MONTHS = """
    SELECT unnest(generate_series(date_trunc('month', valid_from)::TIMESTAMP,
            least(coalesce(valid_to, newest), newest)::TIMESTAMP, INTERVAL 1 MONTH))::DATE AS month,
        person AS name, team AS of_team, plan, price, valid_from
    FROM seats CROSS JOIN (
        SELECT max(day) FILTER (day <= current_date + 1) AS newest FROM usage_slots)"""
"""SELECT of one row for each month of a seat, up to the newest with data; a day of the future is of
a clock that was ahead."""

SEATS = f"""
    WITH months AS ({_MONTHS}),
    named AS (
        SELECT folder, person, team, cost_center, {FIRST} AS begins, {LAST} AS ends FROM people),
    known AS (
        SELECT month, name, arg_min(row(person, team, cost_center),
            row(name <> person, begins, coalesce(team, ''))) AS belongs
        FROM (
            SELECT month, unnest(list_distinct([folder, person])) AS name, person, team,
                cost_center, greatest(begins, month) AS begins
            FROM (SELECT DISTINCT month FROM months)
            JOIN named ON begins <= last_day(month) AND ends >= month)
        GROUP BY month, name),
    single AS (
        SELECT months.month, coalesce(struct_extract_at(belongs, 1), months.name) AS person, plan,
            price, valid_from, coalesce(struct_extract_at(belongs, 2), '{UNASSIGNED}') AS team,
            struct_extract_at(belongs, 3) AS cost_center
        FROM months LEFT JOIN known ON known.month = months.month AND known.name = months.name
        WHERE of_team IS NULL),
    shared AS (
        SELECT months.month, known.name AS person, plan, price, valid_from, of_team AS team,
            struct_extract_at(belongs, 3) AS cost_center
        FROM months JOIN known ON known.month = months.month
            AND struct_extract_at(belongs, 2) = of_team
            AND struct_extract_at(belongs, 1) = known.name)
    FROM single
    UNION ALL
    FROM shared ANTI JOIN single USING (month, person, plan)"""
"""SELECT of one row for each seat of a person in a month: month, person, plan, price, valid_from,
team, cost_center. Who has a plan by name has it of no team besides."""

USAGE_SEATS = f"""
    WITH held AS ({SEATS}),
    used AS (
        SELECT date_trunc('month', day)::DATE AS month, {PERSON} AS person,
            sum(cost)::DECIMAL(38,12) AS cost, true AS any
        FROM {
    with_people("(SELECT day, username, sum(cost) AS cost FROM usage_slots GROUP BY ALL) AS daily")
}
        WHERE {PERSON} IN (SELECT person FROM held) GROUP BY ALL)
    SELECT month, person, plan, price AS seat_cost,
        CASE WHEN row_number() OVER (
                PARTITION BY month, person ORDER BY valid_from, plan) = 1
            THEN CASE WHEN used.any THEN cost ELSE 0 END
        END::DECIMAL(38,12) AS api_equivalent, team, cost_center
    FROM held LEFT JOIN used USING (month, person)"""
"""The view `usage_seats`: one row for each month and seat, up to the newest month with data.

`api_equivalent` is what the person's responses of that month cost by list price, NULL where none of
them has one; of several seats of a person it stands at the first, so that it can be added up.
"""
