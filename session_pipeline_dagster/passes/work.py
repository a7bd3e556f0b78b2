"""One file through one processor: read, hash, parse, process, each problem turned into an Outcome.

Nothing here touches the store or another file, so it runs as well in a worker process.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from session_pipeline_dagster.contract.processor import Notes, Processor, ProcessorResult, Session
from session_pipeline_dagster.errors import (
    ContractError,
    Deferred,
    Permanent,
    Retryable,
    SettingsError,
    where,
)
from session_pipeline_dagster.passes.plan import Problem, still_failed
from session_pipeline_dagster.sources.files import (
    Content,
    SessionFile,
    SessionSource,
    Signature,
    session_day,
)
from session_pipeline_dagster.store.batch import Done, Signed
from session_pipeline_dagster.store.states import Failure, FileState
from session_pipeline_dagster.transcripts.claude_code import parse

if TYPE_CHECKING:
    import pyarrow

    from session_pipeline_dagster.store.columns import Packed


@dataclass(frozen=True, slots=True)
class Task:
    """A file to work on, and what its state and failure rows say."""

    file: SessionFile
    state: FileState | None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A file that could not be processed, and what it looked like when that was found."""

    file: SessionFile
    problem: Problem
    signature: Signature
    file_hash: str | None = None


@dataclass(slots=True)
class Outcome:
    """What became of a few files; `rows` are those of all `done`, by table.

    A deferred file is in none of the lists. `journal` and `counts` are of all files.
    """

    done: list[Done] = field(default_factory=list)
    signed: list[Signed] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    touched: list[Failure] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    rows: dict[str, "Packed"] = field(default_factory=dict)
    bytes_read: int = 0
    journal: dict[str, list["Packed"]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def files(self) -> int:
        """How many files it speaks of."""
        kinds = (self.done, self.signed, self.failed, self.touched, self.gone)
        return sum(len(kind) for kind in kinds)


class Workbench:
    """Works on files of one processor and keeps the rows until they are taken."""

    def __init__(
        self,
        processor: Processor,
        source: SessionSource,
        schemas: "Mapping[str, pyarrow.Schema]",
    ) -> None:
        self.processor, self.source, self.schemas = processor, source, schemas
        self._outcome = Outcome()
        self._results: list[tuple[SessionFile, Done, ProcessorResult]] = []

    def work_on(self, task: Task) -> None:
        """Process one file. Whatever goes wrong with it stays with it.

        Raises:
            SettingsError: the processor cannot work on any file as things are set.
        """
        file, state, outcome = task.file, task.state, self._outcome
        taken = datetime.now(UTC)
        try:
            content = self.source.read(file)
        except FileNotFoundError:
            outcome.gone.append(file.key)
            return
        except OSError as error:
            problem = Problem(type(error).__name__, f"cannot be read: {error.strerror}", False)
            outcome.failed.append(Failed(file, problem, file.signature))
            return
        except (Permanent, Retryable) as error:
            outcome.failed.append(Failed(file, _problem(self.processor, error), file.signature))
            return
        outcome.bytes_read += len(content.complete)
        unchanged = state is not None and state.file_hash == content.file_hash
        if unchanged and (state.processor_version == self.processor.version or state.kept):
            outcome.signed.append(Signed(file.key, content.signature, taken))
            return
        failure = task.failure
        if failure and failure.quarantined_at and failure.file_hash == content.file_hash:
            outcome.touched.append(still_failed(failure, content.signature))
            return
        try:
            done, result = self._process(file, state, content, taken)
        except SettingsError:
            raise
        except Deferred:
            return
        except (Exception, SystemExit) as error:  # noqa: BLE001  a file must never cost another one
            problem = _problem(self.processor, error)
            outcome.failed.append(Failed(file, problem, content.signature, content.file_hash))
            return
        outcome.done.append(done)
        self._results.append((file, done, result))

    def _process(
        self, file: SessionFile, state: FileState | None, content: Content, taken: datetime
    ) -> tuple[Done, ProcessorResult]:
        from session_pipeline_dagster.store.columns import check_rows  # noqa: PLC0415  see store.write.arrow_schema

        transcript = parse(content.complete)
        # What an older version left is no ground to build on: its rows are to be replaced.
        known = state if state and state.processor_version == self.processor.version else None
        session = Session(
            key=file.key,
            user=file.user,
            project=file.project,
            day=session_day(content),
            file_hash=content.file_hash,
            transcript=transcript,
            memo=known.memo if known else None,
        )
        try:
            result = self.processor.process(session)
        finally:
            self._keep(file, session.notes)
        check_result(self.processor, result)
        check_rows(result.rows, self.schemas, file.key)
        done = Done(
            session_file=file.key,
            username=file.user,
            session_day=session.day,
            items=result.items,
            file_hash=content.file_hash,
            signature=content.signature,
            signature_at=taken,
            lines=transcript.lines,
            unreadable_lines=transcript.unreadable_lines,
            unknown_lines=transcript.unknown_lines,
            memo=result.memo,
            appended_to=known.file_hash if known and result.append else None,
        )
        return done, result

    def _keep(self, file: SessionFile, notes: Notes) -> None:
        """What is kept of a file even if it fails."""
        from session_pipeline_dagster.store.columns import check_rows, encode, pack  # noqa: PLC0415  see store.write.arrow_schema

        counts, journal = self._outcome.counts, self._outcome.journal
        for name, number in notes.counts.items():
            counts[name] = counts.get(name, 0) + number
        check_rows(notes.journal, self.schemas, file.key)
        for table, rows in encode(notes.journal, self.schemas).items():
            journal.setdefault(table, []).append(pack(rows))

    def take(self) -> Outcome:
        """What was worked on since the last call, rows encoded."""
        outcome, results = self._outcome, self._results
        self._outcome, self._results = Outcome(), []
        if not results:
            return outcome
        try:
            outcome.rows = self._packed([r for _, _, r in results])
        except ContractError:
            self._encode_one_by_one(outcome, results)
        return outcome

    def _encode_one_by_one(
        self, outcome: Outcome, results: list[tuple[SessionFile, Done, ProcessorResult]]
    ) -> None:
        """Find the files whose rows do not fit, so that the others are not held up by them."""
        from session_pipeline_dagster.store.columns import encode  # noqa: PLC0415  see store.write.arrow_schema

        good: list[ProcessorResult] = []
        for file, done, result in results:
            try:
                encode(result.rows, self.schemas)
            except ContractError as error:
                problem = _problem(self.processor, error)
                outcome.failed.append(Failed(file, problem, done.signature, done.file_hash))
                outcome.done.remove(done)
            else:
                good.append(result)
        outcome.rows = self._packed(good)

    def _packed(self, results: list[ProcessorResult]) -> "dict[str, Packed]":
        from session_pipeline_dagster.store.columns import encode, pack  # noqa: PLC0415  see store.write.arrow_schema

        rows: dict[str, list[tuple[object, ...]]] = {}
        for result in results:
            for table, found in result.rows.items():
                rows.setdefault(table, []).extend(found)
        return {table: pack(found) for table, found in encode(rows, self.schemas).items()}


def check_result(processor: Processor, result: object) -> None:
    """Check that it is a result that a state row takes; its rows are checked against their tables.

    Raises:
        ContractError: it is not.
    """
    if not isinstance(result, ProcessorResult):
        kind = type(result).__name__
        raise ContractError(f"processor {processor.name!r} returned {kind}, not a ProcessorResult")
    items, memo = result.items, result.memo
    if not isinstance(items, int) or isinstance(items, bool) or not 0 <= items < 2**63:
        raise ContractError(f"processor {processor.name!r}: items must be a count")
    if memo is None:
        return
    try:
        json.loads(memo.encode() if isinstance(memo, str) else "")
    except ValueError as error:
        message = f"processor {processor.name!r}: memo must be a text that holds JSON"
        raise ContractError(message) from error


def _problem(processor: Processor, error: BaseException) -> Problem:
    """A failure in words that hold no transcript text.

    Only our own exceptions speak for themselves; the message of any other may quote the transcript.
    """
    kind = type(error).__name__
    if isinstance(error, Permanent | Retryable | ContractError):
        counts = not isinstance(error, Retryable)
        wait = error.retry_after if isinstance(error, Retryable) else None
        return Problem(kind, str(error), counts, isinstance(error, Permanent), wait)
    return Problem(kind, f"processor {processor.name!r} raised {kind}{where(error)}")
