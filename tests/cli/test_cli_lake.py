"""The command line over a lake: its upkeep, what `forget` says, copies, and a role that may only
read."""

import json
from pathlib import Path

import pytest
from test_cli import Cli, assert_one_clear_line

from helpers import EXAMPLES, write_session
from lakes import Lakes
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import open_store

pytestmark = pytest.mark.slow(seconds=60)


class LakeCli(Cli):
    """The program over a lake of its own."""

    def __init__(self, folder: Path, lakes: Lakes) -> None:
        super().__init__(folder)
        self.server = lakes.server
        self.catalog = lakes.server.catalog()
        self.env["SESSION_PIPELINE_DATABASE"] = f"ducklake:postgres:{self.catalog}"
        self.env["SESSION_PIPELINE_LAKE_DATA"] = str(folder / "data")

    @property
    def name(self) -> str:
        return self.catalog.partition("dbname=")[2].split()[0]

    def sql(self, statement: str) -> None:
        with self.server.connect(self.name) as connection:
            connection.execute(statement)

    def as_reader(self) -> dict[str, str]:
        """The variable of a role that may do nothing but read."""
        role = f"reader_{self.name}"
        self.sql(f"CREATE ROLE {role} LOGIN")
        self.sql(f"GRANT USAGE ON SCHEMA public TO {role}")
        self.sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
        read = self.catalog.replace("user=pipeline", f"user={role}")
        return {"SESSION_PIPELINE_DATABASE": f"ducklake:postgres:{read}"}


@pytest.fixture
def cli(tmp_path: Path, lakes: Lakes) -> LakeCli:
    return LakeCli(tmp_path, lakes)


def test_upkeep_and_forget_say_what_became_of_the_files(cli: LakeCli) -> None:
    root = cli.folder / "sessions"
    for name in "ab":
        write_session(root, f"alice/{name}.jsonl", "hello")
        write_session(root, f"bob/{name}.jsonl", "hello")
        assert cli("run", "--sessions", root).returncode == 0
    found = json.loads(cli("upkeep", "--json").stdout)
    assert found["database"] == f"ducklake:postgres:{cli.catalog}"
    assert found["upkeep"]["files_before"] > found["upkeep"]["files_after"] > 3
    lines = cli("upkeep").stdout.splitlines()
    assert lines[0].startswith(f"{found['upkeep']['files_after']} files of ")
    assert "  deleted, left by a writer that was killed: 0" in lines
    cli.sql("UPDATE session_pipeline_upkeep SET ended_at = ended_at - INTERVAL '3 days'")
    health = cli("health", "--sessions", root, "--json")
    assert health.returncode == 1
    service = json.loads(health.stdout)["services"]["session_pipeline"]
    assert service["lake"]["lake_tidied"]["untidied_seconds"] > 3 * 86400
    assert "the lake has not been tidied for 3 d" in service["detail"]
    for name in "ab":
        (root / f"alice/{name}.jsonl").unlink()
    said = cli("forget", "--sessions", root, "--user", "alice", "--yes")
    assert said.returncode == 0, said
    assert "from the lake's files: " in said.stdout
    assert "versioned bucket" in said.stdout
    again = cli("forget", "--sessions", root, "--user", "alice", "--yes")
    assert again.returncode == 2
    # What had failed half-way is done now.
    assert "from the lake's files: " in again.stdout


def test_a_role_that_may_only_read_sees_the_same(cli: LakeCli) -> None:
    assert cli("run", "--sessions", EXAMPLES).returncode == 0
    reader = cli.as_reader()
    for command in ("status", "health", "knowledge list", "report --output ../report"):
        ours = cli(*command.split(), "--sessions", EXAMPLES)
        theirs = cli(*command.split(), "--sessions", EXAMPLES, **reader)
        assert theirs.returncode == ours.returncode < 2, theirs
        assert theirs.stderr == ""
    more = write_session(cli.folder / "more", "carol/x.jsonl", "hello").parent.parent
    said = cli("run", "--sessions", more, **reader)
    # That it cannot have a lease is said first.
    *leases, line = said.stderr.splitlines()
    assert said.returncode == 2
    assert "may only read" in line
    assert "docs/scale.md" in line
    assert all("lease" in found for found in leases)
    cli.sql("DELETE FROM ducklake_table WHERE table_name = 'session_pipeline_schema'")
    said = cli("status", "--sessions", EXAMPLES, **reader)
    assert_one_clear_line(said, 2, "does not have the tables of this version", "only looked at")


def test_a_catalog_without_a_lake_is_looked_at_and_stays_empty(cli: LakeCli) -> None:
    reader = cli.as_reader()
    found = json.loads(cli("status", "--sessions", EXAMPLES, "--json", **reader).stdout)
    assert found["processors"]["usage"]["pending"] == found["files"] > 3
    assert_one_clear_line(
        cli("report", "--sessions", EXAMPLES, **reader), 2, "there is no database"
    )
    assert_one_clear_line(cli("upkeep", **reader), 2, "there is no database")
    with cli.server.connect(cli.name) as connection:
        assert connection.execute("SELECT to_regclass('ducklake_metadata')").fetchone() == (None,)


def test_a_store_is_copied_into_a_lake_and_what_cannot_be_copied_is_said(cli: LakeCli) -> None:
    lake, file = cli.env["SESSION_PIPELINE_DATABASE"], cli.folder / "x.duckdb"
    assert cli("run", "--sessions", EXAMPLES, "--database", file).returncode == 0
    document = json.loads(cli("copy-store", file, lake, "--json").stdout)
    assert document["rows"]["usage_messages"] > 3
    assert "usage_messages_unique" in document["views"]
    found = json.loads(cli("run", "--sessions", EXAMPLES, "--json").stdout)
    assert all(report["processed"] == 0 for report in found["processors"].values())
    back = cli("copy-store", lake, cli.folder / "back.duckdb")
    assert back.returncode == 0
    assert "the same as in" in back.stdout
    assert_one_clear_line(cli("copy-store", file, lake), 2, "holds rows already")
    assert_one_clear_line(cli("copy-store", lake, lake), 2, "SESSION_PIPELINE_LAKE_DATA")
    assert_one_clear_line(cli("copy-store", file, cli.folder / "y.duckdb"), 2, "with cp")
    assert not (cli.folder / "y.duckdb").exists()


def test_a_lake_that_others_write_to_is_no_fault_and_says_who_does(cli: LakeCli) -> None:
    """The same command goes on later: 1, where what is wrong is 2."""
    root = cli.folder / "sessions"
    write_session(root, "alice/a.jsonl", "hello")
    store = open_store(
        Settings(database=Lake(cli.catalog), lake_data=f"{cli.folder}/data/", work_dir=cli.folder)
    )
    with store.transaction():
        answer = cli("run", "--sessions", root, SESSION_PIPELINE_LOCK_TIMEOUT_SECONDS="0.5")
    assert_one_clear_line(answer, 1, "backend ")
    assert cli("run", "--sessions", root).returncode == 0
