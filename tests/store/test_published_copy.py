"""The copy that dashboards open: what is in it, that it is whole, and who it keeps waiting."""

import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from example_numbers import MESSAGES
from helpers import EXAMPLES
from session_pipeline_dagster.errors import ContractError, SettingsError, StoreUnusable
from session_pipeline_dagster.passes.exports.copy import publish
from session_pipeline_dagster.passes.exports.folder import copies
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.settings import ExportSettings
from session_pipeline_dagster.store import published_copy
from session_pipeline_dagster.store.published_copy import Copy, Shown, make
from session_pipeline_dagster.testing import Pipeline, SessionBuilder

DAYS = "SELECT day, sum(cost) AS cost FROM usage_daily GROUP BY day"
ONE = Copy([Shown("days", DAYS, "Per 'day'")], people="named")


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    made = Pipeline(tmp_path_factory.mktemp("examples"))
    for path in EXAMPLES.rglob("*.jsonl"):
        made.write(path.relative_to(EXAMPLES).as_posix(), path.read_bytes())
    made.run(UsageProcessor())
    made.run(VerificationProcessor())
    return made


def asked(path: Path, sql: str) -> list[tuple]:
    with duckdb.connect(path, read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_an_analyst_has_all_of_usage_and_nothing_else(examples: Pipeline, tmp_path: Path) -> None:
    target = tmp_path / "bi" / "usage.duckdb"
    made = publish(examples.store, UsageProcessor(), examples.settings, target)
    assert [path.name for path in target.parent.iterdir()] == ["usage.duckdb"]
    for relation in ("usage_daily", "usage_costs"):
        assert asked(target, f"SELECT sum(cost) FROM {relation}") == [(Decimal("1.2257243"),)]
    assert asked(target, "SELECT count(*) FROM usage_messages_unique") == [(MESSAGES,)]
    assert asked(target, "SELECT people FROM published") == [("named",)]
    tables = {name for (name,) in asked(target, "SELECT table_name FROM duckdb_tables()")}
    assert tables == {*made.rows, "published"}
    others = {name for name in tables if not name.startswith("usage_")}
    beside = {"seats", "budget_status", "model_prices", "people", "org_units"}
    assert others == beside | {"published", "session_processor_state"}
    said = b"The exchange rates are loaded"
    assert said in Path(examples.settings.database).read_bytes(), "it is in the database"
    assert said not in target.read_bytes()


def test_what_was_deleted_in_the_database_is_in_no_block_of_the_copy(tmp_path: Path) -> None:
    pipeline = Pipeline(tmp_path / "data")
    for name in ("zacharias", "bob"):
        pipeline.write(f"{name}/s.jsonl", SessionBuilder(f"s-{name}").prompt("x").response("y"))
    pipeline.run(UsageProcessor())
    pipeline.store.forget([UsageProcessor()], ["zacharias/s.jsonl"])
    pipeline.store.refresh(*UsageProcessor.rollups)
    target = tmp_path / "copy.duckdb"
    publish(pipeline.store, UsageProcessor(), pipeline.settings, target)
    assert b"zacharias" in Path(pipeline.settings.database).read_bytes(), (
        "a mere copy would have it"
    )
    assert b"zacharias" not in target.read_bytes()


def test_the_copy_can_be_read_by_tools_with_a_duckdb_of_before(
    examples: Pipeline, tmp_path: Path
) -> None:
    make(examples.store, tmp_path / "c.duckdb", ONE, 128)
    sql = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = 'c'"
    ((version,),) = asked(tmp_path / "c.duckdb", sql)
    assert version.startswith("v1.0.0"), "that of the database is v1.5.0"


def test_a_table_says_what_it_is(examples: Pipeline, tmp_path: Path) -> None:
    made = make(examples.store, tmp_path / "c.duckdb", ONE, 128)
    assert made.rows == {"days": 6}
    assert asked(
        tmp_path / "c.duckdb", "SELECT comment FROM duckdb_tables() WHERE table_name = 'days'"
    ) == [("Per 'day'",)]


def test_who_reads_keeps_what_they_opened_and_sees_the_new_one_next_time(
    examples: Pipeline, tmp_path: Path
) -> None:
    target = tmp_path / "c.duckdb"
    make(examples.store, target, ONE, 128)
    with duckdb.connect(target, read_only=True) as reader:
        before = reader.execute("FROM published").fetchall()
        make(examples.store, target, ONE, 128)
        assert reader.execute("SELECT count(*) FROM days").fetchall() == [(6,)]
        assert reader.execute("FROM published").fetchall() == before
    assert asked(target, "FROM published") != before


def test_a_select_that_fails_leaves_the_copy_of_before(examples: Pipeline, tmp_path: Path) -> None:
    target = tmp_path / "c.duckdb"
    make(examples.store, target, ONE, 128)
    with pytest.raises(ContractError, match="cannot be read"):
        make(examples.store, target, Copy([Shown("x", "FROM nowhere")]), 128)
    assert asked(target, "SELECT count(*) FROM days") == [(6,)]
    assert [path.name for path in tmp_path.iterdir()] == ["c.duckdb"]


def test_a_folder_that_cannot_be_written_is_said(examples: Pipeline, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="SESSION_PIPELINE_PUBLISH"):
        make(examples.store, tmp_path / "file" / "c.duckdb", ONE, 128)
    # A folder that is there and takes nothing, from whoever.
    with pytest.raises(SettingsError, match="cannot be written"):
        make(examples.store, Path("/proc/c.duckdb"), ONE, 128)


def test_no_file_but_a_copy_is_written_over(examples: Pipeline, tmp_path: Path) -> None:
    notes, other = tmp_path / "notes.txt", tmp_path / "other.duckdb"
    notes.write_text("what somebody wrote down")
    shutil.copy(examples.settings.database, other)
    linked = tmp_path / "link"
    linked.symlink_to(examples.settings.database.parent)
    for target in (notes, other, linked / examples.settings.database.name):
        before = target.read_bytes()
        with pytest.raises(SettingsError, match="is not written over"):
            make(examples.store, target, ONE, 128)
        assert target.read_bytes() == before
    for empty_or_old in (tmp_path / "empty.duckdb", tmp_path / "empty.duckdb"):
        empty_or_old.touch()
        assert make(examples.store, empty_or_old, ONE, 128).rows == {"days": 6}


def test_the_database_is_no_place_for_its_copy(examples: Pipeline, tmp_path: Path) -> None:
    """Also by a link: what is set is deleted when people are shown in another way."""
    linked = tmp_path / "link.duckdb"
    linked.symlink_to(examples.settings.database)
    settings = replace(examples.settings, exports=ExportSettings(copy=linked))
    with pytest.raises(SettingsError, match="which is the database"):
        copies(settings)


PROGRAM = """
import os, signal, sys
from pathlib import Path
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store import published_copy
from session_pipeline_dagster.store.database import open_store
from session_pipeline_dagster.store.published_copy import Copy, Shown, make

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(published_copy, {"copied": "_build", "built": "_finish"}[sys.argv[3]], die)
settings = Settings(database=Path(sys.argv[1]), workers=1)
make(open_store(settings), Path(sys.argv[2]), Copy([Shown("days", "FROM usage_daily")]), 128)
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["copied", "built"])
def test_a_kill_leaves_the_copy_of_before_and_the_next_one_tidies_up(
    when: str, examples: Pipeline, tmp_path: Path
) -> None:
    target = tmp_path / "c.duckdb"
    make(examples.store, target, ONE, 128)
    given = [sys.executable, "-c", PROGRAM, examples.settings.database, target, when]
    assert subprocess.run(given, check=False).returncode == -9
    assert asked(target, "SELECT count(*) FROM days") == [(6,)]
    beside = examples.store.beside("published")
    assert beside.exists()
    assert bool(published_copy.begun(target)) is (when == "built")
    make(examples.store, target, ONE, 128)
    assert [path.name for path in tmp_path.iterdir()] == ["c.duckdb"]
    assert not beside.exists()


def test_whoever_writes_waits_for_the_bytes_only(
    examples: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While rows are written anew the database is anybody's."""
    inside, go_on = threading.Event(), threading.Event()
    build = published_copy._build

    def slow(*given: object) -> dict[str, int]:
        inside.set()
        assert go_on.wait(20)
        return build(*given)

    monkeypatch.setattr(published_copy, "_build", slow)
    work = threading.Thread(target=make, args=(examples.store, tmp_path / "c.duckdb", ONE, 128))
    work.start()
    assert inside.wait(20)
    code = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1], config={'threads': 1}); "
        "c.execute('CREATE TABLE written AS SELECT 1 AS x; DROP TABLE written')"
    )
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", code, examples.settings.database], check=True)
    assert time.monotonic() - begun < 20
    go_on.set()
    work.join(20)
    assert asked(tmp_path / "c.duckdb", "SELECT count(*) FROM days") == [(6,)]


def test_a_store_that_is_only_looked_at_is_not_copied(examples: Pipeline, tmp_path: Path) -> None:
    looking = replace(examples.store.place, looking=True)
    with pytest.raises(StoreUnusable):
        make(replace(examples.store, place=looking), tmp_path / "c.duckdb", ONE, 128)
