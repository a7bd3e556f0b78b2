"""Tasks -> what came of them in a few threads, for processors that wait for someone else to answer.

The database is untouched meanwhile: the caller commits what is handed out here.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.passes.work import Task, Work, Workbench, Worked


def side_by_side(work: Work, tasks: Sequence[Task], threads: int) -> Iterator[Worked]:
    """Begin the tasks in order, `threads` at once, and hand out what came of each when it comes.

    Raises:
        SettingsError: as the processor raised it, once what had begun was handed out.
    """
    running: set[Future[tuple[Worked, SettingsError | None]]] = set()
    waiting = iter(tasks)
    refused: SettingsError | None = None
    with ThreadPoolExecutor(threads) as pool:
        while True:
            while len(running) < threads and refused is None and time.monotonic() < work.stop:
                task = next(waiting, None)
                if task is None:
                    break
                running.add(pool.submit(_work_on, work, task))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                worked, error = future.result()
                refused = refused or error
                yield worked
    if refused is not None:
        raise refused


def _work_on(work: Work, task: Task) -> tuple[Worked, SettingsError | None]:
    bench, refused = Workbench(work), None
    with work.trail.walk() as crumb:
        crumb.name(task.file)
        try:
            bench.work_on(task)
        except SettingsError as error:
            refused = error
    return bench.take(), refused
