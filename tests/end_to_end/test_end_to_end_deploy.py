"""What deploy/ says, running: its services by their own command lines, over a real Postgres."""

import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from dagster_dev import LAUNCH, RUNS
from deployment import Deployment, postgres
from example_numbers import MESSAGES
from helpers import session_line
from places import ROOT
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile

DAYS = ["2026-05-01", "2026-05-02", "2026-05-03", "2026-05-04"]
SLOW = '''
"""A processor that takes the seconds a file that are in `seconds`, and says when."""
import json, os, time
from datetime import timedelta
from pathlib import Path
from session_pipeline_dagster.contract.processor import ProcessorResult

class Slow:
    name, version, cadence = "slow", 1, timedelta(seconds=600)
    tables = {"slow_rows": "session_file VARCHAR"}

    def process(self, session):
        began = time.time()
        time.sleep(float(Path(__file__).with_name("seconds").read_text()))
        note = {"pid": os.getpid(), "began": began, "ended": time.time()}
        with Path(__file__).with_name("slow.log").open("a") as log:
            log.write(json.dumps(note) + chr(10))
        return ProcessorResult({"slow_rows": [(session.key,)]}, items=1)
'''

pytestmark = pytest.mark.slow(seconds=90)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Every service, over the examples, with a plugin that can be watched."""
    folder = tmp_path_factory.mktemp("deploy")
    shutil.copytree(ROOT / "examples" / "sessions", folder / "sessions")
    info = folder / "plugins" / "slow-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n")
    entry = "[session_pipeline_dagster.processors]\nslow = slow_plugin:Slow\n"
    (info / "entry_points.txt").write_text(entry)
    (folder / "plugins" / "slow_plugin.py").write_text(SLOW)
    (folder / "plugins" / "seconds").write_text("0")
    environment = {
        "SESSION_DATA_DIR": str(folder / "sessions"),
        "SCHEDULER_USAGE_PROCESSOR_INTERVAL": "5",
        "SESSION_PIPELINE_HEALTH_INTERVAL_SECONDS": "5",
        "PYTHONPATH": str(folder / "plugins"),
    }
    with postgres() as url, Deployment(folder, url, environment) as deployment:
        deployment.wait(lambda: deployment.ended(at_least=3), "first run of each processor")
        yield deployment


def rows(team: Deployment, sql: str) -> list[tuple[object, ...]]:
    return Store(DuckDBFile(Path(team.settings["SESSION_PIPELINE_DATABASE"]))).query(sql)[0][1]


def ask(port: int, query: str, by_get: bool = False, **variables: object) -> dict[str, object]:
    """The answer of a web server, errors and all."""
    body = {"query": query, "variables": json.dumps(variables) if by_get else variables}
    address = f"http://127.0.0.1:{port}/graphql"
    if by_get:
        request = urllib.request.Request(f"{address}?{urllib.parse.urlencode(body)}")  # noqa: S310
    else:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  loopback
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return {"http": error.code, "errors": error.read().decode()}


def test_sensors_runs_rows_and_checks_work_over_postgres(team: Deployment) -> None:
    runs = team.runs()
    assert {run["status"] for run in runs} == {"SUCCESS"}
    sensors = {run["tags"]["dagster/sensor_name"] for run in runs}
    # On a busy machine the report's own sensor has already asked for a run too.
    assert sensors - {"usage_report_sensor"} == {
        "usage_sensor",
        "verification_sensor",
        "slow_sensor",
    }
    assert rows(team, "SELECT sum(messages) FROM usage_daily") == [(MESSAGES,)]

    def passed() -> bool:
        said = team.check("usage_messages", "freshness")
        return bool(said) and said[0]["evaluation"]["success"]

    team.wait(passed, "the health check over what was processed")


def test_the_read_only_web_server_shows_everything_and_changes_nothing(team: Deployment) -> None:
    launch = {
        "selector": {
            "repositoryLocationName": "session_pipeline",
            "repositoryName": "__repository__",
            "jobName": "usage_job",
        },
        "runConfigData": {},
        "mode": "default",
    }
    seen = ask(team.viewers_port, RUNS)["data"]["runsOrError"]["results"]
    assert {run["runId"] for run in seen} == {run["runId"] for run in team.runs()}
    for by_get in (False, True):
        refused = ask(team.viewers_port, LAUNCH, by_get, p=launch)
        assert refused["data"]["launchRun"]["__typename"] == "UnauthorizedError", refused
    for event in ("asset_materialization", "asset_check", "asset_observation"):
        body = json.dumps({"check_name": "freshness", "passed": True}).encode()
        address = f"http://127.0.0.1:{team.viewers_port}/report_{event}/usage_messages"
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(address, body, headers)
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(request, timeout=30)  # noqa: S310
        with refusal.value as answer:
            assert answer.code == 401
    assert len(team.runs()) == len(seen), "nothing was launched"


def test_a_processor_runs_once_at_a_time_over_postgres_too(team: Deployment) -> None:
    log = team.folder / "plugins" / "slow.log"
    log.unlink()
    # All files take longer than the next run worker needs to start: two at once would overlap.
    (team.folder / "plugins" / "seconds").write_text("0.8")
    config = {"ops": {"slow": {"config": {"full_refresh": True}}}}
    days = {
        "dagster/asset_partition_range_start": "2026-05-04",
        "dagster/asset_partition_range_end": "2026-05-31",
    }
    launched = [
        team.launch("slow_job", config),
        team.launch("__ASSET_JOB", config, ["slow_rows"], days),
    ]
    runs = team.wait(lambda: team.ended(launched), "end of all runs")
    assert {run["status"] for run in runs if run["runId"] in launched} == {"SUCCESS"}
    spans: dict[int, tuple[float, float]] = {}
    for note in map(json.loads, log.read_text().splitlines()):
        began, ended = spans.get(note["pid"], (note["began"], note["ended"]))
        spans[note["pid"]] = (min(began, note["began"]), max(ended, note["ended"]))
    assert len(spans) == 2, "each run is a process of its own"
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(sorted(spans.values())))


def test_a_killed_code_server_comes_back_and_the_sensors_go_on(team: Deployment) -> None:
    """Its run workers die with it; their run is ended, and what was left is done by the next."""
    config = {"ops": {"slow": {"config": {"full_refresh": True}}}}
    (team.folder / "plugins" / "seconds").write_text("0.8")
    killed = team.launch("slow_job", config)

    def status() -> str:
        return next(run["status"] for run in team.runs() if run["runId"] == killed)

    team.wait(lambda: status() == "STARTED", "start of the run")
    team.kill("code")
    (team.folder / "plugins" / "seconds").write_text("0")
    (team.folder / "sessions" / "alice" / "later.jsonl").write_text(session_line("hello"))
    team.start("code")
    team.wait(lambda: status() == "FAILURE", "end of the run without a worker")
    done = "SELECT processor_name FROM session_processor_state WHERE session_file LIKE '%later%'"
    team.wait(lambda: ("usage",) in rows(team, done), "the new file")
    outdated = "SELECT 1 FROM session_processor_state WHERE processor_version = 0"
    team.wait(lambda: not rows(team, outdated), "the rest of the killed run")


def test_no_service_writes_to_the_folder_of_its_configuration(team: Deployment) -> None:
    """DAGSTER_HOME is read-only for all of them."""
    names = {path.name for path in (team.folder / "etc").iterdir()}
    assert names == {"dagster.yaml", "workspace.yaml"}
