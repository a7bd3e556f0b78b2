"""Which of the processors that loaded can be used: their declarations are tried out."""

from collections.abc import Callable
from functools import partial

from session_pipeline_dagster.errors import failure_of
from session_pipeline_dagster.processor import FailedPlugin, Processor, Registry


def tried(registry: Registry, attempt: Callable[[Processor], object]) -> Registry:
    """The registry in which those that the attempt fails with count as not loaded."""
    good, failed = [], [*registry.failed]
    for processor in registry.processors:
        if error := failure_of(partial(attempt, processor)):
            kind = type(processor)
            target = f"{kind.__module__}:{kind.__qualname__}"
            failed.append(FailedPlugin(processor.name, target, error))
        else:
            good.append(processor)
    return Registry(tuple(good), tuple(failed))
