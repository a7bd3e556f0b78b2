"""One line of a person as it is told by another program, and the files that such lines are of."""

import re
from dataclasses import dataclass
from datetime import date

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.names import plain, short
from session_pipeline_dagster.processors.verification.takeover import agnes as agnes
from session_pipeline_dagster.sources.files import Signature
from session_pipeline_dagster.sources.keys import first_key, key_of

_MD5 = re.compile(r"[0-9a-f]{32}")
BY = "agnes"
"""Who found, compared or reviewed it, in every column that says so."""


@dataclass(frozen=True, slots=True)
class File:
    """What is known here of the file of a state.

    Attributes:
        key: its key.
        root: the name of its root.
        signature, file_hash, day: of what was read; None where its bytes are not those that were
            processed, or where it is not there.
        changed: it is there, and its bytes are others.
    """

    key: str
    root: str = ""
    signature: Signature | None = None
    file_hash: str | None = None
    day: date | None = None
    signed_us: int | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """A line of a person, as a row of `verifications`. `item` is its item's id there."""

    item: str
    session_file: str
    key: str
    username: str
    kind: str
    title: str
    content: str
    quote: str
    domain: str | None
    entities: tuple[str, ...]
    line: str
    said_us: int | None

    @property
    def seen(self) -> Row:
        """As `tables.READ_OBSERVATIONS` reads it."""
        return (
            *(self.session_file, self.key, self.username, self.kind, self.title, self.content),
            *(self.quote, self.domain, [*self.entities], self.line, None, self.said_us),
            *(None, None, None, True, None, BY, None, None),
        )

    @property
    def row(self) -> Row:
        """As the table has it."""
        return (
            *(self.session_file, self.key, None, self.username, self.kind, self.title),
            *(self.content, self.quote, self.domain, [*self.entities], self.line, None),
            *(self.said_us, BY, None, None, None, None, None, None, None, None, None),
        )


def part(name: str) -> str:
    """A name as one part of a key."""
    return short(plain(name)).replace("/", "_").strip(".") or "unknown"


def key_below(root: str, session_file: str) -> str:
    """The key of a `<folder>/<file>` of Agnes; an absolute path stays what it is.

    Args:
        root: what the keys of its root begin with.
    """
    if session_file.startswith("/"):
        return session_file
    first, slash, rest = session_file.partition("/")
    return f"{root}{first_key(key_of(first))}{slash}{key_of(rest)}"


def is_unchanged(state: agnes.State, md5: str, mtime_ns: int, *, whole: bool) -> bool | None:
    """Whether a file's bytes are those that were processed; None where only its mtime says so.

    Args:
        md5: of its complete lines. whole: that is all of it.
    """
    before = state.processed_us is not None and mtime_ns <= state.processed_us * 1000
    if not _MD5.fullmatch(state.file_hash or ""):
        return before
    if state.file_hash == md5:
        return True
    # Half a line at its end was hashed, too.
    return None if before and not whole else False
