"""The usage report as people see it: one HTML page that loads nothing, and one PNG."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import jinja2
from markupsafe import Markup

from session_pipeline_dagster.contract.report import Rendered
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.processors.usage import charts
from session_pipeline_dagster.processors.usage.figure_sql import WEEK
from session_pipeline_dagster.processors.usage.figures import Called, Figures, Part, Sums
from session_pipeline_dagster.processors.usage.summing import calls_together, parts_together
from session_pipeline_dagster.processors.usage.wording import (
    change,
    counted,
    label,
    many,
    money,
    output,
    percent,
    tokens,
    usd,
)
from session_pipeline_dagster.settings import PeopleMode
from session_pipeline_dagster.transcripts.looks import worded

PAGE, PICTURE, OWN_PAGE = "usage.html", "usage.png", "usage-person.html"
_MOST, _MOST_PERSONS, _MOST_CALLED = 20, 1000, 12
_KINDS = {
    "team": "Teams",
    "project": "Projects",
    "model": "Models",
    "agent": "Agents",
    "person": "People",
    "branch": "Branches",
}
_FOLDED = frozenset({"person", "branch"})
_CALLED = {
    "skill": "Skills",
    "server": "MCP servers",
    "tool": "Tools",
    "subagent": "Subagents",
    "command": "Slash commands",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of money: names and their sums, the rest as one, and the total.

    Attributes:
        most: the highest cost of a row, to which its bar is drawn.
    """

    title: str
    parts: Sequence[Part]
    total: Part
    most: float
    is_open: bool


@dataclass(frozen=True, slots=True)
class Calls:
    """A table of what was called. `paid`: it has costs."""

    title: str
    rows: Sequence[Called]
    paid: bool


def render(found: Figures) -> Rendered:
    """The page, the picture and the headline."""
    drawn, title = charts.charts(found), _title(found)
    page = _page(found, drawn, title)
    picture = charts.poster(drawn, title, _lines(found))
    return Rendered({PAGE: page, PICTURE: picture}, _numbers(found), preview=charts.preview(drawn))


def render_own(found: Figures) -> Rendered:
    """Somebody's own page; it says whose it is where people may be named."""
    title = f"Usage of {printable(found.who)}" if found.who else "Your own usage"
    page = _page(found, charts.charts(found), f"{title}{_days(found)}")
    return Rendered({OWN_PAGE: page}, _numbers(found))


def _page(found: Figures, drawn: Sequence[charts.Chart], title: str) -> bytes:
    tables = _tables(found)
    agents = [table for table in tables if table.title == _KINDS["agent"]]
    html = _template().render(
        title=title,
        figures=found,
        charts=drawn,
        tables=tables,
        # A chart more than fits a row leaves room for its table.
        beside=agents[0] if agents and len(drawn) > charts.COLUMNS else None,
        called=_calls(found),
        each=_each(found),
        notes=_notes(found),
        intro=_intro(found),
        weeks=_weeks(found),
        low=_low(found),
        unread=worded(found.unread),
        beyond=_beyond(found) or "unknown",
        label=label,
        change=change,
        counted=counted,
        many=many,
        money=money,
        output=output,
        percent=percent,
        tokens=tokens,
        printable=printable,
        usd=usd,
    )
    return html.encode()


def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader(__package__ or "", package_path=".")
    # Names are data: everything is escaped but the charts, which escape by themselves.
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["svg"] = Markup
    environment.filters["n"] = "{:,}".format
    return environment.get_template("page.html")


def _title(found: Figures) -> str:
    return f"Usage of coding agents{_days(found)}"


def _days(found: Figures) -> str:
    if found.first is None:
        return ""
    return f", {found.first} to {found.last}" if found.first != found.last else f", {found.first}"


def _lines(found: Figures) -> list[str]:
    """What the picture says above its charts."""
    total = found.total.whole
    if not total.messages:
        return [_NOTHING]
    last, before = found.total.last, found.total.before
    changed = f" ({said})" if (said := change(last, before)) else ""
    weeks = (
        [f"last 7 days {money(last)} USD, the 7 before {money(before)} USD{changed}"]
        if found.compares
        else []
    )
    beyond = f"; {said} billed without a line" if (said := _beyond(found)) else ""
    return [
        f"{money(total)} USD at API list price, not an invoice{beyond}",
        *weeks,
        f"{many(total.messages, 'message')} in {many(found.sessions, 'session')} of "
        f"{many(found.total.people, 'person', 'people')}; "
        f"{percent(total.partial_share)} with partial output",
    ]


_NOTHING = "No usage yet: no session was processed, or none holds a response of a model."


def _intro(found: Figures) -> list[str]:
    """Whose usage it is and how people are shown."""
    scope = found.scope
    if scope.person:
        return ["The usage of one person. It names nobody else."]
    if scope.mode is PeopleMode.TEAM:
        said = ["Nobody is shown below teams."]
    elif scope.mode is PeopleMode.PSEUDONYM:
        said = ["People are shown by pseudonyms."]
    else:
        said = []
    if scope.merges:
        said.append(
            f"What fewer than {scope.least} people did is shown together with more, and days on "
            f"which fewer than {scope.least} people were active are left out."
        )
    return said


def _weeks(found: Figures) -> tuple[str, str] | None:
    """The last seven days and the seven before, as `8 to 14 May`."""
    if not found.last or not found.compares:
        return None
    start = found.last - timedelta(days=WEEK - 1)
    before = _span(start - timedelta(days=WEEK), start - timedelta(days=1))
    if found.first and found.days < 2 * WEEK:
        before += f"; usage begins {label(found.first, 'day')}"
    return _span(start, found.last), before


def _span(start: date, end: date) -> str:
    first = str(start.day) if start.month == end.month else label(start, "day")
    return f"{first} to {label(end, 'day')}"


def _beyond(found: Figures) -> str:
    """What was billed beyond the lines, of the bills that are known; empty where none is."""
    share = found.unlogged_share
    return "" if share is None else f"+ {percent(share)}"


def _low(found: Figures) -> bool:
    """Whether the output of the whole period is "at least": as soon as that of one bar is."""
    return any(sums.at_least for sums in found.by_start().values())


def _notes(found: Figures) -> list[str]:
    """What the numbers leave out."""
    notes = []
    total = found.total.whole
    if total.unknown:
        notes.append(
            f"{many(total.unknown, 'message')} of sessions that were killed or have not ended: "
            "nobody says what went in, so their input and their cost are left out."
        )
    if total.unpriced > total.unknown:
        priceless = many(total.unpriced - total.unknown, "message")
        notes.append(
            f"{priceless} of models without a known price: their cost is left out. "
            "`session-pipeline prices list` names them; a prices.toml gives them one."
        )
    if found.unit != "day":
        notes.append(f"The first and the last {found.unit} may be shorter than the others.")
    if found.undated:
        notes.append(f"{found.undated:,} messages with a date still to come, or none, left out.")
    if found.unsettled:
        notes.append(
            f"The days differ from their responses by {abs(found.unsettled):,} messages: "
            "usage_slots is behind its tables. Materialize it, then this report."
        )
    return notes


def _tables(found: Figures) -> list[Table]:
    tables = []
    for kind, title in _KINDS.items():
        parts = found.parts[kind]
        most = _MOST_PERSONS if kind == "person" else _MOST
        own = [part for part in parts if not part.few]
        kept, rest = own[:most], own[most:]
        together = [parts_together(rest, f"{len(rest):,} more")] if rest else []
        rows = [*kept, *together, *(part for part in parts if part.few)]
        # One team or agent that is everybody's says nothing that the tiles do not.
        if not rows or (kind in ("team", "agent") and len(rows) == 1):
            continue
        highest = max((float(part.whole.cost) for part in kept), default=0.0)
        tables.append(Table(title, rows, found.total, highest, kind not in _FOLDED))
    return tables


def _each(found: Figures) -> list[tuple[str, Sums]]:
    return [(label(start, found.unit), sums) for start, sums in found.by_start().items()]


def _calls(found: Figures) -> list[Calls]:
    tables = []
    for kind, title in _CALLED.items():
        rows = found.called[kind]
        own = [row for row in rows if not row.few]
        kept, rest = own[:_MOST_CALLED], own[_MOST_CALLED:]
        together = [calls_together(rest, f"{len(rest):,} more")] if rest else []
        shown = [*kept, *together, *(row for row in rows if row.few)]
        if shown:
            tables.append(Calls(title, shown, kind in ("skill", "server")))
    return tables


def _numbers(found: Figures) -> dict[str, int | float]:
    total, tools = found.total.whole, found.called["tool"]
    return {
        "cost_usd": float(total.cost),
        "cost_usd_last_7_days": float(found.total.last.cost),
        "cost_usd_7_days_before": float(found.total.before.cost),
        "unpriced_messages": total.unpriced,
        "unknown_input_messages": total.unknown,
        "billed_usd": float(found.billed),
        "unlogged_usd": float(found.unlogged),
        "messages": total.messages,
        "sessions": found.sessions,
        "people": found.total.people,
        "output_tokens": total.output_tokens,
        "output_estimate": found.estimate,
        "input_tokens": total.input_tokens,
        "cache_creation_tokens": total.cache_creation_tokens,
        "cache_read_tokens": total.cache_read_tokens,
        "partial_messages": total.partial,
        "tool_calls": sum(called.calls for called in tools),
        "tool_errors": sum(called.errors for called in tools),
    }
