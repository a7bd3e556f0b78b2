"""How a step ends that cannot do its work, and a tick that has none, in words that act nowhere."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from session_pipeline_dagster.errors import PipelineError
from session_pipeline_dagster.names import printable


@contextmanager
def failing_in_words() -> Generator[None]:
    """Our own errors say what to do and quote no transcript: they end the step without a trace."""
    try:
        yield
    except PipelineError as error:
        raise dg.Failure(printable(str(error))) from None


def skipping(reason: object, cursor: str | None = None, **more: Any) -> dg.SensorResult:
    """A tick that asks for no run, and says why; `more` as `SensorResult` has it."""
    return dg.SensorResult(skip_reason=printable(str(reason)), cursor=cursor, **more)
