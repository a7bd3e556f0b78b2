"""docs/scale.md, the section about a lake: its commands are run as they are written."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import psycopg
import pytest

from helpers import EXAMPLES
from lakes import Lakes
from places import ROOT
from postgres import Postgres, postgres
from session_pipeline_dagster.cli import main
from session_pipeline_dagster.orchestration.location import build_definitions
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.lake.engine import _extension

pytestmark = pytest.mark.slow(seconds=60)
PAGE = (ROOT / "docs" / "scale.md").read_text("utf-8")
SECTION = PAGE.partition("\n## A lake\n")[2].partition("\n## ")[0]
PROGRAM = Path(sys.executable).with_name("session-pipeline")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", SECTION, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Its own, for the roles of the page are a server's."""
    with postgres() as made:
        yield made


def at(server: Postgres, text: str) -> str:
    return text.replace("host=db.example.com", f"host=127.0.0.1 port={server.port}")


def as_admin(server: Postgres, database: str, text: str) -> None:
    with server.connect(database) as connection:
        for statement in re.sub(r"--.*", "", text).split(";"):
            if statement.strip():
                connection.execute(statement)


def run(environment: dict[str, str], *arguments: object) -> str:
    found = subprocess.run(
        [*map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found
    return found.stdout


def test_a_lake_is_set_up_read_dumped_and_restored_as_the_page_says(
    server: Postgres, tmp_path: Path
) -> None:
    set_up, grants, analyst = blocks("sql")
    shell, dump, restore = blocks("sh")
    as_admin(server, "postgres", set_up)
    exports = dict(re.findall(r"^export (\w+)='?(.*?)'?$", at(server, shell), re.MULTILINE))
    named = {f"SESSION_PIPELINE_{n}" for n in ("DATABASE", "LAKE_DATA", "WORK_DIR")}
    assert set(exports) == {*named, "SESSION_DATA_DIR"}
    exports["SESSION_PIPELINE_LAKE_DATA"] = str(tmp_path / "data")
    exports["SESSION_PIPELINE_WORK_DIR"] = str(tmp_path / "work")
    exports |= {"SESSION_DATA_DIR": str(EXAMPLES), "PATH": "/usr/bin:/bin"}
    assert shell.endswith("session-pipeline run\n")
    run(exports, PROGRAM, "run")

    as_admin(server, "lake", grants)
    with duckdb.connect() as connection:
        for name in ("postgres_scanner", "ducklake"):
            connection.load_extension(_extension(name))
        connection.execute(at(server, analyst))
        rows = connection.execute("FROM usage_daily ORDER BY ALL").fetchall()
        assert len(rows) > 3
    reader = f"host=127.0.0.1 port={server.port} dbname=lake user=lake_reader"
    with psycopg.connect(reader, autocommit=True) as session:
        for sql in ("DELETE FROM ducklake_snapshot", "CREATE TABLE x (n int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(sql)

    programs = {**exports, "PATH": f"{server.binaries}:/usr/bin:/bin"}
    run(programs, "sh", "-c", f"cd {tmp_path} && {at(server, dump)}")
    run(programs, PROGRAM, "upkeep")
    as_admin(server, "postgres", "DROP DATABASE lake; CREATE DATABASE lake OWNER lake_writer")
    run(programs, "sh", "-c", f"cd {tmp_path} && {at(server, restore)}")
    assert '"pending": 0' in run(exports, PROGRAM, "status", "--json")
    run(exports, PROGRAM, "run")
    with duckdb.connect() as connection:
        for name in ("postgres_scanner", "ducklake"):
            connection.load_extension(_extension(name))
        (attach,) = re.findall(r"^ATTACH .*;", at(server, analyst), re.MULTILINE)
        connection.execute(attach.replace("lake_reader", "lake_writer"))
        assert connection.execute("FROM lake.usage_daily ORDER BY ALL").fetchall() == rows


def test_what_the_section_names_exists(lakes: Lakes, tmp_path: Path) -> None:
    settings = lakes.settings(tmp_path, Settings())
    assert isinstance(settings.database, Lake)
    repository = build_definitions([UsageProcessor()], settings).get_repository_def()
    assert "`lake_upkeep_job`" in SECTION
    (schedule,) = repository.schedule_defs
    minute, hour = schedule.cron_schedule.split()[:2]
    assert f"{int(hour):02}:{minute} UTC" in SECTION
    assert f"DuckDB **{duckdb.__version__}**" in SECTION
    commands = set(re.findall(r"session-pipeline ([a-z-]+)", SECTION))
    assert commands >= {"run", "upkeep", "forget", "copy-store"}
    assert commands <= set(main.list_commands(None))
