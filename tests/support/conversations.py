"""Session files of people talking to an assistant, for tests of the `verification` processor."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers import Pipeline, make_pipeline
from lines import Line, encode, session_of
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.processors.verification.detection.turns import Turn, read_turns
from session_pipeline_dagster.settings import ModelSettings

FACT = "No, it's actually the invoice date: the rate is always that of the invoice date."


def said(role: str, text: object, number: int = 0, **envelope: object) -> Line:
    """One line of the main thread; `role` is user or assistant."""
    message: Line = {"role": role, "content": text}
    if role == "assistant":
        message |= {"id": f"msg_{number}", "model": "claude-opus-4-5"}
    at = f"2026-03-10T12:{number // 60 % 60:02}:{number % 60:02}.000Z"
    line: Line = {"type": role, "sessionId": "s1", "uuid": f"line-{number}", "timestamp": at}
    return line | {"message": message} | envelope


def conversation(*texts: str, first: int = 0) -> list[Line]:
    """User and assistant by turns, the user first."""
    roles = ("user", "assistant")
    return [said(roles[n % 2], text, first + n) for n, text in enumerate(texts)]


def turns_of(*lines: Line | bytes, key: str = "alice/p/s.jsonl") -> list[Turn]:
    made = session(*lines, key=key)
    return read_turns(made.transcript)


def session(*lines: Line | bytes, key: str = "alice/p/s.jsonl") -> Session:
    return session_of(encode(*lines), key)


def write(pipeline: Pipeline, key: str, lines: Sequence[Line]) -> Path:
    path = pipeline.root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(*lines))
    return path


def add(path: Path, lines: Sequence[Line]) -> None:
    with path.open("ab") as file:
        file.write(encode(*lines))


def pipeline_asking(folder: Path, model: ModelSettings, **changes: Any) -> Pipeline:
    pipeline = make_pipeline(folder)
    return Pipeline(pipeline.root, replace(pipeline.settings, model=model, **changes))


def sent_turns(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The turns in the body of a request."""
    messages = [m for m in request["messages"] if m["role"] == "user"]
    return json.loads(messages[0]["content"])
