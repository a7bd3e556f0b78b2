"""What keeps a lake from being used is said in a line: what it is, and what to set. No password."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from helpers import EchoProcessor
from lakes import Lakes, database_of
from session_pipeline_dagster.errors import SettingsError, StoreError, StoreUnusable
from session_pipeline_dagster.setting_places import Lake, S3Settings
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import open_store
from session_pipeline_dagster.store.lake import engine

PASSWORD = "open-sesame-4711"  # noqa: S105  of a role of this test


@pytest.fixture(scope="module")
def settings(lakes: Lakes, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = lakes.settings(tmp_path_factory.mktemp("lake"))
    with open_store(made).transaction() as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
    return replace(made, lock_timeout=timedelta(seconds=1))


@pytest.mark.parametrize(
    ("part", "instead", "said"),
    [
        (r"port=\d+", "port=1", "does not answer .*refused"),
        (
            r"dbname=\w+",
            "dbname=nix",
            'database "nix" does not exist.*set SESSION_PIPELINE_DATABASE',
        ),
        (r"user=\w+", "user=nix", 'role "nix" does not exist'),
        (r"127.0.0.1", "no.such.host.invalid", "does not answer .*resolve"),
    ],
)
def test_a_catalog_that_cannot_be_used(
    settings: Settings, part: str, instead: str, said: str
) -> None:
    assert isinstance(settings.database, Lake)
    catalog = re.sub(part, instead, settings.database.catalog)
    with pytest.raises(StoreUnusable, match=said):
        open_store(replace(settings, database=Lake(catalog))).query("FROM t")


def test_a_wrong_password(
    lakes: Lakes, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert isinstance(settings.database, Lake)
    rules = lakes.server.folder / "data" / "pg_hba.conf"
    rules.write_text("host all locked 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
    with lakes.server.connect("postgres") as session:
        session.execute(f"CREATE ROLE locked SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
        session.execute("SELECT pg_reload_conf()")
    catalog = settings.database.catalog.replace("user=pipeline", "user=locked")
    locked = replace(settings, database=Lake(catalog))
    with pytest.raises(StoreUnusable, match=r"no password supplied.*PGPASSFILE or PGPASSWORD"):
        open_store(locked).query("FROM t")
    monkeypatch.setenv("PGPASSWORD", f"{PASSWORD}-wrong")
    with pytest.raises(StoreUnusable, match="password authentication failed") as found:
        open_store(locked).query("FROM t")
    assert PASSWORD not in str(found.value)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    store = open_store(locked)
    assert store.query("FROM t")[0][1] == []
    assert PASSWORD not in repr(store)
    # Nor in what a command says, whatever is wrong.
    for wrong in ({}, {"SESSION_PIPELINE_LAKE_DATA": str(tmp_path)}):
        ended = subprocess.run(
            [Path(sys.executable).parent / "session-pipeline", "status"],
            env={
                **os.environ,
                "SESSION_PIPELINE_DATABASE": f"ducklake:postgres:{catalog}",
                "SESSION_PIPELINE_LAKE_DATA": str(settings.lake_data),
                "SESSION_PIPELINE_WORK_DIR": str(tmp_path / "work"),
                "SESSION_DATA_DIR": str(tmp_path),
                **wrong,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert PASSWORD not in ended.stdout + ended.stderr
        assert ended.returncode == (2 if wrong else 0), ended.stderr
        assert ended.stderr.count("\n") == len(wrong)


def test_a_catalog_of_another_ducklake(lakes: Lakes, settings: Settings) -> None:
    set_version = "UPDATE ducklake_metadata SET value = %s WHERE key = 'version'"
    with lakes.server.connect(database_of(settings)) as session:
        known = session.execute("SELECT value FROM ducklake_metadata WHERE key = 'version'")
        version = known.fetchall()[0][0]
        session.execute(set_version, ["99.9"])
        try:
            with pytest.raises(StoreUnusable, match="made by another version of DuckLake; upgrade"):
                open_store(settings).query("FROM t")
        finally:
            session.execute(set_version, [version])


def test_where_the_rows_are_is_needed_and_must_not_change(
    settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match="SESSION_PIPELINE_LAKE_DATA is needed"):
        open_store(replace(settings, lake_data=None))
    with pytest.raises(StoreUnusable, match=f"rows of .* are in {settings.lake_data}.* {tmp_path}"):
        open_store(replace(settings, lake_data=f"{tmp_path}/")).query("FROM t")
    slashed = str(settings.lake_data).rstrip("/")
    assert open_store(replace(settings, lake_data=slashed)).query("FROM t")[0][1] == []
    with pytest.raises(SettingsError, match="it takes s3://bucket/folder/, or a folder"):
        open_store(replace(settings, lake_data="gs://bucket/x/"))
    secret = S3Settings(endpoint=f"http://me:{PASSWORD}@127.0.0.1:1")
    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL is no address") as found:
        open_store(replace(settings, lake_data="s3://bucket/x/", s3=secret))
    assert PASSWORD not in str(found.value)


def test_two_lakes_do_not_share_their_data(lakes: Lakes, settings: Settings) -> None:
    """Each would take the other's files for what a killed writer has left, and delete them."""
    other = replace(settings, database=Lake(lakes.server.catalog()))
    for _ in range(2):
        with pytest.raises(StoreUnusable, match="holds Parquet already"):
            open_store(other).prepare(EchoProcessor())
    assert open_store(other).place.missing
    assert open_store(settings).query("FROM t")[0][1] == []


def test_a_catalog_that_libpq_does_not_take(settings: Settings) -> None:
    with pytest.raises(SettingsError, match=r'libpq does not take that .*"nonsense"'):
        open_store(replace(settings, database=Lake("host=127.0.0.1 nonsense=3")))


def test_extensions_of_another_version(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb, "__version__", "9.9.9")
    with pytest.raises(SettingsError, match=r"DuckDB 9.9.9 cannot load .* of v1\.\d.*pip install"):
        open_store(settings).query("FROM t")
    monkeypatch.undo()
    monkeypatch.setattr(engine, "_EXTENSIONS", ("nix",))
    with pytest.raises(SettingsError, match="extension nix is not installed; pip install"):
        open_store(settings).query("FROM t")


def test_without_the_extra_it_says_what_to_install() -> None:
    code = """
import sys
sys.modules["psycopg"] = None
from pathlib import Path
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.setting_places import Lake, S3Settings
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import open_store
try:
    open_store(Settings(database=Lake("host=x"), lake_data="/x/"))
except SettingsError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "a lake needs psycopg; pip install 'session-pipeline-dagster[lake]'" in said.stdout


def test_a_folder_that_cannot_be_written(lakes: Lakes, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot be made a folder.*SESSION_PIPELINE_LAKE_DATA"):
        lakes.store(tmp_path).query("FROM t")
