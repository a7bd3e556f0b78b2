"""The same tasks although worker processes die: who killed one is found, the others go on.

A pool that loses a worker ends all of them, so several files may have been in work. Each is tried
again alone; the one that kills its process alone has failed, the others are simply done.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack

from session_pipeline_dagster.errors import PipelineError
from session_pipeline_dagster.passes.breadcrumbs import DIED
from session_pipeline_dagster.passes.deadline import is_slow, took_too_long
from session_pipeline_dagster.passes.plan import Problem
from session_pipeline_dagster.passes.pool import WorkersDied, can_travel, hire, work_through
from session_pipeline_dagster.passes.work import Failed, Task, Work, Worked
from session_pipeline_dagster.store.states import Failure

_WORKERS = 2
_TOO_SOON = (
    "worker processes die before they have begun a file; what was committed stays. "
    "Set SESSION_PIPELINE_WORKERS=1"
)


def apart(tasks: Sequence[Task], failures: Mapping[str, Failure]) -> tuple[list[Task], list[Task]]:
    """The tasks without and with a file that has killed a process, or took too long, before."""
    safe: list[Task] = []
    risky: list[Task] = []
    for task in tasks:
        failure = failures.get(task.file.key)
        kind = "" if failure is None else failure.error_class
        (risky if kind == DIED.error_class or is_slow(kind) else safe).append(task)
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
                named, unfinished = _in_work(died, work), died.unfinished
            found = [task for task in unfinished if task.file.key in named]
            if not found:
                raise PipelineError(_TOO_SOON)
            # Who ended the worker by taking too long is known; of the others one may have.
            slow = [task for task in found if named[task.file.key] != DIED]
            yield from (_failed(task, named) for task in slow)
            suspects += [task for task in found if task not in slow]
            tasks = [task for task in unfinished if task.file.key not in named]
            # Not in this process: there may be more of the kind.
            pool = hired.enter_context(hire(_WORKERS, work.processor, work.source))
    yield from one_by_one(work, suspects)


def one_by_one(work: Work, tasks: Sequence[Task]) -> Iterator[Worked]:
    """Each task alone, in a process that may die; here only if the processor cannot travel."""
    travels = can_travel(work.processor, work.source)
    with ExitStack() as hired:
        pool: ProcessPoolExecutor | None = None
        for task in tasks:
            if travels and pool is None:
                pool = hired.enter_context(hire(1, work.processor, work.source))
            try:
                with work.trail.alone(task.file):
                    yield from work_through(pool, work, [task])
            except WorkersDied as died:
                pool = None
                named = _in_work(died, work)
                if task.file.key not in named:
                    raise PipelineError(_TOO_SOON) from None
                yield _failed(task, named)


def _failed(task: Task, named: Mapping[str, Problem]) -> Worked:
    file = task.file
    return Worked([Failed(file.key, named[file.key], file.signature, file.root)])


def _in_work(died: WorkersDied, work: Work) -> dict[str, Problem]:
    """What the workers of a dead pool were working on, and what is to be said of it."""
    # Until they are gone altogether, their breadcrumbs are still held.
    died.pool.shutdown()
    now, seconds = time.time(), work.file_seconds
    with work.trail.left_behind(by_own_workers=True) as crumbs:
        return {
            crumb.session_file: took_too_long(seconds) if now - crumb.begun >= seconds else DIED
            for crumb in crumbs
            if crumb.worker
        }
