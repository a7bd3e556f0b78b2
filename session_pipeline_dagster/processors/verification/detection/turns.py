"""What a person and the assistant said to each other in the main thread; nothing else.

Left out: tool calls and results, subagents, meta lines, summaries, notifications, bodies of
commands and of hooks, and the history that an old `--resume` copied. Texts come out redacted.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from session_pipeline_dagster.processors.verification.redaction import redact
from session_pipeline_dagster.transcripts.records import Block, Record, Transcript, decode_raw

HUMAN, ASSISTANT = "human", "assistant"
_NOT_A_PERSONS = (
    "<local-command-",
    "<bash-",
    "<task-notification>",
    "<command-",
    "<system-reminder>",
    "[Request interrupted",
    "Caveat: The messages below were generated",
    "This session is being continued from a previous conversation",
)
_INSERTED = re.compile(
    r"<(system-reminder|ide_[a-z_]{1,30}|user-prompt-submit-hook)>.*?(?:</\1>|\Z)", re.DOTALL
)
_SYNTHETIC = "<synthetic>"


@dataclass(frozen=True, slots=True)
class Turn:
    """One text.

    Attributes:
        index: from 0, over the turns of the session.
        role: `human` or `assistant`.
        text: redacted.
        line_uuid: names the line in every copy of it; a hash where the line has no uuid.
        line_number: in the file, from 1.
        time_us: microseconds since 1970-01-01 UTC; the previous line's where it has none.
        session_id: as the line says; None where it says nothing.
    """

    index: int
    role: str
    text: str
    line_uuid: str
    line_number: int
    time_us: int | None
    session_id: str | None


def read_turns(
    transcript: Transcript, user: str, clean: Callable[[str], str] = redact
) -> list[Turn]:
    """The turns of a session, in line order.

    Args:
        user: whose it is; names lines that have no uuid.
        clean: takes secrets out of a text.
    """
    found: list[Turn] = []
    time_us: int | None = None
    copied = _copied_lines(transcript)
    for number, record in transcript:
        now_us = record.time_us()
        time_us = time_us if now_us is None else now_us
        role = _role(record)
        if role is None or number in copied:
            continue
        text = clean(_text(record, role)).strip()
        if not text:
            continue
        index = len(found)
        uuid = record.uuid or _hash(user, record.session_id, index, now_us, role, text)
        found.append(Turn(index, role, text, uuid, number, time_us, record.session_id))
    return found


def digest(turns: Sequence[Turn]) -> str:
    """Names the turns: their lines and texts."""
    return _hash(*((turn.line_number, turn.line_uuid, turn.text) for turn in turns))


def _role(record: Record) -> str | None:
    """Who speaks in the main thread; None where nobody does."""
    if record.is_sidechain or record.agent_id or record.is_meta or record.is_compact_summary:
        return None
    role = record.type if record.message is not None else _flat_role(record)
    if role == "user":
        return HUMAN if _is_a_persons(record) else None
    if role != "assistant":
        return None
    synthetic = record.message is not None and record.message.model == _SYNTHETIC
    return None if synthetic else ASSISTANT


def _flat_role(record: Record) -> object:
    """The role of a line without an envelope."""
    role = decode_raw(record.flat_role) if bytes(record.flat_role) else None
    return "user" if role == HUMAN else role


def _is_a_persons(record: Record) -> bool:
    origin = decode_raw(record.origin)
    if isinstance(origin, dict) and origin.get("kind", HUMAN) != HUMAN:
        return False
    return not any(kind == "tool_result" for kind, _ in _parts(record))


def _text(record: Record, role: str) -> str:
    texts = [text for kind, text in _parts(record) if kind == "text"]
    if role == HUMAN:
        texts = [_INSERTED.sub("", text) for text in texts]
        texts = [text for text in texts if not text.lstrip().startswith(_NOT_A_PERSONS)]
    whole = "\n".join(text for text in texts if text.strip())
    # Lone surrogates: no store and no request takes them.
    return whole.encode("utf-8", "replace").decode()


def _parts(record: Record) -> Iterator[tuple[str | None, str]]:
    """Kind and text of the parts of a message, whatever form it has."""
    if record.message is not None:
        content: object = record.message.content
    else:
        content = decode_raw(record.flat_content)
    if isinstance(content, str):
        yield "text", content
    elif isinstance(content, list):
        for part in content:
            yield from _part(part)


def _part(part: object) -> Iterator[tuple[str | None, str]]:
    if isinstance(part, str):
        yield "text", part
    elif isinstance(part, Block):
        yield part.type, part.decoded_text() if part.type == "text" else ""
    elif isinstance(part, dict):
        text = part.get("text")
        yield part.get("type"), text if isinstance(text, str) else ""


def _copied_lines(transcript: Transcript) -> frozenset[int]:
    """Lines that a 1.0 `--resume` copied from another file.

    It gave them new uuids and one time, and wrote a summary in front. Nobody answers within a
    millisecond, so what shares its time with the line of the other side was copied.
    """
    lines = list(transcript)
    if not lines or lines[0][1].type != "summary":
        return frozenset()
    sides: dict[int, set[str]] = {}
    for _, record in lines:
        time_us, role = record.time_us(), _role(record)
        if time_us is not None and role is not None:
            sides.setdefault(time_us, set()).add(role)
    burst = {time_us for time_us, roles in sides.items() if len(roles) > 1}
    return frozenset(number for number, record in lines if record.time_us() in burst)


def _hash(*parts: object) -> str:
    encoded = msgspec.json.encode(parts)
    return f"text-{hashlib.sha256(encoded).hexdigest()[:32]}"
