"""A folder of exports: what in it is ours, how a file gets there, and where there are such folders.

Every file is written beside its place and then moved, so that it is there as it was or as it is to
be. What the folder holds is noted only to see what has not changed: notes that are missing or wrong
cost a rewrite.
"""

import json
import re
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.processors.usage.people.leaving import TABLES
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.published_copy import begun, is_database_file

NOTES = ".session-pipeline-exports.json"
_FILES = (
    "daily.json weekly.json monthly.json session.json focus.csv focus_left_out.csv metrics.prom"
)
_NAMES = "|".join(map(re.escape, (*_FILES.split(), NOTES)))
_PARTS = r"part\.parquet|part\.csv"
_PLACES = "exports"


def _begun(names: str) -> re.Pattern[str]:
    return re.compile(rf"\.(?:{names})\.[0-9a-f]{{32}}")


@dataclass(slots=True)
class Notes:
    """What a folder held when it was last written.

    Attributes:
        shown: how people were shown.
        parts: path below the folder -> a fingerprint of its rows and its size in bytes.
    """

    shown: str = ""
    parts: dict[str, tuple[str, int]] = field(default_factory=dict)


def read_notes(folder: Path) -> Notes:
    """What is noted of a folder; nothing where it cannot be read."""
    try:
        found = json.loads((folder / NOTES).read_text("utf-8"))
        parts = {str(p): (str(content), int(size)) for p, (content, size) in found["parts"].items()}
        return Notes(str(found["shown"]), parts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Notes()


def write_notes(folder: Path, notes: Notes) -> None:
    """Note what the folder holds."""
    with replacing(folder / NOTES) as fresh:
        fresh.write_text(json.dumps({"shown": notes.shown, "parts": notes.parts}), "utf-8")


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Where to write what is to stand at the path: all of it will be there, or what was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield fresh
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def files(folder: Path) -> list[Path]:
    """Everything of ours in a folder, also what a process that was killed had begun; or the file
    itself, where a copy for dashboards is."""
    if not folder.is_dir():
        # Of a file that is no database nobody has made a copy.
        is_copy = folder.is_file() and is_database_file(folder)
        return [folder, *begun(folder)] if is_copy else begun(folder)
    return sorted(
        path
        for path, names in _below(folder)
        if re.fullmatch(names, path.name) or _begun(names).fullmatch(path.name)
    )


def remove(folder: Path, paths: Sequence[Path]) -> None:
    """Delete files of a folder, and the folders below it that they leave empty."""
    for path in paths:
        path.unlink(missing_ok=True)
        if not path.is_relative_to(folder):
            continue
        for parent in path.relative_to(folder).parents[:-1]:
            with suppress(OSError):
                (folder / parent).rmdir()


def sweep(folder: Path) -> None:
    """Delete what processes that were killed had begun."""
    left = [path for path, names in _below(folder) if _begun(names).fullmatch(path.name)]
    remove(folder, left)


def _below(folder: Path) -> Iterator[tuple[Path, str]]:
    """The files that are where ours are, and what ours are called there."""
    places = [("*", _NAMES)]
    places += [(f"{table}/{path}", _PARTS) for table in TABLES for path in ("*", "day=*/*")]
    for pattern, names in places:
        yield from ((path, names) for path in folder.glob(pattern) if path.is_file())


def remember(store: Store, place: Path) -> None:
    """Note that a folder, or a file, has exports of this store, for `forget`.

    Raises:
        SettingsError: the note cannot be written.
    """
    known = remembered(store)
    if place in known:
        return
    file = store.beside(_PLACES)
    try:
        with replacing(file) as fresh:
            fresh.write_text(json.dumps(sorted(map(str, [*known, place]))), "utf-8")
    except OSError as error:
        raise SettingsError(
            f"where exports are is noted in {file}, which cannot be written ({error.strerror}): "
            "`forget` would not find them"
        ) from error


def remembered(store: Store) -> list[Path]:
    """The folders and files that have had exports of this store."""
    try:
        found = json.loads(store.beside(_PLACES).read_text("utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{store.beside(_PLACES)} says where exports are and cannot be read; delete it, and "
            "the exports that you know of"
        ) from error
    return [Path(str(path)) for path in found]


def take_back(settings: Settings) -> None:
    """Delete what is set to be handed on: it shows people as they are not to be shown any more.

    Raises:
        SettingsError: a file cannot be deleted.
    """
    try:
        for target in copies(settings):
            target.unlink(missing_ok=True)
        if settings.exports.folder:
            remove(settings.exports.folder, files(settings.exports.folder))
            with suppress(OSError):
                settings.exports.folder.rmdir()
    except OSError as error:
        raise SettingsError(
            f"{error.filename} shows people otherwise than they may be shown now, and cannot be "
            f"deleted ({error.strerror}); delete it"
        ) from error


def is_database(settings: Settings, place: Path) -> bool:
    """Whether a place is the database itself, wherever links lead."""
    database = settings.database
    return isinstance(database, Path) and place.resolve() == database.resolve()


def copies(settings: Settings) -> list[Path]:
    """Databases of what may be shown: the one that is set, and where people are hidden the shared
    one.

    Raises:
        SettingsError: what is set is the database itself.
    """
    copy = settings.exports.copy
    if copy and is_database(settings, copy):
        raise SettingsError(
            f"SESSION_PIPELINE_PUBLISH is {copy}, which is the database; name another file"
        )
    return [place for place in (copy, settings.shared) if place]
