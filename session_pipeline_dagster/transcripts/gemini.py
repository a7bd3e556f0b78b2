"""Sessions of Gemini CLI -> Transcript: the records that Claude Code's reader gives, too.

Put here what lines mean; their fields are in `gemini_lines.py`. A message is written again, whole,
whenever it changes, so a line says little before the whole file is read: the last one of a message
holds, at the place of the first (docs/decisions/0054).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from session_pipeline_dagster.transcripts.gemini_lines import READER, TYPES, About, Line, Said
from session_pipeline_dagster.transcripts.gemini_words import (
    called,
    is_failure,
    outcome,
    spoken,
    typed,
)
from session_pipeline_dagster.transcripts.looks import GEMINI, foreign
from session_pipeline_dagster.transcripts.records import (
    SYNTHETIC,
    UNIQUE_CALL,
    Block,
    Message,
    Record,
    Transcript,
    encode_raw,
)
from session_pipeline_dagster.transcripts.room import Room

_CHATS = "chats"
_PROVIDER = "google"
_NOTHING_SAID = Record(type="system")


class GeminiReader:
    """Reads what Gemini CLI writes line by line; see `TranscriptReader`."""

    agent = "gemini-cli"

    def claims(self, key: str, head: bytes) -> bool:
        """A file whose first object begins a session."""
        return foreign(head) == GEMINI

    def parse(self, content: bytes) -> Transcript:
        """See `TranscriptReader.parse`."""
        return _Found(content, None).transcript()

    def parse_at(self, key: str, content: bytes) -> Transcript:
        """The same of a subagent too, whose file is in a folder that is called like the session
        which sent it off."""
        folder = key.split("/")[-2] if "/" in key else _CHATS
        return _Found(content, None if folder == _CHATS else folder).transcript()


@dataclass(slots=True)
class _Told:
    """A message.

    Attributes:
        number: the line it stands on for the first time.
        said: how it was written last.
        is_taken_back: the person went back to before it.
    """

    number: int
    said: Said
    is_taken_back: bool = False


class _Found:
    """What was read of a file."""

    def __init__(self, content: bytes, parent: str | None) -> None:
        self._parent = parent
        self._session: str | None = None
        self._is_subagent = False
        self._cwd: str | None = None
        self._told: dict[str, _Told] = {}
        # What the model is shown, in its order: a rewind takes from its end.
        self._shown: dict[str, None] = {}
        # A message, or the record of a line that is none.
        self._lines: list[_Told | tuple[int, Record]] = []
        self._unreadable = self._unknown = self._empty = 0
        self._room = Room(len(content))
        self._last: Record | None = None
        self._read(content)

    # --- lines ---

    def _read(self, content: bytes) -> None:
        for number, (lines, is_odd) in enumerate(READER.each(content), 1):
            self._unreadable += is_odd
            before = len(self._lines)
            for line in lines:
                self._line(number, line)
            self._room.take([_NOTHING_SAID] * (len(self._lines) - before))

    def _line(self, number: int, line: Line) -> None:
        if line.rewind_to is not None:
            self._rewind(line.rewind_to)
        elif line.id is not None:
            self._message(number, line)
            return
        elif line.about is not None:
            self._about(number, line.about)
        elif line.session_id is not None:
            self._begins(number, line)
        elif line == Line():
            self._empty += 1
            return
        else:
            self._unknown += 1
            self._lines.append((number, Record(type=line.type, timestamp=line.timestamp)))
            return
        self._lines.append((number, _NOTHING_SAID))

    def _begins(self, number: int, line: Line) -> None:
        self._session = self._session or line.session_id
        self._is_subagent = self._is_subagent or line.kind == "subagent"
        self._about(number, About(line.directories))

    def _about(self, number: int, about: About) -> None:
        if about.directories:
            self._cwd = self._cwd or about.directories[0]
        if about.messages is None:
            return
        # What the model is shown is no conversation: summaries, prompts under other names. What a
        # response cost is told of wherever it stands.
        for said in about.messages:
            told = self._told.get(said.id or "")
            if said.id and said.tokens is not None and (told is None or told.said.tokens is None):
                kept = said if told is None else replace(told.said, tokens=said.tokens)
                self._message(number, kept)
        self._shown = {said.id: None for said in about.messages if said.id}

    def _message(self, number: int, said: Said) -> None:
        name = said.id or ""
        told = self._told.get(name)
        self._shown[name] = None
        if told is None:
            told = self._told[name] = _Told(number, said)
            self._lines.append(told)
            self._unknown += said.type not in TYPES
            return
        tokens = said.tokens or told.said.tokens
        told.said = replace(said, tokens=tokens, model=said.model or told.said.model)
        told.is_taken_back = False
        self._lines.append((number, _NOTHING_SAID))

    def _rewind(self, name: str) -> None:
        """A person goes back to before a message. What is not shown any more is not gone back to:
        better too much is kept."""
        if name not in self._shown:
            return
        gone = None
        while gone != name:
            gone, _ = self._shown.popitem()
            if gone in self._told:
                self._told[gone].is_taken_back = True

    # --- records ---

    def transcript(self) -> Transcript:
        """All of it."""
        records: list[Record] = []
        numbers: list[int] = []
        for line in self._lines:
            if isinstance(line, _Told):
                made, number = (
                    [*self._records(line)] or [self._record("system", line.said)],
                    (line.number),
                )
            else:
                made, number = [line[1]], line[0]
            self._room.take(made)
            records += made
            numbers += [number] * len(made)
        return Transcript(
            records,
            numbers,
            self._unreadable,
            self._unknown + self._empty,
            self._empty,
            GeminiReader.agent,
            provider=_PROVIDER,
            is_subagent=self._is_subagent,
        )

    def _records(self, told: _Told) -> Iterator[Record]:
        """What a message says; nothing where it is the client's."""
        said = told.said
        if said.type == "gemini":
            yield from self._answer(said, is_heard=not told.is_taken_back)
        elif said.type == "user":
            words = None if told.is_taken_back else typed(said.content, said.display_content)
            if words is not None:
                yield self._record("user", said, Message(content=words))
        elif said.type == "error" and is_failure(said.content):
            yield self._record("assistant", said, Message(model=SYNTHETIC))
        elif said.type not in TYPES:
            yield self._record(said.type, said)

    def _answer(self, said: Said, *, is_heard: bool) -> Iterator[Record]:
        text = spoken(said.content) if is_heard else ""
        calls = [(call, self._name_of(call.id)) for call in said.tool_calls or () if call.id]
        if said.tokens is None and said.model is None:
            # The client says it in the model's place.
            return
        content: list[Block | str] = [called(call, name) for call, name in calls]
        if text.strip():
            content.insert(0, Block(type="text", text=encode_raw(text)))
        usage = None if said.tokens is None else said.tokens.usage()
        if usage is None and not content:
            return
        before = self._last.message if self._last else None
        if usage is None and not text.strip() and self._last and before:
            # Calls of the response before: something was said while they ran.
            again = replace(before, content=content)
            yield replace(self._last, message=again, timestamp=said.timestamp)
        else:
            whole = None if usage is None else "end_turn"
            self._last = self._record(
                "assistant", said, Message(None, said.model, content, whole, usage)
            )
            yield self._last
        for call, name in calls:
            if block := outcome(call, name):
                ended = said if call.timestamp is None else replace(said, timestamp=call.timestamp)
                yield replace(self._record("user", ended, Message(content=[block])), uuid=None)

    def _name_of(self, call_id: str | None) -> str:
        return f"{UNIQUE_CALL}{self._session}/{call_id}"

    def _record(self, kind: str | None, said: Said, message: Message | None = None) -> Record:
        name = f"{self._session}:{said.id}" if self._session else said.id
        own = self._session if self._is_subagent else None
        return Record(
            type=kind,
            timestamp=said.timestamp,
            message=message,
            uuid=name,
            session_id=(self._is_subagent and self._parent) or self._session,
            agent_id=own,
            is_sidechain=self._is_subagent or None,
            cwd=self._cwd,
        )
