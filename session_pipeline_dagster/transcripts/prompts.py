"""What a person typed, and nothing else: the prompts of a session, for whoever counts or reads.

Put here which lines are a person's, and what of them the client wrote. What a prompt means for
usage or for knowledge belongs in the processors.
"""

import hashlib
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from session_pipeline_dagster.transcripts.records import (
    Attachment,
    Block,
    Record,
    Transcript,
    decode_raw,
    storable,
)

HUMAN = "human"
_CLIENTS = (
    "<local-command-",
    "<bash-",
    "<task-notification>",
    "<system-reminder>",
    "<cross-session-message",
    "<teammate-message",
    "[Request interrupted by user",
    "Implement the following plan:",
    "Operation stopped by hook:",
    "Unknown slash command:",
    "Caveat: The messages below were generated",
    "This session is being continued from a previous conversation",
)
"""How texts begin that the client writes in a person's place."""
_INSERTED = re.compile(
    r"<(system-reminder|ide_[a-z_]{1,30}|user-prompt-submit-hook)>.*?(?:</\1>|\Z)", re.DOTALL
)
_COMMAND = ("<command-name>", "<command-message>", "<command-args>", "<command-contents>")
_NAME = re.compile(r"<command-name>([^<]{0,200})</command-name>")
_ARGS_START, _ARGS_END = "<command-args>", "</command-args>"
_SHELL_START, _SHELL_END = "<bash-input>", "</bash-input>"
_SHOWN = frozenset({"image", "document"})
"""Blocks that a person adds without a word."""
_Part = tuple[str | None, str]
"""Kind and text of a part of a content."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing that a person sent.

    Attributes:
        index: which of the transcript's records it is; two can stand on one line.
        line: its number in the file, from 1.
        record: the line.
        key: names it in every copy: its uuid; without one, what was said and what came before it.
        texts: as the person wrote them, without what the client put in; of a slash command what
            stands behind its name. Empty where the person sent a picture, or the bare command.
    """

    index: int
    line: int
    record: Record
    key: str
    texts: tuple[str, ...]

    @property
    def uuid(self) -> str | None:
        """The line's; None where it has none."""
        return self.record.uuid

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.texts)

    @property
    def time(self) -> datetime | None:
        """When the line says it was sent."""
        return self.record.timestamp


def prompts(transcript: Transcript) -> Sequence[Prompt]:
    """What a person typed in this session, in line order; a line that is repeated counts once.

    Costs next to nothing on lines that are no prompt: most user lines are results of tools.
    """
    found = _Found(transcript.numbers)
    for index, record in enumerate(transcript.records):
        kind = record.type
        if kind == "assistant":
            found.before = record.uuid or found.before
        elif kind == "user":
            found.user(index, record)
        elif kind == "attachment":
            if record.attachment is not None:
                found.attachment(index, record, record.attachment)
        elif kind == "queue-operation":
            found.queue(index, record)
        elif kind is None and decode_raw(record.flat_role) in ("user", HUMAN):
            found.said(index, record, list(_parts(decode_raw(record.flat_content))))
    return found.all()


@dataclass(slots=True)
class _Queued:
    """Something that was queued: a prompt, unless another line says the same or it is taken back.

    Attributes:
        waits: it has not left the queue.
        open: nothing has said yet that it is no prompt of its own.
    """

    prompt: Prompt
    text: str
    waits: bool = True
    open: bool = True


class _Queue:
    """What a person typed while the agent worked, by the lines that tell of the queue.

    Every entry is looked at once by each way that leads to it, so a file of such lines costs its
    length.
    """

    def __init__(self) -> None:
        self._entries: list[_Queued] = []
        self._waiting: deque[_Queued] = deque()
        self._by_text: dict[str, deque[_Queued]] = {}
        self._waiting_by_text: dict[str, deque[_Queued]] = {}
        self._handed: list[_Queued] = []

    def __bool__(self) -> bool:
        return bool(self._entries)

    def enter(self, prompt: Prompt, text: str) -> None:
        """One more waits."""
        entry = _Queued(prompt, text)
        self._entries.append(entry)
        self._waiting.append(entry)
        self._by_text.setdefault(text, deque()).append(entry)
        self._waiting_by_text.setdefault(text, deque()).append(entry)

    def leave(self, text: str) -> None:
        """One does not wait any more: the named one, else the first."""
        entry = _first(self._waiting_by_text.get(text)) or _first(self._waiting)
        if entry is not None:
            entry.waits = False
            self._handed.append(entry)

    def take_back(self, text: str) -> None:
        """One is in the input line again, or all that are still there."""
        if text and self._close(text, newest=True):
            return
        while entry := _first(self._waiting):
            entry.waits = entry.open = False

    def was_sent(self, text: str) -> bool:
        """Whether the text of a line had been queued; it is then the line's, not the queue's."""
        found = [self._close(form) for form in _forms(text)]
        handed, self._handed = self._handed, []
        if not any(found):
            # Several that waited are sent as one text.
            at = 0
            for entry in handed:
                if entry.open and text.startswith(entry.text, at):
                    entry.open = False
                    at += len(entry.text)
                    at += len(text[at : at + 2]) - len(text[at : at + 2].lstrip())
        return any(found)

    def left(self) -> list[Prompt]:
        """The prompts that no other line has."""
        return [entry.prompt for entry in self._entries if entry.open]

    def _close(self, text: str, *, newest: bool = False) -> bool:
        entries = self._by_text.get(text)
        while entries:
            entry = entries.pop() if newest else entries.popleft()
            if entry.open:
                entry.open = entry.waits = False
                return True
        return False


def _first(entries: deque[_Queued] | None) -> _Queued | None:
    while entries:
        entry = entries.popleft()
        if entry.waits:
            return entry
    return None


class _Found:
    """Prompts so far, and the queue. `before` names the line that stands before the next one."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.before: str | None = None
        self._numbers = numbers
        self._prompts: list[Prompt] = []
        self._seen: set[tuple[str, tuple[str, ...]]] = set()
        self._queue = _Queue()

    def user(self, index: int, record: Record) -> None:
        """A user line: a person's, a tool's or the client's."""
        message = record.message
        content = None if message is None else message.content
        if not isinstance(content, list) or not any(map(_is_result, content)):
            parts = list(_parts(content))
            if self._queue:
                self._queue.was_sent(_whole(parts))
            if _is_theirs(record):
                self.said(index, record, parts)
        self.before = record.uuid or self.before

    def attachment(self, index: int, record: Record, attachment: Attachment) -> None:
        """What waited in the queue and was handed to the agent while it worked."""
        if attachment.type != "queued_command":
            return
        parts = list(_parts(decode_raw(attachment.prompt)))
        waited = self._queue.was_sent(_whole(parts))
        kind = _origin(attachment.origin)
        # Some versions name no origin; that it was queued in this session says as much.
        typed = attachment.command_mode == "prompt" and not attachment.is_meta
        if typed and (kind == HUMAN or (kind is None and waited)) and _is_theirs(record):
            self.said(index, record, parts)

    def queue(self, index: int, record: Record) -> None:
        """The queue changes."""
        parts = list(_parts(decode_raw(record.flat_content)))
        text = _whole(parts)
        if record.operation == "enqueue":
            texts = _texts(parts)
            if texts is not None:
                prompt = self._prompt(index, record, texts)
                self._queue.enter(prompt, text)
        elif record.operation == "popAll":
            self._queue.take_back(text)
        elif record.operation in ("dequeue", "remove"):
            self._queue.leave(text)

    def said(self, index: int, record: Record, parts: Sequence[_Part]) -> None:
        """Note a prompt, unless nothing in it is a person's or the line is a copy of one."""
        texts = _texts(parts)
        if texts is None:
            return
        if record.uuid:
            if (record.uuid, texts) in self._seen:
                return
            self._seen.add((record.uuid, texts))
        self._prompts.append(self._prompt(index, record, texts))

    def all(self) -> Sequence[Prompt]:
        """Every prompt; what was queued and not sent again or taken back is one."""
        queued = self._queue.left()
        if not queued:
            return self._prompts
        return sorted((*self._prompts, *queued), key=lambda prompt: prompt.index)

    def _prompt(self, index: int, record: Record, texts: tuple[str, ...]) -> Prompt:
        return Prompt(index, self._numbers[index], record, self._key(record, texts), texts)

    def _key(self, record: Record, texts: tuple[str, ...]) -> str:
        if record.uuid:
            return record.uuid
        # Where nothing that has a name came before, only the time tells two first words apart.
        before = record.time_us() if self.before is None else self.before
        encoded = msgspec.json.encode((before, [storable(text) for text in texts]))
        self.before = f"text-{hashlib.sha256(encoded).hexdigest()[:32]}"
        return self.before


def _is_result(block: Block | str) -> bool:
    return isinstance(block, Block) and block.type == "tool_result"


def _is_theirs(record: Record) -> bool:
    """Whether a line in the main thread is a person's, whatever it says."""
    if record.is_meta or record.is_compact_summary or record.is_sidechain or record.agent_id:
        return False
    return not decode_raw(record.plan_content) and _origin(record.origin) in (None, HUMAN)


def _origin(raw: msgspec.Raw) -> object:
    """The kind of sender; None where none is named."""
    if not bytes(raw):
        return None
    origin = decode_raw(raw)
    return origin.get("kind") if isinstance(origin, dict) else origin


def _parts(content: object) -> Iterator[_Part]:
    """Kind and text of the parts of a content, whatever form it has."""
    if isinstance(content, str):
        yield "text", content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, str):
                yield "text", part
            elif isinstance(part, Block):
                yield part.type, part.decoded_text() if part.type == "text" else ""
            elif isinstance(part, dict):
                kind, text = part.get("type"), part.get("text")
                known = kind if isinstance(kind, str) else None
                yield known, text if known == "text" and isinstance(text, str) else ""


def _texts(parts: Sequence[_Part]) -> tuple[str, ...] | None:
    """What the person wrote of a line; None where that is nothing, not even a picture."""
    found, anything = [], False
    for kind, text in parts:
        if kind == "tool_result":
            return None
        if kind != "text":
            anything = anything or kind in _SHOWN
            continue
        if "<" in text:
            text = _INSERTED.sub("", text)
        start = text.lstrip()
        if not start or start.startswith(_CLIENTS):
            continue
        anything = True
        if start.startswith(_COMMAND):
            text = _args(text)
        if text.strip():
            found.append(text)
    return tuple(found) if anything else None


def _args(text: str) -> str:
    """What a person wrote behind the name of a command."""
    _, start, rest = text.partition(_ARGS_START)
    return rest.rpartition(_ARGS_END)[0] if start and _ARGS_END in rest else ""


def _whole(parts: Sequence[_Part]) -> str:
    return "\n".join([text for kind, text in parts if kind == "text"]).strip()


def _forms(text: str) -> Iterator[str]:
    """How the text of a line may have stood in the queue."""
    if text.startswith(_COMMAND):
        name = _NAME.search(text)
        yield f"{name[1]} {_args(text)}".strip() if name else text
    elif text.startswith(_SHELL_START):
        shell = text.removeprefix(_SHELL_START).partition(_SHELL_END)[0].strip()
        yield shell
        yield f"!{shell}"
    else:
        yield text
