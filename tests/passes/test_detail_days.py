"""Detail that is old goes and sums stay, through everything that may be read later."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from lakes import Lakes
from session_pipeline_dagster.cli.forget import delete
from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.contract.registry import check_contract
from session_pipeline_dagster.contract.retention import Retention
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.passes import retention
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all, run_batch
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.setting_records import DetailDays, MoneySettings, OnDelete
from session_pipeline_dagster.store.declare import check_declarations
from session_pipeline_dagster.testing import Pipeline, SessionBuilder

pytestmark = pytest.mark.slow(seconds=3)

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
AGES = (1, 50, 100, 200)
KEPT = DetailDays({"messages": 90, "events": 90})
SUMS = ("usage_slots", "usage_daily", "usage_calls", "usage_activity_daily", "usage_tool_daily")


def session(name: str, age: int, calls: int = 1) -> SessionBuilder:
    made = SessionBuilder(name, start=NOON - timedelta(days=age)).prompt("what is there?")
    for _ in range(calls):
        made.tool_call("Skill", {"skill": "look"})
    return made.response("that")


def of_all_ages(pipeline: Pipeline, user: str = "alice") -> None:
    for age in AGES:
        pipeline.write(f"{user}/p/{user}{age}.jsonl", session(f"{user}{age}", age))


def sums(pipeline: Pipeline) -> Mapping[str, Sequence[Row]]:
    return {name: pipeline.query(f"FROM {name} ORDER BY ALL") for name in SUMS}


def ages(pipeline: Pipeline, table: str, at: str) -> list[int]:
    found = pipeline.query(f"SELECT DISTINCT make_timestamp(epoch_us({at}))::DATE FROM {table}")
    return sorted((NOON.date() - day).days for (day,) in found)  # ty: ignore[unsupported-operator]  a DATE


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    """What was there before anyone set that detail goes, and then went."""
    made = Pipeline(tmp_path)
    of_all_ages(made)
    made.run(UsageProcessor())
    made.settings = replace(made.settings, detail_days=KEPT)
    return made


def test_detail_goes_and_every_sum_stays(pipeline: Pipeline) -> None:
    before = sums(pipeline)
    counts = pipeline.run(UsageProcessor()).report.counts
    gone = {"detail_rows_gone": 10, "detail_rows_to_go": 0, "detail_came_late": 0}
    assert gone.items() <= counts.items()
    assert sums(pipeline) == before
    for table, at in (
        ("usage_messages", "sent_at"),
        ("usage_events", "occurred_at"),
        ("usage_activity", "started_at"),
    ):
        assert ages(pipeline, table, at) == [1, 50]
    assert pipeline.query("SELECT count(*) FROM usage_sessions") == [(4,)]


def test_no_way_to_read_again_changes_a_frozen_day(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.run(UsageProcessor())
    before, usage = sums(pipeline), UsageProcessor()
    pipeline.run(usage, full_refresh=True)
    assert sums(pipeline) == before
    # Grown, and rewritten with less, on days that are frozen.
    pipeline.write("alice/p/alice100.jsonl", session("alice100", 100, calls=5))
    pipeline.write("alice/p/alice200.jsonl", SessionBuilder("alice200", start=NOON))
    counts = pipeline.run(usage).report.counts
    assert counts["detail_came_late"] > 0
    assert sums(pipeline) == before
    # Other prices.
    frozen = (NOON - timedelta(days=90)).date()
    costs = "SELECT day, cost FROM usage_slots WHERE day {} DATE '{}' ORDER BY ALL"
    cost = {which: pipeline.query(costs.format(which, frozen)) for which in ("<", ">=")}
    prices = tmp_path / "prices.toml"
    prices.write_text('[[price]]\nmodel = "claude-opus-4-5"\ninput = 1\noutput = 1\n', "utf-8")
    priced = UsageProcessor(MoneySettings(prices=prices))
    pipeline.run(priced)
    assert pipeline.query(costs.format("<", frozen)) == cost["<"] != []
    assert pipeline.query(costs.format(">=", frozen)) != cost[">="]


def test_a_deleted_and_purged_file_of_a_frozen_day_takes_nothing_along(pipeline: Pipeline) -> None:
    pipeline.run(UsageProcessor())
    before = sums(pipeline)
    (pipeline.root / "alice/p/alice100.jsonl").unlink()
    pipeline.settings = replace(
        pipeline.settings, on_delete=OnDelete.PURGE, purge_after=timedelta(0)
    )
    for _ in range(2):
        pipeline.run(UsageProcessor())
    assert pipeline.query("SELECT count(*) FROM usage_sessions") == [(3,)]
    assert sums(pipeline) == before


def test_what_comes_too_late_is_in_no_sum_and_is_told_once(pipeline: Pipeline) -> None:
    usage = UsageProcessor()
    pipeline.run(usage)
    before = sums(pipeline)
    pipeline.write("bob/p/late.jsonl", session("late", 100))
    late = [pipeline.run(usage, full_refresh=again).report.counts for again in (False, True)]
    # Two responses, a call and a prompt.
    assert [counts["detail_came_late"] for counts in late] == [4, 4]
    assert sums(pipeline) == before
    (messages, events) = sorted(retention.standings(usage, pipeline.store), key=lambda s: -s.late)
    assert (messages.late, events.late) == (2, 2)


def test_nothing_goes_while_a_file_waits(pipeline: Pipeline) -> None:
    """What it holds of old days would come too late."""
    usage = UsageProcessor()
    for name in ("x", "y"):
        pipeline.write(f"bob/p/{name}.jsonl", session(name, 100))
    given = (usage, pipeline.source, pipeline.store, pipeline.settings)
    counts = run_batch(*given, Options(max_files=1)).counts
    assert counts["detail_rows_gone"] == 0
    assert counts["detail_rows_to_go"] > 0
    # The rest is read, but the days of it are not added up yet.
    run_batch(*given)
    assert ages(pipeline, "usage_messages", "sent_at") == [1, 50, 100]
    run_all(*given, Options())
    assert run_batch(*given).counts["detail_rows_to_go"] == 0
    (bobs,) = pipeline.query("SELECT sum(messages)::INT FROM usage_slots WHERE username = 'bob'")
    assert bobs == (4,)
    assert retention.standings(usage, pipeline.store)[0].late == 0


def test_the_oldest_days_go_first_and_as_many_as_fit(pipeline: Pipeline) -> None:
    usage, store = UsageProcessor(), pipeline.store
    targets = retention.targets(usage, pipeline.settings, NOON)
    go = retention.retaining.retire
    found = [store.done(lambda c: go(c, usage, targets, 1, NOON)) for _ in range(3)]
    messages = [next(one for one in done if one.kind == "messages") for done in found]
    assert [(one.days, one.left, one.moves) for one in messages] == [
        (1, 2, True),
        (1, 0, True),
        (0, 0, False),
    ]
    assert messages[0].frozen_before == (NOON - timedelta(days=199)).date()
    assert messages[1].frozen_before == (NOON - timedelta(days=90)).date()


def test_a_response_that_counts_on_a_later_day_goes_on_to_count_there(pipeline: Pipeline) -> None:
    """The copy on the old day says that it is one; its row goes, and the other's stays."""
    usage, old = UsageProcessor(), NOON - timedelta(days=100)
    origin, fork = (
        SessionBuilder("o", start=NOON - timedelta(days=2)),
        SessionBuilder("f", start=old),
    )
    for made in (origin, fork):
        made.prompt("what is there?", uuid="u1", sessionId="o")
        made.response("that", uuid="u2", requestId="r", requestSessionId="o")
    moved = fork.content.replace(b"msg_f", b"msg_o").replace(b'"sessionId":"o"', b'"sessionId":"f"')
    # So that its day is made again.
    origin.response("more")
    pipeline.write("alice/p/o.jsonl", origin)
    pipeline.write("alice/p/f.jsonl", moved)
    pipeline.run(usage)
    counted = "SELECT day, sum(messages)::INT FROM usage_slots WHERE session_id = 'o' GROUP BY day"
    before = pipeline.query(counted)
    assert before == [((NOON - timedelta(days=2)).date(), 2)]
    for again in (False, True):
        pipeline.run(usage, full_refresh=again)
        assert pipeline.query(counted) == before
        rows = pipeline.query("SELECT session_file, count(*) FROM usage_messages GROUP BY ALL")
        assert dict(rows)["alice/p/o.jsonl"] == 2
        assert "alice/p/f.jsonl" not in dict(rows)


def test_forget_reaches_frozen_days_whatever_files_are_left(pipeline: Pipeline) -> None:
    usage = UsageProcessor()
    of_all_ages(pipeline, "bob")
    pipeline.settings = replace(pipeline.settings, detail_days=DetailDays())
    pipeline.run(usage)
    alone = {name: [r for r in rows if "alice" in r] for name, rows in sums(pipeline).items()}
    pipeline.settings = replace(pipeline.settings, detail_days=KEPT)
    pipeline.run(usage)
    store, settings = pipeline.store, pipeline.settings
    keys = [f"bob/p/bob{age}.jsonl" for age in AGES]
    delete(store, [usage], settings, keys[2:3])
    slots = "SELECT count(*) FROM {} WHERE username = 'bob' AND day = DATE '{}'"
    day = (NOON - timedelta(days=100)).date()
    for table in ("usage_slots", "usage_calls", "usage_daily"):
        assert pipeline.query(slots.format(table, day)) == [(0,)], table
    # The files that are left are purged, and still bob can be forgotten.
    store.purge(usage, keys)
    there = store.rows_of([], [usage], "bob")
    assert there["usage_slots"] == 1
    assert there["usage_activity_daily"] == 2
    delete(store, [usage], settings, [], "bob")
    left = sums(pipeline)
    for name in ("usage_slots", "usage_daily", "usage_calls", "usage_activity_daily"):
        assert left[name] == alone[name], name
    assert {row[-2] for row in left["usage_tool_daily"]} == {1}


def test_a_lake_keeps_the_same(tmp_path: Path, lakes: Lakes) -> None:
    pipeline = Pipeline(tmp_path / "file")
    of_all_ages(pipeline)
    given = lakes.settings(tmp_path / "lake", pipeline.settings)
    pipeline.settings = given
    usage = UsageProcessor()
    pipeline.run(usage)
    before = sums(pipeline)
    pipeline.settings = replace(given, detail_days=KEPT)
    assert pipeline.run(usage).report.counts["detail_rows_gone"] == 10
    pipeline.write("bob/p/late.jsonl", session("late", 100))
    counts = pipeline.run(usage, full_refresh=True).report.counts
    assert counts["detail_came_late"] == 4
    assert sums(pipeline) == before
    delete(pipeline.store, [usage], pipeline.settings, [], "alice")
    assert pipeline.query("SELECT count(*) FROM usage_calls WHERE day < current_date - 90") == [
        (0,)
    ]


class Notes:
    """A plugin: a line a session, and a sum by day."""

    name, version, cadence = "notes", 1, timedelta(seconds=60)
    tables = {"notes": "session_file VARCHAR, noted_at TIMESTAMPTZ"}
    rollups = (
        Rollup(
            name="notes_daily",
            columns="day DATE, notes BIGINT",
            part="day",
            changed="""SELECT DISTINCT make_timestamp(epoch_us(noted_at))::DATE::VARCHAR
                FROM notes SEMI JOIN batch USING (session_file)""",
            refresh="""SELECT make_timestamp(epoch_us(noted_at))::DATE AS day, count(*) FROM notes
                WHERE day IN (SELECT part::DATE FROM parts) GROUP BY ALL""",
        ),
    )
    retention = (Retention("notes", "notes", "noted_at", freezes=("notes_daily",)),)

    def process(self, session: Session) -> ProcessorResult:
        times = [record.time_us() for _, record in session.transcript]
        rows = [(session.key, at) for at in times if at is not None]
        return ProcessorResult({"notes": rows}, len(rows))


def test_a_plugin_declares_what_goes_and_nothing_else(tmp_path: Path) -> None:
    pipeline, notes = Pipeline(tmp_path), Notes()
    of_all_ages(pipeline)
    before = pipeline.run(notes).rows
    pipeline.settings = replace(pipeline.settings, detail_days=DetailDays(others=60))
    after = pipeline.run(notes).rows
    again = pipeline.run(notes, full_refresh=True).rows
    assert before["notes_daily"] == after["notes_daily"] == again["notes_daily"]
    assert len(before["notes"]) > len(after["notes"]) == len(again["notes"])
    assert {type(row[0]) for row in after["notes_daily"]} == {date}


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        (Retention("notes", "note", "noted_at"), "there is no 'note'; 'notes' seems to be meant"),
        (Retention("notes", "notes", "noted_at", freezes=("daily",)), "there is no 'daily'"),
        (Retention("notes", "notes", "written_at"), "at: Binder Error"),
        (Retention("notes", "notes", "noted_at", name="title"), "name: Binder Error"),
    ],
)
def test_what_cannot_go_is_refused_when_it_is_declared(declared: Retention, says: str) -> None:
    notes = Notes()
    notes.retention = (declared,)  # ty: ignore[invalid-assignment]  of one

    def check() -> None:
        check_contract(notes)
        check_declarations(notes)

    with pytest.raises(ContractError, match=says):
        check()
