"""The contract of a processor, rule by rule, tried out on a session.

A rule is a function that raises `Broken` with what was seen and what to do about it. Rules go from
what is declared over what `process` does in memory to what the runner and a real database make of
it, so that the first one that is broken is the simplest; odd content, which takes longest, is last.
"""

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.processor import (
    Processor,
    ProcessorResult,
    Session,
    begin,
    extras,
)
from session_pipeline_dagster.contract.registry import check_contract, load_processors
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.snapshot import complete_part
from session_pipeline_dagster.testing.builder import SessionBuilder, example_session
from session_pipeline_dagster.testing.odd import odd_fields, odd_files, odd_lines
from session_pipeline_dagster.testing.outside import asked, elsewhere
from session_pipeline_dagster.testing.pipeline import (
    KEY,
    Given,
    Pass,
    Pipeline,
    Placing,
    bytes_of,
    checked,
    in_a_file,
    schemas_of,
    session_of,
    table_names,
)
from session_pipeline_dagster.transcripts.claude_code import parse

if TYPE_CHECKING:
    import pyarrow

_STEPS = 3
_SHOWN = 5

Tables = Mapping[str, Sequence[Row]]


class Broken(AssertionError):
    """A rule of the contract does not hold; the message says which, and what to do."""

    def __init__(self, rule: str, seen: str, remedy: str) -> None:
        super().__init__(f"{rule}: {seen}\n{remedy}")


@dataclass(frozen=True, slots=True)
class Subject:
    """What the rules are tried on.

    Attributes:
        processor: as its author made it; each pass begins it anew.
        begun: the processor of one pass.
        packed: the same as it was before it saw a session; None where it cannot be packed.
        content: the session, as the bytes of its file.
        settings: what is set, for processors that `begin`.
        folder: an empty one; each rule takes a folder of its own in it.
        schemas: table -> Arrow schema.
        place: where its pipelines have their database.
    """

    processor: Processor
    begun: Processor
    packed: bytes | None
    content: bytes
    settings: Settings
    folder: Path
    schemas: "Mapping[str, pyarrow.Schema]"
    place: Placing = in_a_file

    def session(self, content: bytes | None = None) -> Session:
        """The session, read anew."""
        return session_of(self.content if content is None else content, KEY)

    def pipeline(self, name: str) -> Pipeline:
        """A pipeline without files and rows."""
        return Pipeline(self.folder / name, self.settings, self.place)


def assert_contract(
    processor: Processor,
    session: Given | None = None,
    *,
    settings: Settings | None = None,
    place: Placing = in_a_file,
) -> None:
    """Hold a processor against the contract, on a session and many odd variants of it.

    Takes a few seconds. Tables may not depend on when, where, how often and in which steps a file
    was processed, and nothing that can stand in a file may make it fail.

    Args:
        session: one that the processor finds something in (default: `example_session`). All
            fields that it reads should be there: each is tried out missing and of odd values.
        settings: for a processor that `begin`s.
        place: where the databases are that it is tried on, each in a folder of its own (default: a
            DuckDB file).

    Raises:
        AssertionError: a rule is broken; says which, what was seen and what to do.
    """
    settings = settings or Settings(workers=1)
    with TemporaryDirectory() as folder:
        schemas = _declarations_are_valid(processor)
        begun = begin(processor, settings, None)
        given = example_session() if session is None else session
        # Of a session that is being written, the last line is no line yet.
        content = complete_part(bytes_of(given))
        packed = _packed(begun)
        subject = Subject(processor, begun, packed, content, settings, Path(folder), schemas, place)
        for rule in RULES:
            rule(subject)


def _declarations_are_valid(processor: Processor) -> "Mapping[str, pyarrow.Schema]":
    installed = load_processors().processors
    others = [other for other in installed if not isinstance(processor, type(other))]
    try:
        check_contract(processor, others)
        return schemas_of(processor)
    except ContractError as error:
        raise Broken("declarations are valid", str(error), "Change that attribute.") from error


def _rows_fit_the_tables(subject: Subject) -> None:
    rule = "rows fit the tables"
    try:
        result = checked(subject.begun, subject.session(), subject.schemas)
    except ContractError as error:
        remedy = "Return a ProcessorResult; its rows are tuples in the order of the DDL's columns."
        raise Broken(rule, str(error), remedy) from error
    if not any(result.rows.values()):
        raise Broken(
            "the session has what the processor looks for",
            "not one row came of it, so nothing can be tried out",
            "Pass assert_contract a session in which it finds something.",
        )


def _the_same_session_gives_the_same_result(subject: Subject) -> None:
    rule = "the same session gives the same result"
    session = subject.session()
    first = _process(subject, session)
    if session.transcript != parse(subject.content):
        remedy = "Copy what you change: other processors read the same lines."
        raise Broken(rule, "process changed the session's transcript", remedy)
    second = _process(subject, subject.session())
    remedy = "Make the result of the session alone: no counter, no random number, no time of now."
    if found := _difference(subject, first.rows, second.rows, "first", "then"):
        raise Broken(rule, found, remedy)
    if (first.items, first.memo) != (second.items, second.memo):
        raise Broken(rule, "items or memo are different the second time", remedy)
    other = subject.content + SessionBuilder("another").prompt("Something else.").content
    after = _process(subject, subject.session(other))
    third = _process(subject, subject.session())
    remedy = "Keep nothing of one session for the next one; over sessions it is a view that looks."
    if found := _difference(subject, first.rows, third.rows, "first", "after another session"):
        raise Broken(rule, found, remedy)
    if subject.packed is None:
        # Whether it must be possible to pack it is another rule's question.
        return
    alone = pickle.loads(subject.packed).process(subject.session(other))  # noqa: S301  ours
    if found := _difference(subject, alone.rows, after.rows, "alone", "after another session"):
        raise Broken(rule, found, remedy)


def _neither_clock_nor_environment_is_asked(subject: Subject) -> None:
    package = type(subject.begun).__module__.partition(".")[0]
    with asked(package) as found:
        _process(subject, subject.session())
    if found:
        raise Broken(
            "neither the clock nor the environment is asked",
            "; ".join(dict.fromkeys(found)),
            "Take times from the transcript, and settings in `begin(settings, run_id)`.",
        )


def _another_process_gives_the_same_result(subject: Subject) -> None:
    if extras(subject.begun).threads:
        # It waits for others side by side in this process, and never travels.
        return
    rule = "another process gives the same result"
    try:
        pickle.dumps(subject.begun)
        there = elsewhere(subject.begun, subject.content, subject.folder)
    except (pickle.PicklingError, AttributeError, TypeError, ContractError) as error:
        remedy = (
            "A large backlog is worked on in several processes: make the class one that can be "
            "imported, and keep no open things on it."
        )
        raise Broken(rule, f"the processor cannot work there: {error}", remedy) from error
    here = _process(subject, subject.session())
    if found := _difference(subject, here.rows, there, "here", "there"):
        remedy = (
            "There the time zone, the home folder and the order of sets are others: work in UTC, "
            "and sort what comes out of a set."
        )
        raise Broken(rule, found, remedy)


def _a_second_pass_changes_nothing(subject: Subject) -> None:
    rule = "a second pass changes nothing"
    pipeline = subject.pipeline("again")
    for user in ("alice", "bob"):
        pipeline.write(f"{user}/session.jsonl", subject.content)
    first = _passed(pipeline, subject, rule)
    second = pipeline.run(subject.processor)
    if second.report.processed:
        seen = f"{second.report.processed} files were processed although nothing had changed"
        raise Broken(rule, seen, "Keep name and version the same from one start to the next.")
    refreshed = _passed(pipeline, subject, rule, full_refresh=True)
    for after, when in ((second, "after a second pass"), (refreshed, "after a full refresh")):
        if found := _difference(subject, first.rows, after.rows, "first", when):
            remedy = "Let rows, roll-ups and derivations be functions of the sessions alone."
            raise Broken(rule, found, remedy)


def _a_file_may_grow_and_be_rewritten(subject: Subject) -> None:
    """After each step the database must be as if the file had always been so."""
    lines = subject.content.splitlines(keepends=True)
    cuts = sorted({len(lines) * step // _STEPS for step in range(1, _STEPS + 1)} - {0})
    grown = [b"".join(lines[:cut]) for cut in cuts]
    rewritten = b"".join([*lines[len(lines) // 3 :], *lines])
    remedies = {
        "has grown": "append=True is for rows of new lines alone; the memo says how far you came.",
        "was rewritten": "Let the memo say which lines it is about (a digest), and return all "
        "rows, without append, where they are no longer the same.",
    }
    pipeline = subject.pipeline("grown")
    steps = [("has grown", content) for content in grown] + [("was rewritten", rewritten)]
    for number, (how, content) in enumerate(steps):
        rule = f"a file that {how} gives the same rows as one that was always so"
        pipeline.write(KEY, content)
        after = _passed(pipeline, subject, rule)
        fresh = subject.pipeline(f"fresh{number}")
        fresh.write(KEY, content)
        wanted = _passed(fresh, subject, rule)
        if found := _difference(subject, wanted.rows, after.rows, "wanted", "found"):
            raise Broken(rule, found, remedies[how])


def _odd_content_costs_only_itself(subject: Subject) -> None:
    """All variants in one pass of the runner, as files of their own."""
    rule = "odd content costs nothing but itself"
    content, pipeline = subject.content, subject.pipeline("odd")
    variants = chain(odd_files(content), odd_lines(content), odd_fields(content))
    what: dict[str, str] = {}
    for number, (odd, made) in enumerate(variants):
        key = f"alice/odd{number:05}.jsonl"
        pipeline.write(key, made)
        what[key] = odd
    options = Options(max_files=len(what), time_budget=timedelta.max)
    store = pipeline.store
    done = run_batch(subject.processor, pipeline.source, store, pipeline.settings, options)
    if done.errors:
        named = [f"{what[key]}: {error}" for key, error in done.errors_detail[:_SHOWN]]
        seen = f"{done.errors} of {len(what)} odd files failed:\n  " + "\n  ".join(named)
        remedy = (
            "Fields may be missing or of another type: ask isinstance before you use one, and "
            "leave out the row, not the file."
        )
        raise Broken(rule, seen, remedy)
    # Of some nothing is left that a reader would claim.
    missing = len(what) - done.processed - done.left_out
    if missing:
        remedy = "Raise Deferred only for a file that the next pass can take."
        raise Broken(rule, f"{missing} odd files were deferred", remedy)
    _others_keep_their_rows(subject, rule)


def _others_keep_their_rows(subject: Subject, rule: str) -> None:
    whole = _counts(_process(subject, subject.session()))
    for what, content in odd_lines(subject.content):
        rest = _counts(_process(subject, subject.session(content)))
        for table, count in whole.items():
            if rest.get(table, 0) < count:
                seen = f"{what}, and {table} has {rest.get(table, 0)} rows instead of {count}"
                raise Broken(rule, seen, "Go on with the next line after one that is odd.")


RULES: Sequence[Callable[[Subject], None]] = (
    _rows_fit_the_tables,
    _the_same_session_gives_the_same_result,
    _neither_clock_nor_environment_is_asked,
    _another_process_gives_the_same_result,
    _a_second_pass_changes_nothing,
    _a_file_may_grow_and_be_rewritten,
    _odd_content_costs_only_itself,
)
"""In this order; the declarations come before all of them."""


def _packed(processor: Processor) -> bytes | None:
    try:
        return pickle.dumps(processor)
    except (pickle.PicklingError, AttributeError, TypeError):
        return None


def _process(subject: Subject, session: Session) -> ProcessorResult:
    return subject.begun.process(session)


def _counts(result: ProcessorResult) -> dict[str, int]:
    return {table: len(rows) for table, rows in result.rows.items()}


def _passed(pipeline: Pipeline, subject: Subject, rule: str, *, full_refresh: bool = False) -> Pass:
    """A pass in which no file failed."""
    done = pipeline.run(subject.processor, full_refresh=full_refresh)
    for _, error in done.report.errors_detail:
        raise Broken(rule, f"the file failed: {error}", "See the constraints of the tables.")
    return done


def _difference(
    subject: Subject, first: Tables, second: Tables, here: str, there: str
) -> str | None:
    """The first value that differs between two states of the tables; the order of rows does not."""
    for table in table_names(subject.processor):
        one, two = _sorted(first.get(table, ())), _sorted(second.get(table, ()))
        if len(one) != len(two):
            return f"{table} has {len(one)} rows {here}, {len(two)} {there}"
        for left, right in zip(one, two, strict=True):
            for place, values in enumerate(zip(left, right, strict=True)):
                if repr(values[0]) != repr(values[1]):
                    return (
                        f"{table}, column {place + 1}: {values[0]!r} {here}, {values[1]!r} {there}"
                    )
    return None


def _sorted(rows: Sequence[Row]) -> list[Row]:
    return sorted((tuple(map(_instant, row)) for row in rows), key=repr)


def _instant(value: object) -> object:
    """The same instant is the same in every zone."""
    aware = isinstance(value, datetime) and value.tzinfo is not None
    return value.astimezone(UTC) if aware else value
