"""`session-pipeline retention`: lets old detail go, or says what would."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, date, datetime

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.cli.output import standing_line
from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.passes import retention
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.states import Retired, Standing


@click.command("retention")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def command(context: Context, dry_run: bool, as_json: bool) -> int:
    """Let detail go that is older than SESSION_PIPELINE_RETENTION_DAYS says; roll-ups stay."""
    settings, registry = context.settings, context.registry
    if unknown := retention.unknown(registry.processors, settings):
        raise SettingsError(unknown)
    store = open_store(settings, looking=dry_run)
    store.require()
    found, stood = dict[str, list[Retired]](), dict[str, list[Standing]]()
    for processor in registry.processors:
        found[processor.name] = []
        if retention.targets(processor, settings, datetime.now(UTC)):
            store.ready(processor)
            work = _would if dry_run else _done
            found[processor.name] = _sums(work(context, processor, store))
        stood[processor.name] = retention.standings(processor, store)
    if as_json:
        document = {
            "dry_run": dry_run,
            "processors": {
                name: {
                    "goes" if dry_run else "gone": [asdict(one) for one in found[name]],
                    "so_far": [asdict(one) for one in stood[name]],
                }
                for name in found
            },
        }
        click.echo(json.dumps(document, default=str, indent=1))
        return 0
    if not any(found.values()):
        say(
            "nothing is set to go; SESSION_PIPELINE_RETENTION_DAYS says for how long detail is kept"
        )
    today = datetime.now(UTC).date()
    for name in found:
        for one in found[name]:
            say(f"{name}: {retired_line(one, today, dry_run=dry_run)}")
        for standing in stood[name]:
            say(f"{name}: {standing_line(standing)}")
    return 0


def _would(context: Context, processor: Processor, store: Store) -> list[Retired]:
    now = datetime.now(UTC)
    found = retention.due(processor, store, context.settings, now, most=sys.maxsize)
    if not any(one.moves for one in found):
        return found
    waits = retention.why_not(processor, context.source.scan(), store, context.settings, now)
    return [replace(one, waits=one.waits or waits) for one in found]


def _done(context: Context, processor: Processor, store: Store) -> Iterator[Retired]:
    """One transaction after the other, as long as each finds something to do."""
    scan = context.source.scan()
    while True:
        now = datetime.now(UTC)
        done = retention.retire(processor, scan, store, context.settings, now)
        yield from done
        if not any(one.moves for one in done):
            return


def _sums(done: "Iterator[Retired] | list[Retired]") -> list[Retired]:
    """What went of each kind in all transactions."""
    found: dict[str, Retired] = {}
    for one in done:
        before = found.get(one.kind)
        if before is None:
            found[one.kind] = one
            continue
        rows = {t: before.rows.get(t, 0) + one.rows.get(t, 0) for t in {**before.rows, **one.rows}}
        found[one.kind] = replace(
            one,
            rows=rows,
            days=before.days + one.days,
            moves=before.moves or one.moves,
            oldest=before.oldest or one.oldest,
            emptied=sorted({*before.emptied, *one.emptied}),
        )
    return list(found.values())


def retired_line(one: Retired, today: date, *, dry_run: bool) -> str:
    """What went of a kind, or would go: rows, texts, and of which days.

    Args:
        today: in UTC; what ages are counted to.
    """
    gone = {table: count for table, count in one.rows.items() if table not in one.emptied}
    emptied = {table: count for table, count in one.rows.items() if table in one.emptied}
    parts = [
        _counted(tables, *words[dry_run])
        for tables, words in ((gone, _GONE), (emptied, _EMPTIED))
        if tables
    ]
    said = f"{one.kind}: {', '.join(parts) or 'nothing goes'}"
    if one.rows and one.oldest and one.frozen_before:
        days = f"{one.days:,} day{'s' * (one.days != 1)}"
        said += f"; of {days} from {_aged(one.oldest, today)}, before"
        said += f" {_aged(one.frozen_before, today)}"
    if one.left:
        said += f"; {one.left:,} {'more' if one.rows else 'rows'} wait"
    elif one.waits:
        said += "; waits"
    return f"{said}: {one.waits}" if one.waits else said


_GONE = (("row is gone", "rows are gone"), ("row would go", "rows would go"))
_EMPTIED = (
    ("row has lost its text", "rows have lost their text"),
    ("row would lose its text", "rows would lose their text"),
)


def _counted(tables: Mapping[str, int], one: str, many: str) -> str:
    rows = sum(tables.values())
    each = ", ".join(f"{table} {count:,}" for table, count in sorted(tables.items()))
    return f"{rows:,} {one if rows == 1 else many} ({each})"


def _aged(day: date, today: date) -> str:
    return f"{day} ({(today - day).days:,} days old)"
