"""The contract of a reader of transcripts, rule by rule, tried out on a file of its agent.

What a file says must not hang on when it is looked at: a file that has grown begins with what it
said before, and an odd line costs itself.
"""

import pickle
from collections.abc import Callable, Iterator

from session_pipeline_dagster.errors import first_line
from session_pipeline_dagster.sources.snapshot import complete_part
from session_pipeline_dagster.testing.odd import odd_lines
from session_pipeline_dagster.transcripts.head import first_lines
from session_pipeline_dagster.transcripts.reader import LAST, TranscriptReader
from session_pipeline_dagster.transcripts.records import MAX_TOKENS, Record, Transcript

_Counts = tuple[int | None, ...]
_Named = tuple[str | None, _Counts]
_KEY = "alice/session.jsonl"
_STEPS = 40
_COUNTERS = (
    *("input_tokens", "output_tokens"),
    *("cache_creation_input_tokens", "cache_read_input_tokens"),
)


def assert_reader(reader: TranscriptReader, content: bytes) -> None:
    """Hold a reader against its contract.

    Args:
        content: a file of its agent with all that the reader makes something of.

    Raises:
        AssertionError: a rule does not hold; says which, and what to do.
    """
    content = complete_part(content)
    whole = _read(reader, content, "the file")
    if not whole.records or whole.unreadable_lines:
        raise AssertionError("give it a file in which every line can be read")
    for rule in _RULES:
        rule(reader, content, whole)


def _claims(reader: TranscriptReader, content: bytes, whole: Transcript) -> None:
    if reader.claims(_KEY, first_lines(content)) is not True:
        raise AssertionError("claims: it must return True for a file of its own agent")
    if reader.agent == LAST:
        # Asked last of all, it takes what nobody can read.
        return
    for what, other in (("an empty file", b""), ("lines that are no JSON", b"{no\n\xff\n")):
        if reader.claims(_KEY, other) is not False:
            raise AssertionError(f"claims: {what} is nobody's; return False")


def _is_packed(reader: TranscriptReader, content: bytes, whole: Transcript) -> None:
    try:
        again = pickle.loads(pickle.dumps(reader))  # noqa: S301  our own bytes
    except Exception as error:
        raise AssertionError(
            f"workers: it cannot be sent to another process ({first_line(error)}); keep nothing "
            "open in it, and make it a class that can be imported"
        ) from error
    if again.parse(content) != whole or reader.parse(content) != whole:
        raise AssertionError("workers: the same bytes must give the same transcript every time")


def _has_lines(reader: TranscriptReader, content: bytes, whole: Transcript) -> None:
    lines = content.count(b"\n") + (not content.endswith(b"\n"))
    if len(whole.numbers) != len(whole.records):
        raise AssertionError("numbers: every record has one, the line that it stands on")
    if list(whole.numbers) != sorted(whole.numbers) or not all(
        1 <= number <= lines for number in whole.numbers
    ):
        raise AssertionError("numbers: they count the file's lines from 1, in their order")


def _has_counts(reader: TranscriptReader, content: bytes, whole: Transcript) -> None:
    named: dict[str, tuple[int | None, ...]] = {}
    for record in whole.records:
        counts = _counts(record)
        if counts is None:
            continue
        if not all(0 <= (count or 0) <= MAX_TOKENS for count in counts):
            raise AssertionError("usage: a count is between 0 and 10^12, or None")
        if record.uuid and named.setdefault(record.uuid, counts) != counts:
            raise AssertionError("usage: two responses have one uuid; a copy would lose one")


def _grows(reader: TranscriptReader, content: bytes, whole: Transcript) -> None:
    """What was whole before is there in every later look, under the same name. A count that nobody
    could know may have become known."""
    seen: set[_Named] = set()
    for size in range(0, len(content) + 1, max(len(content) // _STEPS, 1)):
        part = complete_part(content[:size])
        found = _read(reader, part, f"its first {len(part):,} bytes")
        now = {*_whole(found)}
        if not _has_all(now, seen):
            raise AssertionError(
                "growing: a response that was whole has another name or other counts when the file "
                "has grown; name it by what comes before it"
            )
        seen = now
    if not _has_all({*_whole(whole)}, seen):
        raise AssertionError("growing: a response is gone when the file is whole")


def _takes_odd_lines(reader: TranscriptReader, content: bytes, whole: Transcript) -> None:
    wanted = {*_whole(whole)}
    for what, odd in odd_lines(content):
        found = _read(reader, odd, what)
        if wanted - {*_whole(found)}:
            raise AssertionError(f"odd lines: where {what}, responses of other lines are lost")


def _has_all(now: set[_Named], seen: set[_Named]) -> bool:
    by_name: dict[str | None, list[_Counts]] = {}
    for name, counts in now:
        by_name.setdefault(name, []).append(counts)
    return all(
        any(
            all(was in (None, become) for was, become in zip(counts, later, strict=True))
            for later in by_name.get(name, ())
        )
        for name, counts in seen - now
    )


_RULES: tuple[Callable[[TranscriptReader, bytes, Transcript], None], ...] = (
    *(_claims, _is_packed, _has_lines, _has_counts, _grows, _takes_odd_lines),
)


def _read(reader: TranscriptReader, content: bytes, what: str) -> Transcript:
    try:
        found = reader.parse(content)
    except Exception as error:
        raise AssertionError(
            f"parse: {type(error).__name__} on {what}; count what cannot be read, never raise"
        ) from error
    if not isinstance(found, Transcript):
        raise AssertionError(f"parse: it returned a {type(found).__name__}, not a Transcript")
    return found


def _whole(transcript: Transcript) -> Iterator[_Named]:
    """The responses that are whole, with their names and counts."""
    for record in transcript.records:
        counts = _counts(record)
        if counts is not None and record.message and record.message.stop_reason:
            yield record.uuid or record.message.id, counts


def _counts(record: Record) -> _Counts | None:
    usage = record.message.usage if record.message and record.type == "assistant" else None
    return None if usage is None else tuple(getattr(usage, name) for name in _COUNTERS)
