"""Deleted files: marked or purged; what only looks deleted is left alone; and forgetting."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from helpers import (
    EchoProcessor,
    Pipeline,
    expected_rows,
    make_pipeline,
    numbers,
    write_many,
    write_session,
)
from knowledge_lines import FISCAL, WEEKLY
from lines import UsagePipeline, assistant, tool, usage
from session_pipeline_dagster.cli import main
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.errors import Permanent, SourceUnavailable
from session_pipeline_dagster.passes.deletions import missing
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.pacing import Decision, Memory, with_deletions
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import Layout, OnDelete, Root, Settings
from session_pipeline_dagster.sources.files import LeftOut, Scan, SessionFile, Signature
from session_pipeline_dagster.sources.local import LocalSource
from teller import run as tell_all
from teller import tell

KEY = "alice/s01.jsonl"
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 3)
    write_session(pipeline.root, "bob/t.jsonl", "of bob")
    return pipeline


def gone(pipeline: Pipeline) -> dict[str, object]:
    sql = "SELECT session_file, gone_at FROM session_processor_state WHERE gone_at IS NOT NULL"
    return dict(pipeline.select(sql))


def let_pass(pipeline: Pipeline | UsagePipeline, days: float) -> None:
    """As if so many days had passed since files were missed."""
    with pipeline.store.transaction() as connection:
        connection.execute(
            "UPDATE session_processor_state SET gone_at = gone_at - to_hours(?)", [int(days * 24)]
        )


def known_of(*keys: str) -> dict[str, str | None]:
    """Session file -> its root, where no folder of a user has a colon."""
    return {key: key.rpartition(":")[0] for key in keys}


def scan_of(*keys: str, left_out: tuple[str, ...] = ()) -> Scan:
    files = [
        SessionFile(key, "u", None, f"/{key}", Signature(1, 2, 3), root)
        for key, root in known_of(*keys).items()
    ]
    return Scan(files, [LeftOut(key, "no") for key in left_out])


@pytest.mark.parametrize(
    ("scan", "known", "expected"),
    [
        (scan_of("a/1", "a/2"), known_of("a/1", "a/2"), []),
        (scan_of("a/1"), known_of("a/1", "a/2", "b/3"), ["a/2", "b/3"]),
        (scan_of(), known_of("a/1"), []),
        (scan_of("one:a/1"), known_of("one:a/1", "one:a/2", "two:a/1", "a/1"), ["one:a/2"]),
        (scan_of("a/1"), known_of("two:a/1"), []),
        (scan_of("a/1", left_out=("b/",)), known_of("b/2", "b/c/3", "bb/4"), ["bb/4"]),
        (scan_of("a/1", left_out=("b",)), known_of("b/2", "b"), []),
        (
            scan_of("a/1", left_out=("a/2.jsonl",)),
            known_of("a/2.jsonl", "a/3.jsonl"),
            ["a/3.jsonl"],
        ),
        (scan_of("a/1"), {"two:a/1": "", "two:a/2": "two"}, ["two:a/1"]),
        (scan_of("two:a/1"), {"two:b/1": "", "two:b/2": "two"}, ["two:b/2"]),
        (scan_of("a/1"), {"a/2": None}, []),
    ],
    ids=[
        "all there",
        "gone",
        "a root without files",
        "roots by name",
        "a root that is not set",
        "a folder that cannot be read",
        "a folder that became a link",
        "a file that became a link",
        "a folder like the name of a root",
        "a folder like the name of a root that is there",
        "nobody knows its root",
    ],
)
def test_only_what_a_scan_would_have_found_is_gone(scan, known, expected) -> None:
    assert missing(scan, known) == expected


def test_a_deleted_file_keeps_its_rows_and_is_marked_once(pipeline: Pipeline) -> None:
    echo, rows = EchoProcessor(), expected_rows(pipeline.root)
    pipeline.run(echo)
    (pipeline.root / KEY).unlink()
    assert pipeline.run(echo).deleted == 1
    first = gone(pipeline)
    assert list(first) == [KEY]
    assert pipeline.rows() == rows
    report = pipeline.run(echo)
    assert (report.deleted, report.purged, report.scanned) == (0, 0, 0)
    assert gone(pipeline) == first


@pytest.mark.parametrize("content", ["line 0 of 1", "something else"])
def test_a_file_that_comes_back_is_unmarked(pipeline: Pipeline, content: str) -> None:
    echo = EchoProcessor()
    pipeline.run(echo)
    (pipeline.root / KEY).unlink()
    pipeline.run(echo)
    write_session(pipeline.root, KEY, content, "line 1 of 1")
    pipeline.run(echo)
    assert gone(pipeline) == {}
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_a_file_moved_away_and_back_is_unmarked_though_nothing_is_processed(
    pipeline: Pipeline,
) -> None:
    echo, away = EchoProcessor(), pipeline.root.parent / "away"
    pipeline.run(echo)
    (pipeline.root / KEY).rename(away)
    pipeline.run(echo)
    away.rename(pipeline.root / KEY)
    assert pipeline.run(echo).processed == 0
    assert gone(pipeline) == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [("alice", "zoe"), ("zoe", "alice"), ("Ωmega", "alpha"), ("alpha", "Ωmega"), ("é", "e\u0301")],
)
def test_after_a_user_is_renamed_every_old_file_is_marked_at_the_next_pass(
    tmp_path: Path, old: str, new: str
) -> None:
    """Whichever name comes first: the state says which of two copies is still there."""
    pipeline, echo = make_pipeline(tmp_path), EchoProcessor()
    for name in ("s.jsonl", "p/t.jsonl", "p/t/subagents/u.jsonl"):
        write_session(pipeline.root, f"{old}/{name}", "one", "two")
    pipeline.run(echo)
    (pipeline.root / old).rename(pipeline.root / new)
    assert pipeline.run(echo).deleted == 3
    states = pipeline.states(echo)
    assert {key for key, state in states.items() if state.gone} == {
        key for key in states if key.startswith(f"{old}/")
    }
    assert {key for key, state in states.items() if not state.gone} == {
        file.key for file in pipeline.source.scan().files
    }


def test_files_of_a_folder_that_is_hidden_now_are_marked_as_gone(pipeline: Pipeline) -> None:
    """Also those that were read before hidden folders were left out."""
    echo = EchoProcessor()
    pipeline.run(echo)
    (pipeline.root / "alice").rename(pipeline.root / ".alice")
    with pipeline.store.transaction() as connection:
        connection.execute(
            """UPDATE session_processor_state SET session_file = '.' || session_file
            WHERE session_file LIKE 'alice/%'"""
        )
    assert pipeline.run(echo).deleted == 3
    assert sorted(gone(pipeline)) == [f".alice/s{n:02}.jsonl" for n in range(3)]


@pytest.mark.slow
def test_a_renamed_file_leaves_a_marked_key_and_counts_once(tmp_path: Path) -> None:
    pipeline = UsagePipeline(tmp_path)
    pipeline.write("alice/p/s.jsonl", assistant("msg_1", usage(10, 5), [tool("Bash")]))
    pipeline.write("alice/p/other.jsonl", assistant("msg_2", usage(1, 1)))
    pipeline.run()
    (pipeline.root / "alice/p/s.jsonl").rename(pipeline.root / "alice/p/renamed.jsonl")
    report = pipeline.run()
    assert (report.deleted, report.processed) == (1, 1)
    assert pipeline.tokens() == (11, 6, 0, 0)
    assert pipeline.select("SELECT count(*) FROM usage_events_unique") == [(1,)]


@pytest.mark.slow
def test_purge_removes_every_row_of_a_deleted_file_and_no_other(pipeline: Pipeline) -> None:
    purging, echo, other = (
        pipeline.having(on_delete=OnDelete.PURGE),
        *map(EchoProcessor, (None,) * 2),
    )
    other = EchoProcessor(name="other")
    purging.run(echo)
    purging.run(other)
    (pipeline.root / KEY).unlink()
    assert (purging.run(echo).deleted, purging.run(other).deleted) == (1, 1)
    let_pass(pipeline, 8)
    assert purging.run(echo).purged == 1
    assert pipeline.rows() == expected_rows(pipeline.root)
    assert KEY not in pipeline.states(echo)
    # Each processor's rows go with its own next pass.
    assert KEY in pipeline.states(other)
    assert purging.run(other).purged == 1
    assert pipeline.rows("other_rows") == expected_rows(pipeline.root)
    assert purging.run(echo).purged == 0


def test_purge_also_takes_what_was_kept_before(pipeline: Pipeline) -> None:
    echo = EchoProcessor()
    pipeline.run(echo)
    (pipeline.root / KEY).unlink()
    pipeline.run(echo)
    let_pass(pipeline, 8)
    assert pipeline.having(on_delete=OnDelete.PURGE).run(echo).purged == 1
    assert pipeline.rows() == expected_rows(pipeline.root)


@pytest.mark.slow
def test_nothing_is_purged_before_it_has_been_gone_for_the_time_that_is_set(
    pipeline: Pipeline,
) -> None:
    """A folder that is not mounted for a minute looks like one that was deleted."""
    purging, echo = pipeline.having(on_delete=OnDelete.PURGE), EchoProcessor()
    purging.run(echo)
    rows = pipeline.rows()
    away = (pipeline.root / "alice").rename(pipeline.root.parent / "alice")
    first = purging.run(echo)
    assert (first.deleted, first.purged, first.to_purge) == (3, 0, 3)
    days = (first.next_purge - datetime.now(UTC)) / timedelta(days=1)
    assert days == pytest.approx(7, abs=0.01)
    let_pass(pipeline, 6.9)
    assert (purging.run(echo).purged, purging.run(echo).to_purge) == (0, 3)
    away.rename(pipeline.root / "alice")
    assert (purging.run(echo).to_purge, gone(pipeline)) == (0, {})
    assert pipeline.rows() == rows
    (pipeline.root / "alice").rename(away)
    assert purging.run(echo).deleted == 3
    let_pass(pipeline, 7.1)
    assert purging.run(echo).purged == 3
    assert {row[0] for row in pipeline.rows()} == {"bob/t.jsonl"}


def test_a_mark_of_a_clock_that_was_ahead_purges_nothing_and_becomes_now(
    pipeline: Pipeline,
) -> None:
    purging, echo = pipeline.having(on_delete=OnDelete.PURGE), EchoProcessor()
    purging.run(echo)
    (pipeline.root / KEY).unlink()
    purging.run(echo)
    let_pass(pipeline, -400)
    report = purging.run(echo)
    assert (report.purged, report.to_purge) == (0, 1)
    assert gone(pipeline)[KEY] <= datetime.now(UTC)
    let_pass(pipeline, 8)
    assert purging.run(echo).purged == 1


@pytest.mark.slow
def test_a_purge_reaches_the_rollups(tmp_path: Path) -> None:
    pipeline = UsagePipeline(tmp_path)
    pipeline.settings = replace(pipeline.settings, on_delete=OnDelete.PURGE)
    pipeline.write("alice/p/s.jsonl", assistant("msg_1", usage(10, 5)))
    pipeline.write("bob/p/t.jsonl", assistant("msg_2", usage(1, 1), at="2026-03-11T12:00:00Z"))
    pipeline.run()
    daily = "SELECT username, sum(input_tokens) FROM usage_daily GROUP BY 1 ORDER BY 1"
    assert pipeline.select(daily) == [("alice", 10), ("bob", 1)]
    (pipeline.root / "alice/p/s.jsonl").unlink()
    assert pipeline.run().deleted == 1
    let_pass(pipeline, 8)
    assert pipeline.run().purged == 1
    assert pipeline.select(daily) == [("bob", 1)]


def test_a_purge_meets_a_processor_of_a_newer_declaration(tmp_path: Path) -> None:
    class Wider(EchoProcessor):
        def __init__(self) -> None:
            super().__init__()
            self.tables = {"echo_rows": f"{self.tables['echo_rows']}, more BIGINT"}

        def process(self, session):
            result = super().process(session)
            return replace(
                result, rows={"echo_rows": [(*row, 1) for row in result.rows["echo_rows"]]}
            )

    pipeline = make_pipeline(tmp_path).having(on_delete=OnDelete.PURGE)
    write_many(pipeline.root, 2)
    pipeline.run(EchoProcessor())
    (pipeline.root / KEY).unlink()
    pipeline.run(EchoProcessor())
    let_pass(pipeline, 8)
    assert pipeline.run(Wider()).purged == 1
    assert {row[0] for row in pipeline.rows()} == {"alice/s00.jsonl"}


@pytest.mark.parametrize("on_delete", OnDelete)
def test_a_missing_or_empty_root_tombstones_nothing(
    pipeline: Pipeline, on_delete: OnDelete
) -> None:
    """An unmounted volume is either, and must not cost a row."""
    careful, echo, rows = pipeline.having(on_delete=on_delete), EchoProcessor(), None
    careful.run(echo)
    rows = careful.rows()
    away = pipeline.root.rename(pipeline.root.with_name("away"))
    with pytest.raises(SourceUnavailable):
        careful.run(echo)
    pipeline.root.mkdir()
    report = careful.run(echo)
    assert (report.deleted, report.purged) == (0, 0)
    pipeline.root.rmdir()
    away.rename(pipeline.root)
    careful.run(echo)
    assert careful.rows() == rows
    assert gone(careful) == {}


@pytest.mark.parametrize("on_delete", OnDelete)
def test_a_folder_that_became_a_link_tombstones_nothing(
    pipeline: Pipeline, on_delete: OnDelete
) -> None:
    careful, echo = pipeline.having(on_delete=on_delete), EchoProcessor()
    careful.run(echo)
    away = (pipeline.root / "alice").rename(pipeline.root.parent / "alice")
    (pipeline.root / "alice").symlink_to(away)
    report = careful.run(echo)
    assert (report.deleted, report.purged) == (0, 0)


def test_the_failure_of_a_deleted_file_is_forgotten(pipeline: Pipeline) -> None:
    def fail(_session: object) -> None:
        raise Permanent("no use")

    pipeline.run(EchoProcessor(fail))
    (pipeline.root / KEY).unlink()
    pipeline.run(EchoProcessor(fail))
    assert sorted(pipeline.failures(EchoProcessor())) == [
        "alice/s00.jsonl",
        "alice/s02.jsonl",
        "bob/t.jsonl",
    ]


def test_a_deletion_alone_asks_for_a_run_once_a_cadence() -> None:
    minute, idle = timedelta(minutes=1), Decision("nothing to do", Memory())
    assert with_deletions(idle, 0, minute, NOON) == idle
    asked = with_deletions(idle, 3, minute, NOON)
    assert asked.settle
    soon, later = NOON + timedelta(seconds=59), NOON + minute
    again = Decision("nothing to do", asked.memory)
    assert not with_deletions(again, 3, minute, soon).settle
    assert with_deletions(again, 3, minute, later).settle
    busy = Decision("files are due", Memory(), rollups=["r"])
    assert with_deletions(busy, 3, minute, NOON) == busy


@pytest.mark.slow
def test_the_sensor_asks_for_a_run_that_takes_note_of_deleted_files(tmp_path: Path) -> None:
    from session_pipeline_dagster.orchestration.names import PLAIN  # noqa: PLC0415
    from session_pipeline_dagster.orchestration.sensors import processor_sensor  # noqa: PLC0415

    pipeline = UsagePipeline(tmp_path)
    settings = replace(pipeline.settings, roots=(Root(pipeline.root),))
    for name in ("s", "t"):
        pipeline.write(f"alice/p/{name}.jsonl", assistant())
        os.utime(pipeline.root / f"alice/p/{name}.jsonl", (NOON.timestamp(), NOON.timestamp()))
    pipeline.run()
    sensor = processor_sensor(UsageProcessor(), settings)
    with dg.DagsterInstance.ephemeral() as instance:

        def tick():
            context = dg.build_sensor_context(instance)
            return sensor(context)

        # Where a run has ended, nothing is left that the catalog does not show.
        ended, tags = dg.DagsterRunStatus.SUCCESS, PLAIN.tags("usage")
        instance.add_run(dg.DagsterRun("usage_job", "0" * 32, status=ended, tags=tags))
        assert tick().run_requests in (None, [])
        (pipeline.root / "alice/p/s.jsonl").unlink()
        (request,) = tick().run_requests
        today = datetime.now(UTC).date().isoformat()
        assert request.tags["dagster/asset_partition_range_start"] == today
        pipeline.run()
        assert tick().run_requests in (None, [])


# --- forget ---


def forget(pipeline: Pipeline, *arguments: str) -> tuple[int, str]:
    where = ["--sessions", str(pipeline.root), "--database", str(pipeline.settings.database)]
    result = CliRunner().invoke(main, ["forget", *where, *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


@pytest.fixture
def two_users(tmp_path: Path) -> Pipeline:
    """Usage of two users, and rows of a processor that is no longer installed."""
    pipeline = make_pipeline(tmp_path)
    made = UsagePipeline(tmp_path, root=pipeline.root)
    for user in ("alice", "bob"):
        for session in ("s", "t"):
            line = assistant(f"msg_{user}_{session}", usage(10, 5), [tool("Bash", f"toolu_{user}")])
            made.write(f"{user}/p/{session}.jsonl", line)
    settings = pipeline.settings
    source = LocalSource(settings.roots)
    run_all(UsageProcessor(), source, pipeline.store, settings, Options())
    run_all(EchoProcessor(), source, pipeline.store, settings, Options())
    return pipeline


def rows_of(pipeline: Pipeline, what: str) -> int:
    """Rows that hold a word, over every table of the database."""
    tables = pipeline.select("SELECT table_name FROM duckdb_tables()")
    sql = " UNION ALL ".join(
        f"SELECT CAST(t AS VARCHAR) AS r FROM {name} AS t" for (name,) in tables
    )
    return sum(what in str(row) for (row,) in pipeline.select(sql))


def test_forget_removes_a_user_from_every_table_and_nobody_else(two_users: Pipeline) -> None:
    bobs = rows_of(two_users, "bob")
    shutil.rmtree(two_users.root / "alice")
    assert rows_of(two_users, "alice") > 10
    code, output = forget(two_users, "--user", "alice", "--yes")
    assert code == 0, output
    assert rows_of(two_users, "alice") == 0
    assert rows_of(two_users, "bob") == bobs
    daily = "SELECT username, sum(input_tokens) FROM usage_daily GROUP BY 1"
    assert two_users.select(daily) == [("bob", 20)]


@pytest.mark.slow
def test_forget_takes_a_user_by_the_whole_name(pipeline: Pipeline) -> None:
    users = ("carol", "carol@a.org", "carol@b.org", "carola")
    for name in users:
        write_session(pipeline.root, f"{name}/s.jsonl", "one")
    pipeline.run(EchoProcessor())
    assert forget(pipeline, "--user", "carol", "--yes")[0] == 0
    left = pipeline.select("SELECT DISTINCT session_file FROM echo_rows ORDER BY 1")
    assert {key for (key,) in left if "carol" in key} == {f"{name}/s.jsonl" for name in users[1:]}


@pytest.mark.slow
def test_forget_removes_one_session_and_leaves_the_users_others(two_users: Pipeline) -> None:
    (two_users.root / "alice/p/s.jsonl").unlink()
    code, output = forget(two_users, "--session", "alice/p/s.jsonl", "--yes")
    assert (code, rows_of(two_users, "alice/p/s.jsonl")) == (0, 0), output
    assert rows_of(two_users, "alice/p/t.jsonl") > 3


@pytest.mark.slow
def test_forget_retracts_knowledge_that_nobody_else_has_said(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    for user in ("alice", "bob"):
        tell(pipeline.root, f"{user}/1.jsonl", ("confirmation", FISCAL))
    tell(pipeline.root, "alice/2.jsonl", ("confirmation", WEEKLY), entities=("revenue", "report"))
    tell_all(pipeline)
    items = "SELECT content FROM knowledge_items ORDER BY 1"
    assert pipeline.select(items) == [(FISCAL,), (WEEKLY,)]
    shutil.rmtree(pipeline.root / "alice")
    code, output = forget(pipeline, "--user", "alice", "--yes")
    assert code == 0, output
    assert pipeline.select(items) == [(FISCAL,)]
    assert pipeline.select("SELECT source_user FROM verification_evidence") == [("bob",)]
    assert rows_of(pipeline, "alice") == 0


@pytest.mark.slow
def test_a_dry_run_counts_what_forget_then_deletes(two_users: Pipeline) -> None:
    before = two_users.settings.database.read_bytes()
    code, dry = forget(two_users, "--user", "alice", "--dry-run")
    assert code == 0
    assert two_users.settings.database.read_bytes() == before
    assert "echo_rows: 2" in dry
    assert "usage_messages: 2" in dry
    assert "session_processor_state: 4" in dry
    counted = int(re.search(r"2 session files, (\d+) rows", dry)[1])
    _, wet = forget(two_users, "--user", "alice", "--yes")
    assert f"deleted {counted} rows" in wet
    assert "0 rows" in forget(two_users, "--user", "alice", "--dry-run")[1]


@pytest.mark.slow
def test_forget_says_which_files_will_be_read_again(two_users: Pipeline) -> None:
    _, output = forget(two_users, "--user", "alice", "--dry-run")
    assert "2 of the files are still on disk" in output
    shutil.rmtree(two_users.root / "alice")
    assert "still on disk" not in forget(two_users, "--user", "alice", "--dry-run")[1]


@pytest.mark.slow
def test_forget_works_while_the_root_is_missing(two_users: Pipeline) -> None:
    shutil.rmtree(two_users.root)
    code, output = forget(two_users, "--user", "alice", "--yes")
    assert (code, rows_of(two_users, "alice")) == (0, 0)
    assert "does not exist" in output


@pytest.mark.slow
def test_forget_finds_a_user_whose_only_file_failed(pipeline: Pipeline) -> None:
    def fail(_session: object) -> None:
        raise ValueError

    pipeline.run(EchoProcessor(fail))
    shutil.rmtree(pipeline.root / "bob")
    code, _ = forget(pipeline, "--user", "bob", "--yes")
    assert (code, rows_of(pipeline, "bob/")) == (0, 0)
    assert rows_of(pipeline, "alice/") == 3


@pytest.mark.slow
def test_forget_finds_users_of_odd_names_by_their_rows_and_by_their_failures(
    pipeline: Pipeline,
) -> None:
    def fail(session: Session) -> None:
        if session.key.endswith("bad.jsonl"):
            raise ValueError

    users = ("a:b", "u" * 250, "%3A")
    for name in users:
        write_session(pipeline.root, f"{name}/good.jsonl", "one")
        write_session(pipeline.root, f"{name}/bad.jsonl", "one")
    pipeline.run(EchoProcessor(fail))
    for name in users:
        shutil.rmtree(pipeline.root / name)
        code, output = forget(pipeline, "--user", name, "--yes")
        assert (code, "2 session files" in output) == (0, True), output
    assert {
        user for (user,) in pipeline.select("SELECT username FROM session_processor_state")
    } == {
        "alice",
        "bob",
    }
    assert pipeline.select("FROM session_processor_failures") == []


@pytest.mark.slow
@pytest.mark.parametrize("root", ["", "a"], ids=["as it is", "as an older store took it"])
def test_rows_under_a_key_with_a_colon_move_to_the_key_of_today(
    pipeline: Pipeline, root: str
) -> None:
    """They are read under the new one first; then what was kept under the old one goes."""
    echo = EchoProcessor()
    write_session(pipeline.root, "a:b/s.jsonl", "one")
    pipeline.run(echo)
    for table in ("echo_rows", "session_processor_state"):
        with pipeline.store.transaction() as connection:
            connection.execute(
                f"""UPDATE {table} SET session_file = 'a:b/s.jsonl'
                WHERE session_file = 'a%3Ab/s.jsonl'"""
            )
            if table != "echo_rows":
                connection.execute(
                    f"UPDATE {table} SET root = ? WHERE session_file = 'a:b/s.jsonl'", [root]
                )
    first = pipeline.run(echo)
    # Of a root that is not looked at, nothing is known to be gone.
    marked = [] if root else ["a:b/s.jsonl"]
    assert (first.processed, first.deleted, first.purged) == (1, len(marked), 0)
    assert sorted(gone(pipeline)) == marked
    second = pipeline.run(echo)
    assert (second.processed, second.deleted, second.purged) == (0, 0, 1)
    assert sorted({row[0] for row in pipeline.rows() if ":" in row[0] or "%" in row[0]}) == [
        "a%3Ab/s.jsonl"
    ]
    assert numbers(pipeline.run(echo)) == (0, 0, 0, 0, 0)


def test_a_key_of_a_root_that_is_not_looked_at_any_more_is_nobody_elses(pipeline: Pipeline) -> None:
    """Of a named root `b` and of the folder `b:al` the keys are the same, but for the escape."""
    other = pipeline.root.parent / "other"
    echo = EchoProcessor()
    write_session(other, "al/s.jsonl", "two", "three")
    write_session(pipeline.root, "b:al/s.jsonl", "one")
    both = LocalSource((Root(pipeline.root), Root(other, "b")), Layout.USERS)
    run_all(echo, both, pipeline.store, pipeline.settings, Options())
    before = pipeline.rows()
    for _ in range(2):
        report = pipeline.run(echo)
        assert (report.deleted, report.purged) == (0, 0)
    assert pipeline.rows() == before


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--user", "--session"])
@pytest.mark.parametrize("way", ["--yes", "--dry-run"])
def test_forget_says_so_where_nothing_is_known_and_exits_with_2(
    pipeline: Pipeline, option: str, way: str
) -> None:
    word = option.removeprefix("--")
    said = f"nothing is known of such a {word} in the database, and there is no report or export\n"
    code, output = forget(pipeline, option, "nobody", way)
    assert (code, "there is no database" in output) == (2, True)
    assert not pipeline.settings.database.exists()
    pipeline.run(EchoProcessor())
    assert forget(pipeline, option, "nobody", way) == (2, said)
    assert pipeline.rows() == expected_rows(pipeline.root)


@pytest.mark.slow
def test_forget_says_what_it_deleted(pipeline: Pipeline) -> None:
    pipeline.run(EchoProcessor())
    shutil.rmtree(pipeline.root / "alice")
    pipeline.settings.reports.mkdir()
    page = pipeline.settings.reports / "usage.html"
    page.write_text("alice")
    code, output = forget(pipeline, "--user", "alice", "--dry-run")
    assert code == 0
    assert f"  report {page}" in output
    code, output = forget(pipeline, "--user", "alice", "--yes")
    deleted = output.partition("deleted ")[2]
    assert (code, deleted.splitlines()) == (
        0,
        ["9 rows and 1 report", "  echo_rows: 6", "  session_processor_state: 3", f"  {page}"],
    )


@pytest.mark.slow
def test_forgetting_who_is_in_reports_alone_takes_these_and_says_so(pipeline: Pipeline) -> None:
    """The rows of a user may have been purged before."""
    pipeline.settings.reports.mkdir()
    page = pipeline.settings.reports / "usage.html"
    page.write_text("carol")
    pipeline.run(EchoProcessor())
    code, output = forget(pipeline, "--user", "carol", "--dry-run")
    assert (code, page.exists()) == (2, True)
    assert "nothing is known of such a user in the database" in output
    code, output = forget(pipeline, "--user", "carol", "--yes")
    assert (code, page.exists()) == (2, False), "a report goes all the same: it can be made again"
    assert "deleted 0 rows and 1 report\n" in output
    assert forget(pipeline, "--user", "carol", "--yes")[0] == 2


@pytest.mark.slow
def test_forgetting_a_file_that_was_never_processed_is_something(pipeline: Pipeline) -> None:
    pipeline.store.prepare(EchoProcessor())
    code, output = forget(pipeline, "--user", "bob", "--yes")
    assert code == 0
    assert "1 of the files are still on disk" in output
    code, _ = forget(pipeline, "--session", "bob/t.jsonl", "--yes")
    assert code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--yes",),
        ("--user", "a", "--session", "b", "--yes"),
        ("--user", "a"),
        ("--user", "a", "--yes", "--dry-run"),
    ],
)
def test_forget_that_is_not_clear_is_refused(pipeline: Pipeline, arguments: tuple[str]) -> None:
    code, output = forget(pipeline, *arguments)
    assert code == 2
    assert "forget takes either" in output


@pytest.mark.slow
@pytest.mark.parametrize("name", ["'; DROP TABLE echo_rows; --", "%", "_____", "../bob", "", "al"])
def test_a_name_is_data_and_no_pattern(pipeline: Pipeline, name: str) -> None:
    pipeline.run(EchoProcessor())
    rows = pipeline.rows()
    forget(pipeline, "--user", name, "--yes")
    forget(pipeline, "--session", name, "--yes")
    assert pipeline.rows() == rows
    assert numbers(pipeline.run(EchoProcessor())) == (0, 0, 0, 0, 0)


def test_settings_without_a_word_keep_rows() -> None:
    assert Settings().on_delete is OnDelete.KEEP


class Noting(EchoProcessor):
    """Also keeps a journal, as of what a file has cost."""

    def __init__(self, hook: Callable[[Session], object] | None = None) -> None:
        super().__init__(hook)
        self.journals = {"echo_costs": "session_file VARCHAR, cost BIGINT"}

    def process(self, session: Session) -> ProcessorResult:
        session.notes.add("echo_costs", (session.key, 1))
        return super().process(session)


def everything(pipeline: Pipeline) -> str:
    tables = pipeline.select("SELECT table_name FROM duckdb_tables() ORDER BY 1")
    return str([pipeline.select(f"FROM {t}") for (t,) in tables if t != "session_forgotten"])


@pytest.mark.slow
@pytest.mark.parametrize("failing", [False, True])
def test_forget_wins_against_a_pass_that_has_read_before(pipeline: Pipeline, failing: bool) -> None:
    def meanwhile(session: Session) -> None:
        if session.user == "bob":
            for path in (pipeline.root / "alice").iterdir():
                path.unlink()
            pipeline.store.forget([noting], [f"alice/s{n:02}.jsonl" for n in range(3)])
        elif failing:
            raise Permanent("no use")

    noting = Noting(meanwhile)
    (pipeline.root / "bob" / "t.jsonl").touch()
    report = pipeline.run(noting)
    assert len(noting.calls) == 4
    assert noting.calls[-1] == "bob/t.jsonl", "alice's were read before they were forgotten"
    assert report.processed == 1
    assert "alice" not in everything(pipeline)
    assert "bob/t.jsonl" in everything(pipeline)
    noting.hook = None
    assert pipeline.run(noting).processed == 0


@pytest.mark.slow
def test_a_file_that_was_forgotten_and_is_still_there_is_read_by_the_next_pass(
    pipeline: Pipeline,
) -> None:
    noting = Noting()
    pipeline.run(noting)
    pipeline.store.forget([noting], [KEY])
    assert KEY not in everything(pipeline)
    assert pipeline.run(noting).processed == 1
