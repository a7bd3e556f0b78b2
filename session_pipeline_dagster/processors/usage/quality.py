"""What the numbers of people rest on: who holds copies of whose responses."""

from collections.abc import Sequence
from functools import partial

from session_pipeline_dagster.contract.quality import Data, Measured, Quality
from session_pipeline_dagster.processors.usage.naming import NAME_LENGTH
from session_pipeline_dagster.processors.usage.rollups import PRICELESS
from session_pipeline_dagster.processors.usage.unique import EVENTS, GONE, MESSAGES, Thing
from session_pipeline_dagster.settings import PeopleSettings

_MANY, _SHARE = 20, 0.01
_NAMED, _FEW = 20, 5
_WEEK, _SOME, _MUCH = 7, 5, 30
# A clock that was ahead must not make all others old.
_WEEK_BEFORE = f"""(SELECT max(day) - {_WEEK} FROM usage_slots WHERE day <= current_date + 1)"""


def _held(thing: Thing) -> str:
    """Who holds a line of which name; whoever changed its time holds it all the same."""
    table, key = thing.table, thing.key
    return f"""SELECT '{table}' AS kind, {key} AS name, username,
            coalesce(left(line_digest, {NAME_LENGTH}), {key}) AS line,
            min(row({thing.marked}, {thing.began}, session_file)) AS claim
        FROM {table} SEMI JOIN (
            SELECT hash({key}) AS hashed FROM {table} GROUP BY ALL
            HAVING min(username) <> max(username)
        ) AS shared ON hash({key}) = hashed
        WHERE session_file NOT IN (SELECT session_file FROM away)
        GROUP BY ALL"""


_SHARED = f"""WITH away AS MATERIALIZED ({GONE}),
    held AS MATERIALIZED ({_held(MESSAGES)} UNION ALL {_held(EVENTS)}),
    first AS (
        SELECT kind, name, line, arg_min(username, claim) AS owner FROM held GROUP BY ALL
        HAVING min(username) <> max(username)),
    pairs AS (
        SELECT owner, username AS other,
            count(DISTINCT name) FILTER (kind = 'usage_messages') AS responses,
            count(DISTINCT name) FILTER (kind <> 'usage_messages') AS others
        FROM held JOIN first USING (kind, name, line) WHERE username <> owner GROUP BY ALL),
    had AS (
        SELECT username, sum(messages) AS messages, sum(events) AS events
        FROM (SELECT username, count(DISTINCT message_key) AS messages, 0 AS events
            FROM usage_messages GROUP BY ALL
            UNION ALL SELECT username, 0, count(DISTINCT event_key) FROM usage_events GROUP BY ALL)
        WHERE username IN (SELECT owner FROM pairs UNION SELECT other FROM pairs) GROUP BY ALL),
    each_one AS (
        SELECT username, sum(responses) AS responses, sum(others) AS others
        FROM (SELECT owner AS username, responses, others FROM pairs
            UNION ALL SELECT other, responses, others FROM pairs) GROUP BY ALL),
    many AS (
        SELECT username FROM each_one LEFT JOIN had USING (username)
        WHERE responses >= {_MANY} OR others >= {_MANY}
            OR responses > 0 AND responses >= {_SHARE} * coalesce(messages, 0)
            OR others > 0 AND others >= {_SHARE} * coalesce(events, 0))"""


def claimed_by_several(data: Data) -> Measured:
    """Responses, calls and prompts of which several people have the line."""
    ((users, responses, others),) = data.select(
        f"""{_SHARED} SELECT (SELECT count(*) FROM many),
            coalesce(sum(responses), 0)::BIGINT, coalesce(sum(others), 0)::BIGINT FROM pairs"""
    )
    worst = data.select(
        f"{_SHARED} SELECT owner, other, responses, others FROM pairs "
        f"ORDER BY responses + others DESC, owner, other LIMIT {_NAMED}"
    )
    return Measured(
        int(str(users)),
        {"responses": int(str(responses)), "calls_and_prompts": int(str(others))},
        tuple(
            {
                "counted_for": str(owner),
                "held_by": str(other),
                "responses": int(str(shared)),
                "calls_and_prompts": int(str(more)),
            }
            for owner, other, shared, more in worst
        ),
        of_one=("responses", "calls_and_prompts"),
    )


def _unpriced(people: PeopleSettings, data: Data) -> Measured:
    """Models whose responses have no price. Where small groups are merged, those that are told
    apart, without their days."""
    from session_pipeline_dagster.processors.usage.people import answered  # noqa: PLC0415  what declares need not wait for it

    merged = people.smallest_group > 1
    found = data.select(answered.unpriced(people))
    rows = [
        (str(p), str(m or "(no model)"), int(str(n)), *(() if merged else (str(a), str(b))))
        for p, m, n, a, b in found
    ]
    names = ("provider", "model", "messages", "first_day", "last_day")
    messages = sum(int(row[2]) for row in rows)
    models = [*dict.fromkeys(str(row[1]) for row in rows)]
    named = ", ".join(models[:_FEW]) + (", ..." if models[_FEW:] else "")
    said = f"{messages} messages have no price: {named}; give them one in a prices.toml"
    listed = [dict(zip(names, row, strict=False)) for row in rows[:_NAMED]]
    numbers = {"unpriced_messages": messages}
    if merged:
        every = data.select(f"SELECT DISTINCT model FROM usage_slots WHERE {PRICELESS} > 0")
        if len(every) > len(models):
            # How much it is would be of few people; that costs lack something is not.
            less = f"models of fewer than {people.smallest_group} people a day have no price"
            said = f"{said}; {less}" if rows else f"{less}; `session-pipeline prices list` has them"
            return Measured(len(rows) + 1, numbers, listed, said)
    else:
        ((unknown,),) = data.select(
            "SELECT coalesce(sum(unknown_input_messages), 0)::BIGINT FROM usage_slots"
        )
        numbers["unknown_input_messages"] = int(str(unknown))
    return Measured(len(rows), numbers, listed, said if rows else "")


def _unlogged(people: PeopleSettings, data: Data) -> Measured:
    """What share of the bill of the last days has no line."""
    from session_pipeline_dagster.processors.usage.people import answered  # noqa: PLC0415  as above

    # Where small groups are merged, of bills that may be shown: what does not fit may be one.
    bills = "usage_reconciled"
    if people.smallest_group > 1:
        bills = answered.bills(people.smallest_group)
    fits = "FILTER (status IN ('ok', 'unlogged'))"
    found = data.select(
        f"""SELECT coalesce(sum(unlogged_cost) {fits}, 0)::DOUBLE,
            coalesce(sum(billed_cost) {fits}, 0)::DOUBLE, count(DISTINCT session_id) {fits},
            count(DISTINCT session_id) FILTER (status IN ('contract', 'conflict'))
        FROM {bills} WHERE day <= current_date + 1 AND day > {_WEEK_BEFORE}"""
    )
    unlogged, billed, sessions, odd = (float(str(value)) for value in found[0])
    share = 100 * unlogged / billed if billed else 0.0
    status = "warning" if share > _MUCH else "info" if share > _SOME else "ok"
    said = (
        f"{share:.1f} % of what {sessions:.0f} sessions of the newest {_WEEK} days were billed has "
        "no line (compaction, titles, searches)"
    )
    if odd:
        said += f"; the bill of {odd:.0f} others does not fit: usage_reconciled.status says how"
    numbers = {"unlogged_percent": round(share, 2), "unlogged_usd": unlogged, "billed_usd": billed}
    return Measured(int(status == "warning"), numbers, (), said, status)


_UNLOGGED = (
    "What was billed beyond the lines of the transcripts, of the sessions whose bill is known. "
    f"Information above {_SOME} % of {_WEEK} days, a warning above {_MUCH} %: then the costs "
    "shown are much too low. `usage_reconciled` says of which sessions."
)
_UNPRICED = (
    "Responses of models without a known price: their cost is left out of every sum, never "
    "guessed. Upgrade genai-prices, or write the price in the file that "
    "`SESSION_PIPELINE_PRICES` names; `session-pipeline prices explain MODEL` says what was "
    "tried. Responses of which nobody says what went in, for their session was killed or has "
    "not ended, are counted beside it (`unknown_input_messages`)."
)
_SEVERAL = (
    "Responses of which several people have the lines, in files that are still there; see "
    f"`docs/counting.md` for whom they count. Fails where somebody shares {_MANY} or 1 % of "
    "theirs, or so many prompts and calls: look at who holds whose. A folder may have been "
    "copied, two people may share an account, or somebody claims the work of others. Remove "
    "the files that are copies."
)


def rules(people: PeopleSettings) -> Sequence[Quality]:
    """The rules of the rows."""
    return (
        Quality(
            "unlogged_usage",
            "usage_daily",
            _UNLOGGED,
            partial(_unlogged, people),
            glance=True,
        ),
        Quality(
            "unpriced_models",
            "usage_daily",
            _UNPRICED,
            partial(_unpriced, people),
            glance=True,
        ),
        Quality(
            "claimed_by_several",
            "usage_messages",
            _SEVERAL,
            claimed_by_several,
        ),
    )
