"""Numbers and tables for the catalog. Never transcript text, never a path outside a root."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg

from session_pipeline_dagster.names import printable
from session_pipeline_dagster.passes.options import BatchReport
from session_pipeline_dagster.store.states import Failure

Metadata = dict[str, int | float | str | dg.MetadataValue]
"""Numbers are plotted by Dagster, so they stay numbers."""

_MANY = 50


def column_schema(
    table: str, columns: Sequence[tuple[str, str]], descriptions: Mapping[str, str]
) -> dg.TableSchema:
    """The columns of a table with what the processor says of them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, kind, description=_about(table, name, descriptions))
            for name, kind in columns
        ]
    )


def _about(table: str, column: str, descriptions: Mapping[str, str]) -> str | None:
    """What a column means: said for this table, else for the name wherever it stands."""
    return descriptions.get(f"{table}.{column}") or descriptions.get(f"*.{column}")


def table(rows: Sequence[Mapping[str, str | int | float]]) -> dg.MetadataValue:
    """Rows of the same columns; names in them are data."""
    return dg.MetadataValue.table(
        [
            dg.TableRecord({k: printable(v) if isinstance(v, str) else v for k, v in row.items()})
            for row in rows
        ]
    )


def failures_table(failures: Sequence[Failure]) -> dg.MetadataValue:
    """Files that failed: since when, why, and what becomes of them. Times are UTC."""
    return table(
        [
            {
                "session": failure.session_file,
                "last_failed": _clock(failure.last_failed_at),
                "attempts": failure.attempts,
                "next": _next(failure),
                "error": failure.error,
            }
            for failure in failures[:_MANY]
        ]
    )


def files_table(files: Sequence[tuple[str, int]]) -> dg.MetadataValue:
    """Files, and how many of their lines it is."""
    return table([{"session": key, "lines": count} for key, count in files])


def _next(failure: Failure) -> str:
    if failure.quarantined_at or not failure.next_attempt_at:
        return "given up"
    return f"tried again from {_clock(failure.next_attempt_at)}"


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def report_metadata(report: BatchReport, rows: int | None) -> Metadata:
    """A pass as metadata: numbers that Dagster plots, and a table of what failed."""
    found: Metadata = {}
    # First, because a run's page cuts off what is long.
    if report.errors_detail:
        found["failures"] = table(
            [{"session": key, "error": error} for key, error in report.errors_detail[:_MANY]]
        )
    found |= {
        "files_scanned": report.scanned,
        "files_processed": report.processed,
        "files_skipped": report.skipped,
        "files_failed": report.errors,
        "files_deferred": report.capped,
        "files_backing_off": report.backing_off,
        "files_quarantined": report.quarantined,
        "files_shrunk": report.shrunk,
        "files_deleted": report.deleted,
        "files_purged": report.purged,
        "files_to_purge": report.to_purge,
        "items": report.items_extracted,
        "bytes": report.bytes,
        "seconds": round(report.seconds, 3),
        "mb_per_second": round(report.mb_per_second, 1),
        "oldest_pending_seconds": round(report.oldest_pending_seconds, 1),
        "unreadable_lines": report.unreadable_lines,
        "session_files": report.session_files,
        "files_left_out": report.left_out,
    }
    if report.missing:
        found["roots_missing"] = len(report.missing)
    # A processor's own number never hides one of ours.
    found |= {
        f"processor_{name}" if name in found else name: number
        for name, number in report.counts.items()
    }
    if rows is not None:
        found["dagster/row_count"] = rows
    return found
