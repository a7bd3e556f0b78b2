"""`session-pipeline people`: lead words back to the people and files they stand for; a new key."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.passes.veiled import Known, names_known
from session_pipeline_dagster.people import pseudonyms
from session_pipeline_dagster.people.pseudonyms import Kind, key_file, read_key
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.people.words import kind_of, led_back
from session_pipeline_dagster.settings import PeopleMode
from session_pipeline_dagster.store.database import open_store

_WHAT: Mapping[Kind, str] = {Kind.PERSON: "person", Kind.FILE: "file"}


class Found(msgspec.Struct, frozen=True):
    """What a word stands for; `names` is empty where nothing that is known has it."""

    word: str
    kind: str
    names: Sequence[str]


@click.group("people", help="Who is meant by p-... and f-..., and a new key of pseudonyms.")
def command() -> None:
    """The commands."""


@command.command("show")
@click.argument("words", nargs=-1, required=True, metavar="WORD...")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def show(context: Context, words: tuple[str, ...], as_json: bool) -> int:
    """Whom or what a word stands for, p-... or f-...; exit 1 if nobody knows one of them."""
    if odd := [word for word in words if kind_of(word) is None]:
        raise SettingsError(
            f"{', '.join(odd)}: no such word; people show takes p- with ten letters, or f- with "
            "fourteen, as they were shown"
        )
    file = key_file(context.settings)
    if not file.exists():
        raise SettingsError(
            f"there is no key of pseudonyms in {file}, and so no word that it leads back from; set "
            "SESSION_PIPELINE_PEOPLE_KEY if it is elsewhere"
        )
    known = names_known(open_store(context.settings, looking=True), context.source)
    found = look_up(Veil(PeopleMode.PSEUDONYM, read_key(file)), words, known)
    made = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    if as_json:
        document = {
            "key_made": made.isoformat(timespec="seconds"),
            "words": [msgspec.structs.asdict(one) for one in found],
        }
        click.echo(json.dumps(document, indent=1))
    else:
        for one in found:
            for name in one.names:
                say(f"{one.word}  {one.kind}  {name}")
            if not one.names:
                say(
                    f"{one.word}  no {one.kind} that is known: the word is of an older key (this "
                    f"one is of {made:%Y-%m-%d %H:%M} UTC), or what it stood for was forgotten"
                )
    return 0 if all(one.names for one in found) else 1


def look_up(veil: Veil, words: Sequence[str], known: Known) -> list[Found]:
    """What each of the words stands for. Pure."""
    found: list[Found] = []
    names = {Kind.PERSON: known.persons, Kind.FILE: known.sessions}
    back = {kind: led_back(veil, kind, words, there) for kind, there in names.items()}
    for word in dict.fromkeys(words):
        kind = kind_of(word) or Kind.PERSON
        found.append(Found(word, _WHAT[kind], sorted(back[kind][word])))
    return found


@command.command("rotate")
@common
def rotate(context: Context) -> int:
    """A new key: everyone gets another pseudonym, and nothing leads back from the old ones."""
    file: Path = key_file(context.settings)
    pseudonyms.rotate(file)
    say(f"a new key is in {file}; from now on everyone has another pseudonym")
    say(
        "what was published under the old one (reports, exports, the shared database) has to be "
        "made again: the next run does it; take back the copies that people have"
    )
    return 0
