"""A processor for the tests of knowledge: what a session file says outright is a detection."""

import json
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from helpers import OLD, Pipeline, set_mtime
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.passes.options import BatchReport, Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.copies import started_us
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.processors.verification.knowledge.declared import derivations
from session_pipeline_dagster.processors.verification.knowledge.judge import Judge

Said = tuple[str, str]
"""How it was said (a detection type), and what."""


class Teller(VerificationProcessor):
    """The verification processor with the simplest of all extractors."""

    cadence = timedelta(seconds=60)

    def __init__(self, judge: Judge | None = None) -> None:
        self.derivations = derivations(judge)

    def begin(self, settings: object, run_id: str | None) -> "Teller":
        return self

    def process(self, session: Session) -> ProcessorResult:
        rows = []
        began_us = started_us((record.time_us() for _, record in session.transcript), session.day)
        for number, record in session.transcript:
            told = json.loads("".join(record.texts()))
            key = sha256(f"{record.uuid}{told['kind']}{told['content']}".encode()).hexdigest()[:16]
            rows.append(
                (
                    *(session.key, key, session.stem, session.user, told["kind"]),
                    *(told["content"][:60], told["content"], told["content"], told["domain"]),
                    *(told["entities"], record.uuid, number, record.time_us()),
                    *("rules", 1, None, None, began_us, False, None, None, True, []),
                )
            )
        return ProcessorResult({"verifications": rows}, len(rows))


def tell(
    root: Path,
    key: str,
    *said: Said,
    day: str = "2025-03-01",
    domain: str | None = "finance",
    entities: Sequence[str] = (),
    uuid: str | None = None,
) -> Path:
    """A session file in which a person says these things, an hour apart.

    Args:
        uuid: of the lines, before their number; default: the file's key.
    """
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("", "utf-8")
    tell_more(path, *said, day=day, domain=domain, entities=entities, uuid=uuid or key)
    set_mtime(path, OLD)
    return path


def tell_more(
    path: Path,
    *said: Said,
    uuid: str,
    day: str = "2025-03-01",
    domain: str | None = "finance",
    entities: Sequence[str] = (),
) -> None:
    """More of it at the end of the file."""
    start = len(path.read_text("utf-8").splitlines())
    with path.open("a", encoding="utf-8") as handle:
        for number, (kind, content) in enumerate(said, start=start):
            told = {"kind": kind, "content": content, "domain": domain, "entities": [*entities]}
            line = {
                "type": "user",
                "uuid": f"{uuid}:{number}",
                "timestamp": f"{day}T{number:02}:00:00.000Z",
                "message": {"role": "user", "content": json.dumps(told)},
            }
            handle.write(json.dumps(line) + "\n")


def run(pipeline: Pipeline, teller: Teller | None = None, **options: object) -> BatchReport:
    """One whole pass, knowledge included."""
    chosen = teller or Teller()
    given = Options(**options)
    return run_all(chosen, pipeline.source, pipeline.store, pipeline.settings, given)
