"""Tasks -> Outcomes, in this process or, for a large backlog, in a few worker processes.

Parsing is bound by one core; workers send Arrow back and the caller stays the only writer.
"""

import gc
import multiprocessing
import os
import pickle
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING

from session_pipeline_dagster.errors import PipelineError
from session_pipeline_dagster.processor import Processor, extras
from session_pipeline_dagster.sessions import SessionSource
from session_pipeline_dagster.threads import side_by_side
from session_pipeline_dagster.work import Outcome, Task, Workbench

if TYPE_CHECKING:
    import pyarrow

CHUNK_BYTES = 8 << 20
_WORTH_A_POOL = 64 << 20
_MOST_WORKERS = 4
_AHEAD = 12


@contextmanager
def crew(
    processor: Processor, source: SessionSource, tasks: Sequence[Task], workers: int
) -> Generator[ProcessPoolExecutor | None]:
    """Worker processes for the tasks, already starting; None where they are not worth it.

    Args:
        workers: processes; 0 = by the size of the backlog, 1 = none.
    """
    size = sum(task.file.signature.size for task in tasks)
    if extras(processor).threads:
        workers = 1
    count = workers or (min(os.cpu_count() or 1, _MOST_WORKERS) if size >= _WORTH_A_POOL else 1)
    if count < 2 or size <= CHUNK_BYTES or not _can_travel(processor, source):
        yield None
        return
    # A fork is ready 0.3 s earlier, but only a process without threads may; Dagster's has some.
    alone = sys.platform == "linux" and threading.active_count() == 1
    # Here and not in each of them; a spawned one does it again (`_begin`).
    import session_pipeline_dagster.columns  # noqa: F401, PLC0415  0.1 s that no other pass pays

    context = multiprocessing.get_context("fork" if alone else "spawn")
    with ProcessPoolExecutor(count, context, _begin, (processor,)) as pool:
        for _ in range(count):
            pool.submit(_nothing)
        yield pool


def outcomes(
    pool: ProcessPoolExecutor | None,
    processor: Processor,
    source: SessionSource,
    schemas: "Mapping[str, pyarrow.Schema]",
    tasks: Sequence[Task],
    stop: float,
) -> Iterator[Outcome]:
    """Work on the tasks in order, and hand out what came of every few megabytes.

    Args:
        pool: where to work; None = here.
        stop: `time.monotonic()` after which no further task is begun.
    """
    if threads := extras(processor).threads:
        yield from side_by_side(processor, source, schemas, tasks, stop, threads)
    elif pool is None:
        yield from _here(processor, source, schemas, tasks, stop)
    else:
        yield from _in_workers(pool, processor, source, schemas, tasks, stop)


def _can_travel(processor: Processor, source: SessionSource) -> bool:
    """Whether both can be sent to another process; a plugin need not care about that."""
    try:
        pickle.dumps((processor, source))
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def _here(
    processor: Processor,
    source: SessionSource,
    schemas: "Mapping[str, pyarrow.Schema]",
    tasks: Sequence[Task],
    stop: float,
) -> Iterator[Outcome]:
    bench = Workbench(processor, source, schemas)
    for chunk in _chunks(tasks):
        for task in chunk:
            if time.monotonic() >= stop:
                yield bench.take()
                return
            bench.work_on(task)
        yield bench.take()


def _in_workers(
    pool: ProcessPoolExecutor,
    processor: Processor,
    source: SessionSource,
    schemas: "Mapping[str, pyarrow.Schema]",
    tasks: Sequence[Task],
    stop: float,
) -> Iterator[Outcome]:
    running: deque[Future[Outcome]] = deque()
    try:
        for chunk in _chunks(tasks):
            if time.monotonic() >= stop:
                break
            running.append(pool.submit(_work, processor, source, schemas, chunk))
            # Enough for the workers to stay busy while the caller commits; results are small.
            if len(running) >= _AHEAD:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    except BrokenProcessPool as error:
        raise PipelineError(
            "a worker process died; what was committed stays, the rest is still pending. "
            "Set SESSION_PIPELINE_WORKERS=1 to find the file"
        ) from error


def _nothing() -> None:
    """Makes a pool start one more of its processes."""


def _begin(processor: Processor) -> None:
    """A worker's first act; that `processor` arrived means that its modules are imported."""
    import session_pipeline_dagster.columns  # noqa: F401, PLC0415  while there is nothing to do yet

    # What it builds has no cycles, and it does nothing else: collecting only costs.
    gc.disable()


def _work(
    processor: Processor,
    source: SessionSource,
    schemas: "Mapping[str, pyarrow.Schema]",
    tasks: Sequence[Task],
) -> Outcome:
    bench = Workbench(processor, source, schemas)
    for task in tasks:
        bench.work_on(task)
    return bench.take()


def _chunks(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    chunk: list[Task] = []
    size = 0
    for task in tasks:
        chunk.append(task)
        size += task.file.signature.size
        if size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
