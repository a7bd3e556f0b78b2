"""Tasks -> Outcomes in a few threads, for processors that wait for someone else to answer.

The database is untouched meanwhile: the caller commits what is handed out here.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.passes.breadcrumbs import Trail
from session_pipeline_dagster.passes.work import Outcome, Task, Workbench
from session_pipeline_dagster.sources.files import SessionSource

if TYPE_CHECKING:
    import pyarrow


def side_by_side(
    processor: Processor,
    source: SessionSource,
    schemas: "Mapping[str, pyarrow.Schema]",
    tasks: Sequence[Task],
    stop: float,
    threads: int,
    trail: Trail,
) -> Iterator[Outcome]:
    """Begin the tasks in order, `threads` at once, and hand out what came of each when it comes.

    Args:
        stop: `time.monotonic()` after which no further task is begun.
        trail: where to write down which files are in work.

    Raises:
        SettingsError: as the processor raised it, once what had begun was handed out.
    """
    running: set[Future[tuple[Outcome, SettingsError | None]]] = set()
    waiting = iter(tasks)
    refused: SettingsError | None = None
    with ThreadPoolExecutor(threads) as pool:
        while True:
            while len(running) < threads and refused is None and time.monotonic() < stop:
                task = next(waiting, None)
                if task is None:
                    break
                running.add(pool.submit(_work, processor, source, schemas, task, trail))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                outcome, error = future.result()
                refused = refused or error
                yield outcome
    if refused is not None:
        raise refused


def _work(
    processor: Processor,
    source: SessionSource,
    schemas: "Mapping[str, pyarrow.Schema]",
    task: Task,
    trail: Trail,
) -> tuple[Outcome, SettingsError | None]:
    bench, refused = Workbench(processor, source, schemas), None
    with trail.walk() as crumb:
        crumb.name(task.file)
        try:
            bench.work_on(task)
        except SettingsError as error:
            refused = error
    return bench.take(), refused
