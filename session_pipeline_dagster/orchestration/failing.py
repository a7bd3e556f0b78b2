"""How a step ends that cannot do its work, and a tick that has none, in words that act nowhere."""

from types import TracebackType
from typing import Any

import dagster as dg

from session_pipeline_dagster.errors import PipelineError, is_stop, where
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.settings import Settings


class failing_in_words:
    """Our own errors say what to do and quote no transcript: they end the step without a trace.

    Where people are hidden, so does every other exception, for its message may name some.
    """

    def __init__(self, settings: Settings) -> None:
        self._veil = Veil(settings.people.mode)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            return
        if isinstance(error, PipelineError):
            raise dg.Failure(printable(self._veil.error(error))) from None
        if not self._veil.hides or is_stop(error) or isinstance(error, dg.Failure):
            return
        if isinstance(error, Exception):
            raise dg.Failure(f"{type(error).__name__}{where(error)}") from None


def skipping(reason: object, cursor: str | None = None, **more: Any) -> dg.SensorResult:
    """A tick that asks for no run, and says why; `more` as `SensorResult` has it."""
    return dg.SensorResult(skip_reason=printable(str(reason)), cursor=cursor, **more)
