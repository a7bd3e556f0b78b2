"""The location as Dagster sees it: names, assets, runs over partitions, backfill config."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from example_numbers import FILES, MESSAGES
from helpers import EchoProcessor
from places import ROOT
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.contract.registry import FailedPlugin, Registry, load_processors
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.errors import Permanent
from session_pipeline_dagster.health.last_pass import FILES_GIVEN_UP
from session_pipeline_dagster.orchestration.config import ProcessorConfig, config_schema
from session_pipeline_dagster.orchestration.metadata import report_metadata
from session_pipeline_dagster.passes.options import BatchReport
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import open_store

pytestmark = pytest.mark.slow

VERBS = "Add Charge Count Find Look Open Read See Train".split()
NO_TABLES = {"session_files", "usage_report"}
TABLES = ["usage_messages", "usage_events", "usage_sessions"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    sessions = (Root(ROOT / "examples" / "sessions"),)
    return Settings(roots=sessions, database=tmp_path / "usage.duckdb")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture
def run(settings: Settings, instance: dg.DagsterInstance) -> Run:
    """Execute usage_job as a launch would, with the config of its tables' step."""

    def execute(config: dict[str, object] | None = None, **given: object) -> object:
        defs = build_definitions(load_processors(), given.pop("settings", settings))
        run_config = {"ops": {"usage": {"config": config}}} if config else None
        job = defs.resolve_job_def("usage_job")
        return job.execute_in_process(instance=instance, run_config=run_config, **given)

    return execute


def days(first: str, last: str) -> dict[str, str]:
    return {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }


def metadata(result: dg.ExecuteInProcessResult, asset: str = "usage_messages") -> dict[str, object]:
    """The metadata of the asset's last materialization in a run."""
    found = [
        event.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == dg.AssetKey(asset)
    ]
    return {key: value.value for key, value in found[-1].items()}


def rows(settings: Settings, table: str) -> list[tuple[object, ...]]:
    return open_store(settings).query(f"FROM {table} ORDER BY ALL")[0][1]


def test_a_processor_gets_a_job_a_sensor_a_pool_and_its_assets(settings: Settings) -> None:
    defs = build_definitions(load_processors(), settings)
    repository = defs.get_repository_def()
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "usage_sensor",
        "usage_report_sensor",
        "verification_sensor",
        "session_files_sensor",
        "health_sensor",
        "alert_sensor",
        "janitor_sensor",
    }
    assert {"usage_job", "verification_job", "usage_health_job", "verification_health_job"} <= {
        job.name for job in repository.get_all_jobs()
    }
    graph = repository.asset_graph
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} >= {
        "session_files",
        "usage_daily",
        "verifications",
        "llm_calls",
        *TABLES,
    }
    for asset in defs.assets or []:
        if isinstance(asset, dg.AssetsDefinition) and asset.is_executable:
            (group,) = set(asset.group_names_by_key.values())
            assert asset.op.pool == f"session_processor_{group}"
    assert graph.get(dg.AssetKey("usage_messages")).parent_keys == {dg.AssetKey("session_files")}
    assert graph.get(dg.AssetKey("usage_daily")).parent_keys == {dg.AssetKey("usage_slots")}
    parents = {dg.AssetKey(t) for t in ("usage_messages", "usage_sessions", "model_prices")}
    assert graph.get(dg.AssetKey("usage_slots")).parent_keys == parents
    assert graph.get(dg.AssetKey("session_files")).group_name == "sessions"


def test_the_catalog_explains_every_asset(settings: Settings) -> None:
    graph = build_definitions(load_processors(), settings).get_repository_def().asset_graph
    for key in graph.get_all_asset_keys():
        node, name = graph.get(key), key.to_user_string()
        first, _, rest = (node.description or "").partition("\n\n")
        assert first.endswith("."), name
        assert first.split()[0] in VERBS, f"{name}: what would one do there?"
        assert not set("*`\n") & set(first), f"{name}: the list of assets shows it as it is"
        assert rest, name
        assert node.owners, name
        assert node.kinds, name
        (code,) = node.metadata["dagster/code_references"].code_references
        lines = Path(code.file_path).read_text("utf-8").splitlines()[code.line_number - 1 :]
        assert f"class {code.label}" in "".join(lines[:2]), "a decorator may stand before it"
        if name not in NO_TABLES:
            schema = node.metadata["dagster/column_schema"]
            assert all(column.description for column in schema.columns), name
            assert str(settings.database) in rest, "where to paste the query"


def test_every_query_of_the_catalog_runs(run: Run, settings: Settings, instance) -> None:
    run()
    defs = build_definitions(load_processors(), settings)
    assert defs.resolve_job_def("verification_job").execute_in_process(instance=instance).success
    graph, answers = defs.get_repository_def().asset_graph, {}
    for key in graph.get_all_asset_keys() - {dg.AssetKey(name) for name in NO_TABLES}:
        queries = re.findall(r"```sql\n(.*?)```", graph.get(key).description or "", re.DOTALL)
        assert queries, key
        for query in queries:
            answers[key.to_user_string()] = open_store(settings).query(query)[0][1]
    empty = {name for name, rows in answers.items() if not rows}
    # Nobody has decided anything yet, set a file of money or of people, or linked a pull request.
    unasked = {"llm_calls", "knowledge_labels", "seats", "budget_status", "usage_pull_requests"}
    unasked |= {"people", "org_units", "people_shown"}
    assert empty <= {*unasked, "knowledge_relations", "knowledge_contradictions"}


def test_every_step_runs_in_one_process(settings: Settings) -> None:
    defs = build_definitions(load_processors(), settings)
    job = defs.resolve_implicit_global_asset_job_def()
    assert job.executor_def.name == "in_process"


def test_a_job_without_a_partition_processes_everything_pending(run: Run, settings) -> None:
    result = run()
    assert result.success
    found = metadata(result)
    assert (found["files_scanned"], found["files_processed"]) == (FILES, FILES)
    assert found["dagster/row_count"] == len(rows(settings, "usage_messages"))
    assert sum(row[4] for row in rows(settings, "usage_daily")) == MESSAGES
    filled = {
        event.partition
        for event in result.all_events
        if event.is_step_materialization and event.partition
    }
    assert filled == {f"2026-05-{day}" for day in ("04", "05", "06", "11", "12", "14")}
    assert metadata(run())["files_processed"] == 0


def test_a_range_of_days_processes_the_files_of_these_days_only(run: Run, settings) -> None:
    result = run(tags=days("2026-05-05", "2026-05-06"))
    assert metadata(result)["files_processed"] == 7
    found = open_store(settings).query("SELECT DISTINCT session_day FROM session_processor_state")
    assert {row[0] for row in found[0][1]} == {date(2026, 5, 5), date(2026, 5, 6)}
    by_day = {
        event.partition: event.materialization.metadata["day_files"].value
        for event in result.all_events
        if event.is_step_materialization and event.asset_key == dg.AssetKey("usage_events")
    }
    assert by_day == {"2026-05-05": 4, "2026-05-06": 3}


def test_full_refresh_processes_again_and_changes_no_row(run: Run, settings: Settings) -> None:
    run()
    before = [rows(settings, table) for table in [*TABLES, "usage_daily"]]
    week = days("2026-05-04", "2026-05-10")
    assert metadata(run(tags=week))["files_processed"] == 0
    assert metadata(run({"full_refresh": True}, tags=week))["files_processed"] == 10
    assert [rows(settings, table) for table in [*TABLES, "usage_daily"]] == before


def test_what_a_cap_leaves_over_stays_pending_and_is_finished_later(run: Run, settings) -> None:
    run()
    before = rows(settings, "usage_messages")
    week = days("2026-05-04", "2026-05-10")
    capped = metadata(run({"full_refresh": True, "max_files": 4}, tags=week))
    assert (capped["files_processed"], capped["files_deferred"]) == (4, 6)
    assert metadata(run())["files_processed"] == 6
    assert rows(settings, "usage_messages") == before


def test_users_limits_a_run_to_their_files(run: Run, settings: Settings) -> None:
    run({"users": ["alice"]})
    found = open_store(settings).query("SELECT DISTINCT username FROM usage_sessions")
    assert found[0][1] == [("alice",)]


def test_a_later_start_date_loses_no_session(run: Run, settings: Settings) -> None:
    later = replace(settings, start_date=date(2026, 5, 6))
    result = run(tags=days("2026-05-06", "2026-05-06"), settings=later)
    assert metadata(result)["files_processed"] == 10, "older sessions are in the first partition"


def test_one_table_alone_can_be_materialized(settings: Settings, instance) -> None:
    defs = build_definitions(load_processors(), settings)
    job = defs.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey("usage_events")],
        tags=days("2026-05-04", "2026-05-06"),
    )
    assert result.success
    assert metadata(result, "usage_events")["files_processed"] == 10
    assert rows(settings, "usage_messages"), "state is per processor, so all its tables are filled"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"max_files": 0}, "config max_files: 0; give a number above 0"),
        ({"time_budget_seconds": -1.5}, "time_budget_seconds: -1.5; give a number above 0"),
        ({"time_budget_seconds": 1e15}, "time_budget_seconds: .*at most 1000000000"),
        ({"time_budget_seconds": float("nan")}, "time_budget_seconds: nan; give a number"),
        ({"max_files": {"env": "NO_SUCH_NUMBER"}}, "max_files: None; give a number above 0"),
        ({"typo": True}, 'unexpected config entry "typo"'),
        ({"users": "alice"}, "users"),
    ],
)
def test_wrong_config_is_refused_before_there_is_a_run(
    run: Run, instance: dg.DagsterInstance, config: dict[str, object], said: str
) -> None:
    with pytest.raises(dg.DagsterError, match=said):
        run(config)
    assert instance.get_runs() == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"users": ["alcie"]}, "no session file of alcie; there are files of alice, bob"),
        ({"retry": ["alice/x.jsonl"]}, "no session file alice/x.jsonl; what failed: nothing"),
    ],
)
def test_a_name_that_does_not_exist_fails_the_run_before_a_file_is_touched(
    run: Run, settings: Settings, config: dict[str, object], said: str
) -> None:
    with pytest.raises(dg.Failure, match=said):
        run(config)
    assert not open_store(settings).known(load_processors().get("usage")).states


def test_a_limit_may_be_named_by_an_environment_variable(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_LIMIT", "3")
    result = run({"max_files": {"env": "A_LIMIT"}, "time_budget_seconds": {"env": "A_LIMIT"}})
    assert metadata(result, "usage_messages")["files_processed"] == 3


def test_every_field_of_the_config_is_explained_and_has_a_default() -> None:
    fields = config_schema()
    assert set(fields) == set(ProcessorConfig.model_fields)
    for name, field in fields.items():
        assert field.description, name
        assert field.default_value == getattr(ProcessorConfig(), name)


def test_a_file_that_was_given_up_is_named_by_its_run_and_retried_by_its_key(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    refused = next(f.key for f in LocalSource(settings.roots).scan().files if f.user == "bob")
    broken = [refused]

    def refuse(session: Session) -> None:
        if session.key in broken:
            raise Permanent("not understood")

    defs = build_definitions(Registry((EchoProcessor(refuse),)), settings)

    def execute(config: dict[str, object]) -> dict[str, object]:
        result = defs.resolve_job_def("echo_job").execute_in_process(
            {"ops": {"echo": {"config": config}}}, instance=instance
        )
        runs.append(result.run_id)
        assert result.success
        checked.append(given_up_check(result))
        return metadata(result, "echo_rows")

    runs: list[str] = []
    checked: list[tuple[bool, str]] = []
    assert execute({})["files_failed"] == 1
    assert instance.get_run_by_id(runs[0]).tags["files_failed"] == "1"
    said = [entry.user_message for entry in instance.all_logs(runs[0])]
    assert f"{refused} failed: not understood" in said
    broken.clear()
    assert execute({})["files_scanned"] == 0, "it was given up"
    assert instance.get_run_by_id(runs[1]).tags["files_given_up"] == "1"
    said = [entry.user_message for entry in instance.all_logs(runs[1])]
    assert f"{refused} was given up earlier and is not tried: not understood" in said
    by_sensor = defs.resolve_job_def("echo_job").execute_in_process(
        instance=instance, tags={"dagster/sensor_name": "echo_sensor"}
    )
    tags = instance.get_run_by_id(by_sensor.run_id).tags
    assert "files_given_up" not in tags, "every run of such a day would say so"
    assert given_up_check(by_sensor) == (True, "0 files processed")
    assert execute({"retry": [refused]})["files_processed"] == 1
    assert "files_failed" not in instance.get_run_by_id(runs[-1]).tags
    assert execute({"retry": [refused]})["files_scanned"] == 0, "as Re-execute does"
    assert [(passed, said.partition(".")[0]) for passed, said in checked] == [
        (False, f"{FILES - 1} files processed; 1 given up now"),
        (False, "0 files processed; 1 given up earlier and not tried"),
        (True, "1 files processed"),
        (True, "0 files processed"),
    ]


def given_up_check(result: dg.ExecuteInProcessResult) -> tuple[bool, str]:
    """What the run said of the files that it gave up."""
    (check,) = [c for c in result.get_asset_check_evaluations() if c.check_name == FILES_GIVEN_UP]
    assert check.severity is dg.AssetCheckSeverity.WARN
    return check.passed, str(check.description)


def test_the_button_of_the_check_looks_and_works_on_no_file(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    failing = build_definitions(Registry((Picky(Permanent),)), settings)
    failing.resolve_job_def("picky_job").execute_in_process(instance=instance, raise_on_error=False)
    store, picky = open_store(settings), Picky()
    assert len(store.known(picky).failures) == FILES
    store.release("picky", list(store.known(picky).failures)[1:])
    whole = failing.resolve_implicit_global_asset_job_def()
    alone = whole.get_subset(
        asset_check_selection={dg.AssetCheckKey(dg.AssetKey("picky_rows"), FILES_GIVEN_UP)},
        asset_selection=set(),
    )
    result = alone.execute_in_process(instance=instance)
    assert given_up_check(result) == (False, "1 files are given up now")
    assert len(store.known(picky).failures) == 1


class Picky:
    """Refuses every file, and quotes it in the error as careless code does."""

    name = "picky"
    version = 1
    cadence = timedelta(seconds=60)
    tables = {"picky_rows": "session_file VARCHAR"}

    def __init__(self, error: type[Exception] = ValueError) -> None:
        self.error = error

    def process(self, session: Session) -> ProcessorResult:
        texts = [text for _, record in session.transcript for text in record.texts()]
        raise self.error(f"cannot take {texts}")


def test_a_run_in_which_nothing_could_be_done_fails_and_quotes_nothing(settings, instance) -> None:
    defs = build_definitions(Registry((Picky(),)), settings)
    job = defs.resolve_job_def("picky_job")
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    failed = next(event for event in result.all_events if event.is_step_failure)
    text = str([entry.user_message for entry in instance.all_logs(result.run_id)]) + str(failed)
    assert f"{FILES} of {FILES} files failed" in text
    passed, said = given_up_check(result)
    assert (passed, said.partition(".")[0]) == (
        False,
        f"0 files processed; {FILES} failed and will be tried again",
    )
    assert "active customer" not in text
    assert "active customer" in next((ROOT / "examples").rglob("2afd6da6*.jsonl")).read_text()


def test_a_missing_root_fails_the_run_and_names_the_setting(settings, instance) -> None:
    gone = replace(settings, roots=(Root(settings.database.parent / "gone"),))
    job = build_definitions(load_processors(), gone).resolve_job_def("usage_job")
    result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert not result.success
    assert "SESSION_DATA_DIR" in str(
        [event.message for event in result.all_events]
        + [
            event.step_failure_data.error.message
            for event in result.all_events
            if event.is_step_failure
        ]
    )


def processors_loaded(
    defs: dg.Definitions, instance: dg.DagsterInstance
) -> dg.AssetCheckEvaluation:
    """What the check of that name says."""
    check = next(iter(defs.asset_checks or []))
    result = dg.materialize(
        [check], instance=instance, selection=dg.AssetSelection.all_asset_checks()
    )
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def test_a_plugin_that_did_not_load_fails_a_check_and_nothing_else(settings, instance) -> None:
    failed = FailedPlugin("broken", "broken:Processor", "ImportError: no module named broken")
    registry = Registry(load_processors().processors, (failed,))
    defs = build_definitions(registry, settings)
    evaluation = processors_loaded(defs, instance)
    assert not evaluation.passed
    assert evaluation.severity == dg.AssetCheckSeverity.WARN
    assert "no module named broken" in (evaluation.description or "")
    assert defs.resolve_job_def("usage_job")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tables": {"echo_rows": "session_file VARCHAR, n BIGINTT"}}, "BIGINTT"),
        ({"views": {"echo_view": "FROM nowhere"}}, "nowhere"),
        ({"owners": ("nobody in particular",)}, "nobody in particular"),
    ],
)
def test_declarations_that_do_not_work_cost_their_processor_and_not_the_location(
    settings: Settings,
    instance: dg.DagsterInstance,
    caplog: pytest.LogCaptureFixture,
    wrong: dict[str, object],
    said: str,
) -> None:
    echo = EchoProcessor()
    for name, value in wrong.items():
        setattr(echo, name, value)
    defs = build_definitions((echo, *load_processors().processors), settings)
    repository = defs.get_repository_def()
    assert said in caplog.text, "where `make dev` prints"
    assert not repository.has_job("echo_job")
    assert repository.has_job("usage_job")
    evaluation = processors_loaded(defs, instance)
    assert not evaluation.passed
    assert said in (evaluation.description or "")


def test_a_view_is_named_where_its_processor_shows_its_tables(settings: Settings) -> None:
    echo = EchoProcessor()
    echo.views = {"echo_view": "FROM echo_rows"}
    graph = build_definitions((echo,), settings).get_repository_def().asset_graph
    description = graph.get(dg.AssetKey("echo_rows")).description or ""
    assert "FROM echo_rows LIMIT 10;\nFROM echo_view LIMIT 10;\n" in description


def test_today_is_a_partition(settings: Settings) -> None:
    defs = build_definitions(load_processors(), settings)
    node = defs.get_repository_def().asset_graph.get(dg.AssetKey("usage_messages"))
    keys = node.partitions_def.get_partition_keys()
    assert datetime.now(UTC).date().isoformat() in keys
    assert keys[0] == "2026-05-04", "the day of the oldest example"


def test_a_number_of_a_processor_hides_none_of_ours() -> None:
    report = BatchReport("echo", counts={"items": 7, "calls": 3})
    found = report_metadata(report, rows=None)
    assert (found["items"], found["processor_items"], found["calls"]) == (0, 7, 3)
