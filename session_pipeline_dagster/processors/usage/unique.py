"""SQL that counts over all files: every API response, tool call and prompt once, for one person.

The copies of one person are compared first, and all that is said of a response is taken from them
alone: nobody's file changes a number of somebody else. Where several people hold a thing, it is one
only if their lines share name and time (a copied file); then it counts for the person whose file is
still there, does not say itself that it is a copy, whose conversation began first, whose file has
the lowest key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from session_pipeline_dagster.contract.rollup import Whereabouts
from session_pipeline_dagster.processors.copies import rank
from session_pipeline_dagster.processors.usage.naming import NAME_LENGTH
from session_pipeline_dagster.processors.usage.outcomes import ERROR, ORDER
from session_pipeline_dagster.transcripts.reader import LAST

COUNTERS = (
    "input_tokens output_tokens cache_creation_tokens cache_creation_5m_tokens "
    "cache_creation_1h_tokens cache_read_tokens web_search_requests output_characters "
    "thinking_tokens recorded_cost"
).split()
_INPUTS = ("input_tokens", "cache_read_tokens", "cache_creation_tokens")

GONE = """SELECT session_file FROM session_processor_state
        WHERE processor_name = 'usage' AND gone_at IS NOT NULL"""
"""Files whose rows are kept though nobody has the file any more."""

OWN_ORIGIN = "coalesce(origin_session_id, session_id)"
_MARKED = "coalesce(origin_session_id <> session_id, false)"
_RANK = rank(_MARKED, gone="gone")


@dataclass(frozen=True, slots=True)
class Thing:
    """What is counted: the table of its copies, what names one, and when it was.

    Attributes:
        marked: SQL over a copy, true where it says itself that it is one.
        began: SQL over a copy, when its conversation began.
        splits: SQL over the copies that one person has of a name, true where they are several
            things after all; then the line tells them apart. Empty: they never are.
    """

    table: str
    key: str
    at: str
    marked: str = _MARKED
    began: str = "coalesce(began_at, file_started_at)"
    splits: str = ""

    @property
    def hashed(self) -> str:
        """A number for its name, in 48 bits: of 20 million names, one in 14 million has that of
        another, and is then only looked at needlessly."""
        return f"(hash({self.key}) >> 16)"

    @property
    def keeps(self) -> Whereabouts:
        """The days that each name was ever found in."""
        return Whereabouts(
            f"{self.table}_days",
            "hashed UBIGINT, day DATE",
            f"""SELECT {self.hashed} AS hashed, {self.day} AS day FROM {self.table}
            SEMI JOIN batch USING (session_file) WHERE {self.key} IS NOT NULL""",
        )

    def touched(self, names: str = "") -> str:
        """SELECT of the days of all that shares a name with a row of the batch.

        Args:
            names: SELECT of other hashes of names.
        """
        own = f"FROM ({self.keeps.of})"
        names = names or f"SELECT hashed {own}"
        shared = f"SELECT day FROM {self.keeps.name} SEMI JOIN ({names}) AS n USING (hashed)"
        return f"SELECT day {own} UNION ALL {shared}"

    @property
    def reach(self) -> str:
        """SELECT of the days in `parts(part)`, and of those where something of them is, too."""
        name = self.keeps.name
        return f"""SELECT day FROM {name} SEMI JOIN (
                SELECT hashed FROM {name} WHERE day IN (SELECT part::DATE FROM parts)
            ) AS n USING (hashed)
            UNION SELECT part::DATE FROM parts"""

    def rows(self, *, reached: bool) -> str:
        """Its table, or of it what a refresh reaches."""
        if not reached:
            return self.table
        return f"""(FROM {self.table}
            WHERE {self.at} >= to_timestamp(epoch(getvariable('first_part')::DATE))
                AND {self.at} < to_timestamp(epoch(getvariable('last_part')::DATE) + 86400)
                AND {self.day} IN (FROM reach))"""

    @property
    def day(self) -> str:
        """The UTC day whatever the connection's time zone; 13 times as fast as AT TIME ZONE."""
        return f"make_timestamp(epoch_us({self.at}))::DATE"


def _differ(counter: str, which: str) -> str:
    whole = f"FILTER ({counter} > 0 AND NOT output_partial{which})"
    cut = f"FILTER (output_partial{which})"
    return f"""min({counter}) {whole} <> max({counter}) {whole}
        OR max({counter}) {cut} > min({counter}) {whole}"""


# A proxy may give one id to responses of several sessions. A copy that was cut off says no more of
# what went in than the whole does, and a subagent's file that repeats a line of the main thread may
# count otherwise: it is only held apart where its request is another.
_SPLITS = f"""(coalesce({" OR ".join(_differ(c, " AND NOT is_sidechain") for c in _INPUTS)}, false)
    OR (bool_and(is_sidechain) OR coalesce(min(request_id) <> max(request_id), false))
        AND coalesce({" OR ".join(_differ(c, "") for c in _INPUTS)}, false))"""

MESSAGES = Thing("usage_messages", "message_key", "sent_at", splits=_SPLITS)
EVENTS = Thing("usage_events", "event_key", "occurred_at")
BLOCKS = Thing("usage_activity", "line_digest", "started_at", marked="false", began="started_at")


def whose(thing: Thing, days: str | None = None, *, reached: bool = False) -> str:
    """CTEs that say which copies count.

    `copied` are hashes of the names that several rows have: few have, and comparing them all would
    hold every row in memory. Hashes take less of it than names; two names of one hash are only
    compared needlessly. `lost` are the names and parts that somebody holds and that count for
    another: a line of theirs is another's by the rule, and none that they share is their own. So
    what somebody holds beside a line gives no right to it, and of those who share it one counts.

    Args:
        days: SELECT of the UTC days that matter; None = all.
        reached: a refresh has made the table `reach`: see `Rollup`.
    """
    table, key = thing.rows(reached=reached), thing.key
    within = (
        f"""WHERE hash({key}) IN (
            SELECT hash({key}) FROM {table} WHERE {thing.day} IN ({days}))"""
        if days
        else ""
    )
    return f"""copied AS MATERIALIZED (
            SELECT hash({key}) AS hashed FROM {table} {within}
            GROUP BY hashed HAVING count(*) > 1),
        away AS MATERIALIZED ({GONE}),
        several AS MATERIALIZED (
            SELECT hash({key}) AS hashed FROM {table} SEMI JOIN copied ON hash({key}) = hashed
            GROUP BY hashed HAVING min(username) <> max(username)),
        split AS MATERIALIZED ({_split(thing, table)}),
        parted AS MATERIALIZED (
            SELECT {key} AS name, username, coalesce(line_digest, {key}) AS line, part,
                row(gone, {thing.marked}, {thing.began}, session_file) AS claim
            FROM {_held(thing, table, "several")}),
        lines AS (
            SELECT name, username, part, line, min(claim) AS claim FROM parted GROUP BY ALL),
        best AS (
            SELECT name, line, min(claim) AS best, count(*) AS holders FROM lines GROUP BY ALL),
        lost AS MATERIALIZED (
            SELECT name, username, part FROM lines JOIN best USING (name, line) GROUP BY ALL
            HAVING bool_or(claim <> best) AND NOT bool_or(claim = best AND holders > 1))"""


def _split(thing: Thing, table: str) -> str:
    """SELECT of what one person has under a name that stands for several things."""
    key = thing.key
    if not thing.splits:
        return "SELECT '' AS name, '' AS username WHERE false"
    # Copies nearly always have the line's uuid: the others are few, and only they are compared.
    uuid = f"left(line_digest, {NAME_LENGTH})"
    return f"""SELECT {key} AS name, username
            FROM (FROM {table} SEMI JOIN (
                SELECT hash({key}, username) AS other
                FROM (FROM {table} SEMI JOIN copied ON hash({key}) = hashed)
                GROUP BY other HAVING min({uuid}) <> max({uuid})
            ) ON hash({key}, username) = other)
            GROUP BY {key}, username HAVING {thing.splits}"""


def _alone(thing: Thing, table: str, days: str | None) -> str:
    within = f"WHERE {thing.day} IN ({days})" if days else ""
    return f"(FROM {table} {within}) ANTI JOIN copied ON hash({thing.key}) = hashed"


def _held(thing: Thing, table: str, which: str = "copied") -> str:
    """Rows of names that have copies, with `gone` and `part`.

    Args:
        which: the CTE with the hashes of the names.
    """
    key = thing.key
    return f"""(
            SELECT rows.*, away.session_file IS NOT NULL AS gone,
                CASE WHEN split.name IS NULL THEN '' ELSE coalesce(line_digest, {key}) END AS part
            FROM (FROM {table} SEMI JOIN {which} ON hash({key}) = hashed) AS rows
            LEFT JOIN away ON rows.session_file = away.session_file
            LEFT JOIN split ON rows.{key} = split.name AND rows.username = split.username)"""


def _together(thing: Thing, table: str, columns: Sequence[str], totals: Mapping[str, str]) -> str:
    """SELECT of one row for what a person has of a name with copies, where it counts for them: the
    name, the columns of the copy that says who did it, `origin`, and totals over all copies.

    Windows, for they sort on disk: a GROUP BY would hold the texts of all groups in memory.

    Args:
        totals: name -> aggregate over `copies`.
    """
    key = thing.key
    rest = ", ".join(column for column in columns if column != "username")
    picked = ", ".join((*columns, "coalesce(asked_by, session_id) AS origin"))
    summed = ", ".join(f"total_{name} AS {name}" for name in totals)
    over = ", ".join(f"{sql} AS total_{name}" for name, sql in totals.items())
    return f"""SELECT {key}, {picked}, {summed}
        FROM (
            SELECT {key}, username, part, session_id, {rest}, {over},
                min(origin_session_id) FILTER (origin_session_id <> session_id)
                    OVER copies AS asked_by
            FROM {_held(thing, table)}
            WINDOW copies AS (PARTITION BY {key}, username, part)
            QUALIFY row_number() OVER (PARTITION BY {key}, username, part ORDER BY {_RANK}) = 1
        ) AS each_one
        ANTI JOIN lost ON each_one.{key} = lost.name
            AND each_one.username = lost.username AND each_one.part = lost.part"""


def messages(columns: Sequence[str], days: str | None = None, *, reached: bool = False) -> str:
    """SELECT of one row per API response: its key, the columns, `origin` (the session that asked
    for it), the counters, is_sidechain, input_basis, output_partial and copies.

    Counters are the field-wise maximum over the person's copies of the winning thread: a copy may
    have been cut off while the response was still streaming.

    Args:
        columns: of the copy that says who did it.
        days: SELECT of the days that matter; others may come too.
        reached: as that of `whose`.
    """
    table = MESSAGES.rows(reached=reached)
    totals = {
        name: f"coalesce(max({name}) FILTER (NOT is_sidechain) OVER copies, "
        f"max({name}) OVER copies)"
        for name in COUNTERS
    }
    totals["is_sidechain"] = "bool_and(is_sidechain) OVER copies"
    # One copy may have the end of the process that another was cut off before.
    totals["input_basis"] = "min(input_basis) OVER copies"
    totals["output_partial"] = (
        "coalesce(bool_and(output_partial) FILTER (NOT is_sidechain) OVER copies, "
        "bool_and(output_partial) OVER copies)"
    )
    plain = ", ".join((*columns, f"{OWN_ORIGIN} AS origin", *totals))
    return f"""
        WITH {whose(MESSAGES, days, reached=reached)}
        SELECT message_key, {plain}, 1 AS copies FROM {_alone(MESSAGES, table, days)}
        UNION ALL
        {_together(MESSAGES, table, columns, {**totals, "copies": "count(*) OVER copies"})}"""


_RANKED = f"""list_position({list(ORDER)!r},
            coalesce(outcome, CASE WHEN is_error THEN '{ERROR}' END))"""
"""Also of rows that an earlier version wrote."""


def events(columns: Sequence[str], days: str | None = None, *, reached: bool = False) -> str:
    """SELECT of one row per tool call, subagent, MCP call, slash command and prompt: its key, the
    columns, `origin`, is_sidechain, outcome and copies. Arguments as those of `messages`."""
    table = EVENTS.rows(reached=reached)
    plain = ", ".join((*columns, f"{OWN_ORIGIN} AS origin"))
    totals = {
        "is_sidechain": "bool_and(is_sidechain) OVER copies",
        "came": f"max({_RANKED}) OVER copies",
        "copies": "count(*) OVER copies",
    }
    return f"""
        WITH {whose(EVENTS, days, reached=reached)},
        late AS (
            SELECT tool_use_id, username, max({_RANKED}) AS came
            FROM usage_tool_results GROUP BY ALL),
        once AS (
            SELECT event_key, {plain}, is_sidechain, {_RANKED} AS came, 1 AS copies
            FROM {_alone(EVENTS, table, days)}
            UNION ALL
            {_together(EVENTS, table, columns, totals)})
        SELECT once.* EXCLUDE (came),
            {list(ORDER)!r}[greatest(once.came, late.came)] AS outcome
        FROM once LEFT JOIN late
            ON late.tool_use_id = once.event_key AND late.username = once.username"""


def blocks(days: str) -> str:
    """SELECT of the stretches of activity that count, with their `day`: a copied file adds none to
    whoever copied it. Read as far as a refresh reaches."""
    table = BLOCKS.rows(reached=True)
    return f"""
        WITH {whose(BLOCKS, days, reached=True)}
        SELECT rows.*, {BLOCKS.day} AS day
        FROM (FROM {table} WHERE {BLOCKS.day} IN ({days})) AS rows
        ANTI JOIN lost ON rows.line_digest = lost.name AND rows.username = lost.username"""


_MESSAGE = (
    "session_file message_id request_id username project agent_id model sent_at service_tier speed "
    "line_number sent_at_inferred file_started_at agent provider git_branch client_version "
    "entrypoint effort attribution_skill attribution_agent attribution_plugin "
    "attribution_mcp_server"
).split()
_EVENT = (
    "session_file username project event_type tool_name skill_name subagent_type mcp_server "
    "command_name plugin model cwd occurred_at message_key line_number file_started_at "
    "permission_decision permission_source agent"
).split()

VIEWS = {
    "usage_messages_unique": f"""SELECT message_key, session_file, message_id, request_id,
        origin AS session_id, origin AS origin_session_id, username, project, agent_id,
        is_sidechain, model, sent_at, {", ".join(COUNTERS[:7])}, service_tier, speed,
        output_partial, line_number, sent_at_inferred, copies, {", ".join(COUNTERS[7:])},
        {", ".join(_MESSAGE[_MESSAGE.index("agent") :])}, input_basis
        FROM ({messages(_MESSAGE)})""",
    "usage_events_unique": f"""SELECT event_key, session_file, origin AS session_id,
        origin AS origin_session_id, username, project, event_type, tool_name, skill_name,
        subagent_type, mcp_server, command_name, plugin,
        coalesce(outcome = '{ERROR}', false) AS is_error, model, cwd, occurred_at, message_key,
        line_number, is_sidechain, copies, outcome, permission_decision, permission_source,
        coalesce(agent, '{LAST}') AS agent
        FROM ({events(_EVENT)})""",
}
