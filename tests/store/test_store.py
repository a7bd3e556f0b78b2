"""Commits: all or nothing, one file's rows never another's, in threads and time zones."""

import os
import subprocess
import sys
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import session_pipeline_dagster
from helpers import OLD, EchoProcessor, Pipeline, make_pipeline, write_session
from places import SUPPORT
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.orchestration.resources import StoreResource
from session_pipeline_dagster.sources.files import Signature
from session_pipeline_dagster.store.batch import Batch, Done, Signed
from session_pipeline_dagster.store.columns import encode, pack
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.states import Failure

NOON = datetime(2025, 3, 2, 12, tzinfo=UTC)
SIGNATURE = Signature(10, 1_000_000_000, 2_000_000_000)


class TwoTables(EchoProcessor):
    """A processor with a second table and a roll-up over the first."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = self.tables | {"echo_words": "session_file VARCHAR, word VARCHAR"}
        self.rollups = (LENGTHS,)


LENGTHS = Rollup(
    name="echo_lengths",
    columns="text_bytes BIGINT, files BIGINT",
    part="text_bytes",
    changed="""SELECT DISTINCT text_bytes::VARCHAR FROM echo_rows
        SEMI JOIN batch USING (session_file)""",
    refresh="""SELECT text_bytes, count(DISTINCT session_file) FROM echo_rows
        WHERE text_bytes::VARCHAR IN (FROM parts) GROUP BY ALL""",
)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return make_pipeline(tmp_path)


@pytest.fixture
def store(pipeline: Pipeline) -> Store:
    return pipeline.store


def done(key: str, **changes: object) -> Done:
    values = {
        "session_file": key,
        "username": key.split("/")[0],
        "session_day": date(2025, 3, 1),
        "items": 1,
        "file_hash": f"hash of {key}",
        "signature": SIGNATURE,
        "signature_at": NOON,
        "lines": 1,
        "unreadable_lines": 0,
        "unknown_lines": 0,
        "memo": None,
    }
    return Done(**(values | changes))


def batch(store: Store, processor: TwoTables, rows: dict[str, int], word: str = "w") -> Batch:
    """A commit of one row per file in both tables; `rows` is file -> text_bytes."""
    given = {
        "echo_rows": [(key, 1, number) for key, number in rows.items()],
        "echo_words": [(key, word) for key in rows],
    }
    encoded = encode(given, store.prepare(processor))
    return Batch(
        rows={table: [pack(found)] for table, found in encoded.items()},
        done=[done(key) for key in rows],
    )


def failure(key: str, **changes: object) -> Failure:
    values = {
        "session_file": key,
        "attempts": 1,
        "error_class": "ValueError",
        "error": "it did not work",
        "first_failed_at": NOON,
        "last_failed_at": NOON,
        "next_attempt_at": NOON + timedelta(minutes=1),
        "quarantined_at": None,
        "signature": SIGNATURE,
    }
    return Failure(**(values | changes))


def tables(pipeline: Pipeline) -> dict[str, list[tuple[object, ...]]]:
    names = ("echo_rows", "echo_words", "session_processor_state", "session_processor_failures")
    return {name: pipeline.rows(name) for name in (*names, "session_rollup_changes")}


def test_a_commit_replaces_a_files_rows_everywhere_and_leaves_the_others(
    pipeline: Pipeline,
) -> None:
    store, processor = pipeline.store, TwoTables()
    store.commit(processor, batch(store, processor, {"a/1": 5, "a/2": 6}))
    store.commit(processor, batch(store, processor, {"a/1": 7}, word="new"))
    assert pipeline.rows() == [("a/1", 1, 7), ("a/2", 1, 6)]
    assert pipeline.rows("echo_words") == [("a/1", "new"), ("a/2", "w")]
    assert sorted(store.known(processor).states) == ["a/1", "a/2"]
    assert len(pipeline.rows("session_processor_state")) == 2


def test_a_commit_without_rows_removes_those_of_before(pipeline: Pipeline) -> None:
    store, processor = pipeline.store, TwoTables()
    store.commit(processor, batch(store, processor, {"a/1": 5, "a/2": 6}))
    store.commit(processor, Batch(done=[done("a/1", items=0)]))
    assert pipeline.rows() == [("a/2", 1, 6)]
    assert pipeline.rows("echo_words") == [("a/2", "w")]


def test_a_commit_is_all_or_nothing(pipeline: Pipeline) -> None:
    store, processor = pipeline.store, TwoTables()
    store.commit(processor, batch(store, processor, {"a/1": 5}))
    store.commit(processor, Batch(failures=[failure("a/2")]))
    before = tables(pipeline)
    bad = batch(store, processor, {"a/1": 9, "a/2": 9})
    bad.rows["echo_words"] = [pack(pa.table({"too": ["few"]}))]
    with pytest.raises(duckdb.Error):
        store.commit(processor, bad)
    assert tables(pipeline) == before


def test_a_processor_touches_no_other_processors_records(pipeline: Pipeline) -> None:
    store, other = pipeline.store, EchoProcessor(name="other")
    processor = TwoTables()
    store.prepare(other)
    store.commit(other, Batch(done=[done("a/1")], failures=[failure("a/2")]))
    store.commit(processor, batch(store, processor, {"a/1": 5, "a/2": 5}))
    store.mark_outdated(processor.name, ["a/1"])
    store.release(processor.name, ["a/2"])
    known = store.known(other)
    assert known.states["a/1"].processor_version == 1
    assert list(known.failures) == ["a/2"]


def test_signatures_are_refreshed_in_bulk_and_rows_stay(pipeline: Pipeline) -> None:
    store, processor = pipeline.store, TwoTables()
    keys = [f"a/{number}" for number in range(3000)]
    store.commit(processor, batch(store, processor, dict.fromkeys(keys, 5)))
    rows, before = pipeline.rows(), store.known(processor).states
    fresh = Signature(10, 1_000_000_000, 3_000_000_000)
    signed = [Signed(key, fresh, NOON + timedelta(days=1)) for key in keys[1:]]
    store.commit(processor, Batch(signed=signed))
    after = store.known(processor).states
    assert pipeline.rows() == rows
    assert after[keys[0]] == before[keys[0]]
    assert {after[key].signature for key in keys[1:]} == {fresh}
    assert {key: s.processed_us for key, s in after.items()} == {
        key: s.processed_us for key, s in before.items()
    }


def test_a_failure_is_replaced_by_the_next_and_cleared_by_success(pipeline: Pipeline) -> None:
    store, processor = pipeline.store, TwoTables()
    store.prepare(processor)
    store.commit(processor, Batch(failures=[failure("a/1"), failure("a/2"), failure("a/3")]))
    store.commit(processor, Batch(failures=[failure("a/1", attempts=2)]))
    assert store.known(processor).failures["a/1"] == failure("a/1", attempts=2)
    store.commit(processor, batch(store, processor, {"a/1": 5}))
    store.commit(processor, Batch(signed=[Signed("a/2", SIGNATURE, NOON)]))
    assert list(store.known(processor).failures) == ["a/3"]


def test_outdated_rows_stay_until_they_are_replaced(pipeline: Pipeline) -> None:
    store, processor = pipeline.store, TwoTables()
    store.commit(processor, batch(store, processor, {"a/1": 5, "a/2": 6}))
    assert store.mark_outdated(processor.name, ["a/1", "a/unknown"]) == 1
    states = store.known(processor).states
    assert states["a/1"].processor_version != processor.version
    assert states["a/2"].processor_version == processor.version
    assert len(pipeline.rows()) == 2


def test_a_file_is_gone_since_it_was_first_missed_until_it_is_back(pipeline: Pipeline) -> None:
    store, processor = pipeline.store, TwoTables()
    store.commit(processor, batch(store, processor, {"a/1": 5, "a/2": 6, "b/1": 7}))
    store.commit(processor, Batch(failures=[failure("a/2"), failure("b/2")]))
    since = "SELECT session_file, gone_at FROM session_processor_state WHERE gone_at IS NOT NULL"
    store.mark_gone(processor, ["a/1"], [], datetime.now(UTC))
    first = dict(pipeline.select(since))
    store.mark_gone(processor, ["a/1", "a/2", "a/unknown"], [], datetime.now(UTC))
    then = dict(pipeline.select(since))
    assert (sorted(then), then["a/1"]) == (["a/1", "a/2"], first["a/1"])
    assert list(store.known(processor).failures) == ["b/2"]
    store.mark_gone(processor, [], ["a/1"], datetime.now(UTC))
    assert dict(pipeline.select(since)) == {"a/2": then["a/2"]}


def test_release_forgets_the_named_or_all_quarantined(pipeline: Pipeline) -> None:
    store, processor = pipeline.store, TwoTables()
    store.prepare(processor)
    given_up = {"quarantined_at": NOON, "next_attempt_at": None}
    quarantined = [failure(key, **given_up) for key in ("a/1", "a/2", "a/3")]
    store.commit(processor, Batch(failures=[*quarantined, failure("a/4")]))
    assert store.release(processor.name, ["a/2", "a/unknown"]) == ["a/2"]
    assert store.release(processor.name) == ["a/1", "a/3"]
    assert list(store.known(processor).failures) == ["a/4"]
    store.commit(EchoProcessor(name="other"), Batch(failures=[failure("a/4")]))
    assert store.release(processor.name, ["a/4"]) == ["a/4"]
    assert store.release(processor.name, ["a/4"]) == []
    assert [*store.known(processor).failures] == []
    assert [*store.known(EchoProcessor(name="other")).failures] == ["a/4"]


def test_no_statement_says_returning_which_other_places_do_not_know() -> None:
    modules = Path(session_pipeline_dagster.__file__).parent.rglob("*.py")
    lines = [line.strip() for path in modules for line in path.read_text("utf-8").splitlines()]
    assert [line for line in lines if "RETURNING" in line and not line.startswith("#")] == []


def test_a_roll_up_hears_of_parts_that_rows_leave_and_parts_they_enter(pipeline: Pipeline) -> None:
    store, processor = pipeline.store, TwoTables()
    store.commit(processor, batch(store, processor, {"a/1": 5, "a/2": 5, "a/3": 6}))
    assert store.known(processor).stale_rollups == ["echo_lengths"]
    assert store.refresh(LENGTHS) == ["5", "6"]
    assert pipeline.rows("echo_lengths") == [(5, 2), (6, 1)]
    assert store.known(processor).stale_rollups == []
    store.commit(processor, batch(store, processor, {"a/1": 8}))
    assert store.refresh(LENGTHS) == ["5", "8"]
    assert pipeline.rows("echo_lengths") == [(5, 1), (6, 1), (8, 1)]
    store.commit(processor, Batch(done=[done("a/3")]))
    assert store.refresh(LENGTHS) == ["6"]
    assert pipeline.rows("echo_lengths") == [(5, 1), (8, 1)]


def test_a_refresh_leaves_unchanged_parts_alone(pipeline: Pipeline) -> None:
    store, processor = pipeline.store, TwoTables()
    store.commit(processor, batch(store, processor, {"a/1": 5, "a/2": 6}))
    store.refresh(LENGTHS)
    with store.connect() as connection:
        connection.execute("UPDATE echo_lengths SET files = 100 WHERE text_bytes = 6")
    store.commit(processor, batch(store, processor, {"a/1": 5}))
    store.refresh(LENGTHS)
    assert pipeline.rows("echo_lengths") == [(5, 1), (6, 100)]
    assert store.refresh(LENGTHS) == []


# --- threads, time zones ---


def test_eight_threads_that_commit_the_same_new_files_double_no_row(pipeline: Pipeline) -> None:
    processor = TwoTables()
    resource = StoreResource(database=str(pipeline.settings.database))
    errors: list[BaseException] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        try:
            start.wait()
            for round_ in range(4):
                store = resource.store() if number % 2 else pipeline.store
                rows = {f"a/{round_}": number, f"own/{number}": round_}
                store.commit(processor, batch(store, processor, rows))
                store.known(processor)
                with resource.get_connection() as connection:
                    connection.execute("SELECT count(*) FROM echo_rows").fetchall()
                store.refresh(LENGTHS)
        except BaseException as error:  # noqa: BLE001  a thread's error must reach the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    keys = [row[0] for row in pipeline.rows()]
    assert keys == sorted([*(f"a/{n}" for n in range(4)), *(f"own/{n}" for n in range(8))])
    assert len(pipeline.rows("session_processor_state")) == 12


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/St_Johns"])
def test_times_come_out_as_the_same_instants_in_every_zone(pipeline: Pipeline, zone: str) -> None:
    store, processor = pipeline.store, TwoTables()
    store.commit(processor, batch(store, processor, {"a/1": 5}))
    store.commit(processor, Batch(failures=[failure("a/2")]))
    code = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from helpers import EchoProcessor
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile
known = Store(DuckDBFile(Path(sys.argv[1]))).known(EchoProcessor())
failure, state = known.failures["a/2"], known.states["a/1"]
print(failure.first_failed_at.timestamp(), state.signed_us, state.session_day, state.processed_us)
"""
    answer = subprocess.run(
        [sys.executable, "-c", code, str(pipeline.settings.database), str(SUPPORT)],
        env=os.environ | {"TZ": zone},
        capture_output=True,
        text=True,
        check=True,
    )
    failed_at, signed_us, day, processed_us = answer.stdout.split()
    assert float(failed_at) == NOON.timestamp()
    assert int(signed_us) == NOON.timestamp() * 10**6
    assert day == "2025-03-01"
    assert int(processed_us) == store.known(processor).states["a/1"].processed_us
    assert abs(int(processed_us) / 1e6 - time.time()) < timedelta(hours=1).total_seconds()
    assert OLD.timestamp() < int(processed_us) / 1e6


@pytest.mark.parametrize(
    "call",
    [
        "strptime(session_file, '%Y')",
        "CAST(session_file AS INTEGER)",
        "error(session_file)",
        "json_extract(session_file, '$.a')",
        "regexp_matches('x', session_file || '(')",
    ],
)
def test_a_query_that_fails_over_a_row_does_not_quote_it(tmp_path: Path, call: str) -> None:
    pipeline = make_pipeline(tmp_path)
    write_session(pipeline.root, "alice/secret.jsonl", "one")
    pipeline.run(EchoProcessor())
    with pytest.raises(ContractError, match="a query failed") as caught:
        pipeline.store.query(f"SELECT {call} FROM echo_rows")
    assert "secret" not in str(caught.value)
