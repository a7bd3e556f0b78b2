"""Tasks -> what came of them, in this process or, for a large backlog, in a few worker processes.

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
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import wait

from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.errors import failure_of
from session_pipeline_dagster.passes.deadline import or_end
from session_pipeline_dagster.passes.threads import side_by_side
from session_pipeline_dagster.passes.work import Task, Work, Workbench, Worked
from session_pipeline_dagster.sources.files import SessionSource

CHUNK_BYTES = 8 << 20
_WORTH_A_POOL = 32 << 20
_MOST_WORKERS = 4
_AHEAD = 12
"""Chunks that are handed out before the first of them is asked for."""
_FAR_AHEAD = 32
_WAITING_BYTES = 24 << 20
"""While a commit lasts, workers do 10 to 20 chunks, of half a megabyte of rows each. Lines that are
nearly all rows make ten times as much of them."""


class WorkersDied(Exception):
    """A worker died, and with it the pool; `unfinished` are the tasks of which nothing came."""

    def __init__(self, pool: ProcessPoolExecutor, unfinished: list[Task]) -> None:
        super().__init__(unfinished)
        self.pool, self.unfinished = pool, unfinished


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
    if count < 2 or size <= CHUNK_BYTES or not can_travel(processor, source):
        yield None
        return
    with hire(count, processor, source) as pool:
        for _ in range(count):
            pool.submit(_nothing)
        yield pool


def hire(count: int, processor: Processor, source: SessionSource) -> ProcessPoolExecutor:
    """So many worker processes for a processor and a source that can travel."""
    # A fork is ready 0.3 s earlier, but only a process without threads may; Dagster's has some, and
    # those of a client of object storage are counted by nobody.
    alone = sys.platform == "linux" and threading.active_count() == 1 and not source.remote
    # Here and not in each of them; a spawned one does it again (`_begin`).
    import session_pipeline_dagster.store.columns  # noqa: F401, PLC0415  0.1 s that no other pass pays

    context = multiprocessing.get_context("fork" if alone else "spawn")
    return ProcessPoolExecutor(count, context, _begin, (processor,))


def work_through(
    pool: ProcessPoolExecutor | None, work: Work, tasks: Sequence[Task]
) -> Iterator[Worked]:
    """Work on the tasks in order, and hand out what came of every few megabytes.

    Args:
        pool: where to work; None = here.

    Raises:
        WorkersDied: after everything else has been handed out.
    """
    if pool is not None:
        yield from _in_workers(pool, work, tasks)
    elif threads := extras(work.processor).threads:
        yield from side_by_side(work, tasks, threads)
    else:
        yield from work_here(work, tasks)


def work_here(work: Work, tasks: Sequence[Task]) -> Iterator[Worked]:
    """Work on the tasks in order, in this process and one at a time."""
    if threading.current_thread() is not threading.main_thread():
        # No alarm interrupts this thread, so it works in one that can be given up.
        yield from side_by_side(work, tasks, 1)
    else:
        yield from _here(work, tasks)


def can_travel(processor: Processor, source: SessionSource) -> bool:
    """Whether both can be sent to another process; a plugin need not care about that."""
    return failure_of(partial(pickle.dumps, (processor, source))) is None


def _here(work: Work, tasks: Sequence[Task]) -> Iterator[Worked]:
    bench = Workbench(work)
    with work.trail.walk() as crumb:
        for chunk in _chunks(tasks):
            for task in chunk:
                if time.monotonic() >= work.stop:
                    yield bench.take()
                    return
                crumb.name(task.file)
                bench.work_on(task)
                crumb.clear()
            yield bench.take()


def _in_workers(pool: ProcessPoolExecutor, work: Work, tasks: Sequence[Task]) -> Iterator[Worked]:
    running: deque[tuple[list[Task], Future[Worked]]] = deque()
    unfinished: list[Task] = []
    ahead, largest = _AHEAD, 1
    for chunk in _chunks(tasks):
        if time.monotonic() >= work.stop:
            break
        try:
            future = pool.submit(_work_on, work, chunk)
        except BrokenProcessPool:
            unfinished += chunk
            continue
        running.append((chunk, future))
        # Enough for the workers to stay busy while the caller commits.
        if len(running) >= ahead:
            for worked in _next(running, unfinished):
                largest = max(largest, sum(len(part.stream) for part in worked.rows.values()))
                ahead = min(max(_WAITING_BYTES // largest, _AHEAD), _FAR_AHEAD)
                yield worked
    while running:
        yield from _next(running, unfinished)
    if unfinished:
        raise WorkersDied(pool, unfinished)


def _next(
    running: deque[tuple[list[Task], Future[Worked]]], unfinished: list[Task]
) -> Iterator[Worked]:
    """What came next; nothing, and its tasks unfinished, if the pool died before it."""
    chunk, future = running.popleft()
    try:
        worked = future.result()
    except BrokenProcessPool:
        unfinished += chunk
    else:
        yield worked


def _nothing() -> None:
    """Makes a pool start one more of its processes."""


def _begin(processor: Processor) -> None:
    """A worker's first act; that `processor` arrived means that its modules are imported."""
    import session_pipeline_dagster.store.columns  # noqa: F401, PLC0415  while there is nothing to do yet

    threading.Thread(target=_end_with_its_run, daemon=True).start()
    # What it builds has no cycles, and it does nothing else: collecting only costs.
    gc.disable()


def _end_with_its_run() -> None:
    """A worker whose run was killed would wait for work for ever."""
    run = multiprocessing.parent_process()
    if run is not None:
        wait([run.sentinel])
        os._exit(1)


def _work_on(work: Work, tasks: Sequence[Task]) -> Worked:
    bench = Workbench(work)
    with work.trail.walk(worker=True) as crumb:
        for task in tasks:
            crumb.name(task.file)
            with or_end(work.file_seconds):
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
