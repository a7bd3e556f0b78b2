"""The component as Dagster loads it from a `defs.yaml`, and the location that is made of one."""

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster.components.core.component_tree import ComponentTreeException
from dagster.components.testing import DefsFolderSandbox, create_defs_folder_sandbox

from helpers import EXAMPLES
from places import ROOT
from session_pipeline_dagster import SessionPipelineComponent
from session_pipeline_dagster.contract.registry import FailedPlugin, Registry, load_processors
from session_pipeline_dagster.definitions import build_definitions, defs
from session_pipeline_dagster.errors import PipelineError
from session_pipeline_dagster.orchestration import component as module
from session_pipeline_dagster.orchestration.resources import SessionsResource, StoreResource
from session_pipeline_dagster.settings import Settings

PAGE = (ROOT / "docs" / "in-your-project.md").read_text("utf-8")
FIELDS = SessionPipelineComponent.model_fields
KIND = "session_pipeline_dagster.SessionPipelineComponent"


@pytest.fixture
def project() -> Iterator[DefsFolderSandbox]:
    """A temporary project with an empty `defs` folder."""
    with create_defs_folder_sandbox() as found:
        yield found


def build(project: DefsFolderSandbox, **attributes: object) -> dg.Definitions:
    """What one component of these attributes brings into the project."""
    text = {"type": KIND, "attributes": attributes}
    path = project.scaffold_component(SessionPipelineComponent, defs_yaml_contents=text)
    with project.load_component_and_build_defs(path) as (_, found):
        return found


def sessions(found: dg.Definitions, suffix: str = "") -> SessionsResource:
    return found.resources[f"session_pipeline__sessions{suffix}"]


def store(found: dg.Definitions, suffix: str = "") -> StoreResource:
    return found.resources[f"session_pipeline__store{suffix}"]


# --- our own location ----------------------------------------------------------------------------


def test_importing_the_definitions_does_nothing_and_loading_them_says_what_is_wrong() -> None:
    code = "from session_pipeline_dagster import definitions\nprint('imported')\ndefinitions.defs()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"SESSION_LAYOUT": "nonsense"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "imported\n"
    assert done.returncode == 1
    takes = "it takes users, projects, codex, copilot or gemini"
    assert f"SettingsError: SESSION_LAYOUT is 'nonsense'; {takes}" in done.stderr


def test_our_own_location_is_the_component_with_every_name_as_it_was() -> None:
    def names(found: dg.Definitions) -> list[set[str]]:
        repository = found.get_repository_def()
        graph = repository.asset_graph
        return [
            {key.to_user_string() for key in graph.get_all_asset_keys()},
            {key.to_user_string() for key in graph.asset_check_keys},
            {job.name for job in repository.get_all_jobs()},
            {sensor.name for sensor in repository.sensor_defs},
            {node.name for node in repository.get_job("__ASSET_JOB").graph.nodes},
            {*(found.resources or {})},
        ]

    loaded, plain = defs(), build_definitions(load_processors(), Settings())
    assert names(loaded) == names(plain)
    whole = loaded.resolve_implicit_global_asset_job_def()
    assert whole.executor_def.name == "in_process", "for backfills and Materialize"


# --- attributes ----------------------------------------------------------------------------------


def test_attributes_come_first_and_the_environment_second(
    project: DefsFolderSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SESSION_DATA_DIR", str(tmp_path / "environment"))
    monkeypatch.setenv("SESSION_USER", "carol")
    monkeypatch.setenv("SESSION_PIPELINE_DATABASE", str(tmp_path / "environment.duckdb"))
    monkeypatch.setenv("SESSION_PIPELINE_DATABASE_MEMORY_MB", "300")
    found = build(project)
    assert sessions(found).roots == {"": str(tmp_path / "environment")}
    assert (sessions(found).layout, sessions(found).user) == ("users", "carol")
    assert store(found).database == str(tmp_path / "environment.duckdb")
    assert not store(found).create_folder
    found = build(
        project,
        sessions=[str(EXAMPLES), f"other={tmp_path}"],
        layout="projects",
        user="dave",
        database=str(tmp_path / "own.duckdb"),
        start_date="2026-05-01",
        processors=["usage"],
        key_prefix="team/agents",
        name_suffix="agents",
    )
    assert sessions(found, "_agents").roots == {"": str(EXAMPLES), "other": str(tmp_path)}
    assert (sessions(found, "_agents").layout, sessions(found, "_agents").user) == (
        "projects",
        "dave",
    )
    own = store(found, "_agents")
    assert (own.database, own.memory_mb) == (str(tmp_path / "own.duckdb"), 300)
    assert not own.create_folder, "a folder elsewhere may not be mounted"
    graph = found.resolve_asset_graph()
    key = dg.AssetKey(["team", "agents", "usage_messages"])
    assert graph.get(key).partitions_def.start.date() == date(2026, 5, 1)
    assert not graph.has(dg.AssetKey(["team", "agents", "verifications"]))
    assert found.executor is None, "that is the project's to choose"


def test_paths_are_relative_to_the_project_wherever_dagster_was_started(
    project: DefsFolderSandbox,
) -> None:
    found = build(
        project, sessions=["sessions", "more=more"], database="var/x.duckdb", report_dir="reports"
    )
    root = project.project_root
    assert sessions(found).roots == {"": str(root / "sessions"), "more": str(root / "more")}
    assert store(found).database == str(root / "var" / "x.duckdb")
    assert store(found).create_folder, "a project begins without it"
    (root / "sessions").mkdir()
    (root / "more").mkdir()
    with dg.DagsterInstance.ephemeral() as instance:
        assert found.resolve_job_def("usage_job").execute_in_process(instance=instance).success
        whole = found.resolve_implicit_global_asset_job_def()
        made = whole.execute_in_process(
            asset_selection=[dg.AssetKey("usage_report")], instance=instance
        )
    assert made.success
    assert (root / "reports" / "usage.html").exists()


def test_a_home_is_resolved(project: DefsFolderSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    found = build(project, sessions=["~/.claude/projects"], database="~/x.duckdb")
    assert sessions(found).roots == {"": "/home/somebody/.claude/projects"}
    assert store(found).database == "/home/somebody/x.duckdb"


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"sessions": []}, "sessions is empty; write path or name=path"),
        ({"sessions": ["a", "b"]}, "sessions has two roots without a name; write name=path"),
        (
            {"layout": "nonsense"},
            "Input should be 'users', 'projects', 'codex', 'copilot' or 'gemini'",
        ),
        ({"user": " "}, "user is empty"),
        ({"database": ""}, "database is empty"),
        ({"report_dir": ""}, "report_dir is empty"),
        ({"start_date": "2999-01-01"}, "start_date is '2999-01-01'; it takes a date that is not"),
        ({"processors": ["usge"]}, "unknown processor 'usge'; known: usage, verification"),
        ({"key_prefix": "a//b"}, "key_prefix is 'a//b'; it takes letters, digits and underscores"),
        ({"name_suffix": "a b"}, "name_suffix is 'a b'; it takes letters, digits and underscores"),
        ({"typo": 1}, "Extra inputs are not permitted"),
    ],
)
def test_an_attribute_that_cannot_be_used_is_named(
    project: DefsFolderSandbox, attributes: dict[str, object], said: str
) -> None:
    with pytest.raises(ComponentTreeException) as error:
        build(project, **attributes)
    cause = error.value.__cause__
    assert said in str(cause)
    assert next(iter(attributes)) in str(cause) or isinstance(cause, PipelineError)


def test_a_chosen_processor_that_could_not_be_loaded_is_listed_and_costs_no_other(
    project: DefsFolderSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = FailedPlugin("broken", "package:Broken", "ImportError")
    registry = Registry(load_processors().processors, (broken,))
    monkeypatch.setattr(module, "load_processors", lambda: registry)
    found = build(project, processors=["broken", "usage"])
    assert {job.name for job in found.jobs} == {"usage_job", "usage_health_job"}
    (check,) = [c for c in found.asset_checks if "processors_loaded" in str(c.check_keys)]
    said = check.node_def.compute_fn.decorated_fn()
    assert "broken (package:Broken): ImportError" in said.description


# --- scaffolding and the page --------------------------------------------------------------------


def test_what_dg_scaffolds_is_complete_and_loads_as_it_is(project: DefsFolderSandbox) -> None:
    path = project.scaffold_component(SessionPipelineComponent, "my-agents")
    text = (path / "defs.yaml").read_text("utf-8")
    attributes = yaml.safe_load(text)["attributes"]
    assert set(re.findall(r"^  (?:# )?(\w+): \S", text, re.MULTILINE)) == set(FIELDS)
    said = " ".join(text.replace("\n  # ", " ").split())
    for name, field in FIELDS.items():
        assert field.description in said, name
    with project.load_component_and_build_defs(path) as (loaded, found):
        assert {n for n in FIELDS if getattr(loaded, n) is not None} == set(attributes)
        assert "usage_job_my_agents" in {job.name for job in found.jobs}
    # What is commented out is right too, once somebody takes the marks away.
    (path / "defs.yaml").write_text(re.sub(r"^  # (\w+: \S)", r"  \1", text, flags=re.MULTILINE))
    with project.load_component_and_build_defs(path) as (loaded, _):
        assert all(getattr(loaded, name) is not None for name in FIELDS)


def test_the_other_format_of_dg_is_python(project: DefsFolderSandbox) -> None:
    path = project.scaffold_component(SessionPipelineComponent, "a", scaffold_format="python")
    assert "-> SessionPipelineComponent" in (path / "component.py").read_text("utf-8")


def test_the_python_of_the_page_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?build_defs_for_component.*?)```", PAGE, re.DOTALL)
    space: dict[str, object] = {"my_own": dg.Definitions(assets=[dg.AssetSpec("usage_daily")])}
    exec(block, space)  # noqa: S102  it is what is tested
    found = space["defs"]
    assert isinstance(found, dg.Definitions)
    keys = {key.to_user_string() for key in found.resolve_asset_graph().get_all_asset_keys()}
    assert {"usage_daily", "agents/usage_daily"} <= keys


def test_the_page_lists_the_attributes_as_they_are() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)
    assert [(name, said) for name, said, _ in rows] == [
        (name, field.description) for name, field in FIELDS.items()
    ]
    variables = (ROOT / "docs" / "operations.md").read_text("utf-8")
    for name, _, otherwise in rows:
        for variable in re.findall(r"`([A-Z_]+)`", otherwise):
            assert f"| `{variable}` |" in variables, name
