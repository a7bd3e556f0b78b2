"""Numbers for Prometheus, as node_exporter's textfile collector reads them.

All are gauges: a sum of this store can fall (`forget`, a purge, another price table), and of a
counter that falls Prometheus counts the whole again. No label names a person, and models are few.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from session_pipeline_dagster.processors.usage.money.amounts import exact
from session_pipeline_dagster.processors.usage.people.answered import columns, joins
from session_pipeline_dagster.processors.usage.people.whose import PERSON, with_people
from session_pipeline_dagster.settings import PeopleSettings

PREFIX: Final = "session_pipeline"
MOST_MODELS: Final = 50
"""What is beyond them is one more, `(others)`."""
OTHERS: Final = "(others)"
_STATES: Final = ("processed", "gone", "waiting_to_be_tried_again", "given_up")
_WINDOWS: Final = (1, 7, 30)
_KINDS: Final = ("input", "output", "cache_creation", "cache_read")


@dataclass(frozen=True, slots=True)
class Sample:
    """A number and its labels."""

    value: int | float | Decimal
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number, or one of several labels; what it is, with its unit."""

    name: str
    help: str
    samples: Sequence[Sample]


_USED: Final = with_people("usage_daily")
_SELECTS: Final = {
    "models": f"""SELECT coalesce(provider, ''), coalesce({{model}}, ''), sum(input_tokens),
            sum(output_tokens), sum(cache_creation_tokens), sum(cache_read_tokens), sum(messages),
            coalesce(sum(cost), 0), sum(unpriced_messages), count(DISTINCT {PERSON})
        FROM {_USED} {{named}} GROUP BY ALL ORDER BY sum(messages) DESC, 1, 2""",
    "windows": " UNION ALL ".join(
        f"""SELECT {days}, coalesce(sum(cost), 0), coalesce(sum(messages), 0)::BIGINT,
            coalesce(sum(unpriced_messages), 0)::BIGINT, count(DISTINCT {PERSON}),
            coalesce(sum(output_tokens + coalesce(input_tokens, 0)
                + coalesce(cache_creation_tokens, 0) + coalesce(cache_read_tokens, 0)), 0)::BIGINT,
            (SELECT count(*) FROM usage_daily WHERE {{today}} - day BETWEEN 0 AND {days - 1})
        FROM {_USED} {{shown}} WHERE {{today}} - day BETWEEN 0 AND {days - 1}"""
        for days in _WINDOWS
    ),
    "sessions": f"""SELECT count(DISTINCT session_id),
            epoch(max({{newest}}) FILTER (day <= {{today}})), count(DISTINCT {PERSON})
        FROM {with_people("usage_slots")} {{shown}}""",
    "files": """
        SELECT processor_name, 'processed', count(*) FILTER (gone_at IS NULL)
            FROM session_processor_state GROUP BY 1
        UNION ALL SELECT processor_name, 'gone', count(*) FILTER (gone_at IS NOT NULL)
            FROM session_processor_state GROUP BY 1
        UNION ALL SELECT processor_name, 'waiting_to_be_tried_again',
            count(*) FILTER (quarantined_at IS NULL) FROM session_processor_failures GROUP BY 1
        UNION ALL SELECT processor_name, 'given_up', count(*) FILTER (quarantined_at IS NOT NULL)
            FROM session_processor_failures GROUP BY 1
        ORDER BY ALL""",
    "processed": """SELECT processor_name, epoch(max(processed_at)) FROM session_processor_state
        WHERE processed_at <= now() GROUP BY 1 ORDER BY 1""",
}
"""SELECTs of what is shown; `{today}` is a UTC date. `{newest}` is what is told of when a response
was: the day where people are hidden. `{shown}` leaves out, where small groups are
merged, what is shown on no day: two spans, or a span and its days, would else be set off."""


def selects(today: str, people: PeopleSettings) -> list[str]:
    """The SELECTs, in the order of `gauges`."""
    newest = "day" if people.hides else "slot"
    # Where groups are merged no model is told apart, so that none need be named.
    by = ("team",) if people.smallest_group > 1 else ("model",)
    said = {
        "{today}": f"DATE '{today}'",
        "{shown}": joins(("team",), people),
        "{named}": joins(by, people),
        "{model}": columns(by, people)["model"] if people.hides and "model" in by else "model",
        "{newest}": newest,
    }
    found = []
    for sql in _SELECTS.values():
        for word, instead in said.items():
            sql = sql.replace(word, instead)
        found.append(sql)
    return found


def gauges(answers: Sequence[Sequence[Sequence[Any]]], least: int, now: float) -> list[Gauge]:
    """What is shown of the answers to `selects`.

    Args:
        least: of fewer active people no number is shown, and none by model if it is above 1.
        now: when it was made, in seconds since 1970.
    """
    models, windows, ((sessions, newest, people),), files, processed = answers
    made = []
    if people >= least:
        made += _of_models(models, together=least > 1)
        made.append(Gauge("sessions", "Sessions with a response.", [Sample(sessions)]))
        if newest is not None:
            when = (
                "Begin of the quarter of an hour of the newest response, unix time; where people "
                "are hidden, of its day."
            )
            made.append(Gauge("newest_response_timestamp_seconds", when, [Sample(newest)]))
    # That nobody was active says nothing of anybody.
    made += _of_windows([row for row in windows if row[4] >= least or not row[-1]])
    made += [
        Gauge(
            "files",
            "Session files by what became of them.",
            _of_files(files),
        ),
        Gauge(
            "last_processed_timestamp_seconds",
            "When a file was last processed, unix time.",
            [Sample(at, {"processor": name}) for name, at in processed],
        ),
        Gauge("exported_timestamp_seconds", "When this file was made, unix time.", [Sample(now)]),
    ]
    return made


def _of_models(rows: Sequence[Sequence[Any]], *, together: bool) -> list[Gauge]:
    kept = [] if together else list(rows[:MOST_MODELS])
    rest = rows[len(kept) :]
    labelled = [({"provider": row[0], "model": row[1]}, row[2:]) for row in kept]
    if rest:
        sums = [_sum(column) for column in zip(*(row[2:] for row in rest), strict=True)]
        labelled.append(({} if together else {"provider": "", "model": OTHERS}, sums))
    tokens = [
        Sample(row[place], {**labels, "kind": kind})
        for labels, row in labelled
        for place, kind in enumerate(_KINDS)
        # Where nobody says what went in, 0 would say that nothing did.
        if row[place] is not None
    ]
    usd = "Cost of all responses with a known price, USD; API list price, not an invoice."
    return [
        Gauge("tokens", "Tokens of all responses, each counted once.", tokens),
        Gauge("responses", "Responses, each counted once.", _column(labelled, 4)),
        Gauge("cost_usd", usd, _column(labelled, 5)),
        Gauge("unpriced_responses", "Responses that no cost has in it.", _column(labelled, 6)),
    ]


def _sum(column: Sequence[Any]) -> Any:
    known = [count for count in column if count is not None]
    return sum(known) if known or not column else None


def _of_files(rows: Sequence[Sequence[Any]]) -> list[Sample]:
    """Every state of every processor: what is not there is 0, so that a graph can begin at it."""
    counts = {(name, state): count for name, state, count in rows}
    names = sorted({name for name, *_ in rows})
    return [
        Sample(counts.get((name, state), 0), {"processor": name, "state": state})
        for name in names
        for state in _STATES
    ]


def _column(
    labelled: Iterable[tuple[Mapping[str, str], Sequence[Any]]], place: int
) -> list[Sample]:
    return [Sample(row[place], labels) for labels, row in labelled]


def _of_windows(rows: Sequence[Sequence[Any]]) -> list[Gauge]:
    said = (
        ("recent_cost_usd", "Cost of the last UTC days, today too, USD at API list price."),
        ("recent_responses", "Responses of the last UTC days, today too."),
        ("recent_unpriced_responses", "Of them those that no cost has in it."),
        ("recent_active_people", "People with a response in the last UTC days, today too."),
        ("recent_tokens", "Tokens of the last UTC days, today too."),
    )
    return [
        Gauge(name, text, [Sample(row[place], {"days": str(row[0])}) for row in rows])
        for place, (name, text) in enumerate(said, start=1)
    ]


def text(made: Sequence[Gauge]) -> str:
    """The file, in the text format of Prometheus."""
    lines = []
    for gauge in made:
        if not gauge.samples:
            continue
        name = f"{PREFIX}_{gauge.name}"
        lines += [f"# HELP {name} {gauge.help}", f"# TYPE {name} gauge"]
        for sample in gauge.samples:
            labels = ",".join(f'{key}="{_escaped(v)}"' for key, v in sample.labels.items())
            lines.append(f"{name}{f'{{{labels}}}' if labels else ''} {_number(sample.value)}")
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    harmless = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    # Half a character has no UTF-8.
    return harmless.encode("utf-8", "replace").decode()


def _number(value: float | Decimal) -> str:
    return exact(value) if isinstance(value, Decimal) else repr(value)
