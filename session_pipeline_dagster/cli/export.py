"""`session-pipeline export`: the sums as files for other programs."""

import json
from datetime import date
from pathlib import Path

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.cli.progress import showing
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.passes.exports.export import Exported, Wanted, export
from session_pipeline_dagster.processors.usage.money.zone_spans import parse_day, parse_zone
from session_pipeline_dagster.setting_values import absolute
from session_pipeline_dagster.settings import ExportFormat
from session_pipeline_dagster.store.database import open_store


@click.command("export", help="Usage as files: Parquet, CSV, as ccusage, FOCUS, Prometheus.")
@click.argument("folder", metavar="DIR")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice([kind.value for kind in ExportFormat]),
    help="Repeatable. Default: parquet.",
)
@click.option("--since", metavar="DAY", help="From this day on, 2026-10-31.")
@click.option("--until", metavar="DAY", help="Up to this day, and all of it.")
@click.option(
    "--timezone",
    "zone",
    metavar="ZONE",
    default="UTC",
    show_default=True,
    help="Whose days; for ccusage.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def command(
    context: Context,
    folder: str,
    formats: tuple[str, ...],
    since: str | None,
    until: str | None,
    zone: str,
    as_json: bool,
) -> int:
    """Write what is new or other than before, and nothing else; days that are left out stay."""
    if not folder.strip():
        raise SettingsError("DIR is empty; give it a folder")
    kinds = frozenset(map(ExportFormat, formats)) or frozenset({ExportFormat.PARQUET})
    wanted = Wanted(
        kinds, _day(since, "--since"), _day(until, "--until"), parse_zone(zone, "--timezone")
    )
    wanted.check()
    store, usage = open_store(context.settings, looking=True), context.registry.get("usage")
    with showing("export", hidden=as_json) as shown:
        shown.phase(", ".join(sorted(kind.value for kind in kinds)))
        made = export(store, usage, context.settings, absolute(Path(folder).expanduser()), wanted)
    _print(made, as_json=as_json)
    return 0


def _day(text: str | None, option: str) -> date | None:
    return None if text is None else parse_day(text, option)


def _print(made: Exported, *, as_json: bool) -> None:
    if as_json:
        formats = {
            kind.value: {
                "written": counts.written,
                "unchanged": counts.kept,
                "removed": counts.removed,
                "rows": counts.rows,
                "bytes": counts.bytes,
            }
            for kind, counts in made.counts.items()
        }
        document = {"folder": str(made.folder), "formats": formats, "seconds": made.seconds}
        click.echo(json.dumps(document, indent=1))
        return
    for line in made.lines():
        say(line)
