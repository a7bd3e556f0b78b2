"""`docs/in-your-project.md` walked through: a `dg` project that had everything before we came.

It has an executor, resources `store` and `sessions` and an asset `usage_daily` of its own. Two
instances of the pipeline come beside it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dagster_dev import DagsterDev
from helpers import EXAMPLES
from places import ROOT
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import Store, open_store

PAGE = (ROOT / "docs" / "in-your-project.md").read_text("utf-8")
(SCAFFOLD,) = re.findall(r"^dg (scaffold defs \S+) agents$", PAGE, re.MULTILINE)
(DOWNSTREAM,) = [b for b in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "@dg" in b]
(CLONED,) = re.findall(r"`\.venv/bin/dg (scaffold defs dagster\.asset mine\.py)`", PAGE)
FILES = {
    "pyproject.toml": """
        [project]
        name = "host"
        version = "1"
        [tool.dg]
        directory_type = "project"
        [tool.dg.project]
        root_module = "host"
        """,
    "workspace.yaml": """
        load_from:
          - python_module: {module_name: host.definitions, location_name: host}
        """,
    "src/host/__init__.py": "",
    "src/host/definitions.py": """
        from pathlib import Path

        import dagster as dg


        @dg.definitions
        def defs() -> dg.Definitions:
            found = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
            own = {"store": "the host's own", "sessions": "likewise"}
            return dg.Definitions.merge(
                found, dg.Definitions(resources=own, executor=dg.multiprocess_executor)
            )
        """,
    "src/host/defs/__init__.py": "",
    "src/host/defs/own.py": """
        import dagster as dg


        @dg.asset(required_resource_keys={"store"})
        def usage_daily(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            return dg.MaterializeResult(metadata={"store": context.resources.store})
        """,
    "src/host/defs/downstream.py": DOWNSTREAM,
}
NAMES = """{ repositoriesOrError { ... on RepositoryConnection { nodes {
    jobs { name } sensors { name sensorState { status } } } } } }"""
MATERIALIZED = """query($a: AssetKeyInput!) { assetNodeOrError(assetKey: $a) { ... on AssetNode {
    assetMaterializations(limit: 1) { metadataEntries { label
        ... on TextMetadataEntry { text } ... on IntMetadataEntry { intValue } } } } } }"""
USERS = {"agents": "alice", "team": "bob"}
"""Instance -> whose sessions are in its root."""

pytestmark = pytest.mark.slow(seconds=60)


def dg(arguments: str, folder: Path, source: str = ".") -> str:
    """What `dg` prints in a project whose package is below `source`."""
    done = subprocess.run(
        [Path(sys.executable).with_name("dg"), *arguments.split()],
        cwd=folder,
        env=environment(PYTHONPATH=source),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SESSION_", "DAGSTER_"))}
    return {**kept, **more}


def listed(found: str, kind: str) -> set[str]:
    """The keys or names of one kind in what `dg list defs --json` prints."""
    return {entry.get("asset_key") or entry["name"] for entry in json.loads(found)[kind]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host's project, and two instances scaffolded into it as the page says."""
    folder = tmp_path_factory.mktemp("host")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text).lstrip())
    shutil.copy(ROOT / "dagster.yaml", folder)
    for instance, user in USERS.items():
        shutil.copytree(EXAMPLES / user, folder / "collected" / instance / user)
        dg(f"{SCAFFOLD} {instance}", folder, "src")
        written = folder / "src" / "host" / "defs" / instance / "defs.yaml"
        text = written.read_text("utf-8")
        for mine, other in {
            "[~/.claude/projects]": f"[collected/{instance}]",
            "layout: projects": "layout: users",
        }.items():
            assert text.count(mine) == 1
            text = text.replace(mine, other)
        written.write_text(text)
    return folder


@pytest.fixture(scope="module")
def dev(project: Path) -> Iterator[DagsterDev]:
    """A real daemon over it."""
    with DagsterDev(project, environment(PYTHONPATH="src"), "host") as found:
        yield found


def store(project: Path, instance: str) -> Store:
    """Where the scaffolded defs.yaml put it."""
    return open_store(Settings(database=project / "var" / instance / "sessions.duckdb"))


def metadata(dev: DagsterDev, asset: str) -> Mapping[str, object]:
    """That of the asset's last materialization."""
    node = dev.graphql(MATERIALIZED, a={"path": asset.split("/")})["assetNodeOrError"]
    (made,) = node["assetMaterializations"]
    return {e["label"]: e.get("text", e.get("intValue")) for e in made["metadataEntries"]}


def test_dg_takes_the_project_and_lists_both_instances_beside_the_hosts_own(project: Path) -> None:
    assert "All definitions loaded successfully" in dg("check defs", project, "src")
    found = dg("list defs --json", project, "src")
    assert listed(found, "assets") >= {
        "usage_daily",
        "tokens_of_agents",
        *(f"{instance}/{name}" for instance in USERS for name in ("usage_daily", "verifications")),
    }
    jobs = {f"usage_job_{instance}" for instance in USERS}
    assert listed(found, "jobs") >= jobs
    assert listed(found, "sensors") >= {f"usage_sensor_{instance}" for instance in USERS}


def test_both_sensors_run_side_by_side_and_fill_each_its_own_database(
    project: Path, dev: DagsterDev
) -> None:
    for instance, user in USERS.items():
        for processor in ("usage", "verification"):
            name = f"{processor}_{instance}"
            (run,) = dev.wait(lambda n=name: dev.ended(at_least=1, processor=n), f"run of {name}")
            assert run["status"] == "SUCCESS"
            assert run["tags"]["dagster/sensor_name"] == f"{processor}_sensor_{instance}"
        users = "SELECT DISTINCT username FROM usage_messages"
        assert store(project, instance).query(users)[0][1] == [(user,)]
        first = f"{instance}/usage_messages"
        dev.wait(lambda a=first: dev.check(a, "freshness"), f"evaluated check of {instance}")
    (found,) = dev.graphql(NAMES)["repositoriesOrError"]["nodes"]
    running = {s["name"] for s in found["sensors"] if s["sensorState"]["status"] == "RUNNING"}
    shared = ("health", "alert", "janitor", "session_files", "usage_report", "usage")
    assert running >= {f"{name}_sensor_{instance}" for name in shared for instance in USERS}


def test_an_asset_downstream_reads_the_table_and_the_hosts_own_assets_still_work(
    project: Path, dev: DagsterDev
) -> None:
    """Through "Materialize", so under the host's executor: ours too, a process for each step.

    A check is a step too, and a dozen more processes would show no more.
    """
    dev.wait(lambda: dev.ended(at_least=1, processor="usage_agents"), "run of usage_agents")
    ids = [
        dev.launch("__ASSET_JOB", assets=[asset], checks=False)
        for asset in ("usage_daily", "tokens_of_agents", "agents/usage_daily")
    ]

    def ends() -> set[str] | None:
        found = {run["status"] for run in dev.runs() if run["runId"] in ids}
        return found if found <= {"SUCCESS", "FAILURE"} else None

    assert dev.wait(ends, "end of the three runs") == {"SUCCESS"}
    assert metadata(dev, "usage_daily") == {"store": "the host's own"}
    tokens = "SELECT sum(output_tokens)::BIGINT FROM usage_daily"
    ((expected,),) = store(project, "agents").query(tokens)[0][1]
    assert expected > 1000
    assert metadata(dev, "tokens_of_agents")["output_tokens"] == expected
    assert metadata(dev, "agents/usage_daily")["dagster/row_count"] > 1


def test_each_instance_makes_its_report(project: Path, dev: DagsterDev) -> None:
    for instance, user in USERS.items():
        page = project / "var" / instance / "reports" / "usage.html"
        dev.wait(page.exists, f"report of {instance}")
        text = page.read_text("utf-8")
        assert user in text
        assert not any(other in text for other in {*USERS.values()} - {user})


def test_an_asset_scaffolded_into_a_clone_is_in_its_location(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "workspace.yaml", "dagster.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    package = ROOT / "session_pipeline_dagster"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, tmp_path / package.name, ignore=ignored)
    before = listed(dg("list defs --json", tmp_path), "assets")
    dg(CLONED, tmp_path)
    assert (tmp_path / package.name / "defs" / "mine.py").exists()
    found = dg("list defs --json", tmp_path)
    assert listed(found, "assets") == before | {"mine"}
    assert {"usage_daily", "verifications"} < before
    assert "usage_job" in listed(found, "jobs")
