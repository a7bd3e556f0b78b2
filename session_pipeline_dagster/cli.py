"""`session-pipeline`: what Dagster users do in the UI, for scripts and cron.

Works without Dagster, on the same core and store. This module parses arguments and chooses exit
codes; what is printed is in `cli_output.py`.
"""

import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click

from session_pipeline_dagster.cli_knowledge import knowledge_group
from session_pipeline_dagster.cli_report import report_command
from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.contract.registry import Registry, load_processors
from session_pipeline_dagster.errors import (
    ContractError,
    PipelineError,
    SettingsError,
)
from session_pipeline_dagster.settings import (
    Root,
    Settings,
    check_roots,
    parse_layout,
    parse_root,
    read_settings,
)
from session_pipeline_dagster.sources.local import LocalSource


@dataclass(frozen=True, slots=True)
class Context:
    """What every command works with."""

    settings: Settings
    registry: Registry

    @property
    def source(self) -> LocalSource:
        """The session files of the settings."""
        s = self.settings
        return LocalSource(s.roots, s.layout, s.user, s.limits)

    def processors(self, names: Sequence[str]) -> list[Processor]:
        """The processors of these names; all of them if none is named."""
        chosen = [self.registry.get(name) for name in dict.fromkeys(names)]
        return chosen if names else list(self.registry.processors)


def _common(command: Callable[..., int]) -> Callable[..., None]:
    """The options of every command; errors become one line and an exit code."""

    @click.option("--sessions", multiple=True, metavar="DIR", help="Root of session files.")
    @click.option("--layout", type=str, help="users or projects: what the first folder says.")
    @click.option("--database", metavar="FILE", help="The DuckDB file.")
    @wraps(command)
    def run(
        sessions: tuple[str, ...], layout: str | None, database: str | None, **given: Any
    ) -> None:
        try:
            code = command(_context(sessions, layout, database), **given)
        except (SettingsError, ContractError) as error:
            click.echo(f"session-pipeline: {error}", err=True)
            sys.exit(2)
        except PipelineError as error:
            click.echo(f"session-pipeline: {error}", err=True)
            sys.exit(1)
        sys.exit(code)

    return run


def _context(sessions: Sequence[str], layout: str | None, database: str | None) -> Context:
    settings = read_settings()
    if sessions:
        settings = replace(settings, roots=_roots(sessions))
    if layout is not None:
        settings = replace(settings, layout=parse_layout(layout))
    if database is not None:
        if not database.strip():
            raise SettingsError("--database is empty; give it a path")
        settings = replace(settings, database=Path(database), create_database_folder=False)
    return Context(settings, load_processors())


def _roots(sessions: Sequence[str]) -> tuple[Root, ...]:
    """The first root keeps its keys; further ones are named by their folder if not by you."""
    roots = [parse_root(text) for text in sessions]
    named = [root if root.name else replace(root, name=root.path.name) for root in roots[1:]]
    return check_roots([roots[0], *named])


def _store(settings: Settings) -> Any:
    from session_pipeline_dagster.store.database import open_store  # noqa: PLC0415  `--help` needs no DuckDB

    return open_store(settings)


def _progress(name: str, *, hidden: bool) -> AbstractContextManager[Callable[[int, int], None]]:
    """A progress bar where someone sees it."""
    if hidden or not sys.stderr.isatty():
        return nullcontext(lambda _done, _total: None)
    from session_pipeline_dagster import cli_output  # noqa: PLC0415  see cli_json

    return cli_output.progress(name)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="session-pipeline-dagster")
def main() -> None:
    """Coding-agent session transcripts, turned into trusted data."""


@main.command()
@click.option("--processor", multiple=True, metavar="NAME", help="Only this one; repeatable.")
@click.option("--full-refresh", is_flag=True, help="Process every file again.")
@click.option("--outdated", is_flag=True, help="Process again what an older version did.")
@click.option("--verify", is_flag=True, help="Re-hash files that look unchanged.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@_common
def run(
    context: Context,
    processor: tuple[str, ...],
    full_refresh: bool,
    outdated: bool,
    verify: bool,
    as_json: bool,
) -> int:
    """Process everything that is pending, once. Exit 1 if a file failed, 2 if a processor did."""
    from session_pipeline_dagster import cli_json  # noqa: PLC0415  see _store
    from session_pipeline_dagster.passes.options import Options  # noqa: PLC0415  see _store
    from session_pipeline_dagster.passes.runner import run_all  # noqa: PLC0415

    # What a pass makes holds no cycles; looking for some after every 700 objects is a tenth of it.
    gc.set_threshold(50_000, 50, 100)
    store = _store(context.settings)
    reports, broken = [], {}
    options = Options(full_refresh=full_refresh, outdated=outdated, verify=verify, summaries=True)
    for chosen in context.processors(processor):
        with _progress(chosen.name, hidden=as_json) as advance:
            try:
                reports.append(
                    run_all(chosen, context.source, store, context.settings, options, advance)
                )
            except (SettingsError, ContractError) as error:
                # It costs this processor; the others have work to do.
                broken[chosen.name] = str(error)
    if as_json:
        click.echo(cli_json.reports_json(reports, broken))
    else:
        from session_pipeline_dagster import cli_output  # noqa: PLC0415  see cli_json

        cli_output.print_reports(reports, context.settings, context.registry)
    for name, error in broken.items():
        click.echo(f"session-pipeline: {name} could not go on: {error}", err=True)
    if broken or any(report.broken_summaries for report in reports):
        return 2
    return 1 if any(report.errors for report in reports) else 0


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@_common
def status(context: Context, as_json: bool) -> int:
    """What is processed, what is pending, what failed and what is left out."""
    from session_pipeline_dagster import cli_json  # noqa: PLC0415  see _store
    from session_pipeline_dagster.passes.plan import look  # noqa: PLC0415

    settings, registry = context.settings, context.registry
    store, scan = _store(settings), context.source.scan()
    found = []
    for processor in registry.processors:
        known, now = store.known(processor), datetime.now(UTC)
        outlook = look(scan.files, known.states, known.failures, processor.version, now)
        gone = sum(state.gone for state in known.states.values())
        found.append(cli_json.Standing(processor.name, outlook, known.failures, gone))
    if as_json:
        click.echo(cli_json.status_json(settings, registry, scan, found))
    else:
        from session_pipeline_dagster import cli_output  # noqa: PLC0415  see cli_json

        cli_output.print_status(settings, registry, scan, found)
    return 0


@main.command()
@click.option("--processor", multiple=True, metavar="NAME", help="Only this one; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@_common
def health(context: Context, processor: tuple[str, ...], as_json: bool) -> int:
    """Whether what lands is processed. Exit 0 ok, 1 degraded, 2 unknown."""
    from session_pipeline_dagster import cli_health  # noqa: PLC0415  see _store
    from session_pipeline_dagster.health.checkup import examine  # noqa: PLC0415
    from session_pipeline_dagster.health.rules import processors_loaded  # noqa: PLC0415

    chosen, settings = context.processors(processor), context.settings
    found = examine(chosen, context.source, _store(settings), settings, datetime.now(UTC))
    # Who asks for some processors does not ask for those that could not be loaded.
    plugins = [processors_loaded(context.registry)] if not processor else []
    if as_json:
        click.echo(cli_health.health_json(found, plugins))
    else:
        cli_health.print_health(found, plugins)
    return cli_health.exit_code(found, plugins)


@main.command()
@click.argument("keys", nargs=-1)
@click.option("--all-quarantined", is_flag=True, help="Every file that was given up.")
@click.option("--processor", multiple=True, metavar="NAME", help="Only this one; repeatable.")
@_common
def retry(
    context: Context, keys: tuple[str, ...], all_quarantined: bool, processor: tuple[str, ...]
) -> int:
    """Try failed files again at the next run: KEY..., or --all-quarantined."""
    if bool(keys) == all_quarantined:
        raise SettingsError("retry takes either KEY... or --all-quarantined")
    store = _store(context.settings)
    released = 0
    for chosen in context.processors(processor):
        for key in store.release(chosen.name, None if all_quarantined else keys):
            click.echo(f"{chosen.name}: {key} will be tried again")
            released += 1
    if not released:
        click.echo("no failed file of that name" if keys else "no file is quarantined")
    return 0


@main.command()
@click.option("--user", metavar="USER", help="Everything of this user.")
@click.option("--session", multiple=True, metavar="KEY", help="This session; repeatable.")
@click.option("--dry-run", is_flag=True, help="Only count what would be deleted.")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@_common
def forget(
    context: Context, user: str | None, session: tuple[str, ...], dry_run: bool, yes: bool
) -> int:
    """Delete every row of a user or of sessions, for good."""
    from session_pipeline_dagster import cli_forget  # noqa: PLC0415  see _store

    if bool(user) == bool(session):
        raise SettingsError("forget takes either --user USER or --session KEY")
    if dry_run == yes and (yes or not sys.stdin.isatty()):
        raise SettingsError("forget takes either --yes, or --dry-run to see what would go")
    store, installed = _store(context.settings), context.registry.processors
    keys, on_disk = cli_forget.find(store, installed, context.source, user, session)
    cli_forget.print_found(store, keys, on_disk)
    # Without rows too: a report may still name who was deleted before.
    if dry_run or not (yes or click.confirm("Delete these rows for good, and all reports?")):
        return 0
    cli_forget.print_deleted(cli_forget.delete(store, installed, context.settings, keys))
    return 0


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@_common
def processors(context: Context, as_json: bool) -> int:
    """The processors that loaded and the plugins that did not. Exit 1 if one failed."""
    from session_pipeline_dagster import cli_json  # noqa: PLC0415  see _store
    from session_pipeline_dagster.contract.registry import tried  # noqa: PLC0415
    from session_pipeline_dagster.store.declare import check_declarations  # noqa: PLC0415

    registry = tried(context.registry, check_declarations)
    if as_json:
        click.echo(cli_json.processors_json(context.settings, registry))
    else:
        from session_pipeline_dagster import cli_output  # noqa: PLC0415  see cli_json

        cli_output.print_processors(context.settings, registry)
    return 1 if registry.failed else 0


main.add_command(knowledge_group(_common))
main.add_command(report_command(_common))
