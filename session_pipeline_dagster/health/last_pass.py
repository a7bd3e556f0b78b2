"""What a pass says of itself: whether every file of it was processed, or some were given up.

What waits, however long ago it failed, is in `rules.py`.
"""

from collections.abc import Iterable

from session_pipeline_dagster.health.findings import Finding, Status
from session_pipeline_dagster.health.rules import failing
from session_pipeline_dagster.passes.options import BatchReport
from session_pipeline_dagster.store.states import Failure

FILES_GIVEN_UP = "files_given_up"
DONE = "files_done"
"""The number of files whose rows are as they should be since the pass; without any it failed."""
ABOUT = (
    "The last run gave no file up, nor passed over one that was given up if somebody launched it. "
    "Where files wait to be tried again it passes, unless none was processed. The button says "
    "whether any file is given up now; `quarantine` lists them."
)


def said_of(report: BatchReport, *, by_hand: bool) -> Finding:
    """What a run says when it ends.

    Args:
        by_hand: somebody expects that files which were given up are tried.
    """
    earlier = report.quarantined if by_hand else 0
    done = report.processed + report.skipped
    numbers = {
        DONE: done,
        "files_failed": report.errors,
        "gave_up": report.gave_up,
        "given_up_earlier": earlier,
    }
    again = report.errors - report.gave_up
    parts = [
        *([f"{report.gave_up} given up now"] if report.gave_up else []),
        *([f"{earlier} given up earlier and not tried"] if earlier else []),
        *([f"{again} failed and will be tried again"] if again else []),
    ]
    nothing_done = report.errors > 0 and not done
    detail = f"{done} files processed{'; ' * bool(parts)}{', '.join(parts)}"
    if not (report.gave_up or earlier or nothing_done):
        return Finding(FILES_GIVEN_UP, Status.OK, detail, numbers)
    causes = failing({*report.failed_with, *(report.given_up_with if earlier else ())})
    detail += ". Stage: processing. The check `quarantine` lists them and says how to try again"
    return Finding(FILES_GIVEN_UP, Status.WARNING, detail, numbers, causes=causes)


def given_up_now(failures: Iterable[Failure]) -> Finding:
    """What the button says, without a run over files."""
    kinds = [failure.error_class for failure in failures if failure.quarantined_at]
    numbers = {"given_up_earlier": len(kinds)}
    detail = f"{len(kinds)} files are given up now"
    status = Status.WARNING if kinds else Status.OK
    return Finding(FILES_GIVEN_UP, status, detail, numbers, causes=failing(kinds))
