"""What was said around a detection, read from the transcript as long as it is there, redacted."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from session_pipeline_dagster.errors import PipelineError
from session_pipeline_dagster.processors.verification.detection.quotes import (
    folded,
    stands_in_original,
)
from session_pipeline_dagster.processors.verification.detection.turns import HUMAN, Turn, read_turns
from session_pipeline_dagster.processors.verification.redaction import redact
from session_pipeline_dagster.settings import Personal
from session_pipeline_dagster.sources.files import SessionFile, SessionSource


@dataclass(frozen=True, slots=True)
class Exchange:
    """A turn of a person, and what the assistant said last before it; "" for nothing."""

    assistant: str
    user: str


@dataclass(frozen=True, slots=True)
class Line:
    """Where a quote stands: as in `verifications`."""

    session_file: str
    line_number: int | None
    line_key: str | None
    user_quote: str


class Heard:
    """Reads transcripts one at a time; nothing is scanned before one is asked for."""

    def __init__(self, source: Callable[[], SessionSource], personal: Collection[Personal]) -> None:
        self._open, self._personal = source, personal
        self._source: SessionSource | None = None
        self._files: dict[str, SessionFile] | None = None
        self._last: tuple[str, list[Turn]] = ("", [])

    def around(self, line: Line) -> Exchange | None:
        """None where the file is gone or cannot be read, or the line is another one by now."""
        before = ""
        # Texts of two turns are redacted, not those of the whole session.
        for turn in self._turns(line.session_file):
            if turn.role != HUMAN:
                before = turn.text
            elif _is_it(turn, line):
                return Exchange(*(redact(said, self._personal) for said in (before, turn.text)))
            else:
                before = ""
        return None

    def _turns(self, key: str) -> list[Turn]:
        if self._last[0] != key:
            self._last = (key, self._read(key))
        return self._last[1]

    def _read(self, key: str) -> list[Turn]:
        try:
            if self._source is None or self._files is None:
                self._source = self._open()
                self._files = {file.key: file for file in self._source.scan().files}
            if key not in self._files:
                return []
            content = self._source.read(self._files[key])
            transcript = self._source.readers.parse(key, content.complete)
            return read_turns(transcript, clean=str) if transcript else []
        except (PipelineError, OSError):
            return []


def _is_it(turn: Turn, line: Line) -> bool:
    """A file that was written anew may hold something else in that line."""
    if turn.line_number != line.line_number or line.line_key not in (None, turn.line_key):
        return False
    return stands_in_original(line.user_quote, folded(turn.text))
