"""What the tables and columns of people and teams mean, for the catalog."""

from collections.abc import Mapping

DESCRIPTIONS: Mapping[str, str] = {
    "people": """Look up whose a folder of sessions is, in which team and on which days.

The rows of the directory (`SESSION_PIPELINE_DIRECTORY`, `docs/people.md`). `valid_from` and
`valid_to` are inclusive, NULL is open; periods of one folder do not overlap.

```sql
SELECT team, count(DISTINCT person) AS people FROM people
WHERE current_date BETWEEN coalesce(valid_from, current_date) AND coalesce(valid_to, current_date)
GROUP BY ALL ORDER BY ALL
```""",
    "org_units": """Look up the teams of the directory, what is above each, and who pays for it.

`parent` is `(org)` where nothing is above it.

```sql
SELECT parent, list(team ORDER BY team) FROM org_units GROUP BY ALL ORDER BY parent
```""",
    "usage_projects": """Look up what a project folder or repository that was seen is shown as.

The group of projects.toml (`SESSION_PIPELINE_PROJECTS`) that it belongs to, else the repository,
else the folder.

```sql
SELECT name, list(DISTINCT repository) FROM usage_projects GROUP BY ALL ORDER BY name
```""",
    "people_shown": """Look up what is shown in place of people and folders, where they are hidden.

Empty where `SESSION_PIPELINE_PEOPLE` is `named`. It leads back from pseudonyms, so it is in no file
that is handed on.""",
    "people_shown.shown": "pseudonym, or (a person)",
    "usage_person_daily": """See what was spent per UTC day, person, project and model, with tokens.

`person` is the folder where the directory does not name it on that day; `team` is then
`(unassigned)`. `project` is the group of projects.toml, else the repository, else the folder.

```sql
SELECT project, count(DISTINCT person) AS people, sum(messages), sum(cost)
FROM usage_person_daily GROUP BY ALL ORDER BY sum(cost) DESC NULLS LAST LIMIT 20
```""",
    "usage_team_daily": """See what was spent per UTC day and team: tokens, messages, cost.

A row for each day on which something of the team was used or billed. A response counts for the team
that its person was in on its UTC day. `unlogged_cost` stands on the last day that its session has
lines of, for its team of that day; NULL where no bill is known.

```sql
SELECT day, team, active_people, people, cost, unlogged_cost
FROM usage_team_daily ORDER BY day DESC, team LIMIT 20
```""",
    "chargeback_monthly": """Charge teams for a UTC month: what each used, and what its seats cost.

`cost` is at API list price, **not an invoice**, and has what was used under a seat, too: charge
one of the two. `price_table` names the table, or tables, that the month's prices are from.

```sql
SELECT month, cost_center, team, cost, unlogged_cost, seat_cost
FROM chargeback_monthly ORDER BY month DESC, cost_center, team
```""",
    "*.folder": "first folder of the sessions, as it is called",
    "*.person": "as the directory names whose it is, else the folder",
    "*.email": "case-folded",
    "*.team": "of the day; (unassigned) where the directory says none",
    "*.cost_center": "of the team; NULL where the directory says none",
    "*.month": "its first day, UTC",
    "org_units.parent": "the team above it, (org) where there is none",
    "people.team": "NULL where the row has none",
    "people.valid_from": "first day, UTC; NULL: since ever",
    "people.valid_to": "last day, UTC; NULL: until now",
    "usage_projects.name": "what the project is shown as",
    "usage_person_daily.project": "group of projects.toml, else repository, else project folder",
    "usage_team_daily.people": "members on that day; of (unassigned) also whoever used something",
    "usage_team_daily.active_people": "people with a response on that day",
}
