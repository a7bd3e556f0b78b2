"""What a person and the assistant said to each other in the main thread; nothing else.

Left out: whatever is no prompt (`transcripts/prompts.py`) and no text of the assistant's, texts
that are too long to be speech, and the history that an old `--resume` copied. Texts are redacted
when they are read.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from session_pipeline_dagster.processors.verification.redaction import redact
from session_pipeline_dagster.transcripts.prompts import HUMAN, Prompt, prompts
from session_pipeline_dagster.transcripts.records import Record, Transcript, decode_raw

ASSISTANT = "assistant"
_SYNTHETIC = "<synthetic>"
MATERIAL = 20_000
"""Characters; a longer text was pasted or generated: nobody says so much at once."""
MOST_CHARACTERS = 8_000_000
"""Of the turns of a session; what is said after them is not read."""


@dataclass(frozen=True)
class Turn:
    """One text.

    Attributes:
        index: from 0, over the turns of the session.
        role: `human` or `assistant`.
        said: as it stands in the line.
        line_uuid: names the line in every copy of it; a hash where the line has no uuid.
        line_number: in the file, from 1.
        time_us: microseconds since 1970-01-01 UTC; the previous line's where it has none.
        session_id: as the line says; None where it says nothing.
        own_time_us: the line's own time; None where it has none.
        clean: takes secrets out of a text, and never all of it.
    """

    index: int
    role: str
    said: str
    line_uuid: str
    line_number: int
    time_us: int | None
    session_id: str | None
    own_time_us: int | None = None
    clean: Callable[[str], str] = str

    @cached_property
    def text(self) -> str:
        """What was said, redacted. Only who asks pays: most turns of an agent nobody reads."""
        return _cleaned(self.said, self.clean)

    @cached_property
    def line_key(self) -> str:
        """Names the line by its uuid, its words and its time: another text or time under the same
        uuid is another line; see `line_key`."""
        return line_key(self.line_uuid, self.said, self.own_time_us)


def read_turns(transcript: Transcript, clean: Callable[[str], str] = redact) -> list[Turn]:
    """The turns of a session, in line order.

    Args:
        clean: takes secrets out of a text, and never all of it.
    """
    found: list[Turn] = []
    room = MOST_CHARACTERS
    last: Record | None = None
    typed = {prompt.index: prompt for prompt in prompts(transcript)}
    copied = _copied_lines(transcript, typed)
    for at, (number, record) in enumerate(transcript):
        last = last if record.timestamp is None else record
        prompt = typed.get(at)
        role = HUMAN if prompt else _assistant(record)
        if role is None or number in copied:
            continue
        said = _speech(prompt.texts if prompt else _texts(record))
        room -= len(said)
        if room < 0:
            break
        if not said or said.isspace():
            continue
        index, now_us = len(found), record.time_us()
        uuid = prompt.key if prompt else record.uuid
        if not uuid:
            uuid = _hash(record.session_id, index, now_us, role, _cleaned(said, clean))
        time_us = last.time_us() if last else None
        found.append(
            Turn(index, role, said, uuid, number, time_us, record.session_id, now_us, clean)
        )
    return found


def _cleaned(said: str, clean: Callable[[str], str]) -> str:
    return clean(_storable(said)).strip()


def line_key(uuid: str, said: str, now_us: int | None) -> str:
    """Names a line: `words@time`. Copies have the same, since they repeat the line; whoever writes
    a known uuid over other words, or with another time, has written another line."""
    return f"{_hash(uuid, _storable(said))}@{'' if now_us is None else now_us}"


def digest(turns: Sequence[Turn]) -> str:
    """Names the turns: their lines and texts."""
    return _hash(*((turn.line_number, turn.line_uuid, turn.text) for turn in turns))


def _assistant(record: Record) -> str | None:
    """ASSISTANT where it speaks in the main thread, else None."""
    if record.is_sidechain or record.agent_id or record.is_meta or record.is_compact_summary:
        return None
    message = record.message
    role = record.type if message is not None else decode_raw(record.flat_role)
    if role != ASSISTANT or (message is not None and message.model == _SYNTHETIC):
        return None
    return ASSISTANT


def _texts(record: Record) -> Iterator[str]:
    """What the assistant says in a line that is not blank."""
    if record.message is not None:
        yield from (text for text in record.texts() if text.strip())
        return
    content = decode_raw(record.flat_content)
    for part in content if isinstance(content, list) else [content]:
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else part
        if isinstance(text, str) and text.strip():
            yield text


def _speech(texts: Iterable[str]) -> str:
    """The texts of one line without what is material."""
    said = "\n".join(text for text in texts if len(text) <= MATERIAL)
    return said if len(said) <= MATERIAL else ""


def _storable(text: str) -> str:
    """Without lone surrogates: no store and no request takes them."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _copied_lines(transcript: Transcript, typed: Mapping[int, Prompt]) -> frozenset[int]:
    """Lines that a 1.0 `--resume` copied from another file.

    It gave them new uuids and one time, and wrote a summary in front. Nobody answers within a
    millisecond, so what shares its time with the line of the other side was copied.
    """
    lines = list(transcript)
    if not lines or lines[0][1].type != "summary":
        return frozenset()
    sides: dict[int, set[str]] = {}
    for at, (_, record) in enumerate(lines):
        role = HUMAN if at in typed else _assistant(record)
        time_us = record.time_us()
        if time_us is not None and role is not None:
            sides.setdefault(time_us, set()).add(role)
    burst = {time_us for time_us, roles in sides.items() if len(roles) > 1}
    return frozenset(number for number, record in lines if record.time_us() in burst)


def _hash(*parts: object) -> str:
    encoded = msgspec.json.encode(parts)
    return f"text-{hashlib.sha256(encoded).hexdigest()[:32]}"
