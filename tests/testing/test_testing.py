"""The testing helpers: every rule of the contract turns away a processor that breaks it."""

import datetime as clock
import json
import os
import random
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from lakes import Lakes
from lines import counted
from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.processor import Processor, ProcessorResult, Session
from session_pipeline_dagster.contract.registry import load_processors
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.errors import ContractError, Deferred, Permanent
from session_pipeline_dagster.testing import (
    Pipeline,
    SessionBuilder,
    assert_contract,
    example_session,
    process_one,
)
from session_pipeline_dagster.testing import contract as rules
from session_pipeline_dagster.testing.odd import odd_fields, odd_files, odd_lines
from session_pipeline_dagster.transcripts.claude_code import parse

pytestmark = pytest.mark.slow


class Prompts:
    """A good processor: one row per prompt. Below, each class breaks one rule of the contract."""

    name = "prompts"
    version = 1
    cadence = timedelta(minutes=1)
    tables = {"prompts": "session_file VARCHAR, line BIGINT, said VARCHAR, said_at TIMESTAMPTZ"}

    def process(self, session: Session) -> ProcessorResult:
        rows = prompts(session)
        return ProcessorResult({"prompts": rows}, len(rows))


def prompts(session: Session) -> list[Row]:
    return [
        (session.key, line, "".join(record.texts()), record.time_us())
        for line, record in session.transcript
        if record.type == "user"
    ]


def found(rows: list[Row], **more: object) -> ProcessorResult:
    return ProcessorResult({"prompts": rows}, len(rows), **more)


def saying(rows: list[Row], said: Callable[[Row], object]) -> list[Row]:
    """The rows with another text."""
    return [(row[0], row[1], said(row), row[3]) for row in rows]


class BadName(Prompts):
    name = "Prompts"


class BadDdl(Prompts):
    tables = {"prompts": "session_file VARCHAR, line NUMBERS"}


class BadView(Prompts):
    views = {"prompts_a_day": "SELECT day FROM prompts"}


class TakenTable(Prompts):
    tables = {"usage_daily": "session_file VARCHAR"}


class TakenName(Prompts):
    name = "usage"


class FindsNothing(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        return found([])


class ReturnsRows(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        return prompts(session)  # type: ignore[return-value]


class NarrowRows(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        return found([row[:2] for row in prompts(session)])


class WrongType(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        return found([(key, f"line {line}", *rest) for key, line, *rest in prompts(session)])


class ForeignKey(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        return found([(session.stem, *rest) for _, *rest in prompts(session)])


class UnknownTable(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        return ProcessorResult({"promts": prompts(session)}, 1)


class FloatItems(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        return ProcessorResult({"prompts": prompts(session)}, 1.5)  # type: ignore[arg-type]


class MemoNoJson(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        return found(prompts(session), memo="so far")


class Draws(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        return found(saying(prompts(session), lambda _: str(random.random())))  # noqa: S311


class CountsCalls(Prompts):
    calls = 0

    def process(self, session: Session) -> ProcessorResult:
        CountsCalls.calls += 1
        return found(prompts(session), memo=str(CountsCalls.calls))


class SkipsCopies(Prompts):
    """Leaves out what it has seen in another session, which is the work of a view."""

    def __init__(self) -> None:
        self.seen: dict[object, str] = {}

    def process(self, session: Session) -> ProcessorResult:
        owner = [(self.seen.setdefault(row[2], session.file_hash), row) for row in prompts(session)]
        return found([row for first, row in owner if first == session.file_hash])


class RemembersLast(Prompts):
    """Says in every session how long the one before was."""

    def __init__(self) -> None:
        self.last: dict[str, int] = {}

    def process(self, session: Session) -> ProcessorResult:
        others = sum(n for key, n in self.last.items() if key != session.file_hash)
        self.last[session.file_hash] = len(session.transcript.records)
        return found(saying(prompts(session), lambda _: str(others)))


class EatsTheTranscript(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        rows = prompts(session)
        for _, record in session.transcript:
            if record.message and isinstance(record.message.content, list):
                record.message.content.clear()
        return found(rows)


class AsksToday(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        return found(saying(prompts(session), lambda _: str(date.today())))  # noqa: DTZ011


class AsksTheYear(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        return found(saying(prompts(session), lambda _: str(clock.datetime.now(UTC).year)))


class ReadsTheEnvironment(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        return found(saying(prompts(session), lambda _: os.environ.get("NOBODY_SETS_THIS")))


class LocalDays(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        def day(row: Row) -> str:
            return str(datetime.fromtimestamp(row[3] // 10**6).date()) if row[3] else ""  # noqa: DTZ006

        return found(saying(prompts(session), day))


class OrderOfSets(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        words = {f"w{n}" for n in range(40)}
        return found(saying(prompts(session), lambda _: " ".join(words)))


class CannotTravel(Prompts):
    def __init__(self) -> None:
        self.lock = threading.Lock()


def local() -> Processor:
    class Local(Prompts):
        """Another process cannot import it."""

    return Local()


class TrustsFields(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        for _, record in session.transcript:
            for call in record.tool_calls():
                if call.name == "Edit":
                    call.decoded_input()["file_path"].removeprefix("/")  # type: ignore[union-attr]
        return found(prompts(session))


class TrustsNumbers(Prompts):
    """A number of 64 bits, unless the file has another."""

    tables = {"prompts": "session_file VARCHAR, old VARCHAR, line BIGINT"}

    def process(self, session: Session) -> ProcessorResult:
        calls = [call for _, record in session.transcript for call in record.tool_calls()]
        values = [call.decoded_input().get("limit") for call in calls]
        numbers = [n for n in values if isinstance(n, int)]
        return found([(session.key, "x", n) for n in numbers])


class NeedsATime(Prompts):
    tables = {"prompts": Prompts.tables["prompts"] + " NOT NULL"}


class GivesUpEarly(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        if session.transcript.unreadable_lines:
            raise Permanent("a line cannot be read")
        return found(prompts(session))


class PutsOff(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        if not session.transcript.records:
            raise Deferred
        return found(prompts(session))


class DropsTheFile(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        return found([] if session.transcript.unknown_lines else prompts(session))


class NewVersionEachTime(Prompts):
    """Its version is another one whenever someone looks."""

    looks = 0

    @property
    def version(self) -> int:
        NewVersionEachTime.looks += 1
        return NewVersionEachTime.looks


class RollsUpTooLittle(Prompts):
    """Looks at the last line only when it says which parts changed."""

    rollups = (
        Rollup(
            "prompts_by_text",
            "said VARCHAR, prompts BIGINT",
            "said",
            "SELECT said FROM prompts JOIN batch USING (session_file) "
            "WHERE line = (SELECT max(line) FROM prompts)",
            "SELECT said, count(*) FROM prompts WHERE said IN (SELECT part FROM parts) GROUP BY 1",
        ),
    )


class AppendsAlways(Prompts):
    def process(self, session: Session) -> ProcessorResult:
        return found(prompts(session), append=True)


class TrustsItsMemo(Prompts):
    """Goes on after the line it came to, and never asks whether the lines before are the same."""

    def process(self, session: Session) -> ProcessorResult:
        done = json.loads(session.memo) if session.memo else 0
        rows = [row for row in prompts(session) if row[1] > done]
        last = max((row[1] for row in prompts(session)), default=0)
        return found(rows, memo=json.dumps(last), append=done > 0)


DECLARED, FIT = "declarations are valid", "rows fit the tables"
SAME, CLOCK = "the same session gives the same result", "neither the clock nor the environment"
ELSEWHERE, ODD = "another process gives the same result", "odd content costs nothing but itself"
AGAIN, GROWN, REWRITTEN = "a second pass changes nothing", "has grown", "was rewritten"
BROKEN = [
    (BadName, DECLARED, "name must match"),
    (BadDdl, DECLARED, "NUMBERS"),
    (BadView, DECLARED, '"day" not found'),
    (TakenTable, DECLARED, "belongs to another processor"),
    (TakenName, DECLARED, "already loaded"),
    (FindsNothing, "the session has what the processor looks for", "not one row"),
    (ReturnsRows, FIT, "returned list, not a ProcessorResult"),
    (NarrowRows, FIT, "a row of 2 values; it takes 4: "),
    (WrongType, FIT, "prompts.line: values of str do not fit int64"),
    (ForeignKey, FIT, "session_file must be the session's key"),
    (UnknownTable, FIT, "'promts', which is not one of its tables"),
    (FloatItems, FIT, "items must be a count"),
    (MemoNoJson, FIT, "memo must be a text that holds JSON"),
    (Draws, SAME, "prompts, column 3"),
    (CountsCalls, SAME, "items or memo"),
    (SkipsCopies, SAME, "rows alone, "),
    (RemembersLast, SAME, "after another session"),
    (EatsTheTranscript, SAME, "changed the session's transcript"),
    (AsksToday, CLOCK, "test_testing.py"),
    (AsksTheYear, CLOCK, "asks datetime.now()"),
    (ReadsTheEnvironment, CLOCK, "reads the environment"),
    (LocalDays, ELSEWHERE, "prompts, column 3"),
    (OrderOfSets, ELSEWHERE, "prompts, column 3"),
    (CannotTravel, ELSEWHERE, "lock"),
    (local, ELSEWHERE, "Local"),
    (TrustsFields, ODD, "KeyError at test_testing.py"),
    (NeedsATime, ODD, "the database refused a row"),
    (GivesUpEarly, ODD, "a line is not JSON: a line cannot be read"),
    (PutsOff, ODD, "odd files were deferred"),
    (DropsTheFile, ODD, "a line is an empty object, and prompts has 0 rows instead of 4"),
    (NewVersionEachTime, AGAIN, "files were processed although nothing had changed"),
    (RollsUpTooLittle, GROWN, "prompts_by_text"),
    (AppendsAlways, GROWN, "prompts has"),
    (TrustsItsMemo, REWRITTEN, "prompts, column 3"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "rule", "seen"), BROKEN, ids=lambda x: getattr(x, "__name__", ""))
def test_a_processor_that_breaks_a_rule_is_told_which(
    make: Callable[[], Processor], rule: str, seen: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_contract(make(), short_session())
    said, _, remedy = str(caught.value).rpartition("\n")
    assert rule in said.splitlines()[0]
    assert seen in said
    assert remedy.endswith(".")


def short_session() -> SessionBuilder:
    """Fewer fields than in `example_session`, so fewer variants of it."""
    builder = SessionBuilder().prompt("Hello").tool_call("Edit", {"file_path": "x"})
    return builder.prompt("No, the other one.").response("Done.").prompt("Thanks.")


def test_every_rule_is_broken_by_a_processor_above() -> None:
    named = {rule for _, rule, _ in BROKEN}
    assert {DECLARED, FIT, SAME, CLOCK, ELSEWHERE, ODD, AGAIN, GROWN, REWRITTEN} <= named
    assert len(rules.RULES) == 7


def test_a_good_processor_holds_the_contract() -> None:
    assert_contract(Prompts())


@pytest.mark.slow
@pytest.mark.parametrize("processor", load_processors().processors, ids=lambda p: p.name)
def test_our_own_processors_hold_the_contract(processor: Processor) -> None:
    assert_contract(processor)


def test_the_contract_says_the_same_over_a_lake(lakes: Lakes) -> None:
    with pytest.raises(AssertionError, match=GROWN) as caught:
        assert_contract(RollsUpTooLittle(), short_session(), place=lakes.filled)
    assert "prompts_by_text" in str(caught.value)


@pytest.mark.skipif(os.environ.get("PLACES") != "all", reason="a minute each: make soak")
@pytest.mark.parametrize("processor", load_processors().processors, ids=lambda p: p.name)
def test_our_own_processors_hold_the_contract_over_a_lake(
    lakes: Lakes, processor: Processor
) -> None:
    assert_contract(processor, place=lakes.filled)


def test_what_the_session_has_is_tried_out(tmp_path: Path) -> None:
    """A field that only the author's own session has is made odd too."""
    limited = short_session().tool_call("Read", {"file_path": "/x", "limit": 20})
    with pytest.raises(AssertionError, match=r"`message.content\[\].input.limit` is a huge number"):
        assert_contract(TrustsNumbers(), limited)
    with pytest.raises(AssertionError, match="not one row"):
        assert_contract(TrustsNumbers(), example_session().write(tmp_path))


def test_what_is_odd_is_odd_in_one_way_and_never_the_file_itself() -> None:
    content = example_session().content
    variants = [*odd_files(content), *odd_lines(content), *odd_fields(content)]
    assert len(variants) > 500
    assert content not in [made for _, made in variants]
    assert len({what for what, _ in variants}) == len(variants)
    named = [what for what, _ in odd_fields(content)]
    assert "`message.content[].input.file_path` is missing" in named
    assert "`timestamp` is a list" in named


# --- the builder ---


def test_a_session_that_is_being_written_or_holds_odd_lines_can_be_tried_on() -> None:
    content = example_session().line(b"{not json").content
    assert_contract(Prompts(), content + b'{"type":"user","mess')


@pytest.mark.slow
def test_of_a_long_session_the_beginning_is_tried_out() -> None:
    content = example_session().content
    long = content * (400_000 // len(content))
    assert max(len(made) for what, made in odd_fields(long) if "is null" in what) < 120_000
    assert len(list(odd_fields(long))) >= len(list(odd_fields(content)))


def test_a_response_is_one_line_per_block_and_is_counted_once() -> None:
    builder = SessionBuilder().prompt("Hello")
    builder.response("a", "b", "c", input_tokens=7, output_tokens=90, cache_read_tokens=5)
    rows = counted(*builder.lines)
    assert len(rows.messages) == 1
    assert rows.tokens() == (7, 90, 0, 5)
    assert len(builder.lines) == 4


def test_the_example_session_is_one_that_our_processors_understand(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path)
    pipeline.write("alice/session.jsonl", example_session())
    usage, verification = (pipeline.run(p) for p in load_processors().processors)
    (session,) = usage.rows["usage_sessions"]
    assert usage.report.unreadable_lines == 0
    kinds = {row[0] for row in pipeline.query("SELECT event_type FROM usage_events")}
    assert kinds == {"tool_use", "subagent", "mcp_call", "slash_command", "prompt"}
    assert session[0] == "alice/session.jsonl"
    assert {row[0] for row in pipeline.query("SELECT detection_type FROM verifications")} >= {
        "correction"
    }
    assert verification.rows["knowledge_items"]


def test_times_go_on_and_a_pause_is_a_gap() -> None:
    builder = SessionBuilder(start=datetime(2026, 1, 1, tzinfo=UTC)).prompt("a").prompt("b")
    builder.wait(timedelta(hours=1)).prompt("c", isMeta=True).line(b"odd").line({"type": "mode"})
    transcript = parse(builder.content)
    seconds = [record.timestamp for _, record in transcript if record.timestamp]
    assert [time.isoformat()[11:19] for time in seconds] == ["00:00:00", "00:00:05", "01:00:10"]
    assert (transcript.unreadable_lines, transcript.records[2].is_meta) == (1, True)
    assert transcript.records[3].type == "mode"


def test_calls_and_results_are_found_by_record() -> None:
    builder = SessionBuilder().tool_call("Edit", {"file_path": "x"}, error=True)
    builder.tool_call("Bash", {"command": "ls"}, result=None).prompt("stop")
    records = parse(builder.content).records
    calls = [call for record in records for call in record.tool_calls()]
    (result,) = [result for record in records for result in record.tool_results()]
    assert [(call.name, call.decoded_input()) for call in calls] == [
        ("Edit", {"file_path": "x"}),
        ("Bash", {"command": "ls"}),
    ]
    assert (result.tool_use_id, result.is_error) == (calls[0].id, True)


# --- running a processor ---


def test_one_session_needs_no_store(tmp_path: Path) -> None:
    builder = SessionBuilder().prompt("Hello")
    expected = [
        (
            "alice/session.jsonl",
            1,
            "Hello",
            int(datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()) * 10**6,
        )
    ]
    assert process_one(Prompts(), builder).rows["prompts"] == expected
    assert process_one(Prompts(), builder.content).rows["prompts"] == expected
    path = builder.write(tmp_path, "bob/shop/x.jsonl")
    (row,) = process_one(Prompts(), path, key="bob/shop/x.jsonl").rows["prompts"]
    assert row[0] == "bob/shop/x.jsonl"
    assert process_one(Prompts(), path).rows["prompts"][0][0] == "shop/x.jsonl"
    assert list(tmp_path.iterdir()) == [tmp_path / "bob"]


class Listens(Prompts):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.given: list[Session] = []

    def process(self, session: Session) -> ProcessorResult:
        self.given.append(session)
        return super().process(session)


@pytest.mark.parametrize(
    "key",
    ["a/x.jsonl", "a/shop/x.jsonl", "a/shop/x/subagents/b.jsonl", "a/x/subagents/b.jsonl"],
)
def test_a_session_alone_is_the_one_that_the_runner_makes(tmp_path: Path, key: str) -> None:
    pipeline, builder = Pipeline(tmp_path), SessionBuilder().prompt("Hello").line(b"?")
    path = pipeline.write(key, builder)
    alone, running = Listens(), Listens()
    process_one(alone, builder, key=key)
    process_one(alone, path, key=key)
    pipeline.run(running)
    assert alone.given == running.given * 2


def test_one_session_gets_the_memo_and_is_checked_against_the_tables() -> None:
    two = SessionBuilder().prompt("Hello").prompt("again")
    first = process_one(TrustsItsMemo(), SessionBuilder().prompt("Hello"))
    assert first.memo == "1"
    then = process_one(TrustsItsMemo(), two, memo=first.memo)
    assert (then.append, [row[2] for row in then.rows["prompts"]]) == (True, ["again"])
    with pytest.raises(ContractError, match="a row of 2 values; it takes 4: session_file"):
        process_one(NarrowRows(), two)
    with pytest.raises(Permanent, match="cannot be read"):
        process_one(GivesUpEarly(), two.line(b"?"))


def test_a_pass_shows_rows_report_states_and_failures(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path)
    pipeline.write("alice/good.jsonl", SessionBuilder().prompt("Hello"))
    pipeline.write("bob/bad.jsonl", b"odd\n")
    first = pipeline.run(GivesUpEarly())
    assert (first.report.processed, first.report.errors) == (1, 1)
    assert first.report.errors_detail == [("bob/bad.jsonl", "a line cannot be read")]
    assert [row[2] for row in first.rows["prompts"]] == ["Hello"]
    assert set(first.states) == {"alice/good.jsonl"}
    assert first.failures["bob/bad.jsonl"].quarantined_at
    pipeline.write("bob/bad.jsonl", SessionBuilder().prompt("Mended"))
    again = pipeline.run(GivesUpEarly())
    assert (again.report.processed, again.failures) == (1, {})
    assert pipeline.query("SELECT said FROM prompts ORDER BY 1") == [("Hello",), ("Mended",)]
    assert pipeline.run(GivesUpEarly(), full_refresh=True).report.processed == 2
