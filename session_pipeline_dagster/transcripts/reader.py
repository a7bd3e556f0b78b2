"""Who reads a session file: the readers that are installed, and which of them claims it.

A reader turns one agent's files into the records that everyone works with. A file that none claims
is left out and listed, never counted as an empty session.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

import msgspec

from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.plugins import FailedPlugin, load_plugins
from session_pipeline_dagster.transcripts.head import first_lines
from session_pipeline_dagster.transcripts.looks import looks_like, unread_reason
from session_pipeline_dagster.transcripts.records import Transcript

ENTRY_POINT_GROUP = "session_pipeline_dagster.readers"
LAST = "claude-code"
"""Asked last: it also takes files in which no line can be read."""
_AGENT = re.compile(r"[a-z][a-z0-9-]{0,39}")


class TranscriptReader(Protocol):
    """Reads the session files of one agent. Sent to worker processes, so it keeps nothing open.

    Attributes:
        agent: names it, like `claude-code`; unique.
    """

    agent: str

    def claims(self, key: str, head: bytes) -> bool:
        """Whether the file is of this agent.

        Args:
            key: the file's key.
            head: its first complete lines, a megabyte at most, but at least one.
        """
        ...

    def parse(self, content: bytes) -> Transcript:
        """All that can be read of the complete lines of a file it has claimed.

        What cannot be read is counted in the transcript; nothing in it raises.

        Raises:
            Permanent: it holds more than there is memory for.
        """
        ...


class Readers(msgspec.Struct, frozen=True):
    """The readers that loaded, in the order in which they are asked, and those that did not."""

    readers: Sequence[TranscriptReader]
    failed: Sequence[FailedPlugin] = ()

    @property
    def agents(self) -> str:
        """Whom they read, as one text: a file that they leave out is looked at again by others."""
        return ", ".join(sorted(reader.agent for reader in self.readers))

    @property
    def packages(self) -> Mapping[str, str]:
        """Agent -> the package that its reader is of, as one imports it."""
        return {one.agent: type(one).__module__.partition(".")[0] for one in self.readers}

    def reader_of(self, key: str, content: bytes) -> TranscriptReader | None:
        """The first reader that claims the file; None where none does.

        Args:
            content: its complete lines.
        """
        head = first_lines(content)
        return next((reader for reader in self.readers if reader.claims(key, head)), None)

    def parse(self, key: str, content: bytes) -> Transcript | None:
        """What its reader makes of the file; None where no reader claims it."""
        reader = self.reader_of(key, content)
        if reader is None:
            return None
        # For whom a file's place says something of what it holds.
        placed = getattr(reader, "parse_at", None)
        transcript = reader.parse(content) if placed is None else placed(key, content)
        # Whoever returns something else is found out by who asked.
        if not isinstance(transcript, Transcript) or transcript.agent == reader.agent:
            return transcript
        return replace(transcript, agent=reader.agent)


def why_left_out(content: bytes) -> str:
    """What a file looks like that no reader claims, for people. Quotes nothing of it."""
    return unread_reason(looks_like(first_lines(content)))


def load_readers(entries: Iterable[EntryPoint] | None = None) -> Readers:
    """Every reader behind the entry-point group.

    Raises:
        ContractError: our own does not load: every session would be left out.
    """
    loaded: list[TranscriptReader] = []

    def take(made: object) -> None:
        loaded.append(_checked(made, loaded))

    found = entry_points(group=ENTRY_POINT_GROUP) if entries is None else entries
    failed = load_plugins(found, take)
    if not any(reader.agent == LAST for reader in loaded):
        why = next((f.error for f in failed if f.name == LAST), "its entry point is missing")
        raise ContractError(
            f"the reader of Claude Code's files cannot be loaded ({why}); "
            "install session-pipeline-dagster again"
        )
    loaded.sort(key=lambda reader: reader.agent == LAST)
    return Readers(tuple(loaded), tuple(failed))


@cache
def installed_readers() -> Readers:
    """The same for what is installed; looked up once a process."""
    return load_readers()


def _checked(made: object, loaded: Sequence[TranscriptReader]) -> TranscriptReader:
    kind, agent = type(made).__name__, getattr(made, "agent", None)
    if not isinstance(agent, str) or not _AGENT.fullmatch(agent):
        raise ContractError(f"{kind}.agent must match {_AGENT.pattern}")
    if any(reader.agent == agent for reader in loaded):
        raise ContractError(f"a reader of {agent!r} is already loaded")
    for method in ("claims", "parse"):
        if not callable(getattr(made, method, None)):
            raise ContractError(f"{kind}.{method} is missing")
    return made  # ty: ignore[invalid-explicit-return]  it has what the protocol asks for
