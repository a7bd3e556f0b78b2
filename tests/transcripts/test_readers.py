"""Which reader claims a session file, and what becomes of a file that none claims."""

import json
import re
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from helpers import EchoProcessor, Pipeline, make_pipeline, session_line, write_session
from session_pipeline_dagster.contract.registry import load_processors
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.health.checkup import examine
from session_pipeline_dagster.health.findings import Status
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.transcripts.claude_code import KNOWN_TYPES, ClaudeCodeReader
from session_pipeline_dagster.transcripts.head import HEAD_BYTES
from session_pipeline_dagster.transcripts.looks import agent_of, document
from session_pipeline_dagster.transcripts.reader import (
    ENTRY_POINT_GROUP,
    Readers,
    installed_readers,
    load_readers,
    why_left_out,
)
from session_pipeline_dagster.transcripts.records import Record, Transcript

CODEX = b'{"timestamp":"2026-01-01T00:00:00Z","type":"session_meta","payload":{"id":"x"}}\n'
CODEX_EVENT = b'{"timestamp":"2026-01-01T00:00:01Z","type":"event_msg","payload":{}}\n'
CODEX_OLD = b'{"id":"x","timestamp":"2025-05-01T00:00:00Z","instructions":null}\n'
COPILOT = b'{"type":"session.start","data":{},"id":"x","timestamp":"2026-01-01T00:00:00Z"}\n'
EXEC = b'{"type":"thread.started","thread_id":"x"}\n{"type":"turn.completed","usage":{}}\n'
GEMINI = (
    b'{"sessionId":"x","projectHash":"y","startTime":"2026-01-01T00:00:00Z","kind":"main"}\n'
    b'{"id":"1","timestamp":"2026-01-01T00:00:00Z","type":"user","content":"hello"}\n'
)
OURS = session_line("hello").encode()
GEMINI_DOCUMENT = (
    json.dumps({"sessionId": "x", "startTime": "", "messages": [{"type": "user"}]}, indent=2) + "\n"
).encode()
GEMINI_LINE = json.dumps({"sessionId": "x", "projectHash": "y", "messages": []}).encode() + b"\n"
OPENCODE_RUN = (
    b'{"type":"step_start","timestamp":1767225600000,"sessionID":"ses_x","part":{"id":"prt_x"}}\n'
    b'{"type":"text","timestamp":1767225600001,"sessionID":"ses_x","part":{"text":"hello"}}\n'
)
OPENCODE_MESSAGE = {"id": "msg_x", "sessionID": "ses_x", "role": "user", "time": {"created": 1}}
OPENCODE_EXPORT = {"info": {"id": "ses_x", "title": "x"}, "messages": [{"info": OPENCODE_MESSAGE}]}
OPENCODE_SESSION = {"id": "ses_x", "projectID": "global", "directory": "/", "time": {}}
PI = (
    b'{"type":"session","version":3,"id":"x","timestamp":"2026-01-01T00:00:00Z","cwd":"/app"}\n'
    b'{"type":"message","id":"a","parentId":null,"message":{"role":"user","content":"hello"}}\n'
)
DROID = (
    b'{"type":"session_start","id":"x","title":"hello","owner":"o","version":2,"cwd":"/app"}\n'
    b'{"type":"message","id":"a","timestamp":"","message":{"role":"user","content":[]}}\n'
)
CURSOR = b'{"role":"user","message":{"content":[{"type":"text","text":"hello"}]}}\n' * 2
AMP = {"v": 9, "id": "T-00000000-0000-4000-8000-000000000000", "created": 1, "messages": []}
FLAT = b'{"role":"user","content":"hello"}\n'


def written(document: object) -> bytes:
    """On one line."""
    return json.dumps(document).encode() + b"\n"


def lines(document: object) -> bytes:
    """Over many."""
    return json.dumps(document, indent=2).encode() + b"\n"


class OldReader:
    """As a plugin would write one: a record a line."""

    agent = "codex-old"

    def claims(self, key: str, head: bytes) -> bool:
        return b'"instructions"' in head

    def parse(self, content: bytes) -> Transcript:
        lines = content.splitlines()
        return Transcript([Record(type="user") for _ in lines], [*range(1, len(lines) + 1)])


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return make_pipeline(tmp_path)


def claims(content: bytes) -> bool:
    return installed_readers().reader_of("alice/x.jsonl", content) is not None


@pytest.mark.parametrize("kind", sorted(KNOWN_TYPES))
def test_a_line_of_any_known_type_makes_it_a_file_of_claude_code(kind: str) -> None:
    assert claims(json.dumps({"type": kind}).encode() + b"\n")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"not json\n",
        b"[1]\n7\n",
        b'{"type":"user"\n',
        FLAT,
        b'{"type":"brand-new"}\n' + OURS,
        b"\xef\xbb\xbf" + OURS,
        OURS.replace(b"\n", b"\r\n"),
        b'\xff\xfe\n{"type":"user","x":"\xff"}\n',
        b'{"type":7}\n' + OURS,
        b"?\n" + OURS,
        b"\xef\xbb\xbf\r\n" + OURS,
    ],
    ids=range(13),
)
def test_what_can_be_a_session_of_claude_code_is_claimed(content: bytes) -> None:
    assert claims(content)


def test_a_first_line_of_over_a_megabyte_is_seen_whole() -> None:
    long = b'{"x":"' + b"x" * HEAD_BYTES + b'","type":"user"}\n'
    assert claims(long + CODEX)


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        (CODEX_OLD, "a Codex session of before its files had types"),
        (GEMINI_DOCUMENT, "a Gemini CLI document"),
        (GEMINI_LINE, "a Gemini CLI document"),
        (OPENCODE_RUN, "the output of `opencode run`"),
        *((written(one), "an OpenCode document") for one in (OPENCODE_MESSAGE, OPENCODE_SESSION)),
        *((lines(one), "an OpenCode document") for one in (OPENCODE_MESSAGE, OPENCODE_EXPORT)),
        (PI, "a Pi session"),
        (DROID, "a Droid session"),
        (CURSOR, "a Cursor transcript"),
        (written(AMP), "an Amp thread"),
        (lines(AMP), "an Amp thread"),
        (b'{"display":"secret words","timestamp":1}\n', "JSON lines of no known agent"),
        (b'{"type":["user"]}\n', "JSON lines of no known agent"),
        (b"{}\n", "JSON lines of no known agent"),
    ],
)
def test_a_file_of_another_agent_is_claimed_by_nobody_and_named(content: bytes, looks: str) -> None:
    assert not claims(content)
    assert why_left_out(content) == f"{looks}; no reader"
    known = re.search("Codex|GitHub Copilot CLI|Gemini CLI|OpenCode|Pi|Droid|Cursor|Amp", looks)
    named = "OpenCode" if "opencode" in looks else known[0] if known else "no known agent"
    assert agent_of(why_left_out(content)) == named


@pytest.mark.parametrize(
    ("name", "look"),
    [
        ("session-2026-01-01T00-00-0123abcd.json", "a Gemini CLI document"),
        ("ses_469cf929cffeBICghRNeI7BWy6.json", "an OpenCode document"),
        ("msg_b96306d83001UHECFoapZ6W4q0.json", "an OpenCode document"),
        ("opencode.db", "an OpenCode document"),
        ("T-00000000-0000-4000-8000-000000000000.json", "an Amp thread"),
        *((name, None) for name in ("settings.json", "session-x.json", "msg_.json", "my.db", "x")),
    ],
)
def test_a_file_without_lines_is_recognised_by_its_name(name: str, look: str | None) -> None:
    assert document(name) == look


@pytest.mark.parametrize(
    "content", [GEMINI, b"\xef\xbb\xbf" + GEMINI, b"?\n" + GEMINI], ids=range(3)
)
def test_a_session_of_gemini_cli_is_read_by_its_reader(content: bytes) -> None:
    reader = installed_readers().reader_of("alice/x.jsonl", content)
    assert reader is not None
    assert reader.agent == "gemini-cli"


def test_a_reader_is_told_where_a_file_lies_if_it_asks() -> None:
    content = GEMINI.replace(b'"main"', b'"subagent"')
    found = installed_readers().parse("alice/tmp/x/chats/parent/x.jsonl", content)
    assert found is not None
    assert "parent" in {record.session_id for record in found.records}


@pytest.mark.parametrize(
    ("content", "agent"),
    [
        (CODEX, "codex"),
        (CODEX_EVENT, "codex"),
        (b"garbage\n" + CODEX, "codex"),
        (EXEC, "codex"),
        (COPILOT, "copilot-cli"),
        (COPILOT.replace(b"session.start", b"tool.execution_start"), "copilot-cli"),
    ],
    ids=range(6),
)
def test_a_session_of_another_agent_is_read_by_its_reader(content: bytes, agent: str) -> None:
    reader = installed_readers().reader_of("alice/x.jsonl", content)
    assert reader is not None
    assert reader.agent == agent


def test_only_the_first_object_says_that_a_file_is_another_agents() -> None:
    news = b'{"type":"from-tomorrow"}\n'
    assert claims(b"not JSON\n" + news + CODEX + b'{"type":"user"}\n')
    assert not claims(b"not JSON\n" + CODEX_OLD + b'{"type":"user"}\n')


@pytest.mark.slow
def test_such_a_file_is_left_out_and_current_until_it_changes(pipeline: Pipeline) -> None:
    echo = EchoProcessor()
    write_session(pipeline.root, "alice/mine.jsonl", "hello")
    other = write_session(pipeline.root, "alice/other.jsonl", "hello")
    other.write_bytes(CODEX_OLD * 3)
    report = pipeline.run(echo)
    assert (report.processed, report.left_out, report.errors) == (1, 1, 0)
    assert echo.calls == ["alice/mine.jsonl"]
    assert {row[0] for row in pipeline.rows()} == {"alice/mine.jsonl"}
    again = pipeline.run(echo)
    assert (again.processed, again.left_out, again.capped) == (0, 1, 0)
    other.write_bytes(OURS)
    assert pipeline.run(echo).processed == 1
    assert {row[0] for row in pipeline.rows()} == {"alice/mine.jsonl", "alice/other.jsonl"}
    other.write_bytes(CODEX_OLD)
    assert pipeline.run(echo).left_out == 1
    assert {row[0] for row in pipeline.rows()} == {"alice/mine.jsonl"}, "its old rows are gone too"


def test_a_new_reader_reads_what_was_left_out(pipeline: Pipeline) -> None:
    echo = EchoProcessor()
    write_session(pipeline.root, "alice/other.jsonl", "hello").write_bytes(CODEX_OLD * 3)
    assert pipeline.run(echo).left_out == 1
    readers = Readers((OldReader(), ClaudeCodeReader()))
    source = LocalSource(pipeline.settings.roots, readers=readers)
    report = run_batch(echo, source, pipeline.store, pipeline.settings, Options())
    assert (report.scanned, report.processed, report.left_out) == (1, 1, 0)
    assert len(pipeline.rows()) == 3


def test_a_reader_that_fails_costs_the_file_and_nothing_else(pipeline: Pipeline) -> None:
    class Broken(OldReader):
        def claims(self, key: str, head: bytes) -> bool:
            if super().claims(key, head):
                raise ValueError(head)
            return False

    write_session(pipeline.root, "alice/mine.jsonl", "hello")
    write_session(pipeline.root, "alice/other.jsonl", "hello").write_bytes(CODEX_OLD)
    source = LocalSource(pipeline.settings.roots, readers=Readers((Broken(), ClaudeCodeReader())))
    report = run_batch(EchoProcessor(), source, pipeline.store, pipeline.settings, Options())
    assert (report.processed, report.errors) == (1, 1)
    ((key, error),) = report.errors_detail
    assert key == "alice/other.jsonl"
    assert "ValueError" in error
    assert "instructions" not in error, "its message may quote the file"


# --- how readers enter ---


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, ENTRY_POINT_GROUP)


OWN = entry("claude-code", "session_pipeline_dagster.transcripts.claude_code:ClaudeCodeReader")


def test_claude_code_enters_through_the_same_door_and_is_asked_last() -> None:
    *others, last = [reader.agent for reader in installed_readers().readers]
    assert last == "claude-code"
    assert {*others} >= {"codex", "copilot-cli", "gemini-cli"}
    found = load_readers([OWN, entry("codex-old", f"{__name__}:OldReader")])
    assert [reader.agent for reader in found.readers] == ["codex-old", "claude-code"]
    assert found.agents == "claude-code, codex-old"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("no_such_module:Reader", "No module named 'no_such_module'"),
        (f"{__name__}:EchoProcessor", "EchoProcessor.agent must match"),
        (OWN.value, "a reader of 'claude-code' is already loaded"),
        (f"{__name__}:NoParse", "NoParse.parse is missing"),
    ],
)
def test_a_reader_that_does_not_load_is_listed_and_the_others_go_on(value: str, said: str) -> None:
    found = load_readers([OWN, entry("x", value)])
    assert [reader.agent for reader in found.readers] == ["claude-code"]
    (failed,) = found.failed
    assert said in failed.error


class NoParse:
    agent = "nobody"

    def claims(self, key: str, head: bytes) -> bool:
        return True


@pytest.mark.parametrize("entries", [[], [entry("claude-code", "no_such_module:Reader")]])
def test_without_a_reader_of_our_own_nothing_begins(entries: list[EntryPoint]) -> None:
    """Else every session would be left out, and its rows deleted."""
    with pytest.raises(ContractError, match=r"files cannot be loaded \(.*\); install"):
        load_readers(entries)


def test_a_reader_that_failed_is_among_the_failed_plugins() -> None:
    assert load_processors().failed == installed_readers().failed == ()


def test_what_nobody_reads_is_not_called_processed(pipeline: Pipeline) -> None:
    echo, now = EchoProcessor(), datetime.now(UTC)
    write_session(pipeline.root, "alice/other.jsonl", "hello").write_bytes(CODEX_OLD)
    pipeline.run(echo)
    found = examine([echo], pipeline.source, pipeline.store, pipeline.settings, now)
    freshness = found.findings["echo"][0]
    assert freshness.status is Status.OK
    assert freshness.numbers["session_files"] == 0
    assert "1 more are left out: no reader" in freshness.detail
