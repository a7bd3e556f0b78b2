"""deploy/evidence and deploy/superset over copies that real passes made: no tool is needed here."""

import json
import re
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
import yaml

from helpers import EXAMPLES
from places import ROOT

pytestmark = pytest.mark.slow(seconds=8)
EVIDENCE = ROOT / "deploy" / "evidence"
SUPERSET = ROOT / "deploy" / "superset"
PROGRAM = Path(sys.executable).with_name("session-pipeline")
EVIDENCE_READS = {"DATE", "DOUBLE", "BIGINT", "VARCHAR", "TIMESTAMP WITH TIME ZONE"}
"""Of these its driver makes a date, a number or a text; costs are given as DOUBLE."""
SHOWS_PEOPLE = ("named", "pseudonym")
MODES = (*SHOWS_PEOPLE, "team")


def said(mode: str, folder: Path, *words: str) -> str:
    """What `session-pipeline` answers in this mode, over the examples."""
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "SESSION_DATA_DIR": str(EXAMPLES),
        "SESSION_PIPELINE_DIRECTORY": str(EXAMPLES.parent / "people.csv"),
        "SESSION_PIPELINE_DATABASE": str(folder / f"{mode}.duckdb"),
        "SESSION_PIPELINE_PUBLISH": str(folder / "bi" / f"{mode}.duckdb"),
        "SESSION_PIPELINE_PEOPLE": mode,
        # The examples are of two people: with the five of `team` there would be no row at all.
        "SESSION_PIPELINE_MIN_GROUP": "1",
    }
    given = [PROGRAM, *words]
    return subprocess.run(given, env=env, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a pass was made in each mode."""
    folder = tmp_path_factory.mktemp("dashboards")
    for mode in MODES:
        said(mode, folder, "run", "--processor", "usage")
    return folder


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@contextmanager
def opened(place: Path, mode: str) -> Generator[duckdb.DuckDBPyConnection]:
    """A connection that looks into the copy of this mode, and can make tables in `memory`."""
    with duckdb.connect() as connection:
        path = place / "bi" / f"{mode}.duckdb"
        connection.execute(f"ATTACH '{path}' AS copy (READ_ONLY)")
        connection.execute("USE copy")
        yield connection


@pytest.fixture
def copied(place: Path, mode: str) -> Iterator[duckdb.DuckDBPyConnection]:
    with opened(place, mode) as connection:
        yield connection


def tables(connection: duckdb.DuckDBPyConnection) -> set[str]:
    rows = connection.execute("SELECT table_name FROM duckdb_columns() WHERE NOT internal")
    return {name for (name,) in rows.fetchall()}


# --- Evidence ---


def sources(name: str) -> dict[str, str]:
    return {
        path.stem: path.read_text("utf-8") for path in (EVIDENCE / "sources" / name).glob("*.sql")
    }


def pages() -> dict[str, str]:
    return {path.stem: path.read_text("utf-8") for path in (EVIDENCE / "pages").glob("*.md")}


def queries(page: str) -> dict[str, str]:
    return dict(re.findall(r"^```sql (\w+)\n(.*?)^```", page, re.DOTALL | re.MULTILINE))


def read_as_evidence(connection: duckdb.DuckDBPyConnection, source: str) -> None:
    """Its sources as tables of a schema that has the folder's name, as its pages find them."""
    connection.execute(f"CREATE SCHEMA memory.{source}")
    for name, sql in sources(source).items():
        connection.execute(f"CREATE TABLE memory.{source}.{name} AS {sql}")


def columns_asked(page: str, query: str) -> set[str]:
    """The columns that the page's charts and tables take from a query."""
    found = set()
    for tag in re.findall(rf"<\w+ data=\{{{query}\}}.*?/?>(?:\s*<Column .*?/>)*", page):
        found |= set(re.findall(r"\b(?:x|y|series|value|column|id)=(\w+)", tag))
    return found


def test_each_query_for_evidence_reads_the_copy_in_every_mode_that_it_is_for(
    copied: duckdb.DuckDBPyConnection, mode: str
) -> None:
    for sql in sources("usage").values():
        found = copied.execute(f"DESCRIBE {sql}").fetchall()
        assert {kind for _, kind, *_ in found} <= EVIDENCE_READS, sql
        assert copied.execute(sql).fetchall()
    for sql in sources("people").values():
        if mode in SHOWS_PEOPLE:
            assert copied.execute(sql).fetchall()
        else:
            with pytest.raises(duckdb.CatalogException, match="usage_person_daily"):
                copied.execute(sql)


def test_each_page_for_evidence_has_its_queries_and_columns(
    copied: duckdb.DuckDBPyConnection, mode: str
) -> None:
    read_as_evidence(copied, "usage")
    if mode in SHOWS_PEOPLE:
        read_as_evidence(copied, "people")
    copied.execute("USE memory")
    asked = 0
    for name, page in pages().items():
        if name == "people" and mode not in SHOWS_PEOPLE:
            continue
        assert {*re.findall(r"data=\{(\w+)\}", page)} == {*queries(page)}
        for query, sql in queries(page).items():
            result = copied.execute(sql)
            columns = {column for column, *_ in result.description}
            assert result.fetchall(), query
            wanted = columns_asked(page, query)
            assert wanted, query
            assert wanted <= columns, query
            asked += len(wanted)
    assert asked >= 15


def test_no_query_of_the_first_page_needs_people() -> None:
    assert "people." not in "".join(queries(pages()["index"]).values())


def test_what_evidence_shows_is_what_usage_says(place: Path) -> None:
    with opened(place, "named") as connection:
        read_as_evidence(connection, "usage")
        connection.execute("USE memory")
        cost, messages, *_ = connection.execute(queries(pages()["index"])["whole"]).fetchall()[0]
    totals = json.loads(said("named", place, "usage", "--json"))["totals"]
    assert messages == totals["messages"]
    assert cost == pytest.approx(totals["cost"], abs=1e-9)


def test_the_copy_for_evidence_lies_beside_its_folder() -> None:
    for source in ("usage", "people"):
        given = yaml.safe_load(
            (EVIDENCE / "sources" / source / "connection.yaml").read_text("utf-8")
        )
        assert (given["name"], given["type"]) == (source, "duckdb")
        # Seen from the source's folder; an absolute path would be sought below it.
        path = (EVIDENCE / "sources" / source / given["options"]["filename"]).resolve()
        assert path == EVIDENCE.parent / "usage.duckdb"


# --- Superset ---


def exported(kind: str) -> list[dict]:
    return [yaml.safe_load(path.read_text("utf-8")) for path in (SUPERSET / kind).rglob("*.yaml")]


def charts_of(dashboard: dict) -> list[dict]:
    boxes = [box for box in dashboard["position"].values() if isinstance(box, dict)]
    shown = {box["meta"]["uuid"] for box in boxes if box["type"] == "CHART"}
    return [chart for chart in exported("charts") if chart["uuid"] in shown]


def columns_of(params: dict) -> set[str]:
    metrics = [*params.get("metrics", ()), *([params["metric"]] if "metric" in params else ())]
    plain = {*params.get("groupby", ()), *params.get("all_columns", ())}
    axis = {params["x_axis"]} if "x_axis" in params else set()
    return plain | axis | {metric["column"]["column_name"] for metric in metrics}


def test_each_chart_for_superset_has_its_table_and_columns_in_the_copy(
    copied: duckdb.DuckDBPyConnection, mode: str
) -> None:
    (database,) = exported("databases")
    assert database["sqlalchemy_uri"] == "duckdb:////srv/bi/usage.duckdb?access_mode=READ_ONLY"
    datasets = {dataset["uuid"]: dataset for dataset in exported("datasets")}
    there = tables(copied)
    for dashboard in exported("dashboards"):
        is_of_people = dashboard["slug"] == "agents-people"
        charts = charts_of(dashboard)
        assert len(charts) >= 2
        for chart in charts:
            dataset = datasets[chart["dataset_uuid"]]
            assert dataset["database_uuid"] == database["uuid"]
            named = {column["column_name"] for column in dataset["columns"]}
            assert columns_of(chart["params"]) <= named, chart["slice_name"]
            if is_of_people and mode not in SHOWS_PEOPLE:
                assert dataset["table_name"] not in there
                continue
            found = copied.execute(f"DESCRIBE {dataset['table_name']}").fetchall()
            assert named == {name for name, *_ in found}, dataset["table_name"]


def test_every_chart_for_superset_is_on_a_dashboard() -> None:
    shown = [
        chart["uuid"] for dashboard in exported("dashboards") for chart in charts_of(dashboard)
    ]
    assert sorted(shown) == sorted(chart["uuid"] for chart in exported("charts"))


# --- The page ---


def test_the_page_on_exports_names_the_versions_and_the_places() -> None:
    page = (ROOT / "docs" / "exports.md").read_text("utf-8")
    needed = json.loads((EVIDENCE / "package.json").read_text("utf-8"))["dependencies"]
    assert f"Evidence {needed['@evidence-dev/evidence']} and Superset" in page
    (database,) = exported("databases")
    assert f"`{database['sqlalchemy_uri']}`" in page
    for place in ("`deploy/evidence`", "`deploy/superset`", "`databases/session_pipeline.yaml`"):
        assert place in page
    people = [d["dashboard_title"] for d in exported("dashboards") if d["slug"] == "agents-people"]
    assert f'"{people[0]}"' in page
