"""The usage report as people see it: one HTML page that loads nothing, and one PNG."""

from collections.abc import Sequence
from dataclasses import dataclass

import jinja2
from markupsafe import Markup

from session_pipeline_dagster.contract.report import Rendered
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.processors.usage import charts
from session_pipeline_dagster.processors.usage.figures import Figures, Part, Sums, add
from session_pipeline_dagster.processors.usage.wording import label, money, output, percent

_MOST_PARTS = 20
_WITHOUT = "billed without a line (compaction, titles, searches), of known bills"
_KINDS = {
    "tool": "Tools",
    "skill": "Skills",
    "server": "MCP servers",
    "subagent": "Subagents",
    "command": "Slash commands",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page: names and their sums, the rest as one, and the total."""

    title: str
    parts: Sequence[Part]
    total: Sums


def render(found: Figures) -> Rendered:
    """The page, the picture and the headline."""
    drawn = charts.charts(found)
    html = _template().render(
        title=_title(found),
        lines=_lines(found),
        notes=_notes(found),
        figures=found,
        charts=drawn,
        tables=_tables(found),
        called={_KINDS[kind]: called for kind, called in found.called.items() if called},
        percent=percent,
        output=output,
        money=money,
        low=_low(found),
        beyond=_beyond(found) or "unknown",
        printable=printable,
    )
    return Rendered(
        files={
            "usage.html": html.encode(),
            "usage.png": charts.poster(drawn, _title(found), _lines(found)),
        },
        numbers=_numbers(found),
        preview=charts.preview(found),
    )


def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader(__package__ or "", package_path=".")
    # Names are data: everything is escaped but the charts, which escape by themselves.
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["svg"] = Markup
    return environment.get_template("page.html")


def _title(found: Figures) -> str:
    if found.first is None:
        return "Usage of coding agents"
    days = f"{found.first} to {found.last}" if found.first != found.last else str(found.first)
    return f"Usage of coding agents, {days}"


def _lines(found: Figures) -> list[str]:
    total, tools = found.total, found.called["tool"]
    if not total.messages:
        return ["No usage yet: no session was processed, or none holds a response of a model."]
    calls, errors = sum(c.calls for c in tools), sum(c.errors for c in tools)
    return [
        f"{money(total)} USD at API list price, not an invoice"
        + (f"; {_many(total.unpriced, 'message')} without a known price" if total.unpriced else ""),
        *([f"{beyond} {_WITHOUT}"] if (beyond := _beyond(found)) else ()),
        f"{_many(total.messages, 'message')} in {_many(found.sessions, 'session')} of "
        f"{_many(len(found.users), 'user')}",
        f"{output(total, at_least=_low(found))} output tokens, {total.input_tokens:,} input, "
        f"{total.cache_creation_tokens:,} cache write, {total.cache_read_tokens:,} cache read",
        f"{_many(calls, 'tool call')}, {percent(errors / calls if calls else 0)} failed; "
        f"{percent(total.partial_share)} of the messages with partial output",
    ]


def _beyond(found: Figures) -> str:
    """What was billed beyond the lines, of the bills that are known; empty where none is."""
    share = found.unlogged_share
    return "" if share is None else f"+ {percent(share)}"


def _low(found: Figures) -> bool:
    """Whether the output of the whole period is "at least": as soon as that of one bar is."""
    return any(sums.at_least for sums in charts.sums_by_start(found).values())


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _notes(found: Figures) -> list[str]:
    """What the numbers leave out."""
    notes = []
    if found.total.unpriced:
        notes.append(
            f"{_many(found.total.unpriced, 'message')} of models without a known price: their cost "
            "is left out. `session-pipeline prices list` names them; a prices.toml gives them one."
        )
    if found.unit != "day":
        notes.append(f"The first and the last {found.unit} may be shorter than the others.")
    if found.undated:
        notes.append(f"{found.undated:,} messages with a date still to come, or none, left out.")
    if found.unsettled:
        notes.append(
            f"The hours differ from the days by {abs(found.unsettled):,} messages: usage_daily is "
            "behind its tables. Materialize it, then this report."
        )
    return notes


def _tables(found: Figures) -> list[Table]:
    each = [
        Part(label(start, found.unit), sums) for start, sums in charts.sums_by_start(found).items()
    ]
    return [
        _table("Users", found.users),
        _table("Models", found.models),
        Table(f"Each {found.unit}", each, found.total),
    ]


def _table(title: str, parts: Sequence[Part]) -> Table:
    shown, rest = list(parts[:_MOST_PARTS]), parts[_MOST_PARTS:]
    if rest:
        shown.append(Part(f"{len(rest):,} more", add(part.sums for part in rest)))
    return Table(title, shown, add(part.sums for part in parts))


def _numbers(found: Figures) -> dict[str, int | float]:
    total, tools = found.total, found.called["tool"]
    return {
        "messages": total.messages,
        "sessions": found.sessions,
        "users": len(found.users),
        "output_tokens": total.output_tokens,
        "output_estimate": total.estimate,
        "input_tokens": total.input_tokens,
        "cache_creation_tokens": total.cache_creation_tokens,
        "cache_read_tokens": total.cache_read_tokens,
        "partial_messages": total.partial,
        "tool_calls": sum(called.calls for called in tools),
        "tool_errors": sum(called.errors for called in tools),
        "cost_usd": float(total.cost),
        "unpriced_messages": total.unpriced,
        "billed_usd": float(found.billed),
        "unlogged_usd": float(found.unlogged),
    }
