"""The same tasks although worker processes die: who killed one is found, the others go on.

A pool that loses a worker ends all of them, so several files may have been in work. Each is tried
again alone; the one that kills its process alone has failed, the others are simply done.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack

from session_pipeline_dagster.errors import PipelineError
from session_pipeline_dagster.passes.breadcrumbs import DIED, Trail
from session_pipeline_dagster.passes.pool import WorkersDied, can_travel, hire, work_through
from session_pipeline_dagster.passes.work import Failed, Task, Work, Worked
from session_pipeline_dagster.store.states import Failure

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


def work_safely(
    pool: ProcessPoolExecutor | None, work: Work, tasks: Sequence[Task]
) -> Iterator[Worked]:
    """`pool.work_through`, and what came of the files whose worker died.

    Raises:
        PipelineError: workers die before they have begun a file.
    """
    suspects: list[Task] = []
    with ExitStack() as hired:
        while tasks:
            try:
                yield from work_through(pool, work, tasks)
                break
            except WorkersDied as died:
                named, unfinished = _in_work(died, work.trail), died.unfinished
            found = [task for task in unfinished if task.file.key in named]
            if not found:
                raise PipelineError(_TOO_SOON)
            suspects += found
            tasks = [task for task in unfinished if task.file.key not in named]
            # Not in this process: there may be more of the kind.
            pool = hired.enter_context(hire(_WORKERS, work.processor))
    yield from one_by_one(work, suspects)


def one_by_one(work: Work, tasks: Sequence[Task]) -> Iterator[Worked]:
    """Each task alone, in a process that may die; here only if the processor cannot travel."""
    travels = can_travel(work.processor, work.source)
    with ExitStack() as hired:
        pool: ProcessPoolExecutor | None = None
        for task in tasks:
            if travels and pool is None:
                pool = hired.enter_context(hire(1, work.processor))
            try:
                yield from work_through(pool, work, [task])
            except WorkersDied as died:
                pool = None
                if task.file.key not in _in_work(died, work.trail):
                    raise PipelineError(_TOO_SOON) from None
                yield Worked([Failed(task.file.key, DIED, task.file.signature, task.file.root)])


def _in_work(died: WorkersDied, trail: Trail) -> set[str]:
    """What the workers of a dead pool were working on."""
    # Until they are gone altogether, their breadcrumbs are still held.
    died.pool.shutdown()
    with trail.left_behind(by_own_workers=True) as crumbs:
        return {crumb.session_file for crumb in crumbs if crumb.worker}
