"""The charts of the usage report, drawn by altair and rendered to SVG and PNG on this machine.

Names of users and tools are data that anyone can choose: they enter a chart as values only, never
as an expression, and no chart may load anything. Import this module late: altair and its renderer
take half a second and 80 MB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

import altair as alt
import vl_convert

from session_pipeline_dagster.processors.usage.figures import (
    TOP_USERS,
    Called,
    Figures,
    Sums,
    add,
)
from session_pipeline_dagster.processors.usage.wording import distinct, label, note

WIDTH, HEIGHT = 380, 250
"""Of a chart, in pixels: narrow enough to be read on a phone as it is."""

_BLUE, _RED, _GREY = "#0072B2", "#D55E00", "#999999"
_COLOURS = (_BLUE, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", _RED)
"""Okabe and Ito's palette: told apart by colour-blind readers too."""
_TEXT = "#222222"
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_BILLIONS = "replace(format(datum.value, '~s'), 'G', 'B')"
_AXIS = alt.Axis(labelExpr=_BILLIONS, tickCount=5, tickMinStep=1)
_MONEY_AXIS = alt.Axis(format=",~f", tickCount=5)
_MOST_LABELS = 6
_COLUMNS, _GAP = 3, 24


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, or why there is none: `svg` is empty where there is nothing to draw."""

    title: str
    svg: str
    height: int = HEIGHT
    empty: str = ""


def charts(figures: Figures) -> list[Chart]:
    """Every chart of the report, in the order in which they are shown."""
    unit = figures.unit
    return [
        _by_user(figures, f"Cost per {unit}, by user (USD, list price)", "cost"),
        _by_user(figures, f"Output tokens per {unit}, by user", "output_tokens"),
        _by_user(figures, f"Messages per {unit}, by user", "messages"),
        _by_kind(figures, f"All tokens per {unit}"),
        _calls(figures.called["tool"], "Tools", "No tool was called."),
        _calls(figures.called["skill"], "Skills", "No skill was used."),
        _calls(figures.called["server"], "MCP servers", "No MCP server was called."),
        _calls(figures.called["subagent"], "Subagents", "No subagent was sent."),
        _hours(figures, "Active hours (messages, UTC)"),
        _partial(figures, f"Messages with partial output, per {unit}"),
    ]


def preview(figures: Figures) -> str:
    """An SVG of the tokens of all users; names nobody. Empty where there is no usage."""
    return _by_kind(figures, "").svg


def poster(drawn: Sequence[Chart], title: str, lines: Sequence[str]) -> bytes:
    """One PNG with the charts that have something to show, for a chat."""
    shown = [chart for chart in drawn if chart.svg]
    rows = [shown[index : index + _COLUMNS] for index in range(0, len(shown), _COLUMNS)]
    body, y = [], 64 + 20 * len(lines)
    for row in rows:
        for column, chart in enumerate(row):
            x = _GAP + column * (WIDTH + _GAP)
            body.append(
                f'<text x="{x}" y="{y + 18}" font-size="14" font-weight="bold">'
                f"{escape(chart.title)}</text>"
                f'<g transform="translate({x},{y + 28})">{chart.svg}</g>'
            )
        y += max(chart.height for chart in row) + 52
    head = [f'<text x="{_GAP}" y="40" font-size="22" font-weight="bold">{escape(title)}</text>']
    for index, line in enumerate(lines):
        head.append(f'<text x="{_GAP}" y="{64 + 20 * index}" font-size="14">{escape(line)}</text>')
    width = _GAP + _COLUMNS * (WIDTH + _GAP)
    begin = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + _GAP}" '
        f'font-family="sans-serif" fill="{_TEXT}"><rect width="100%" height="100%" fill="white"/>'
    )
    return vl_convert.svg_to_png("".join([begin, *head, *body, "</svg>"]), scale=1.5)


# --- the charts ---


def _by_user(figures: Figures, title: str, column: str) -> Chart:
    users = figures.users
    names = distinct(
        [user.name for user in users[:TOP_USERS]]
        + ([f"{len(users) - TOP_USERS:,} more"] if len(users) > TOP_USERS else [])
    )
    values = [
        (bar.start, names[bar.rank - 1], bar.rank, float(getattr(bar.sums, column)))
        for bar in figures.bars
    ]
    colours = dict(zip(names, (*_COLOURS, _GREY), strict=False))
    axis = _MONEY_AXIS if column == "cost" else _AXIS
    return Chart(title, _stacked(figures, values, colours, 3, axis), empty="No usage.")


def _by_kind(figures: Figures, title: str) -> Chart:
    kinds = (
        ("cache read", "cache_read_tokens"),
        ("cache write", "cache_creation_tokens"),
        ("input", "input_tokens"),
        ("output", "output_tokens"),
    )
    values = [
        (start, name, rank, getattr(sums, column))
        for start, sums in sums_by_start(figures).items()
        for rank, (name, column) in enumerate(kinds)
    ]
    colours = dict(zip((name for name, _ in kinds), _COLOURS, strict=False))
    return Chart(title, _stacked(figures, values, colours, 4, _AXIS), empty="No usage.")


def sums_by_start(figures: Figures) -> dict[date, Sums]:
    """The sums of all users for every bar of the period."""
    found: dict[date, list[Sums]] = {start: [] for start in figures.starts()}
    for bar in figures.bars:
        found[bar.start].append(bar.sums)
    return {start: add(sums) for start, sums in found.items()}


def _stacked(
    figures: Figures,
    values: Sequence[tuple[date, str, int, float]],
    colours: Mapping[str, str],
    columns: int,
    axis: alt.Axis,
) -> str:
    if not values:
        return ""
    labels = {start: label(start, figures.unit) for start in figures.starts()}
    rows = [
        {"when": labels[start], "who": who, "rank": rank, "much": much}
        for start, who, rank, much in values
    ]
    chart = _chart(rows, alt.MarkDef("bar", size=_thickness(len(labels))))
    return _svg(
        chart.encode(
            x=_when([*labels.values()]),
            y=alt.Y("much:Q", title=None, axis=axis),
            color=alt.Color(
                "who:N",
                scale=alt.Scale(domain=[*colours], range=[*colours.values()]),
                legend=alt.Legend(
                    orient="bottom",
                    columns=columns,
                    labelLimit=100,
                    title=None,
                    symbolType="square",
                ),
            ),
            order=alt.Order("rank:Q"),
        )
    )


def _partial(figures: Figures, title: str) -> Chart:
    sums = sums_by_start(figures)
    if not figures.total.partial:
        return Chart(title, "", empty="None: every response ended with its final line.")
    labels = [label(start, figures.unit) for start in sums]
    rows = [
        {"when": name, "share": found.partial_share}
        for name, found in zip(labels, sums.values(), strict=True)
        if found.messages
    ]
    mark = alt.MarkDef("bar", color=_COLOURS[3], size=_thickness(len(labels)))
    chart = _chart(rows, mark).encode(
        x=_when(labels),
        y=alt.Y(
            "share:Q",
            title=None,
            scale=alt.Scale(domainMin=0),
            axis=alt.Axis(format="~%", tickCount=5),
        ),
    )
    return Chart(title, _svg(chart))


def _hours(figures: Figures, title: str) -> Chart:
    if not figures.hours:
        return Chart(title, "", empty="No usage.")
    rows = [
        {"day": name, "hour": hour, "messages": figures.hours.get((number, hour), 0)}
        for number, name in enumerate(_WEEKDAYS, start=1)
        for hour in range(24)
    ]
    chart = _chart(rows, alt.MarkDef("rect", stroke="white", strokeWidth=1))
    return Chart(
        title,
        _svg(
            chart.encode(
                x=alt.X(
                    "hour:O",
                    title=None,
                    axis=alt.Axis(values=[*range(0, 24, 3)], labelAngle=0, ticks=False),
                ),
                y=alt.Y("day:O", sort=[*_WEEKDAYS], title=None, axis=alt.Axis(ticks=False)),
                color=alt.Color(
                    "messages:Q",
                    scale=alt.Scale(
                        domain=[0, max(figures.hours.values())],
                        range=["#f1f5f9", "#56B4E9", "#08306b"],
                        interpolate="rgb",
                    ),
                    legend=alt.Legend(
                        orient="bottom",
                        title=None,
                        gradientLength=200,
                        gradientThickness=8,
                        tickCount=4,
                        tickMinStep=1,
                        labelExpr=_BILLIONS,
                    ),
                ),
            )
        ),
    )


def _calls(called: Sequence[Called], title: str, empty: str) -> Chart:
    if not called:
        return Chart(title, "", empty=empty)
    names = distinct(found.name for found in called)
    rows = [
        {"name": name, "outcome": outcome, "rank": rank, "calls": calls}
        for name, found in zip(names, called, strict=True)
        if not found.rest
        for rank, (outcome, calls) in enumerate(
            (("went well", found.calls - found.errors), ("failed", found.errors))
        )
    ]
    # The rare ones together are no bar: it could dwarf all others.
    lengths = [0 if found.rest else found.calls for found in called]
    notes = [
        {"name": name, "calls": length, "note": note(found)}
        for name, length, found in zip(names, lengths, called, strict=True)
    ]
    y = alt.Y("name:N", sort=names, title=None, axis=alt.Axis(labelLimit=125, ticks=False))
    # Room for the notes beside the longest bar.
    scale = alt.Scale(domain=[0, max(lengths) * 1.9], nice=False)
    x = alt.X("calls:Q", title=None, scale=scale, axis=None)
    bars = _chart(rows, alt.MarkDef("bar", size=15)).encode(
        y=y,
        x=x,
        color=alt.Color(
            "outcome:N",
            scale=alt.Scale(domain=["went well", "failed"], range=[_BLUE, _RED]),
            legend=alt.Legend(orient="bottom", title=None, symbolType="square"),
        ),
        order=alt.Order("rank:Q"),
    )
    mark = alt.MarkDef("text", align="left", dx=4, fontSize=11, color=_TEXT)
    texts = _chart(notes, mark).encode(y=y, x=x, text="note:N")
    height = min(HEIGHT, 56 + 22 * len(names))
    return Chart(title, _svg(alt.LayerChart(layer=[bars, texts]), height), height)


# --- rendering ---


def _thickness(bars: int) -> float:
    """Of a bar, in pixels."""
    return max(1.0, min(48.0, 290 / bars))


def _when(labels: Sequence[str]) -> alt.X:
    """The time axis: every bar has its place, a few have their label."""
    every = -(-len(labels) // _MOST_LABELS)
    shown = [*labels[every // 2 :: every]]
    axis = alt.Axis(values=shown, labelAngle=0, ticks=False, labelFlush=False)
    return alt.X("when:O", scale=alt.Scale(domain=[*labels]), title=None, axis=axis)


def _chart(rows: Sequence[Mapping[str, object]], mark: alt.MarkDef) -> alt.Chart:
    # The tables beside the charts are for those who cannot see them.
    mark.aria = False
    return alt.Chart(alt.Data(values=[*rows]), mark=mark)


def _svg(chart: alt.Chart | alt.LayerChart, height: int = HEIGHT) -> str:
    spec = chart.properties(
        width=WIDTH, height=height, autosize={"type": "fit", "contains": "padding"}
    ).to_dict()
    spec["background"] = "white"
    spec["config"] = {
        "font": "sans-serif",
        "view": {"stroke": None},
        "axis": {
            "labelColor": _TEXT,
            "labelFontSize": 11,
            "domainColor": "#cccccc",
            "gridColor": "#eeeeee",
        },
        "legend": {"labelColor": _TEXT, "labelFontSize": 11},
    }
    return vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
