"""Folders in which a `dagster dev` is started: the real location, or two slow processors."""

import shutil
from pathlib import Path
from typing import Any

from dagster_dev import DagsterDev
from places import ROOT, SUPPORT
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile

OURS = "our dagster.yaml"
NOT_OURS = "an instance with none of our yaml"


def real_location(folder: Path, **settings: str) -> DagsterDev:
    """The real location over `folder/sessions`, with the clone's own yaml files."""
    for name in ("workspace.yaml", "dagster.yaml"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "sessions").mkdir(exist_ok=True)
    environment = {
        "SESSION_DATA_DIR": str(folder / "sessions"),
        "SESSION_PIPELINE_DATABASE": str(folder / "usage.duckdb"),
    }
    return DagsterDev(folder, environment | settings, "session_pipeline")


def copy_examples(folder: Path) -> None:
    """The made-up sessions of the clone, as the sessions of `real_location`."""
    shutil.copytree(ROOT / "examples" / "sessions", folder / "sessions")


def query(dev: DagsterDev, sql: str) -> list[tuple[Any, ...]]:
    """Rows of the database of `real_location`."""
    return Store(DuckDBFile(dev.folder / "usage.duckdb")).query(sql)[0][1]


def slow_location(folder: Path, instance: str = OURS) -> DagsterDev:
    """`slow_location.py` over `folder/sessions`; each run is found in `slow.log` while it works."""
    workspace = "load_from: [{python_module: {module_name: slow_location, location_name: slow}}]\n"
    (folder / "workspace.yaml").write_text(workspace)
    environment = {
        "SESSION_DATA_DIR": str(folder / "sessions"),
        "SESSION_PIPELINE_DATABASE": str(folder / "slow.duckdb"),
        "SLOW_LOG": str(folder / "slow.log"),
        "PYTHONPATH": str(SUPPORT),
    }
    if instance == OURS:
        shutil.copy(ROOT / "dagster.yaml", folder / "dagster.yaml")
    else:
        home = folder / "home"
        home.mkdir(exist_ok=True)
        (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        environment["DAGSTER_HOME"] = str(home)
    return DagsterDev(folder, environment, "slow")
