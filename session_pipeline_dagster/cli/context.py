"""What every command works with: its options and the settings they change."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.contract.registry import Registry, load_processors
from session_pipeline_dagster.errors import SettingsError, SourceUnavailable
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.people import lost
from session_pipeline_dagster.people.directory import read_directory
from session_pipeline_dagster.people.veil import Veil, veil_of
from session_pipeline_dagster.setting_places import (
    AnyRoot,
    check_roots,
    last_part,
    parse_database,
    parse_root,
)
from session_pipeline_dagster.settings import (
    PeopleMode,
    PeopleSettings,
    Root,
    Settings,
    parse_layout,
    read_settings,
)
from session_pipeline_dagster.sources.files import SessionSource
from session_pipeline_dagster.sources.opening import open_checked


class Context(msgspec.Struct, frozen=True):
    """What every command works with."""

    settings: Settings
    registry: Registry

    @property
    def source(self) -> SessionSource:
        """The session files of the settings."""
        return open_checked(self.settings)

    @property
    def veil(self) -> Veil:
        """How people are shown.

        Raises:
            SettingsError: the key of pseudonyms cannot be used.
        """
        return veil_of(self.settings)

    def processors(self, names: Sequence[str]) -> list[Processor]:
        """The processors of these names; all of them if none is named."""
        chosen = [self.registry.get(name) for name in dict.fromkeys(names)]
        return chosen if names else list(self.registry.processors)


def say(text: object, *, err: bool = False) -> None:
    """One line for people, whatever the names in it hold."""
    click.echo(printable(str(text)), err=err)


def say_absent(settings: Settings) -> None:
    """A line for each file that is set and not there; `health` says what is wrong with others."""
    money, people = settings.money, settings.people
    files = {
        "DIRECTORY": people.directory,
        "PROJECTS": people.projects,
        "PRICES": money.prices,
        "BUDGETS": money.budgets,
        "SEATS": money.seats,
        "CURRENCY_RATES": money.rates,
    }
    for name, file in files.items():
        if file is not None and not file.is_file():
            say(
                f"session-pipeline: SESSION_PIPELINE_{name} names a file that is not there",
                err=True,
            )


def unusable_directory(people: PeopleSettings) -> str:
    """What is said where the directory has a mistake; no name, which the mistake may quote."""
    if people.directory is None or not people.directory.is_file():
        return ""
    try:
        read_directory(people.directory)
    except SettingsError:
        return (
            "the directory cannot be used, and what was good last stays in use; "
            "`session-pipeline directory check` says why"
        )
    return ""


def own_history(settings: Settings) -> str:
    """What to set where nobody said which sessions, and their user has some; else nothing."""
    unset = Root(settings.folder / "user_sessions")
    if settings.roots != (unset,) or unset.path.exists():
        return ""
    own = Path("~/.claude/projects").expanduser()
    said = "For your own Claude Code history: SESSION_LAYOUT=projects SESSION_DATA_DIR="
    return f"{said}~/.claude/projects" if own.is_dir() else ""


def common(command: Callable[..., int]) -> Callable[..., None]:
    """The options of every command; what it raises is said in `ending.py`."""

    @click.option("--sessions", multiple=True, metavar="DIR", help="Root of session files.")
    @click.option(
        "--layout",
        type=str,
        help="What the folders say: users, projects, codex, copilot or gemini.",
    )
    @click.option("--force-layout", is_flag=True, help="Take a root whose layout looks wrong.")
    @click.option("--database", metavar="FILE", help="The DuckDB file.")
    @wraps(command)
    def run(
        sessions: tuple[str, ...],
        layout: str | None,
        force_layout: bool,
        database: str | None,
        **given: Any,
    ) -> None:
        context = _context(sessions, layout, database)
        if force_layout:
            forced = replace(context.settings, force_layout=True)
            context = Context(forced, context.registry)
        try:
            code = command(context, **given)
        except SourceUnavailable as error:
            if hint := own_history(context.settings):
                raise SourceUnavailable(f"{error}. {hint}") from error
            raise
        sys.exit(code)

    return run


def _context(sessions: Sequence[str], layout: str | None, database: str | None) -> Context:
    # Of sessions that are named here, what make showed says nothing.
    settings = read_settings(made=None) if sessions else read_settings()
    if sessions:
        settings = replace(settings, roots=_roots(sessions))
    if layout is not None:
        settings = replace(settings, layout=parse_layout(layout))
    if database is not None:
        if not database.strip():
            raise SettingsError("--database is empty; give it a path")
        found = parse_database(database, "--database")
        settings = replace(settings, database=found, create_database_folder=False)
    registry = load_processors().under(settings)
    # No command names anybody because a variable was lost.
    lost.refuse(settings)
    if settings.people.mode is PeopleMode.NAMED:
        return Context(settings, registry)
    from session_pipeline_dagster.passes.veiled import plugins_shown  # noqa: PLC0415  DuckDB, and what collects needs none

    return Context(settings, plugins_shown(Veil(settings.people.mode), registry))


def _roots(sessions: Sequence[str]) -> tuple[AnyRoot, ...]:
    """The first root keeps its keys; further ones are named by their folder if not by you."""
    roots = [parse_root(text) for text in sessions]
    named = [root if root.name else replace(root, name=last_part(root)) for root in roots[1:]]
    return check_roots([roots[0], *named])
