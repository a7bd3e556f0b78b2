"""Tasks -> what came of them in a few threads, for processors that wait for someone else to answer.

The database is untouched meanwhile: the caller commits what is handed out here. No thread can be
ended; one that is not done in time is told to, given up and not waited for.
"""

import ctypes
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.passes.deadline import LONGEST, TookTooLong, took_too_long
from session_pipeline_dagster.passes.work import Failed, Task, Work, Workbench, Worked


@dataclass(frozen=True, slots=True)
class _Running:
    """A task in a thread of its own. `crumb` removes its breadcrumb."""

    task: Task
    thread: threading.Thread
    crumb: ExitStack
    begun: float


_Came = tuple[int, Worked, BaseException | None]
"""The number of a task, what came of it, and what ends the pass."""


def side_by_side(work: Work, tasks: Sequence[Task], threads: int) -> Iterator[Worked]:
    """Begin the tasks in order, `threads` at once, and hand out what came of each when it comes.

    Raises:
        SettingsError: as the processor raised it, once what had begun was handed out.
    """
    running: dict[int, _Running] = {}
    came: queue.SimpleQueue[_Came] = queue.SimpleQueue()
    waiting = enumerate(tasks)
    refused: BaseException | None = None
    with ExitStack() as crumbs:
        while True:
            while len(running) < threads and refused is None and time.monotonic() < work.stop:
                number, task = next(waiting, (0, None))
                if task is None:
                    break
                running[number] = _begun(work, number, task, came, crumbs)
            if not running:
                break
            end = min(begun.begun for begun in running.values()) + work.file_seconds
            try:
                left = min(max(end - time.monotonic(), 0.0), LONGEST)
                number, worked, error = came.get(timeout=left)
            except queue.Empty:
                yield from _given_up(work, running)
                continue
            if number not in running:
                # It was given up; what it has cost is kept all the same.
                yield Worked(journal=worked.journal, counts=worked.counts)
                continue
            running.pop(number).crumb.close()
            refused = refused or error
            yield worked
    if refused is not None:
        raise refused


def _begun(
    work: Work, number: int, task: Task, came: "queue.SimpleQueue[_Came]", crumbs: ExitStack
) -> _Running:
    # The breadcrumb is not the thread's: one that was given up would leave it behind.
    crumb = crumbs.enter_context(ExitStack())
    crumb.enter_context(work.trail.walk()).name(task.file)
    # A daemon: the process does not wait for one that was given up.
    thread = threading.Thread(target=_work_on, args=(work, number, task, came), daemon=True)
    thread.start()
    return _Running(task, thread, crumb, time.monotonic())


def _given_up(work: Work, running: dict[int, _Running]) -> Iterator[Worked]:
    now, problem = time.monotonic(), took_too_long(work.file_seconds)
    for number, late in list(running.items()):
        if now - late.begun >= work.file_seconds:
            _tell(late.thread)
            running.pop(number).crumb.close()
            file = late.task.file
            yield Worked([Failed(file.key, problem, file.signature, file.root)])


def _tell(thread: threading.Thread) -> None:
    """It ends with its next step in Python; what it waits for outside of Python, it waits for."""
    identity = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(identity, ctypes.py_object(TookTooLong))


def _work_on(work: Work, number: int, task: Task, came: "queue.SimpleQueue[_Came]") -> None:
    bench, ends = Workbench(work), None
    try:
        bench.work_on(task)
    except (SettingsError, KeyboardInterrupt) as error:
        ends = error
    came.put((number, bench.take(), ends))
