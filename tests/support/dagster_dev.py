"""A real `dagster dev` for tests: its own folder, a free port, GraphQL, a clean stop."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
    __typename ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message } ... on RunConfigValidationInvalid { errors { message } } } }"""
BACKFILL = """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
RUNS = """{ runsOrError { ... on Runs { results {
    runId status jobName tags { key value } assetSelection { path } } } } }"""
SENSOR = """query($n: String!, $l: String!) { sensorOrError(sensorSelector: {
    sensorName: $n, repositoryName: "__repository__", repositoryLocationName: $l}) {
    __typename ... on Sensor { sensorState { id status ticks(limit: 50) {
        skipReason timestamp endTimestamp } } }
    ... on SensorNotFoundError { message } ... on PythonError { message } } }"""
STOP = """mutation($id: String!) { stopSensor(id: $id) {
    __typename ... on PythonError { message } } }"""
CHECK = """query($a: AssetKeyInput!, $c: String!) {
    assetCheckExecutions(assetKey: $a, checkName: $c, limit: 50) {
        status runId evaluation { success severity description metadataEntries { label
            ... on TextMetadataEntry { text } ... on FloatMetadataEntry { floatValue } } } } }"""


class DagsterDev:
    """`dagster dev` in a folder that holds a workspace.yaml."""

    def __init__(self, folder: Path, environment: Mapping[str, str], location: str) -> None:
        self.folder, self.location = folder, location
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # Ours from the caller's environment would point the instance elsewhere.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SESSION_", "DAGSTER_"))}
        self.environment = {**kept, **environment}

    def command(self) -> list[str]:
        """What is started."""
        program = str(Path(sys.executable).with_name("dagster"))
        return [program, "dev", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(self.port)]

    def __enter__(self) -> "DagsterDev":
        self._log = (self.folder / "dev.log").open("ab")
        self._process = subprocess.Popen(
            self.command(),
            cwd=self.folder,
            env=self.environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A shell that started the tests in the background has set it to be ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            self.wait(self._answers, "the webserver")
        except BaseException:
            self.crash()
            self._log.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()

    def crash(self) -> None:
        """What a power cut does: every process is gone at once."""
        parent = psutil.Process(self._process.pid)
        for process in [parent, *parent.children(recursive=True)]:
            process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Start it again after a crash."""
        self._log.close()
        self.__enter__()

    def _answers(self) -> bool:
        try:
            return bool(self.graphql("{ version }").get("version"))
        except (urllib.error.URLError, ConnectionError):
            return False

    def wait(self, until: Callable[[], Any], what: str, seconds: float = 420) -> Any:
        """The first true answer of `until`; fails with the log's end after so many seconds.

        They are many: beside other work each process of a run takes its time.
        """
        stop = time.monotonic() + seconds
        while time.monotonic() < stop:
            if found := until():
                return found
            time.sleep(0.5)
        tail = (self.folder / "dev.log").read_text(errors="replace")[-3000:]
        raise AssertionError(f"no {what} within {seconds} s\n{tail}")

    def graphql(self, query: str, **variables: object) -> dict[str, Any]:
        """The data of a query; fails on its errors."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            data=body,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  see above
            found = json.load(answer)
        assert "errors" not in found, found
        return found["data"]

    def launch(
        self,
        job: str,
        config: Mapping[str, object] | None = None,
        assets: Sequence[str] | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        checks: bool = True,
    ) -> str:
        """Launch a job, or with `assets` what the asset page's button launches, with their checks
        or without; the run's id."""
        selector: dict[str, object] = {
            "repositoryLocationName": self.location,
            "repositoryName": "__repository__",
            "jobName": job,
        }
        if assets is not None:
            selector["assetSelection"] = [{"path": name.split("/")} for name in assets]
            if not checks:
                selector["assetCheckSelection"] = []
        params = {
            "selector": selector,
            "runConfigData": config or {},
            "mode": "default",
            "executionMetadata": {
                "tags": [{"key": k, "value": v} for k, v in (tags or {}).items()]
            },
        }
        answer = self._once_known("launchRun", LAUNCH, "PipelineNotFoundError", p=params)
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def backfill(
        self, assets: Sequence[str], days: Sequence[str], config: Mapping[str, object]
    ) -> str:
        """Launch a backfill of assets over days; its id."""
        params = {
            "assetSelection": [{"path": name.split("/")} for name in assets],
            "partitionNames": list(days),
            "runConfigData": config,
        }
        answer = self.graphql(BACKFILL, p=params)["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        return answer["backfillId"]

    def runs(self) -> list[dict[str, Any]]:
        """All runs, newest first, tags as a dict."""
        found = self.graphql(RUNS)["runsOrError"]["results"]
        return [{**run, "tags": {t["key"]: t["value"] for t in run["tags"]}} for run in found]

    def ended(
        self, run_ids: Sequence[str] = (), at_least: int = 0, processor: str | None = None
    ) -> list[dict[str, Any]] | None:
        """All runs (of a processor's sensor or job), once none is in progress, those named exist
        and there are so many."""
        runs = self.runs()
        if processor is not None:
            runs = [r for r in runs if r["tags"].get("session_pipeline/processor") == processor]
        over = all(run["status"] in ("SUCCESS", "FAILURE", "CANCELED") for run in runs)
        known = {run["runId"] for run in runs} >= set(run_ids)
        return runs if over and known and len(runs) >= at_least else None

    def skip_reasons(self, sensor: str, since: float = 0) -> list[str]:
        """Why the sensor's last ticks (since then) asked for nothing."""
        ticks = [tick for tick in self._sensor(sensor)["ticks"] if tick["timestamp"] > since]
        return [tick["skipReason"] for tick in ticks if tick["skipReason"]]

    def stop_sensor(self, sensor: str) -> None:
        """Switch a sensor off, as a click on it does, between two of its ticks.

        Dagster's daemon does not ask again before a tick that it has queued, and a tick writes
        back the state that it began with, a moment after it has ended.
        """

        def rests() -> bool:
            ends = [tick["endTimestamp"] for tick in self._sensor(sensor)["ticks"]]
            return bool(ends) and None not in ends and time.time() - max(ends) > 2

        def stays_off() -> bool:
            """Whether it is off and no tick that was queued before switches it on again."""
            self.wait(rests, f"rest between two ticks of {sensor}")
            if self._sensor(sensor)["status"] == "STOPPED":
                return True
            answer = self.graphql(STOP, id=self._sensor(sensor)["id"])["stopSensor"]
            assert answer["__typename"] == "StopSensorMutationResult", answer
            time.sleep(2)
            return False

        self.wait(stays_off, f"{sensor} switched off")

    def _sensor(self, name: str) -> dict[str, Any]:
        """A sensor's state: its id and its last ticks, newest first."""
        answer = self._once_known(
            "sensorOrError", SENSOR, "SensorNotFoundError", n=name, l=self.location
        )
        assert answer["__typename"] == "Sensor", answer
        return answer["sensorState"]

    def _once_known(
        self, field: str, query: str, unknown: str, seconds: float = 60, **variables: object
    ) -> dict[str, Any]:
        """What a query's field answers, once it is no longer `unknown`, or at last that.

        A webserver that has not heard from the code server for a moment (a busy machine) knows
        nothing of it until it has.
        """
        stop = time.monotonic() + seconds
        while True:
            answer = self.graphql(query, **variables)[field]
            if answer["__typename"] != unknown or time.monotonic() > stop:
                return answer
            time.sleep(0.5)

    def check(self, asset: str, check: str) -> list[dict[str, Any]]:
        """The executions of a check, newest first, as its page shows them."""
        found = self.graphql(CHECK, a={"path": asset.split("/")}, c=check)["assetCheckExecutions"]
        for execution in found:
            entries = (execution["evaluation"] or {}).get("metadataEntries", [])
            execution["metadata"] = {
                entry["label"]: entry.get("text", entry.get("floatValue")) for entry in entries
            }
        return found
