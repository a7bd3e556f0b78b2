"""Tables as files: what is in them, when they are written, and what a kill leaves."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import polars
import pytest

from exported import SUMS, bytes_of, files, rows, table
from helpers import EXAMPLES
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.passes.exports import folder as exports_folder
from session_pipeline_dagster.passes.exports.export import Exported, Wanted, discard, export
from session_pipeline_dagster.passes.exports.folder import Notes
from session_pipeline_dagster.passes.exports.tables import Days, export_table
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.usage.people import leaving
from session_pipeline_dagster.processors.usage.people.published import Published, published
from session_pipeline_dagster.setting_records import ExportFormat
from session_pipeline_dagster.settings import PeopleMode, PeopleSettings, Settings
from session_pipeline_dagster.store.handing_out import Reading, reading
from session_pipeline_dagster.testing import Pipeline, SessionBuilder

PARQUET, CSV = ExportFormat.PARQUET, ExportFormat.CSV
TABLES = frozenset({PARQUET, CSV})
NAMES = ("ann", "=1+1", "../../x", 'a,"b', "z\r\nz", "@SUM(A1)", "día", "' OR 1=1 --", "-2")


def exported(pipeline: Pipeline, into: Path, **wanted: object) -> Exported:
    given = {"formats": TABLES} | wanted
    return export(pipeline.store, UsageProcessor(), pipeline.settings, into, Wanted(**given))


def daily(pipeline: Pipeline, select: str = f"day, person, project, model, {SUMS}") -> list[tuple]:
    return pipeline.store.query(f"SELECT {select} FROM usage_person_daily ORDER BY ALL")[0][1]


def session(name: str, day: date, **more: int) -> SessionBuilder:
    start = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return SessionBuilder(name, start=start, **more).prompt("hello").response("hi")


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    """Three days of two people."""
    made = Pipeline(tmp_path / "data")
    for number in range(3):
        for user in ("alice", "bob"):
            made.write(
                f"{user}/{number}.jsonl", session(f"{user}{number}", date(2026, 3, 1 + number))
            )
    made.run(UsageProcessor())
    return made


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    made = Pipeline(tmp_path_factory.mktemp("examples"))
    for path in EXAMPLES.rglob("*.jsonl"):
        made.write(path.relative_to(EXAMPLES).as_posix(), path.read_bytes())
    made.run(UsageProcessor())
    return made


def test_parquet_and_csv_are_the_table_as_duckdb_reads_it(
    examples: Pipeline, tmp_path: Path
) -> None:
    exported(examples, tmp_path)
    columns = f"day, person, model, {SUMS}"
    truth = daily(examples, columns)
    assert rows(tmp_path, "usage_person_daily", columns) == truth
    in_csv = rows(
        tmp_path, "usage_person_daily", columns.replace("cost", "cost::DECIMAL(38,12)"), "csv"
    )
    assert in_csv == truth
    assert sum(row[-1] for row in truth) == Decimal("1.2257243")


def test_polars_reads_the_folder_with_its_days(examples: Pipeline, tmp_path: Path) -> None:
    exported(examples, tmp_path, formats={PARQUET})
    frame = polars.scan_parquet(
        tmp_path / "usage_person_daily" / "**" / "*.parquet", hive_partitioning=True
    )
    sums = frame.group_by("day").agg(polars.col("cost").sum()).sort("day").collect()
    assert sums.schema["day"] == polars.Date
    found = dict(zip(sums["day"], sums["cost"], strict=True))
    assert found == dict(
        examples.store.query("SELECT day, sum(cost) FROM usage_daily GROUP BY day")[0][1]
    )


def test_a_second_export_writes_nothing(pipeline: Pipeline, tmp_path: Path) -> None:
    into = tmp_path / "out"
    first = exported(pipeline, into)
    before = files(into)
    again = exported(pipeline, into)
    parts = {path: place for path, place in files(into).items() if "part." in path}
    assert parts == {path: place for path, place in before.items() if "part." in path}
    assert [first.counts[kind].written for kind in (PARQUET, CSV)] == [11, 11]
    kept = [(again.counts[kind].written, again.counts[kind].kept) for kind in (PARQUET, CSV)]
    assert kept == [(0, 11), (0, 11)]


def test_only_the_days_that_changed_are_written(pipeline: Pipeline, tmp_path: Path) -> None:
    into = tmp_path / "out"
    exported(pipeline, into, formats={PARQUET})
    before = files(into)
    pipeline.write("alice/9.jsonl", session("late", date(2026, 3, 2)))
    pipeline.run(UsageProcessor())
    exported(pipeline, into, formats={PARQUET})
    changed = {path for path, place in files(into).items() if before.get(path) != place}
    days = {path for path in changed if "part." in path}
    tables = ("usage_person_daily", "usage_team_daily", "usage_activity_daily")
    assert days == {
        "chargeback_monthly/part.parquet",
        *(f"{table}/day=2026-03-02/part.parquet" for table in tables),
    }
    assert rows(into, "usage_person_daily", SUMS) == daily(pipeline, SUMS)


def test_a_file_that_somebody_lost_or_cut_is_written_again(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    exported(pipeline, tmp_path / "out", formats={PARQUET})
    lost, cut = sorted((tmp_path / "out" / "usage_person_daily").glob("*/part.parquet"))[:2]
    lost.unlink()
    cut.write_bytes(b"PAR1")
    assert exported(pipeline, tmp_path / "out", formats={PARQUET}).counts[PARQUET].written == 2
    assert rows(tmp_path / "out", "usage_person_daily", SUMS) == daily(pipeline, SUMS)


def test_a_day_without_rows_any_more_goes_and_its_folder_with_it(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    into = tmp_path / "out"
    exported(pipeline, into)
    pipeline.store.forget([UsageProcessor()], ["alice/0.jsonl", "bob/0.jsonl"])
    pipeline.store.refresh(*UsageProcessor.rollups)
    made = exported(pipeline, into)
    assert not (into / "usage_person_daily" / "day=2026-03-01").exists()
    assert made.counts[CSV].removed == 3
    assert rows(into, "usage_person_daily", SUMS) == daily(pipeline, SUMS)


def test_days_outside_of_what_is_asked_for_stay_as_they_are(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    into, second = tmp_path / "out", date(2026, 3, 2)
    exported(pipeline, into, formats={PARQUET}, since=second, until=second)
    assert [path.name for path in sorted((into / "usage_person_daily").iterdir())] == [
        "day=2026-03-02"
    ]
    exported(pipeline, into, formats={PARQUET}, until=date(2026, 3, 1))
    exported(pipeline, into, formats={PARQUET}, since=date(2026, 3, 3))
    assert rows(into, "usage_person_daily", SUMS) == daily(pipeline, SUMS)


def test_a_range_that_ends_before_it_begins_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is after"):
        exported(pipeline, tmp_path, since=date(2026, 3, 2), until=date(2026, 3, 1))


def test_a_folder_that_is_a_file_is_said_clearly(pipeline: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(SettingsError, match=r"cannot be written to .*out"):
        exported(pipeline, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_forgetting_deletes_no_file_that_an_export_was_once_told_to_write_to(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    """Notes of before 2026-12 have such a file, and so may have the database itself."""
    mine, database = tmp_path / "mine", pipeline.settings.database
    mine.write_text("mine")
    for place in (mine, database):
        with pytest.raises(SettingsError, match="cannot be written to"):
            exported(pipeline, place)
    assert exports_folder.remembered(pipeline.store) == []
    for place in (mine, database):
        exports_folder.remember(pipeline.store, place)
    assert discard(pipeline.store, pipeline.settings) == []
    assert mine.read_text() == "mine"
    assert pipeline.query("SELECT count(*) > 0 FROM usage_messages") == [(True,)]


def test_all_that_leaves_is_found_again_to_be_forgotten() -> None:
    assert [table.name for table in published(Settings())] == [*leaving.TABLES]


def test_what_others_have_in_the_folder_is_left_alone(pipeline: Pipeline, tmp_path: Path) -> None:
    into = tmp_path / "out"
    mine = [
        into / "notes.txt",
        into / "usage_person_daily" / "mine.csv",
        into / "x" / "part.parquet.bak",
        into / "x" / "session.json",
        into / "x" / "day=2026-03-01" / "part.parquet",
        into / "usage_team_daily" / "daily.json",
    ]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    exported(pipeline, into)
    discard(pipeline.store, pipeline.settings)
    assert sorted(path for path in into.rglob("*") if path.is_file()) == sorted(mine)


def test_names_of_attackers_are_no_formula_and_lead_nowhere(tmp_path: Path) -> None:
    pipeline, into = Pipeline(tmp_path / "data"), tmp_path / "a" / "out"
    for number, name in enumerate(NAMES):
        key = f"{'ann' if '/' in name or chr(13) in name else name}/{number}.jsonl"
        built = session(f"s{number}", date(2026, 3, 1), model=name, cwd=f"/home/{name}")
        pipeline.write(key, built)
    pipeline.run(UsageProcessor())
    exported(pipeline, into)
    outside = {path.name for path in tmp_path.iterdir()} | {p.name for p in into.parent.iterdir()}
    assert outside == {"data", "a", "out"}
    names = {row[0] for row in rows(into, "usage_person_daily", "model")}
    assert names >= {"=1+1", "../../x", 'a,"b'}, "Parquet is exact"
    lines = table(into / "usage_person_daily/day=2026-03-01/part.csv")
    cells = [cell for line in lines for cell in line.values()]
    assert not [cell for cell in cells if cell.lstrip().startswith(("=", "@", "-", "+"))]
    assert not [cell for cell in cells if "\r" in cell or "\n" in cell]
    assert "'=1+1" in cells


def test_random_histories_are_exported_as_they_are_summed(tmp_path: Path) -> None:
    random = Random(7)  # noqa: S311  nothing secret
    pipeline, into = Pipeline(tmp_path / "data"), tmp_path / "out"
    for step in range(int(os.environ.get("EXPORT_HISTORIES", "3"))):
        for _ in range(random.randrange(1, 5)):
            user, number = random.choice("abc"), random.randrange(6)
            day = date(2026, 3, 1) + timedelta(days=random.randrange(40))
            built = session(
                f"{user}{number}", day, model=random.choice(("claude-opus-4-5", "what"))
            )
            for _ in range(random.randrange(4)):
                built.response("x", output_tokens=random.randrange(1, 10**6))
            pipeline.write(f"{user}/{number}.jsonl", built)
        if step % 3 == 2:
            pipeline.store.forget([UsageProcessor()], [f"a/{random.randrange(6)}.jsonl"])
        pipeline.run(UsageProcessor())
        exported(pipeline, into)
        columns = f"day, person, model, {SUMS}"
        assert rows(into, "usage_person_daily", columns) == daily(pipeline, columns)
        casted = columns.replace("cost", "cost::DECIMAL(38,12)")
        assert rows(into, "usage_person_daily", casted, "csv") == daily(pipeline, columns)


def test_where_people_are_shown_in_another_way_nothing_of_before_stays(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    into = tmp_path / "out"
    exported(pipeline, into, formats=frozenset(ExportFormat))
    assert b"alice" in bytes_of(into)
    pipeline.settings = replace(pipeline.settings, people=PeopleSettings(mode=PeopleMode.TEAM))
    exported(pipeline, into, formats={ExportFormat.PROMETHEUS})
    assert b"alice" not in bytes_of(into)


def test_ccusage_is_refused_where_nobody_is_shown(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.settings = replace(pipeline.settings, people=PeopleSettings(mode=PeopleMode.TEAM))
    with pytest.raises(SettingsError, match="shows nobody"):
        exported(pipeline, tmp_path / "out", formats={ExportFormat.CCUSAGE})
    assert not (tmp_path / "out").exists()


# --- kills ---

PROGRAM = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from session_pipeline_dagster.passes.exports.export import Wanted, export
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.setting_records import ExportFormat
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import open_store

database, into, fatal = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
settings = replace(Settings(workers=1), database=database)
seen, inside = 0, (os.sep + "exports" + os.sep, "pyarrow", "csv")

def trace(frame, event, argument):
    global seen
    if event in ("call", "c_call") and any(part in frame.f_code.co_filename for part in inside):
        seen += 1
        if seen == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

sys.setprofile(trace)
export(open_store(settings), UsageProcessor(), settings, into, Wanted(frozenset(ExportFormat)))
sys.setprofile(None)
print(seen)
"""


def killed_at(pipeline: Pipeline, into: Path, step: int) -> subprocess.CompletedProcess[str]:
    given = [sys.executable, "-c", PROGRAM, pipeline.settings.database, into, str(step)]
    return subprocess.run(given, capture_output=True, text=True, check=False)


@pytest.mark.slow(seconds=6)
def test_a_kill_at_any_step_leaves_each_file_old_or_new(pipeline: Pipeline, tmp_path: Path) -> None:
    into, fresh = tmp_path / "out", tmp_path / "fresh"
    exported(pipeline, into, formats=frozenset(ExportFormat))
    old = contents(into)
    pipeline.write("alice/9.jsonl", session("late", date(2026, 3, 2)))
    pipeline.run(UsageProcessor())
    exported(pipeline, fresh, formats=frozenset(ExportFormat))
    new = contents(fresh)
    done = killed_at(pipeline, tmp_path / "counted", -1)
    steps = int(done.stdout)
    many = int(os.environ.get("EXPORT_KILLS", "4"))
    killed = 0
    for step in sorted(Random(3).sample(range(1, steps), many)):  # noqa: S311  as above
        answer = killed_at(pipeline, into, step)
        # The nearer it comes to what is to be there, the fewer steps it takes.
        assert answer.returncode in (0, -signal.SIGKILL), answer
        killed += answer.returncode != 0
        for path, content in contents(into).items():
            assert content in (old[path], new[path]), (step, path)
    assert killed >= many // 2
    exported(pipeline, into, formats=frozenset(ExportFormat))
    assert contents(into) == new
    assert not [path for path in into.rglob(".*") if path.name != exports_folder.NOTES]


def contents(folder: Path) -> dict[str, bytes]:
    """What readers see; the numbers for Prometheus say when they were made."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.suffix != ".prom"
    }


_BIG = "count(*), sum(i), count(DISTINCT name), count(DISTINCT day)"


def test_a_table_larger_than_a_batch_is_written_whole_and_in_parts(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    select = """SELECT DATE '2026-01-01' + (i % 3)::INT AS day, i, 'n' || i AS name
        FROM range(120_001) AS numbers(i)"""
    big = Published("big", select, "")

    def work(read: Reading) -> None:
        for kind in TABLES:
            export_table(read, big, kind, tmp_path, Days(), Notes())

    reading(pipeline.store, work)
    for kind in ("parquet", "csv"):
        found = rows(tmp_path, "big", _BIG, kind)
        assert found == [(120_001, 120_000 * 120_001 // 2, 120_001, 3)]
