"""A code location for end-to-end tests: two processors that take their time and say when."""

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import dagster as dg

from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.settings import read_settings


class SlowProcessor:
    """Takes so many seconds a file and notes when it was at work."""

    version = 1
    cadence = timedelta(seconds=600)

    def __init__(self, name: str, seconds: float) -> None:
        self.name, self.seconds = name, seconds
        self.tables = {f"{name}_rows": "session_file VARCHAR, lines BIGINT"}

    def process(self, session: Session) -> ProcessorResult:
        began = time.time()
        time.sleep(self.seconds)
        note = {"name": self.name, "file": session.key, "began": began, "ended": time.time()}
        with Path(os.environ["SLOW_LOG"]).open("a") as log:
            log.write(json.dumps({**note, "pid": os.getpid()}) + "\n")
        rows = [(session.key, session.transcript.lines)]
        return ProcessorResult({f"{self.name}_rows": rows}, items=1)


@dg.definitions
def defs() -> dg.Definitions:
    """Two slow processors over the environment's settings."""
    # A run of b's takes longer than the next one of a's needs to start on a busy machine: else it
    # may fall between two of them and have nothing beside it.
    registry = Registry((SlowProcessor("slow_a", 1.5), SlowProcessor("slow_b", 7.0)))
    return build_definitions(registry, read_settings())
