"""What the command line prints for people. For scripts see `json.py`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.text import Text

from session_pipeline_dagster.cli.json import Standing
from session_pipeline_dagster.cli.tables import Cell, new_console, show_table
from session_pipeline_dagster.contract.processor import relations
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.passes.options import BatchReport
from session_pipeline_dagster.processors.usage.money.amounts import places_for, rounded
from session_pipeline_dagster.setting_places import shown
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import Scan
from session_pipeline_dagster.store.states import Standing as Detail
from session_pipeline_dagster.transcripts.looks import worded

_MANY = 20
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


# --- run ---


def print_reports(reports: Sequence[BatchReport], settings: Settings, registry: Registry) -> None:
    """The run command's tables: what each processor did, and what is in the data now."""
    console = new_console()
    where = ", ".join(root.label for root in settings.roots)
    _line(console, f"Sessions: {where}")
    _line(console, f"Database: {settings.database}")
    for shard in {report.shard for report in reports if report.shard}:
        _line(console, f"Shard: {shard} of the people")
    _print_passes(console, reports)
    for report in reports:
        if report.unreadable_lines:
            _line(
                console,
                f"{report.processor}: unreadable lines left out: {report.unreadable_lines:,}",
            )
    for report in reports:
        _print_details(console, report)
    if left_out := max((report.left_out for report in reports), default=0):
        entries = "1 entry is" if left_out == 1 else f"{left_out:,} entries are"
        _line(console, f"{entries} left out; `session-pipeline status` says why")
    for failed in registry.failed:
        _say(console, "plugin failed", f"{failed.name} ({failed.target}): {failed.error}")
    for report in reports:
        for title, error in report.broken_summaries:
            _say(console, "summary failed", f"{report.processor}: {title}: {error}")
        for title, names, rows in report.summaries:
            _print_summary(console, title, names, rows)


def _print_summary(
    console: Console, title: str, names: Sequence[str], rows: Sequence[Sequence[object]]
) -> None:
    """A table; of one column, a line if it is one text, and nothing without rows."""
    if len(rows) == len(names) == 1 and isinstance(rows[0][0], str):
        _line(console, f"{title}: {rows[0][0]}")
    elif rows or len(names) > 1:
        columns = [_column(name, values) for name, *values in zip(names, *rows, strict=True)]
        show_table(console, title, names, [*zip(*columns, strict=True)], right=_amounts(names))


def _amounts(names: Sequence[str]) -> list[str]:
    return [name for name in names if name.endswith("USD")]


def _column(name: str, values: Sequence[object]) -> list[Cell]:
    amounts = [value for value in values if isinstance(value, Decimal)]
    if not (amounts and _amounts([name])):
        return [_cell(value) for value in values]
    places = places_for(amounts)
    return [
        rounded(value, places) if isinstance(value, Decimal) else _cell(value) for value in values
    ]


def _print_passes(console: Console, reports: Sequence[BatchReport]) -> None:
    """A line for every pass, and one below it for all that was then computed."""
    given_up = any(r.quarantined for r in reports)
    counts = ("files", "due", "processed", "same", "failed", "waiting")
    names = ("name", *counts, *(["given up"] if given_up else []), "MB", "s")
    rows: list[tuple[Cell, ...]] = []
    for r in reports:
        numbers = (r.session_files, r.scanned, r.processed, r.skipped, r.errors)
        waiting = (r.capped + r.backing_off, *([r.quarantined] if given_up else []))
        took = (round(r.bytes / 1e6, 1), round(r.seconds, 2))
        rows.append((r.processor, *numbers, *waiting, *took))
        blank = (None,) * (len(names) - 2)
        if r.derived_seconds:
            rows.append(("+ derived", *blank, round(sum(r.derived_seconds.values()), 2)))
    show_table(console, "Run", names, rows)


def _print_details(console: Console, report: BatchReport) -> None:
    """What a processor counted, which files failed."""
    numbers = [_counted(n, name.split("_")) for name, n in sorted(report.counts.items()) if n]
    if numbers:
        console.print(f"{report.processor}: {', '.join(numbers)}")
    if report.deleted or report.purged or report.to_purge:
        console.print(f"{report.processor}: {_deletions(report)}", soft_wrap=True)
    alike: dict[str, list[str]] = {}
    for key, error in report.errors_detail:
        alike.setdefault(error, []).append(key)
    for error, keys in list(alike.items())[:_MANY]:
        which = keys[0] if len(keys) == 1 else f"{len(keys)} files, the first {keys[0]}"
        _say(console, "failed", f"{report.processor}: {which}: {error}")
    if report.errors > len(report.errors_detail) or len(alike) > _MANY:
        _line(console, f"{report.processor}: {report.errors:,} files failed in all")


def _counted(number: float, words: Sequence[str]) -> str:
    """`5 models priced`, and of one the word that is counted without its plural."""
    first, *others = words
    if number == 1 and first.endswith("ies"):
        first = f"{first[:-3]}y"
    elif number == 1 and first.endswith("s"):
        first = first[:-1]
    return " ".join((f"{number:,}", first, *others))


def _deletions(report: BatchReport) -> str:
    """What became of deleted files, and when their rows go."""
    said = f"{report.deleted:,} deleted files marked, {report.purged:,} purged"
    if report.next_purge is None:
        return said
    return (
        f"{said}; {report.to_purge:,} are to be purged, the first on {report.next_purge:%Y-%m-%d}"
    )


# --- status ---


def print_status(
    settings: Settings,
    registry: Registry,
    scan: Scan,
    found: Sequence[Standing],
    unread: Mapping[str, int],
) -> None:
    """The status command's tables; `unread`: files without a reader, by agent."""
    console, now = new_console(), datetime.now(UTC)
    for root in settings.roots:
        _line(console, f"Sessions: {shown(root)} ({settings.layout.value})")
    database = settings.database
    missing = " (not there yet)" if isinstance(database, Path) and not database.exists() else ""
    _line(console, f"Database: {shown(database)}{missing}")
    _print_standings(console, found, now)
    for standing in found:
        for failure in standing.failures[:_MANY]:
            state = "quarantined" if failure.quarantined_at else f"{failure.attempts} attempts"
            _say(console, state, f"{standing.name}: {failure.session_file}: {failure.error}")
    if said := worded(unread):
        _line(console, said)
    for left in scan.left_out[:_MANY]:
        many = f"{left.documents:,} times " if left.documents > 1 else ""
        _say(console, "left out", f"{left.key}: {many}{left.reason}", "yellow")
    if len(scan.left_out) > _MANY:
        _line(console, f"... and {len(scan.left_out) - _MANY} more; --json lists all")
    for failed in registry.failed:
        _say(console, "plugin failed", f"{failed.name} ({failed.target}): {failed.error}")


def _print_standings(console: Console, found: Sequence[Standing], now: datetime) -> None:
    """How each processor stands to the files."""
    names = ("files", "pending", "oldest pending", "to re-hash", "failed", "given up")
    rows: list[tuple[str | int, ...]] = []
    for standing in found:
        o = standing.outlook
        oldest = _age(o.oldest_pending_seconds(now)) if o.waiting else "-"
        counts = (len(o.suspect) + len(o.unsigned), len(o.backing_off), len(o.quarantined))
        rows.append((standing.name, o.files, len(o.waiting), oldest, *counts))
    show_table(console, "Status", ("processor", *names), rows, right=names)
    for standing in found:
        if standing.outlook.outdated:
            again = f"session-pipeline run --processor {standing.name} --outdated"
            n = standing.outlook.outdated
            _line(console, f"{standing.name}: {n:,} files have rows of another version; `{again}`")
        if standing.gone:
            until = f" until {standing.next_purge:%Y-%m-%d} or later" if standing.next_purge else ""
            kept = f"rows are kept of {standing.gone:,} deleted files{until}"
            _line(console, f"{standing.name}: {kept}")
        if standing.private:
            who = "users who opted out, or marked as private"
            _line(console, f"{standing.name}: {standing.private:,} files are not read: of {who}")
        for detail in standing.detail:
            _line(console, f"{standing.name}: {standing_line(detail)}")


def standing_line(detail: Detail) -> str:
    """What has become of a kind so far, in words."""
    kept = f"{detail.kind}: frozen before {detail.frozen_before}"
    if detail.emptied:
        kept = f"{detail.kind}: emptied before {detail.frozen_before}, {detail.emptied:,} texts"
    if detail.removed:
        kept += f", {detail.removed:,} rows removed"
    if detail.late:
        kept += f"; {detail.late:,} came too late for these days and are in no sum"
    return kept


# --- processors ---


def print_processors(settings: Settings, registry: Registry) -> None:
    """The processors command's table."""
    console = new_console()
    names = ("name", "version", "looks every", "tables and views")
    rows = [
        (
            *(p.name, str(p.version)),
            _age(settings.cadence(p.name, p.cadence).total_seconds()),
            ", ".join(relations(p)),
        )
        for p in registry.processors
    ]
    show_table(console, "Processors", names, rows)
    for failed in registry.failed:
        _say(console, "failed", f"{failed.name} ({failed.target}): {failed.error}")


# --- shared ---


def _cell(value: object) -> Cell:
    return value if isinstance(value, str | int | float) or value is None else str(value)


def _line(console: Console, text: str) -> None:
    """One line as it is: a path or a command that is broken at 80 columns cannot be copied."""
    console.print(printable(text), soft_wrap=True)


def _say(console: Console, what: str, text: str, style: str = "red") -> None:
    console.print(Text.assemble((what, style), " ", printable(text)), soft_wrap=True)


def _age(seconds: float) -> str:
    """Seconds in the largest unit that keeps at least one of it."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return "0 s"
