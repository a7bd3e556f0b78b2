"""One file through one processor: read, hash, parse, process; it ends in exactly one outcome.

Nothing here touches the store or another file, so it runs as well in a worker process.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeGuard

from session_pipeline_dagster.contract.processor import Notes, Processor, ProcessorResult, Session
from session_pipeline_dagster.errors import (
    ContractError,
    Deferred,
    Permanent,
    Retryable,
    SettingsError,
    is_stop,
    kind_of,
    message_of,
    where,
)
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.passes.breadcrumbs import Trail
from session_pipeline_dagster.passes.deadline import TookTooLong, took_too_long, within
from session_pipeline_dagster.passes.plan import Problem, still_failed
from session_pipeline_dagster.sources.files import (
    Content,
    Fingerprint,
    SessionFile,
    SessionSource,
    Signature,
    session_day,
)
from session_pipeline_dagster.store.batch import Done, Signed
from session_pipeline_dagster.store.states import Failure, FileState
from session_pipeline_dagster.transcripts.reader import why_left_out
from session_pipeline_dagster.transcripts.records import Transcript

if TYPE_CHECKING:
    import pyarrow

    from session_pipeline_dagster.store.columns import Packed


@dataclass(frozen=True, slots=True)
class Work:
    """What a pass does with every file. It can be sent to another process if its parts can.

    Attributes:
        schemas: table -> Arrow schema.
        trail: where to write down which file is in work.
        stop: `time.monotonic()` after which no further file is begun.
        file_seconds: how long one file may take.
        only_compare: look whether its content is known; a file whose content is not is `Postponed`.
    """

    processor: Processor
    source: SessionSource
    schemas: "Mapping[str, pyarrow.Schema]"
    trail: Trail
    stop: float
    file_seconds: float
    only_compare: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """A file to work on, and what its state and failure rows say."""

    file: SessionFile
    state: FileState | None
    failure: Failure | None = None

    @property
    def given_up(self) -> Failure | None:
        """Its failure, if it was given up."""
        return self.failure if self.failure and self.failure.quarantined_at else None

    def may_be_known(self, version: int) -> bool:
        """Whether its hash alone may settle it: it is as large as what is known of it was."""
        known = (self.state if _stands(self.state, version) else None, self.given_up)
        sizes = [row.signature.size for row in known if row and row.signature and row.file_hash]
        return self.file.signature.size in sizes


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not be processed; `signature` is what it looked like when that was found."""

    session_file: str
    problem: Problem
    signature: Signature
    root: str
    file_hash: str | None = None


def _stands(state: FileState | None, version: int) -> bool:
    """Whether what was made of this content is to stay."""
    return state is not None and (state.kept or state.processor_version >= version)


def refused(done: Done, problem: Problem) -> Failed:
    """It was processed, but its rows cannot be kept."""
    return Failed(done.session_file, problem, done.signature, done.root, done.file_hash)


@dataclass(frozen=True, slots=True)
class StillFailed:
    """It was given up, and its content has not changed since."""

    failure: Failure

    @property
    def session_file(self) -> str:
        """The file that it is of."""
        return self.failure.session_file


@dataclass(frozen=True, slots=True)
class Gone:
    """It vanished before it could be read."""

    session_file: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """The processor has no room for it in this pass; or it was only compared, and is not known."""

    session_file: str


Outcome = Done | Signed | Failed | StillFailed | Gone | Postponed
"""What becomes of one file: processed, unchanged after all, or why it is neither."""


@dataclass(frozen=True, slots=True)
class Worked:
    """What came of a few files.

    Attributes:
        outcomes: one a file.
        rows: table -> the rows of all that are `Done`.
        journal: table -> rows of all files, whatever became of them.
        counts: the processor's own numbers, summed over all files.
    """

    outcomes: Sequence[Outcome] = ()
    rows: "Mapping[str, Packed]" = field(default_factory=dict)
    journal: "Mapping[str, Sequence[Packed]]" = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    bytes_read: int = 0


@dataclass(slots=True)
class _Found:
    """What is known of a file while it is in work, should the work end early."""

    signature: Signature
    file_hash: str | None = None
    notes: Notes = field(default_factory=Notes)


class Workbench:
    """Works on files and keeps what came of them until it is taken."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._clear()

    def _clear(self) -> None:
        self._outcomes: list[Outcome] = []
        self._results: dict[str, ProcessorResult] = {}
        self._journal: dict[str, list[Packed]] = {}
        self._counts: dict[str, int] = {}
        self._bytes_read = 0

    def work_on(self, task: Task) -> None:
        """Process one file. Whatever goes wrong with it stays with it.

        Raises:
            SettingsError: the processor cannot work on any file as things are set.
        """
        self._outcomes.append(self._outcome(task))

    def _outcome(self, task: Task) -> Outcome:
        found = _Found(task.file.signature)
        try:
            try:
                step = partial(self._attempt, task, found)
                outcome, result = within(self._work.file_seconds, step)
            finally:
                self._keep(task.file, found.notes)
        except SettingsError:
            raise
        except Deferred:
            return Postponed(task.file.key)
        except BaseException as error:
            # A file must never cost another one, whatever strangers' code raises.
            if is_stop(error):
                raise
            late = isinstance(error, TookTooLong)
            problem = took_too_long(self._work.file_seconds) if late else self._problem(error)
            root = task.file.root
            return Failed(task.file.key, problem, found.signature, root, found.file_hash)
        if result is not None:
            self._results[task.file.key] = result
        return outcome

    def _attempt(self, task: Task, found: "_Found") -> tuple[Outcome, ProcessorResult | None]:
        """What becomes of the file; it changes nothing but `found`."""
        key, taken, source = task.file.key, datetime.now(UTC), self._work.source
        try:
            read = source.fingerprint if self._work.only_compare else source.read
            content = read(task.file)
        except FileNotFoundError:
            return Gone(key), None
        except OSError as error:
            problem = Problem(type(error).__name__, f"cannot be read: {error.strerror}", False)
            return Failed(key, problem, found.signature, task.file.root), None
        found.signature, found.file_hash = content.signature, content.file_hash
        settled = self._settled(task, content, taken)
        if settled is not None:
            self._bytes_read += content.size
            return settled, None
        if isinstance(content, Fingerprint):
            return Postponed(key), None
        self._bytes_read += content.size
        return self._process(task, content, taken, found.notes)

    def _settled(
        self, task: Task, content: Content | Fingerprint, taken: datetime
    ) -> Signed | StillFailed | None:
        """What becomes of a file whose content is known; None if it is not."""
        state, given_up, version = task.state, task.given_up, self._work.processor.version
        if state and state.file_hash == content.file_hash and _stands(state, version):
            return Signed(task.file.key, content.signature, taken)
        if given_up and given_up.file_hash == content.file_hash:
            return StillFailed(still_failed(given_up, content.signature))
        return None

    def _process(
        self, task: Task, content: Content, taken: datetime, notes: Notes
    ) -> tuple[Done, ProcessorResult | None]:
        from session_pipeline_dagster.store.columns import check_rows  # noqa: PLC0415  see store.write.arrow_schema

        file, processor, readers = task.file, self._work.processor, self._work.source.readers
        done = Done(
            session_file=file.key,
            username=file.user,
            session_day=session_day(content),
            file_hash=content.file_hash,
            signature=content.signature,
            signature_at=taken,
            root=file.root,
        )
        transcript = readers.parse(file.key, content.complete)
        if transcript is None:
            seen = why_left_out(content.complete)
            return replace(done, left_out=seen, readers=readers.agents), None
        check_transcript(transcript)
        # What an older version left is no ground to build on: its rows are to be replaced.
        current = task.state and task.state.processor_version == processor.version
        known = task.state if current else None
        memo = known.memo if known else None
        session = replace(Session.of(file, content, transcript, memo), notes=notes)
        result = processor.process(session)
        check_result(processor, result)
        check_rows(result.rows, self._work.schemas, file.key)
        done = replace(
            done,
            items=result.items,
            lines=transcript.lines,
            unreadable_lines=transcript.unreadable_lines,
            unknown_lines=transcript.unknown_lines,
            memo=result.memo,
            readers=transcript.agent,
            appended_to=known.file_hash if known and result.append else None,
        )
        return done, result

    def _keep(self, file: SessionFile, notes: Notes) -> None:
        """What is kept of a file even if it fails: all of it, or nothing."""
        if not (notes.journal or notes.counts):
            return
        from session_pipeline_dagster.store.columns import check_rows, encode, pack  # noqa: PLC0415  see store.write.arrow_schema

        check_counts(self._work.processor, notes.counts)
        check_rows(notes.journal, self._work.schemas, file.key)
        rows = encode(notes.journal, self._work.schemas)
        for name, number in notes.counts.items():
            self._counts[name] = self._counts.get(name, 0) + number
        for table, found in rows.items():
            self._journal.setdefault(table, []).append(pack(found))

    def take(self) -> Worked:
        """What was worked on since the last call, rows encoded."""
        try:
            rows = self._packed()
        except ContractError:
            self._fail_what_does_not_fit()
            rows = self._packed()
        taken = Worked(self._outcomes, rows, self._journal, self._counts, self._bytes_read)
        self._clear()
        return taken

    def _packed(self) -> "dict[str, Packed]":
        """The rows of all results together: many small encodings cost several times more."""
        if not self._results:
            return {}
        from session_pipeline_dagster.store.columns import encode, pack  # noqa: PLC0415  see store.write.arrow_schema

        rows: dict[str, list[tuple[object, ...]]] = {}
        for result in self._results.values():
            for table, found in result.rows.items():
                rows.setdefault(table, []).extend(found)
        return {table: pack(found) for table, found in encode(rows, self._work.schemas).items()}

    def _fail_what_does_not_fit(self) -> None:
        """Find the files whose rows do not fit, so that the others are not held up by them."""
        from session_pipeline_dagster.store.columns import encode  # noqa: PLC0415  see store.write.arrow_schema

        for place, done in enumerate(self._outcomes):
            if not isinstance(done, Done) or done.session_file not in self._results:
                continue
            key = done.session_file
            try:
                encode(self._results[key].rows, self._work.schemas)
            except ContractError as error:
                del self._results[key]
                problem = self._problem(error)
                self._outcomes[place] = refused(done, problem)

    def _problem(self, error: BaseException) -> Problem:
        """A failure in words that hold no transcript text.

        Only our own exceptions speak for themselves; the message of any other may quote the
        transcript.
        """
        kind = kind_of(error)
        if isinstance(error, Permanent | Retryable | ContractError):
            counts = not isinstance(error, Retryable)
            wait = getattr(error, "retry_after", None)
            wait = wait if isinstance(wait, timedelta) else None
            return Problem(kind, message_of(error), counts, isinstance(error, Permanent), wait)
        name = self._work.processor.name
        return Problem(kind, f"processor {name!r} raised {kind}{where(error)}")


def check_result(processor: Processor, result: object) -> None:
    """Check that it is a result that a state row takes; its rows are checked against their tables.

    Raises:
        ContractError: it is not.
    """
    if not isinstance(result, ProcessorResult):
        kind = type(result).__name__
        raise ContractError(f"processor {processor.name!r} returned {kind}, not a ProcessorResult")
    items, memo = result.items, result.memo
    if not _is_number(items) or items < 0:
        raise ContractError(f"processor {processor.name!r}: items must be a count")
    if memo is None:
        return
    try:
        json.loads(memo.encode() if isinstance(memo, str) else "")
    except ValueError as error:
        message = f"processor {processor.name!r}: memo must be a text that holds JSON"
        raise ContractError(message) from error


def check_counts(processor: Processor, counts: Mapping[str, int]) -> None:
    """Check that the numbers of its own can be added up and shown under their names.

    Raises:
        ContractError: they cannot.
    """
    for name, number in counts.items():
        if not isinstance(name, str) or printable(name) != name or not _is_number(number):
            raise ContractError(f"processor {processor.name!r}: a count has a name and is a number")


def check_transcript(transcript: object) -> None:
    """Check that it is one, and that a state row takes what a reader has counted.

    Raises:
        ContractError: it does not.
    """
    if not isinstance(transcript, Transcript):
        raise ContractError("the reader of this file made no Transcript of it")
    counts = (transcript.lines, transcript.unreadable_lines, transcript.unknown_lines)
    if not all(_is_number(count) and count >= 0 for count in counts):
        raise ContractError("the reader of this file counted lines that are no count")


def _is_number(number: object) -> TypeGuard[int]:
    """Whether it is whole, and a BIGINT takes it."""
    return isinstance(number, int) and not isinstance(number, bool) and abs(number) < 2**63
