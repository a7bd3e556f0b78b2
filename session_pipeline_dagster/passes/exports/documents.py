"""Exports that are one file each: JSON as ccusage has it, FOCUS, Prometheus' numbers."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from filecmp import cmp
from pathlib import Path
from types import ModuleType
from typing import Any

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.passes.exports.folder import remove, replacing
from session_pipeline_dagster.passes.exports.tables import Counts, csv_cell
from session_pipeline_dagster.people.projects import HIDDEN
from session_pipeline_dagster.people.veil import veil_of
from session_pipeline_dagster.processors.usage.exports import ccusage, focus, focus_kept, prometheus
from session_pipeline_dagster.processors.usage.money import breakdown
from session_pipeline_dagster.processors.usage.money.breakdown import Asked, Row
from session_pipeline_dagster.processors.usage.people.published import Published
from session_pipeline_dagster.settings import PeopleMode, Settings
from session_pipeline_dagster.store.handing_out import Reading

_FOCUS, _LEFT_OUT, _METRICS = "focus.csv", "focus_left_out.csv", "metrics.prom"
_HIDDEN = """SELECT any_value(shown) FROM projects_shown
        WHERE projects_shown.project = used.project"""
"""What a project is called where people are hidden: its own name may be somebody's."""
_AT_ONCE = 250_000
"""Responses that are priced by one statement: it holds them all."""


def export_ccusage(reading: Reading, folder: Path, settings: Settings, asked: Asked) -> Counts:
    """Write `daily.json`, `weekly.json` and `monthly.json`; where people are shown by their names,
    `session.json` too: an id and a folder name somebody."""
    shown, counts, called = refuse_nobody(settings), Counts(), _models(reading, settings)
    for period in ccusage.PERIODS:
        rows = [
            replace(row, keys=(*row.keys[:-1], called(row.keys[-1])))
            for row in _rows(reading, asked, (period.unit, "person", "model"))
        ]
        _put(folder / period.file, ccusage.periodic(period, rows, shown), len(rows), counts)
    if settings.people.mode is PeopleMode.NAMED:
        rows = _rows(reading, asked, ccusage.BY_SESSION)
        found = reading.rows(ccusage.activity(asked, _frozen(reading)))
        times = {session: (first, last) for session, first, last in found}
        _put(folder / ccusage.SESSIONS, ccusage.sessions(rows, times), len(rows), counts)
    elif (folder / ccusage.SESSIONS).exists():
        remove(folder, [folder / ccusage.SESSIONS])
        counts.removed += 1
    return counts


def _rows(reading: Reading, asked: Asked, by: tuple[str, ...]) -> Sequence[Row]:
    wanted = Asked(by, asked.since, asked.until, asked.zone, "sunday")
    days = [day for (day,) in reading.rows(breakdown.days(wanted))]
    answers = [reading.rows(sql) for sql in breakdown.selects(wanted, days)]
    return breakdown.answer(wanted, answers).rows


def export_focus(
    reading: Reading,
    folder: Path,
    settings: Settings,
    shown: Sequence[Published],
    since: date | None,
    until: date | None,
) -> Counts:
    """Write `focus.csv`, and what has no price to `focus_left_out.csv`.

    Where nobody is shown a row is a day of a team: models and kinds of tokens would be cells of
    fewer people.
    """
    within = f"day BETWEEN DATE '{since or date.min}' AND DATE '{until or date.max}'"
    teams = [table.select for table in shown if table.name == focus.TEAMS]
    if settings.people.mode is PeopleMode.TEAM:
        selects = [focus.charges_of_teams(select, within) for select in teams]
        left_out = [focus.left_out_of_teams(select, within) for select in teams]
    else:
        named = settings.people.mode is PeopleMode.NAMED
        # A person beside a team would tell which small team a merged cell holds.
        teams = settings.people.smallest_group <= 1
        names = focus.Names("used.project" if named else _HIDDEN, teams)
        parts = [
            (part, *span)
            for part, where in _parts(reading)
            for span in _spans(reading, f"{within} AND {where}")
        ]
        selects = [part.charges(*span, names) for part, *span in parts]
        left_out = [part.left_out(*span, names) for part, *span in parts]
    person, counts, model = _called(settings), Counts(), _models(reading, settings)
    given = (focus.Charge(*row) for select in selects for row in _each(reading, select))
    charges = (replace(charge, model=model(charge.model)) for charge in given)
    rows = (focus.row(charge, person) for charge in charges)
    _table(folder / _FOCUS, focus.COLUMNS, rows, counts)
    rows = (
        (day, person(name), project, provider, model(name_of_it), *rest)
        for select in left_out
        for day, name, project, provider, name_of_it, *rest in _each(reading, select)
    )
    _table(folder / _LEFT_OUT, focus.LEFT_OUT, rows, counts)
    return counts


def _called(settings: Settings) -> Callable[[str], str]:
    """How a row's person is called; a team stands under its own name."""
    return str if settings.people.mode is PeopleMode.TEAM else veil_of(settings).person


def _models(reading: Reading, settings: Settings) -> Callable[[str | None], str | None]:
    """How a model is called: where people are hidden it may be called like somebody."""
    if settings.people.mode is PeopleMode.NAMED:
        return lambda name: name
    known = dict(reading.rows("FROM projects_shown"))
    return lambda name: None if name is None else str(known.get(name, HIDDEN))


def _parts(reading: Reading) -> Sequence[tuple[ModuleType, str]]:
    """What makes a bill of which days: of sums where the responses are gone; older days first."""
    if (frozen := _frozen(reading)) is None:
        return [(focus, "true")]
    return [(focus_kept, f"day < DATE '{frozen}'"), (focus, f"day >= DATE '{frozen}'")]


def _frozen(reading: Reading) -> date | None:
    """The first day whose responses are there; None: those of all days are."""
    found: date | None = reading.rows(focus_kept.FROZEN)[0][0]
    return found


def _spans(reading: Reading, within: str) -> Iterator[tuple[date, date]]:
    """Spans of days that have so many responses together."""
    first, last, responses = None, None, 0
    for day, count in reading.rows(
        f"SELECT day, sum(messages) FROM usage_slots WHERE {within} GROUP BY day ORDER BY day"
    ):
        if first is not None and last is not None and responses + count > _AT_ONCE:
            yield first, last
            first, responses = None, 0
        first, last, responses = first or day, day, responses + count
    if first is not None and last is not None:
        yield first, last


def _each(reading: Reading, select: str) -> Iterator[Sequence[Any]]:
    for batch in reading.batches(select):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def export_prometheus(reading: Reading, folder: Path, settings: Settings, now: datetime) -> Counts:
    """Write `metrics.prom`."""
    today = now.date().isoformat()
    answers = [reading.rows(sql) for sql in prometheus.selects(today, settings.people)]
    made = prometheus.gauges(answers, settings.people.smallest_group, now.timestamp())
    counts, samples = Counts(), sum(len(gauge.samples) for gauge in made)
    _put(folder / _METRICS, prometheus.text(made).encode(), samples, counts)
    return counts


def refuse_nobody(settings: Settings) -> Callable[[str], str]:
    """How a person is called in what names people one by one.

    Raises:
        SettingsError: nobody is shown.
    """
    if settings.people.mode is PeopleMode.TEAM:
        raise SettingsError(
            "ccusage's files say what each person uses, and SESSION_PIPELINE_PEOPLE=team shows "
            "nobody; export parquet, csv, focus or prometheus"
        )
    return veil_of(settings).person


def _put(path: Path, content: bytes, rows: int, counts: Counts) -> None:
    """Write a file if it is another than what is there."""
    if path.is_file() and path.read_bytes() == content:
        counts.kept += 1
        return
    with replacing(path) as fresh:
        fresh.write_bytes(content)
    counts.written += 1
    counts.rows += rows
    counts.bytes += len(content)


def _table(
    path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], counts: Counts
) -> None:
    with replacing(path) as fresh:
        with fresh.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\r\n")
            writer.writerow(columns)
            written = 0
            for row in rows:
                writer.writerow(map(csv_cell, row))
                written += 1
        if path.is_file() and cmp(fresh, path, shallow=False):
            counts.kept += 1
            return
        counts.bytes += fresh.stat().st_size
        counts.rows += written
        counts.written += 1
