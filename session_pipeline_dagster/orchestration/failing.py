"""How a step ends that cannot do its work."""

from collections.abc import Generator
from contextlib import contextmanager

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
