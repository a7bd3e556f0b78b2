"""`session-pipeline directory`: check a directory of people, or make one of an export."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.people.directory import COLUMNS, directory_of
from session_pipeline_dagster.people.rows import columns_of, read_rows
from session_pipeline_dagster.processors.usage.wording import many

if TYPE_CHECKING:
    from session_pipeline_dagster.people.imports import Imported


@click.group("directory", help="Who is in which team: check a directory, or make one of an export.")
def command() -> None:
    """The commands."""


class _Checked(msgspec.Struct, frozen=True):
    """What a directory has."""

    file: str
    rows: int
    people: int
    folders: int
    teams: int
    cost_centers: int
    without_team: int
    attributes: list[str]


@command.command("check")
@click.argument("file", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def check(context: Context, file: str | None, as_json: bool) -> int:
    """Read FILE (default: SESSION_PIPELINE_DIRECTORY) as a run would; nothing is changed."""
    path = Path(file) if file is not None else context.settings.people.directory
    if path is None:
        raise SettingsError("name a FILE; SESSION_PIPELINE_DIRECTORY names none")
    rows = read_rows(path)
    found = directory_of(rows)
    members = found.memberships
    checked = _Checked(
        str(path),
        len(members),
        len({one.person for one in members}),
        len({one.folder for one in members}),
        len(found.units),
        len({unit.cost_center for unit in found.units if unit.cost_center}),
        sum(one.team is None for one in members),
        [column for column in columns_of(rows) if column not in COLUMNS],
    )
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(checked), indent=1).decode())
        return 0
    say(
        f"{checked.file}: {many(checked.people, 'person', 'people')} with "
        f"{many(checked.folders, 'folder')} in {many(checked.teams, 'team')} and "
        f"{many(checked.cost_centers, 'cost center')}"
    )
    if checked.without_team:
        say(f"Rows without a team: {checked.without_team:,}")
    if checked.attributes:
        told = (_with_meant(one, columns_of(rows)) for one in checked.attributes)
        say(f"Columns that mean nothing here, kept: {', '.join(told)}")
    return 0


def _with_meant(column: str, there: Sequence[str]) -> str:
    """A column, and beside it the one that may be meant."""
    close = get_close_matches(column, [one for one in COLUMNS if one not in there], 1)
    return f"{column} (is {close[0]} meant?)" if close else column


@command.command("import")
@click.option("--github-teams", metavar="FILE", help="Answer of GitHub's GraphQL, as JSON.")
@click.option("--scim", metavar="FILE", help="ListResponse of SCIM 2.0 users, as JSON.")
@click.option("--ldif", metavar="FILE", help="Entries of an LDAP server, as LDIF.")
@click.option("--out", metavar="FILE", help="Write there instead of on stdout; not over a file.")
@common
def import_(context: Context, out: str | None, **given: str | None) -> int:
    """A directory as CSV, of one exported file; nothing is asked of the network."""
    named = [(kind, file) for kind, file in given.items() if file is not None]
    if len(named) != 1:
        raise click.UsageError("give one of --github-teams, --scim and --ldif")
    ((kind, file),) = named
    made = _readers()[kind](Path(file))
    text = made.csv()
    if out is None:
        click.echo(text, nl=False)
    else:
        _write(Path(out), text)
    people = many(len(made.people), "person", "people")
    for note in (*made.notes, f"{people}; folders are assumed to be the logins"):
        say(note, err=True)
    return 0


def _readers() -> "Mapping[str, Callable[[Path], Imported]]":
    from session_pipeline_dagster.people import imports  # noqa: PLC0415  only this needs it

    return {"github_teams": imports.github_teams, "scim": imports.scim, "ldif": imports.ldif}


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as handle:
            handle.write(text)
    except FileExistsError:
        raise SettingsError(f"--out {path} is there already; delete it, or name another") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"--out {path} cannot be written ({type(error).__name__})") from None
