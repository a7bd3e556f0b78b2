"""docs/exports.md and what is beside it in deploy/: commands are run, names are looked up."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import yaml

from helpers import EXAMPLES
from places import ROOT
from session_pipeline_dagster.processors.usage.exports import prometheus

pytestmark = pytest.mark.slow(seconds=8)
PAGE = (ROOT / "docs" / "exports.md").read_text("utf-8")
PROGRAM = Path(sys.executable).with_name("session-pipeline")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the page's commands were run over the examples."""
    folder = tmp_path_factory.mktemp("page")
    env = {"PATH": f"{PROGRAM.parent}:/usr/bin:/bin", "HOME": str(folder)}
    env |= {
        "SESSION_DATA_DIR": str(EXAMPLES),
        "SESSION_PIPELINE_DATABASE": str(folder / "x.duckdb"),
        "SESSION_PIPELINE_PUBLISH": str(folder / "bi" / "usage.duckdb"),
    }
    for command in ("session-pipeline run --processor usage", *blocks("sh")):
        given = ["bash", "-ec", command]
        done = subprocess.run(given, cwd=folder, env=env, capture_output=True, check=False)
        assert done.returncode == 0, (command, done.stderr)
    return folder


def test_the_commands_write_what_the_page_names(place: Path) -> None:
    there = {path.name for path in (place / "exports").rglob("*") if path.is_file()}
    named = set(re.findall(r"`(?:[\w/=-]*/)?([\w-]+\.(?:json|csv|prom|parquet))`", PAGE))
    assert {"daily.json", "focus.csv", "metrics.prom", "part.parquet"} <= named
    assert named - {"session-pipeline.json", "part.csv", "package.json"} <= there
    tables = set(re.findall(r"`(\w+)`", PAGE.partition("## Tables")[2].partition("Where")[0]))
    assert {path.name for path in (place / "exports").iterdir() if path.is_dir()} == tables


def test_the_queries_answer(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    for block in blocks("sql"):
        with duckdb.connect() as connection:
            for statement in filter(str.strip, block.split(";")):
                said = statement.replace("/srv/bi/", f"{place}/bi/")
                result = connection.execute(said)
            assert result.fetchall(), block


def test_the_program_in_python_runs(place: Path) -> None:
    for block in blocks("python"):
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=place, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "2026-05-04" in done.stdout


# --- deploy/ ---


@pytest.fixture(scope="module")
def copied(place: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(place / "bi" / "usage.duckdb", read_only=True) as connection:
        yield connection


def test_every_table_and_column_of_the_sources_for_dbt_is_in_the_copy(
    copied: duckdb.DuckDBPyConnection,
) -> None:
    sources = yaml.safe_load((ROOT / "deploy" / "dbt" / "sources.yml").read_text("utf-8"))
    (source,) = sources["sources"]
    names = [table["name"] for table in source["tables"]]
    assert {"usage_person_daily", "usage_team_daily", "chargeback_monthly"} <= {*names}
    for table in source["tables"]:
        found = copied.execute(f"DESCRIBE {table['name']}").fetchall()
        columns = {column["name"] for column in table["columns"]}
        assert columns <= {name for name, *_ in found}, table["name"]
        assert all(column["description"] for column in table["columns"])


def test_every_number_of_the_dashboard_is_one_that_is_written() -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/session-pipeline.json").read_text("utf-8"))
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(rf"{prometheus.PREFIX}_\w+", target["expr"])
    }
    assert len(asked) > 8
    rows = [("p", "m", 1, 2, 3, 4, 5, 6, 7, 8)]
    files = [("usage", "processed", 1)]
    answers = [rows, [(7, 1, 1, 1, 1, 1)], [(1, 1.0, 9)], files, [("usage", 1.0)]]
    written = {gauge.name for gauge in prometheus.gauges(answers, 1, 1.0) if gauge.samples}
    assert asked <= {f"{prometheus.PREFIX}_{name}" for name in written}
    kinds = {target["datasource"]["type"] for p in dashboard["panels"] for target in p["targets"]}
    assert kinds == {"prometheus"}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len({*ids}) == len(ids)
