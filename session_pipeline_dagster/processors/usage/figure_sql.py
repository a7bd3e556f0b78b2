"""The SELECTs of the usage report: sums by what somebody asks of money first, as they may be shown.

Where small teams are merged, everything is read through `cells_shown`: what is shown nowhere there
is in no sum here, and what a day is told apart by beyond that is decided in `small_cells.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from session_pipeline_dagster.contract.report import Asked
from session_pipeline_dagster.people.projects import HIDDEN
from session_pipeline_dagster.processors.usage import unique
from session_pipeline_dagster.processors.usage.money.costing import priced
from session_pipeline_dagster.processors.usage.people.answered import BILLS, bills, shown_days
from session_pipeline_dagster.processors.usage.people.whose import (
    LAST,
    PERSON,
    TEAM,
    with_people,
)
from session_pipeline_dagster.processors.usage.quoting import quoted
from session_pipeline_dagster.processors.usage.small_cells import SHOWN, few, told
from session_pipeline_dagster.settings import PeopleMode

WEEK = 7
CALLED: Mapping[str, str] = {
    "tool": "tool_name",
    "skill": "skill_name",
    "server": "mcp_server",
    "subagent": "subagent_type",
    "command": "command_name",
}
"""What is called -> the column of `usage_events_unique` that names it."""

_DAYS_MOST, _WEEKS_MOST = 92, 92 * 7
"""Up to so many days a bar is a day, up to so many a week, else a month."""
_SUMS = """sum(messages)::BIGINT, coalesce(sum(input_tokens), 0)::BIGINT,
    sum(output_tokens)::BIGINT, coalesce(sum(cache_creation_tokens), 0)::BIGINT,
    coalesce(sum(cache_read_tokens), 0)::BIGINT, sum(partial_messages)::BIGINT,
    sum(unpriced_messages)::BIGINT, coalesce(sum(unknown_input_messages), 0)::BIGINT,
    coalesce(sum(cost), 0)"""
# Who it was is only counted, so a number will do.
_CROWD = "list(DISTINCT hash(person))"
_ATTRIBUTED = {"skill": "attribution_skill", "server": "attribution_mcp_server"}


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose usage it is, and what of it may be shown.

    Attributes:
        least: how many active people a shown cell has at least; 1 = any.
        person: SELECT of the person whose own page it is; empty for everybody's.
        until: the last day of the period, whatever was used on it; None: the last with usage.
    """

    mode: PeopleMode = PeopleMode.NAMED
    least: int = 1
    person: str = ""
    until: date | None = None

    @property
    def hides(self) -> bool:
        """Whether names of people are kept from what is shown."""
        return self.mode is not PeopleMode.NAMED

    @property
    def merges(self) -> bool:
        """Whether small cells are merged: not on one's own page."""
        return self.least > 1 and not self.person


def whose(name: str, mode: PeopleMode) -> str:
    """SELECT of the person that a folder, a person or, where people have one, a pseudonym names."""
    text = quoted(name)
    if mode is PeopleMode.PSEUDONYM:
        return f"SELECT person FROM people_shown WHERE shown = {text}"
    return mine(name)


def mine(user: str) -> str:
    """SELECT of the person whose folder this is: the one that a directory says, else itself."""
    text = quoted(user)
    # A folder that has changed hands is that of who has it now.
    return f"""SELECT coalesce((SELECT arg_max(person, {LAST})
            FROM people WHERE folder = {text}), {text})"""


def selects(asked: Asked, scope: Scope, budgets: str) -> list[str]:
    """What `figures` needs, in its order.

    Args:
        budgets: SELECT of the budgets that may be shown.
    """
    base = _base(asked, scope)
    return [
        f"""{base} SELECT first, last, unit, {_undated(asked, scope)} FROM period""",
        f"""{base}, {_daily(scope)} {" UNION ALL ".join(_by_day(scope))}""",
        f"""{base}, {_daily(scope)}
        SELECT date_trunc(unit, day)::DATE AS start, label, model, agent, {_SUMS} FROM daily, period
        GROUP BY ALL ORDER BY ALL""",
        f"""{base}, slots AS MATERIALIZED ({_with_people(_SLOTS, scope)}){_told_slots(scope)}
            {" UNION ALL ".join(_by_slot(scope))}""",
        f"""{base}, calls AS MATERIALIZED ({_with_people(_EVENTS, scope)}){_told_calls(scope)},
        named AS ({" UNION ALL ".join(_named(kind, scope) for kind in CALLED)})
        SELECT kind, name, count(*), count(*) FILTER (is_error), {_CROWD} FROM named
        GROUP BY kind, name""",
        f"""{base}, costs AS MATERIALIZED ({_with_people(_attributed(), scope)}){_told_costs(scope)}
        , named AS ({" UNION ALL ".join(_paid(kind, scope) for kind in _ATTRIBUTED)})
        SELECT kind, name, span, count(*), count(*) FILTER (cost IS NULL),
            coalesce(sum(cost), 0), {_CROWD}
        FROM named GROUP BY kind, name, span
        UNION ALL SELECT 'response', NULL, 0, {_responses(scope)}, 0, 0, []""",
        f"""{base}, bills AS ({_with_people(_bills(scope), scope)})
        SELECT coalesce(sum(billed_cost), 0), coalesce(sum(unlogged_cost), 0) FROM bills""",
        f"""{base}, estimated AS ({_with_people("usage_daily_estimated", scope)})
        SELECT coalesce(sum(output_estimate), 0)::BIGINT FROM estimated""",
        "SELECT NULL WHERE false" if scope.person else _budgets(budgets),
        _NAMES if scope.hides else "SELECT NULL WHERE false",
        _who(scope),
    ]


_EVENTS = f"""(SELECT username, is_error, {", ".join(CALLED.values())},
        make_timestamp(epoch_us(occurred_at))::DATE AS day
    FROM usage_events_unique)"""
_SLOTS = """(SELECT day, slot, username, session_id, git_branch, messages, input_tokens,
        output_tokens, cache_creation_tokens, cache_read_tokens, partial_messages,
        unpriced_messages, unknown_input_messages, cost
    FROM usage_slots)"""
# Not those of `people_shown`: a pass makes it, and none may have been since this was set.
_NAMES = """SELECT username FROM usage_daily UNION SELECT folder FROM people
    UNION SELECT person FROM people UNION SELECT email FROM people WHERE email IS NOT NULL"""


def _base(asked: Asked, scope: Scope) -> str:
    """The period and, by day and team, what may be shown."""
    today = f"DATE '{min(asked.today, scope.until or asked.today).isoformat()}'"
    if scope.merges:
        cells = f"""SELECT day, team, label FROM cells_shown
            WHERE label IS NOT NULL AND day <= {today}"""
    else:
        own = f" AND {PERSON} IN ({scope.person})" if scope.person else ""
        used = "(SELECT DISTINCT day, username FROM usage_daily) AS used"
        cells = f"""SELECT DISTINCT day, {TEAM} AS team, {TEAM} AS label
            FROM {with_people(used)} WHERE day <= {today}{own}"""
    bounds = f"""SELECT greatest(min(day), max(day) - {asked.days - 1}) AS first,
            max(day) AS last FROM cells"""
    if scope.until:
        start = scope.until - timedelta(days=asked.days - 1)
        bounds = f"SELECT DATE '{start.isoformat()}' AS first, DATE '{scope.until}' AS last"
    return f"""WITH cells AS MATERIALIZED ({cells}),
        bounds AS ({bounds}),
        period AS MATERIALIZED (SELECT first, last, CASE WHEN last - first < {_DAYS_MOST} THEN 'day'
            WHEN last - first < {_WEEKS_MOST} THEN 'week' ELSE 'month' END AS unit FROM bounds)"""


_SPAN = f"""CASE WHEN day > last - {WEEK} THEN 2 WHEN day > last - {2 * WEEK} THEN 1 ELSE 0 END"""
"""2: the last seven days of the period; 1: the seven before; 0: earlier."""


def _daily(scope: Scope) -> str:
    if scope.merges:
        return _daily_told(scope)
    project, joined = "days.project", ""
    if scope.hides:
        project = f"""CASE WHEN days.project IS NOT NULL
            THEN coalesce(projects_shown.shown, '{HIDDEN}') END"""
        joined = "LEFT JOIN projects_shown ON projects_shown.project = days.project"
    own = f"AND person IN ({scope.person})" if scope.person else ""
    return f"""daily AS MATERIALIZED (
            SELECT days.* EXCLUDE (project), {project} AS project, label, {_SPAN} AS span
            FROM usage_person_daily AS days JOIN cells USING (day, team) {joined}, period
            WHERE day BETWEEN first AND last {own})"""


_KINDS = ("agent", "provider", "model")


def _daily_told(scope: Scope) -> str:
    """The days with projects and models as they may be told apart."""
    together = f"'{few(scope.least)}'"
    replaced = ", ".join(f"if(told = {SHOWN}, {name}, {together}) AS {name}" for name in _KINDS)
    by_project = told("days", ["project"], scope.least)
    return f"""days AS MATERIALIZED (
            SELECT shown.* FROM ({shown_days(scope.mode)}) AS shown, period
            WHERE day BETWEEN first AND last),
        by_project AS MATERIALIZED (
            SELECT * EXCLUDE (told) REPLACE (if(told = {SHOWN}, project, {together}) AS project)
            FROM ({by_project})),
        by_kind AS ({told("by_project", _KINDS, scope.least)}),
        daily AS MATERIALIZED (
            SELECT by_kind.* EXCLUDE (told) REPLACE ({replaced}), {_SPAN} AS span
            FROM by_kind, period)"""


def _by_day(scope: Scope) -> list[str]:
    kinds = {"team": "label", "project": "project", "model": "model", "agent": "agent"}
    found = [_group(kind, column, "daily") for kind, column in kinds.items()]
    if scope.person or scope.mode is PeopleMode.TEAM:
        return found
    if not scope.hides:
        return [*found, _group("person", "person", "daily")]
    shown = "daily JOIN people_shown USING (person)"
    return [*found, _group("person", "people_shown.shown", shown)]


def _group(kind: str, column: str, table: str) -> str:
    return f"""SELECT '{kind}', {column} AS name, span, {_SUMS}, {_CROWD} FROM {table}
            GROUP BY name, span"""


def _told_slots(scope: Scope) -> str:
    if not scope.merges:
        return ""
    hours = told(
        "(SELECT *, hour(make_timestamp(epoch_us(slot))) AS hour_of FROM slots)",
        ["hour_of"],
        scope.least,
    )
    return f"""
        , by_hour AS ({hours}), by_branch AS ({told("slots", ["git_branch"], scope.least)})"""


def _by_slot(scope: Scope) -> list[str]:
    """Hours of the week, sessions, and branches where they may be shown."""
    sent = "make_timestamp(epoch_us(slot))"
    nothing = ", ".join(["NULL"] * 7)
    slots = f"by_hour WHERE told = {SHOWN}" if scope.merges else "slots"
    found = [
        f"""SELECT 'hour' AS kind, printf('%d %d', isodow({sent}), hour({sent})) AS name, 0 AS span,
            sum(messages)::BIGINT, {nothing}, 0, [] FROM {slots} GROUP BY name""",
        f"SELECT 'session', NULL, 0, count(DISTINCT session_id), {nothing}, 0, {_CROWD} FROM slots",
    ]
    if scope.hides:
        return found
    if not scope.merges:
        return [*found, _group("branch", "git_branch", "slots")]
    branch = f"if(told = {SHOWN}, git_branch, '{few(scope.least)}')"
    return [*found, _group("branch", branch, "by_branch")]


def _told_calls(scope: Scope) -> str:
    if not scope.merges:
        return ""
    # Of one tool: else what a tool is short of would be what a skill or a server has more.
    columns = [column for kind, column in CALLED.items() if kind != "command"]
    command = CALLED["command"]
    commands = told(f"(FROM calls WHERE {command} IS NOT NULL)", [command], scope.least)
    tools = told("(FROM calls WHERE tool_name IS NOT NULL)", columns, scope.least)
    return f", tools AS ({tools}), commands AS ({commands})"


def _told_costs(scope: Scope) -> str:
    if not scope.merges:
        return ""
    return f", told_costs AS ({told('costs', [*_ATTRIBUTED.values()], scope.least)})"


def _bills(scope: Scope) -> str:
    return bills(scope.least) if scope.merges else BILLS


_WANTED = "SELECT DISTINCT day FROM cells, period WHERE day BETWEEN first AND last"


def _attributed() -> str:
    columns = ("username", *_ATTRIBUTED.values())
    some = " OR ".join(f"{column} IS NOT NULL" for column in _ATTRIBUTED.values())
    # What a CTE keeps is computed, also what nobody asks of it.
    return f"""(SELECT day, cost, {", ".join(columns)} FROM ({priced(columns, _WANTED)})
        WHERE {some})"""


def _responses(scope: Scope) -> str:
    """How many there are beside those of the roll-up; nothing where small groups are merged."""
    if scope.merges:
        return "0"
    day = f"{unique.MESSAGES.day} AS day"
    counted = f"(SELECT username, {day} FROM ({unique.messages(('username', 'sent_at'), _WANTED)}))"
    return f"(SELECT count(*) FROM ({_with_people(counted, scope)}))"


def _with_people(table: str, scope: Scope) -> str:
    """SELECT of the rows that may be shown, with who it was and when; the folder says who it is."""
    own = f"AND {PERSON} IN ({scope.person})" if scope.person else ""
    return f"""SELECT used.*, {PERSON} AS person, {_SPAN} AS span
            FROM {with_people(f"{table} AS used")}
            JOIN (SELECT day AS cell_day, team AS cell_team FROM cells) AS shown
                ON cell_day = day AND cell_team = {TEAM}, period
            WHERE day BETWEEN first AND last {own}"""


def _named(kind: str, scope: Scope) -> str:
    """The calls of a kind. What is shown together is a row of tools and of commands alone: of it,
    what calls a skill may be one person's."""
    column, source, where = CALLED[kind], "calls", ""
    name = column
    if scope.merges:
        source = "commands" if kind == "command" else "tools"
        if kind in ("tool", "command"):
            name = f"if(told = {SHOWN}, {column}, '{few(scope.least)}')"
        else:
            where = f"AND told = {SHOWN}"
    return f"""SELECT '{kind}' AS kind, {name} AS name, is_error, person FROM {source}
        WHERE {column} IS NOT NULL {where}"""


def _paid(kind: str, scope: Scope) -> str:
    column = _ATTRIBUTED[kind]
    source, where = ("told_costs", f"AND told = {SHOWN}") if scope.merges else ("costs", "")
    return f"""SELECT '{kind}' AS kind, {column} AS name, cost, person, span FROM {source}
        WHERE {column} IS NOT NULL {where}"""


def _who(scope: Scope) -> str:
    """SELECT of the name of whose page it is, as it may be shown."""
    if not scope.person or scope.mode is PeopleMode.TEAM:
        return "SELECT NULL WHERE false"
    if scope.hides:
        return f"SELECT shown FROM people_shown WHERE person IN ({scope.person})"
    return scope.person


def _undated(asked: Asked, scope: Scope) -> str:
    """How many responses have no day, or one to come; nothing where that may be of few people."""
    if scope.merges or scope.person or scope.until:
        return "0"
    return f"""(SELECT coalesce(sum(messages), 0)::BIGINT FROM usage_daily
            WHERE day IS NULL OR day > DATE '{asked.today.isoformat()}')"""


def _budgets(budgets: str) -> str:
    """Each budget as it stands in its latest period."""
    return f"""SELECT budget, period_start, spent, amount, percent, level, forecast FROM ({budgets})
        QUALIFY row_number() OVER (PARTITION BY budget ORDER BY period_start DESC) = 1
        ORDER BY budget"""
