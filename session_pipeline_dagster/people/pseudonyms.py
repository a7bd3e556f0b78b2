"""Pseudonyms: names that only the key of this installation leads back from.

Put nothing here that decides when a name is hidden.
"""

import os
from enum import StrEnum
from pathlib import Path

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.settings import Settings

_BYTES = 32
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_OTHERS = 0o077


class Kind(StrEnum):
    """What is named: the beginning of its pseudonym, and its part of the key."""

    PERSON = "p"
    FILE = "f"


LONG = {Kind.PERSON: 10, Kind.FILE: 14}
"""Letters. Of ten million files, two share fourteen letters once in a million."""


def pseudonym(key: bytes, kind: Kind, name: str) -> str:
    """The name's pseudonym, `p-` and ten letters: always the same under one key, and under another
    key one that has nothing to do with it (HMAC-SHA256)."""
    import hashlib  # noqa: PLC0415  who hides nobody need not load OpenSSL
    import hmac  # noqa: PLC0415  likewise

    said = f"{kind}\0{name}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(hmac.digest(key, said, hashlib.sha256))
    letters = []
    for _ in range(LONG[kind]):
        number, place = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[place])
    return f"{kind}-{''.join(letters)}"


def key_file(settings: Settings) -> Path:
    """Where the key is: as set, else beside the database, or in the work folder of a lake."""
    if settings.people.key is not None:
        return settings.people.key
    if isinstance(settings.database, Path):
        return settings.database.with_name(f"{settings.database.name}.people-key")
    return settings.folder / "people-key"


def read_key(file: Path) -> bytes:
    """The key of the file, which is made on first use, for its owner alone to read.

    Raises:
        SettingsError: it cannot be read or made, is no key, or others may read it.
    """
    try:
        if not file.exists():
            _make(file)
        if file.stat().st_mode & _OTHERS:
            raise SettingsError(
                f"{file} leads back from pseudonyms to people, and others may read it; "
                f"`chmod 600 {file}`, or `session-pipeline people rotate` if they may have"
            )
        found = bytes.fromhex(file.read_text("ascii").strip())
    except OSError as error:
        raise SettingsError(
            f"{file}, the key of pseudonyms, cannot be used ({error.strerror})"
        ) from None
    except ValueError:
        found = b""
    if len(found) != _BYTES:
        raise SettingsError(
            f"{file} is no key of pseudonyms; bring the right one back, or delete it: then "
            "everyone gets another pseudonym"
        )
    return found


def rotate(file: Path) -> None:
    """A new key in place of the old one, which nothing leads back to.

    Raises:
        SettingsError: it cannot be written.
    """
    fresh = _fresh(file)
    try:
        fresh.replace(file)
    except OSError as error:
        raise SettingsError(f"{file} cannot be written ({error.strerror})") from None
    finally:
        fresh.unlink(missing_ok=True)


def _make(file: Path) -> None:
    """A key in the file, whole at once; that of another process if it came first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = _fresh(file)
    try:
        os.link(fresh, file)
    except FileExistsError:
        return
    finally:
        fresh.unlink(missing_ok=True)


def _fresh(file: Path) -> Path:
    """A new key in a file of its own beside it."""
    import secrets  # noqa: PLC0415  likewise

    path = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(f"{secrets.token_hex(_BYTES)}\n")
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        raise SettingsError(
            f"{file}, the key of pseudonyms, cannot be made ({error.strerror})"
        ) from None
    return path
