"""What `assert_reader` finds wrong with a reader, and that ours keep to it."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from places import DATA
from session_pipeline_dagster.testing import assert_reader, example_session
from session_pipeline_dagster.transcripts.claude_code import ClaudeCodeReader
from session_pipeline_dagster.transcripts.codex import CodexReader
from session_pipeline_dagster.transcripts.gemini import GeminiReader
from session_pipeline_dagster.transcripts.records import Transcript

FORK, OUTPUT = (
    next(path for path in sorted((DATA / "codex" / name).rglob("*.jsonl"))).read_bytes()
    for name in ("fork_without_parent", "exec")
)
GEMINI = next((DATA / "gemini" / "whole").rglob("session-*.jsonl")).read_bytes()


def test_our_readers_keep_to_it() -> None:
    assert_reader(ClaudeCodeReader(), example_session().content)
    assert_reader(CodexReader(), FORK)
    assert_reader(CodexReader(), OUTPUT)
    assert_reader(GeminiReader(), GEMINI)


class Claims(CodexReader):
    def claims(self, key: str, head: bytes) -> bool:
        return True


class Changed(CodexReader):
    def parse(self, content: bytes) -> Transcript:
        return self.change(super().parse(content))

    def change(self, found: Transcript) -> Transcript:
        raise NotImplementedError


class Counts(Changed):
    def change(self, found: Transcript) -> Transcript:
        return replace(found, numbers=[number - 1 for number in found.numbers])


class OneName(Changed):
    def change(self, found: Transcript) -> Transcript:
        return replace(found, records=[msgspec.structs.replace(r, uuid="x") for r in found.records])


class ByTheEnd(Changed):
    def change(self, found: Transcript) -> Transcript:
        named = [msgspec.structs.replace(r, uuid=f"{r.uuid}{found.lines}") for r in found.records]
        return replace(found, records=named)


class Raises(Changed):
    def change(self, found: Transcript) -> Transcript:
        if found.unreadable_lines:
            raise ValueError
        return found


class Stops(Changed):
    def change(self, found: Transcript) -> Transcript:
        return replace(found, records=(), numbers=()) if found.unreadable_lines else found


class Opens(CodexReader):
    def __init__(self) -> None:
        self.made: Callable[[], None] = lambda: None


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        (Claims(), "claims: an empty file is nobody's"),
        (Opens(), "workers: it cannot be sent to another process"),
        (Counts(), "numbers: they count the file's lines from 1"),
        (OneName(), "usage: two responses have one uuid"),
        (ByTheEnd(), "growing: a response that was whole has another name"),
        (Raises(), "parse: ValueError on"),
        (Stops(), "odd lines: where"),
    ],
)
def test_what_breaks_a_rule_is_said(reader: CodexReader, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        assert_reader(reader, FORK)
