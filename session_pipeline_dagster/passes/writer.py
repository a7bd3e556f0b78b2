"""What came of files -> commits by size, and a report of what was committed."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import RowsRefused
from session_pipeline_dagster.passes.options import BatchReport, DayReport
from session_pipeline_dagster.passes.plan import Problem, next_failure
from session_pipeline_dagster.passes.work import (
    Failed,
    Gone,
    Outcome,
    Postponed,
    StillFailed,
    Worked,
    refused,
)
from session_pipeline_dagster.sources.files import SessionFile
from session_pipeline_dagster.store.batch import Batch, Done, Signed
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.states import Failure, Known

if TYPE_CHECKING:
    from session_pipeline_dagster.store.columns import Packed

_MANY_ERRORS = 100
_MOST_ROWS = 122_880
"""Rows of one table in a commit, DuckDB's row group: what goes beyond it becomes a small group, and
merging those costs later commits twice their time and 80 MB."""
_MANY_ROWS = 110_000
"""Rows that are not worth waiting for more."""
_LONGEST_UNCOMMITTED = 10.0
"""Seconds: what a crash may cost where each file takes long."""
_COMMITS_APART = 10
"""So many times what a commit takes: a busy machine shall not spend its time on commits."""


class Fate(Enum):
    """What a pass is known to have done with a file. One that has none is left for the next."""

    WRITTEN = "written"  # its rows or its signature are in the database
    FAILED = "failed"
    GONE = "gone"


class Writer:
    """Collects outcomes, commits them, and counts in the report what was committed.

    Attributes:
        fates: session file -> what became of it, as far as it is committed or needs no commit.
    """

    def __init__(
        self,
        processor: Processor,
        store: Store,
        batch_bytes: int,
        known: Known,
        report: BatchReport,
        run_id: str | None,
        begun: datetime,
    ) -> None:
        self._processor, self._store, self._batch_bytes = processor, store, batch_bytes
        self._known, self._report, self._run_id = known, report, run_id
        self.fates: dict[str, Fate] = {}
        self._looked_at = begun
        self._batch = Batch(begun=begun)
        self._begun, self._bytes, self._longest = time.monotonic(), 0, _LONGEST_UNCOMMITTED

    def sign(self, files: Sequence[SessionFile]) -> None:
        """Take the signatures of files that are current without one."""
        now = datetime.now(UTC)
        self._batch.signed += [Signed(file.key, file.signature, now) for file in files]

    def add(self, worked: Worked) -> None:
        """Take what came of some files; commits when there is enough of it."""
        if self._fullest(worked.rows) > _MOST_ROWS:
            self.commit()
        for outcome in worked.outcomes:
            self._take(outcome)
        for table, packed in worked.rows.items():
            self._batch.rows.setdefault(table, []).append(packed)
        for table, parts in worked.journal.items():
            self._batch.journal.setdefault(table, []).extend(parts)
        for name, number in worked.counts.items():
            self._report.counts[name] = self._report.counts.get(name, 0) + number
        self._report.bytes += worked.bytes_read
        self._bytes += worked.bytes_read
        if (
            self._bytes >= self._batch_bytes
            or self._fullest({}) >= _MANY_ROWS
            or time.monotonic() - self._begun >= self._longest
        ):
            self.commit()

    def _take(self, outcome: Outcome) -> None:
        match outcome:
            case Done():
                self._batch.done.append(outcome)
            case Signed():
                self._batch.signed.append(outcome)
            case Failed():
                self._batch.failures.append(self._fail(outcome))
            case StillFailed(failure):
                self._batch.failures.append(failure)
                self.fates[failure.session_file] = Fate.FAILED
            case Gone(key):
                self._report.gone += 1
                self.fates[key] = Fate.GONE
            case Postponed():
                pass

    def _fail(self, failed: Failed) -> Failure:
        """The failure row of a file, which the report then names too."""
        key, problem = failed.session_file, failed.problem
        self.fates[key] = Fate.FAILED
        self._report.errors += 1
        if len(self._report.errors_detail) < _MANY_ERRORS:
            self._report.errors_detail.append((key, problem.error))
        earlier, now = self._known.failures.get(key), datetime.now(UTC)
        version, seen = self._processor.version, (failed.signature, failed.file_hash)
        failure = next_failure(key, failed.root, problem, earlier, now, *seen, version)
        self._report.failed_with.add(failure.error_class)
        self._report.gave_up += failure.quarantined_at is not None
        return failure

    def _fullest(self, more: "Mapping[str, Packed]") -> int:
        """Rows of the fullest table, were these added."""
        waiting = self._batch.rows
        return max(
            (
                sum(part.rows for part in waiting.get(table, ()))
                + (more[table].rows if table in more else 0)
                for table in {*waiting, *more}
            ),
            default=0,
        )

    def commit(self) -> None:
        """Write what has been taken so far."""
        batch, self._batch, self._bytes = self._batch, Batch(begun=self._looked_at), 0
        self._commit(batch)
        self._begun = time.monotonic()

    def finish(self, held: ExitStack | None) -> None:
        """The last commit; `held` keeps the database open from it on."""
        if held and self._batch:
            held.enter_context(self._store.held())
        self.commit()

    def _commit(self, batch: Batch) -> None:
        if not batch:
            return
        begun = time.monotonic()
        try:
            overtaken = self._store.commit(self._processor, batch, self._run_id)
        except RowsRefused as error:
            self._find_refused(batch, error)
            return
        took = time.monotonic() - begun
        self._longest = max(_LONGEST_UNCOMMITTED, _COMMITS_APART * took)
        self._report.commit_seconds.append(took)
        written = [done for done in batch.done if done.session_file not in overtaken]
        self._report.skipped += len(batch.signed)
        for done in written:
            self._count(done)
        for settled in (*written, *batch.signed):
            self.fates[settled.session_file] = Fate.WRITTEN

    def _count(self, done: Done) -> None:
        """A file whose rows are in the database, or that has none to be there."""
        if done.left_out:
            self._report.left_out += 1
            return
        report, before = self._report, self._known.states.get(done.session_file)
        if before and before.signature and done.signature.size < before.signature.size:
            report.shrunk += 1
        day = report.days.setdefault(done.session_day, DayReport())
        day.processed += 1
        day.items += done.items
        day.lines += done.lines
        report.processed += 1
        report.items_extracted += done.items
        report.lines += done.lines
        report.unreadable_lines += done.unreadable_lines

    def _find_refused(self, batch: Batch, error: RowsRefused) -> None:
        """Only the database knows what it refuses: halve until the file is alone, then leave out
        of it what is refused, the rows first."""
        halves = batch.halves()
        if halves:
            for half in halves:
                self._commit(half)
        elif batch.done:
            problem = Problem(type(error).__name__, str(error))
            failed = [self._fail(refused(done, problem)) for done in batch.done]
            self._commit(replace(batch, rows={}, done=[], failures=[*batch.failures, *failed]))
        elif batch.journal:
            self._commit(replace(batch, journal={}))
        elif any(failure.signature for failure in batch.failures):
            self._commit(replace(batch, failures=[_bare(f) for f in batch.failures]))


def _bare(failure: Failure) -> Failure:
    """What can be written of a failure in any case; the file is then tried by every pass."""
    return msgspec.structs.replace(failure, signature=None, file_hash=None)


Take = Callable[[Worked], None]


def taking(writer: Writer, progress: Callable[[int, int], None] | None, total: int) -> Take:
    """Hands what came of files to the writer, and says how many they are by now."""
    count = 0

    def take(worked: Worked) -> None:
        nonlocal count
        writer.add(worked)
        count += len(worked.outcomes)
        if progress:
            progress(count, total)

    return take
