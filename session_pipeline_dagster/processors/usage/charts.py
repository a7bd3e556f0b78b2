"""The charts of the usage report, drawn by altair and rendered to SVG and PNG on this machine.

Names of teams and models are data that anyone can choose: they enter a chart as values only, never
as an expression, and no chart may load anything. A chart has no background, and the page gives its
words the colour of its own. Import this module late: altair and its renderer take half a second and
80 MB.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

import altair as alt
import vl_convert
from altair.utils.schemapi import debug_mode

from session_pipeline_dagster.processors.usage.figures import Figures, Sums, add
from session_pipeline_dagster.processors.usage.wording import distinct, label

WIDTH, HEIGHT = 380, 250
"""Of a chart, in pixels: narrow enough to be read on a phone as it is."""

_BLUE, _GREY = "#0072B2", "#999999"
_COLOURS = (_BLUE, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Okabe and Ito's palette: told apart by colour-blind readers too, on white and on black."""
_TEXT = "#222222"
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_BILLIONS = "replace(format(datum.value, '~s'), 'G', 'B')"
_AXIS = alt.Axis(labelExpr=_BILLIONS, tickCount=5, tickMinStep=1)
_MONEY_AXIS = alt.Axis(format=",~f", tickCount=5)
_MOST_LABELS, _SHORT = 6, 14
COLUMNS, _GAP = 3, 24
"""Of charts in a row, where the page is wide enough; in pixels, between them."""
_REST = "others"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, or why there is none: `svg` is empty where there is nothing to draw."""

    title: str
    svg: str
    height: int = HEIGHT
    empty: str = ""


def charts(figures: Figures) -> list[Chart]:
    """Every chart of the report, in the order in which they are shown."""
    # Specs of ours, which the renderer refuses if they are wrong: to check them first takes longer.
    with debug_mode(arg=False):
        return [
            _money(figures),
            _tokens(figures),
            _hours(figures, "Active hours"),
            *_by_agent(figures),
        ]


def preview(drawn: Sequence[Chart]) -> str:
    """The chart of the tokens of everybody, on white; names nobody. Empty where there is none."""
    _, tokens, *_ = drawn
    return tokens.svg.replace("<svg ", '<svg style="background: white" ', 1)


def poster(drawn: Sequence[Chart], title: str, lines: Sequence[str]) -> bytes:
    """One PNG with the charts that have something to show, for a chat."""
    shown = [chart for chart in drawn if chart.svg]
    columns = COLUMNS if len(shown) <= COLUMNS else 2
    rows = [shown[index : index + columns] for index in range(0, len(shown), columns)]
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
    width = _GAP + columns * (WIDTH + _GAP)
    begin = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + _GAP}" '
        f'font-family="sans-serif" fill="{_TEXT}"><rect width="100%" height="100%" fill="white"/>'
    )
    return vl_convert.svg_to_png("".join([begin, *head, *body, "</svg>"]), scale=1.5)


# --- the charts ---


def _money(figures: Figures) -> Chart:
    """By team; where there is but one, by model, unless its cells may be of too few people."""
    teams = {bar.team for bar in figures.bars}
    by = "team" if len(teams) > 1 or figures.scope.merges else "model"
    what = f", by {by}" if len(teams) > 1 or by == "model" else ""
    return _cost_by(figures, by, what)


def _by_agent(figures: Figures) -> list[Chart]:
    """Where there are several, unless a day of one may be of too few people."""
    several = len({bar.agent for bar in figures.bars}) > 1 and not figures.scope.merges
    return [_cost_by(figures, "agent", ", by agent")] if several else []


def _cost_by(figures: Figures, by: str, what: str) -> Chart:
    """The cost of each bar, stacked by an attribute of `Bar`."""
    title = f"Cost per {figures.unit}{what} (USD, list price)"
    found: dict[str, dict[date, list[Sums]]] = defaultdict(lambda: defaultdict(list))
    for bar in figures.bars:
        found[getattr(bar, by)][bar.start].append(bar.sums)
    whole = {
        name: add(sums for each in starts.values() for sums in each)
        for name, starts in found.items()
    }
    order = sorted(whole, key=lambda name: (-whole[name].cost, name))
    # Of one more than there are colours, the last is itself, not "others".
    own = order if len(order) <= len(_COLOURS) else order[: len(_COLOURS) - 1]
    names = distinct([*own, *([_REST] if len(own) < len(order) else [])])
    place = {name: min(rank, len(names) - 1) for rank, name in enumerate(order)}
    much: dict[tuple[date, int], float] = defaultdict(float)
    for name, starts in found.items():
        for start, sums in starts.items():
            much[start, place[name]] += float(add(sums).cost)
    values = [(start, names[rank], rank, cost) for (start, rank), cost in sorted(much.items())]
    colours = dict(zip(names, _COLOURS, strict=False))
    if len(own) < len(order):
        colours[names[-1]] = _GREY
    return Chart(title, _stacked(figures, values, colours, 3, _MONEY_AXIS), empty="No usage.")


def _tokens(figures: Figures) -> Chart:
    kinds = (
        ("cache read", "cache_read_tokens"),
        ("cache write", "cache_creation_tokens"),
        ("input", "input_tokens"),
        ("output", "output_tokens"),
    )
    values = [
        (start, name, rank, getattr(sums, column))
        for start, sums in figures.by_start().items()
        for rank, (name, column) in enumerate(kinds)
    ]
    colours = dict(zip((name for name, _ in kinds), _COLOURS, strict=False))
    svg = _stacked(figures, values, colours, 4, _AXIS)
    return Chart(f"Tokens per {figures.unit}", svg, empty="No usage.")


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
    # Long names beside each other would be cut where they begin to differ.
    long = max(map(len, colours), default=0) > _SHORT
    legend = alt.Legend(
        orient="bottom",
        columns=2 if long else columns,
        columnPadding=20 if long else 10,
        labelFontSize=10 if long else 11,
        labelLimit=165 if long else 100,
        title=None,
        symbolType="square",
    )
    chart = _chart(alt.MarkDef("bar", size=_thickness(len(labels))))
    return _svg(
        chart.encode(
            x=_when([*labels.values()]),
            y=alt.Y("much:Q", title=None, axis=axis),
            color=alt.Color(
                "who:N",
                scale=alt.Scale(domain=[*colours], range=[*colours.values()]),
                legend=legend if len(colours) > 1 else None,
            ),
            order=alt.Order("rank:Q"),
        ),
        rows,
    )


def _hours(figures: Figures, title: str) -> Chart:
    if not figures.hours:
        return Chart(title, "", empty="Nothing to show.")
    most = max(figures.hours.values())
    rows = [
        {"day": name, "hour": hour, "messages": found}
        for number, name in enumerate(_WEEKDAYS, start=1)
        for hour in range(24)
        if (found := figures.hours.get((number, hour), 0))
    ]
    inner = alt.Scale(domain=[*range(24)], paddingInner=0.08)
    # Denser, not darker: so it reads alike on white and on black.
    dense = alt.Scale(domain=[0, most], range=[0.18, 1])
    chart = _chart(alt.MarkDef("rect", fill=_BLUE)).encode(
        x=alt.X(
            "hour:O",
            title=None,
            scale=inner,
            axis=alt.Axis(values=[*range(0, 24, 3)], labelAngle=0, ticks=False),
        ),
        y=alt.Y(
            "day:O",
            title=None,
            scale=alt.Scale(domain=[*_WEEKDAYS], paddingInner=0.08),
            axis=alt.Axis(ticks=False),
        ),
        fillOpacity=alt.FillOpacity("messages:Q", scale=dense, legend=None),
    )
    return Chart(f"{title} (messages, UTC; at most {most:,})", _svg(chart, rows))


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


def _chart(mark: alt.MarkDef) -> alt.Chart:
    # The tables beside the charts are for those who cannot see them.
    mark.aria = False
    return alt.Chart(mark=mark)


def _svg(chart: alt.Chart, rows: Sequence[Mapping[str, object]]) -> str:
    spec = chart.properties(
        width=WIDTH, height=HEIGHT, autosize={"type": "fit", "contains": "padding"}
    ).to_dict(validate=False)
    # Altair would look at every value on its way.
    spec["data"] = {"values": [*rows]}
    spec["background"] = None
    spec["config"] = {
        "font": "sans-serif",
        "view": {"stroke": None},
        "axis": {
            "labelColor": _TEXT,
            "labelFontSize": 11,
            "domainColor": "#bbbbbb",
            "gridColor": "#dddddd",
        },
        "legend": {"labelColor": _TEXT, "labelFontSize": 11},
    }
    return vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
