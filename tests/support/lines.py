"""Lines of session files for tests: what Claude Code writes, with only the fields that matter."""

import json
import re
from datetime import date
from pathlib import Path

from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.passes.options import BatchReport, Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import Layout, MoneySettings, PeopleSettings, Root, Settings
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import open_store
from session_pipeline_dagster.transcripts.claude_code import parse

Line = dict[str, object]
NOON = "2026-03-10T12:00:00.000Z"


def usage(input_tokens: int = 0, output: int = 0, creation: int = 0, read: int = 0) -> Line:
    return {
        "input_tokens": input_tokens,
        "output_tokens": output,
        "cache_creation_input_tokens": creation,
        "cache_read_input_tokens": read,
    }


def assistant(
    message_id: str | None = "msg_1",
    counts: Line | None = None,
    content: object = (),
    *,
    stop: str | None = "end_turn",
    model: str = "claude-opus-4-5",
    at: str | None = NOON,
    **envelope: object,
) -> Line:
    message: Line = {"role": "assistant", "model": model, "stop_reason": stop}
    message |= {"content": list(content) if isinstance(content, tuple) else content}
    message |= {} if message_id is None else {"id": message_id}
    message |= {} if counts is None else {"usage": counts}
    return _line("assistant", at, {"message": message, **envelope})


def user(content: object = "hello", *, at: str | None = NOON, **envelope: object) -> Line:
    return _line("user", at, {"message": {"role": "user", "content": content}, **envelope})


def other(kind: str, *, at: str | None = NOON, **envelope: object) -> Line:
    return _line(kind, at, envelope)


def _line(kind: str, at: str | None, rest: Line) -> Line:
    return {"type": kind, "sessionId": "s"} | ({} if at is None else {"timestamp": at}) | rest


def tool(tool_name: str, tool_id: str | None = "toolu_1", /, **given: object) -> Line:
    block = {"type": "tool_use", "name": tool_name, "input": given}
    return block if tool_id is None else block | {"id": tool_id}


def result(tool_id: str = "toolu_1", *, error: bool | None = None) -> Line:
    block = {"type": "tool_result", "tool_use_id": tool_id, "content": "done"}
    return block if error is None else block | {"is_error": error}


def agent_progress_line(message: Line, *, at: str | None = NOON, **envelope: object) -> Line:
    data = {"type": "agent_progress", "agentId": "a1", "message": message}
    return other("progress", at=at, data=data, **envelope)


def encode(*lines: Line | bytes) -> bytes:
    """The bytes of a file of these lines; bytes are taken as they are."""
    parts = [x if isinstance(x, bytes) else json.dumps(x, separators=(",", ":")) for x in lines]
    return b"".join((p if isinstance(p, bytes) else p.encode()) + b"\n" for p in parts)


def session_of(content: bytes, key: str = "alice/p/s.jsonl", project: str | None = "p") -> Session:
    return Session(key, "alice", project, date(2026, 3, 10), "hash", parse(content))


def counted(*lines: Line | bytes, key: str = "alice/p/s.jsonl") -> "Rows":
    """The usage rows of one file, as dictionaries."""
    result = UsageProcessor().process(session_of(encode(*lines), key))
    found = {
        table: [dict(zip(columns(ddl), row, strict=True)) for row in result.rows.get(table, ())]
        for table, ddl in UsageProcessor.tables.items()
    }
    return Rows(found["usage_messages"], found["usage_events"], found["usage_sessions"][0])


class Rows:
    """Rows of one file: messages, events without the prompts, these, and the row of the session."""

    def __init__(self, messages: list[Line], events: list[Line], session: Line) -> None:
        self.messages, self.session = messages, session
        self.events = [event for event in events if event["event_type"] != "prompt"]
        self.prompts = [event for event in events if event["event_type"] == "prompt"]

    def tokens(self) -> tuple[object, ...]:
        """Input, output, cache creation, cache read of the file."""
        names = ("input_tokens", "output_tokens", "cache_creation_tokens", "cache_read_tokens")
        return tuple(self.session[name] for name in names)


def columns(ddl: str) -> list[str]:
    return [part.split()[0] for part in re.split(r",(?![^(]*\))", ddl)]


class UsagePipeline:
    """A root of session files and a database, and the usage processor over them."""

    def __init__(self, folder: Path, layout: Layout = Layout.USERS, root: Path | None = None):
        self.root = root or folder / "sessions"
        self.root.mkdir(exist_ok=True)
        self.layout = layout
        self.settings = Settings(database=folder / "usage.duckdb", workers=1)
        self.store = open_store(self.settings)

    def write(self, key: str, *lines: Line | bytes) -> None:
        self.write_bytes(key, encode(*lines))

    def write_bytes(self, key: str, content: bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def run(
        self, money: MoneySettings | None = None, people: PeopleSettings | None = None
    ) -> BatchReport:
        source = LocalSource((Root(self.root),), self.layout)
        given = Settings(money=money or MoneySettings(), people=people or PeopleSettings())
        processor = UsageProcessor(settings=given)
        report = run_all(processor, source, self.store, self.settings, Options())
        assert report.errors_detail == []
        return report

    def select(self, sql: str) -> list[tuple[object, ...]]:
        return self.store.query(sql)[0][1]

    def tokens(self) -> tuple[object, ...]:
        """Input, output, cache creation, cache read over all files, each response once."""
        return self.select(
            """SELECT coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
                coalesce(sum(cache_creation_tokens), 0), coalesce(sum(cache_read_tokens), 0)
            FROM usage_messages_unique"""
        )[0]
