"""The same tasks although worker processes die: who killed one is found, the others go on.

A pool that loses a worker ends all of them, so several files may have been in work. Each is tried
again alone; the one that kills its process alone has failed, the others are simply done.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import PipelineError
from session_pipeline_dagster.passes.breadcrumbs import DIED, Trail
from session_pipeline_dagster.passes.pool import WorkersDied, can_travel, hire, outcomes
from session_pipeline_dagster.passes.work import Failed, Outcome, Task
from session_pipeline_dagster.sources.files import SessionSource
from session_pipeline_dagster.store.states import Failure

if TYPE_CHECKING:
    import pyarrow


_WORKERS = 2
_TOO_SOON = (
    "worker processes die before they have begun a file; what was committed stays. "
    "Set SESSION_PIPELINE_WORKERS=1"
)


def apart(tasks: Sequence[Task], failures: Mapping[str, Failure]) -> tuple[list[Task], list[Task]]:
    """The tasks without and with a file that has killed a process before."""
    safe: list[Task] = []
    risky: list[Task] = []
    for task in tasks:
        failure = failures.get(task.file.key)
        died = failure is not None and failure.error_class == DIED.error_class
        (risky if died else safe).append(task)
    return safe, risky


def rescued(
    pool: ProcessPoolExecutor | None,
    processor: Processor,
    source: SessionSource,
    schemas: "Mapping[str, pyarrow.Schema]",
    tasks: Sequence[Task],
    stop: float,
    trail: Trail,
) -> Iterator[Outcome]:
    """`pool.outcomes`, and what came of the files whose worker died.

    Raises:
        PipelineError: workers die before they have begun a file.
    """
    suspects: list[Task] = []
    with ExitStack() as hired:
        while tasks:
            try:
                yield from outcomes(pool, processor, source, schemas, tasks, stop, trail)
                break
            except WorkersDied as died:
                named, unfinished = _in_work(died, trail), died.unfinished
            found = [task for task in unfinished if task.file.key in named]
            if not found:
                raise PipelineError(_TOO_SOON)
            suspects += found
            tasks = [task for task in unfinished if task.file.key not in named]
            # Not in this process: there may be more of the kind.
            pool = hired.enter_context(hire(_WORKERS, processor))
    yield from alone(processor, source, schemas, suspects, stop, trail)


def alone(
    processor: Processor,
    source: SessionSource,
    schemas: "Mapping[str, pyarrow.Schema]",
    tasks: Sequence[Task],
    stop: float,
    trail: Trail,
) -> Iterator[Outcome]:
    """Each task by itself, in a process that may die; here only if the processor cannot travel."""
    travels = can_travel(processor, source)
    with ExitStack() as hired:
        pool: ProcessPoolExecutor | None = None
        for task in tasks:
            if travels and pool is None:
                pool = hired.enter_context(hire(1, processor))
            try:
                yield from outcomes(pool, processor, source, schemas, [task], stop, trail)
            except WorkersDied as died:
                pool = None
                if task.file.key not in _in_work(died, trail):
                    raise PipelineError(_TOO_SOON) from None
                yield Outcome(failed=[Failed(task.file, DIED, task.file.signature)])


def _in_work(died: WorkersDied, trail: Trail) -> set[str]:
    """What the workers of a dead pool were working on."""
    # Until they are gone altogether, their breadcrumbs are still held.
    died.pool.shutdown()
    with trail.left_behind(by_own_workers=True) as crumbs:
        return {crumb.session_file for crumb in crumbs if crumb.worker}
