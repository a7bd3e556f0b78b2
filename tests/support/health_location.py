"""A location to be examined: real files, a real DuckDB file, rows written as another tool would."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from helpers import EchoProcessor, Pipeline, make_pipeline, write_session
from session_pipeline_dagster.cli.health import health_json
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.health.checkup import Checkup, examine
from session_pipeline_dagster.settings import Settings

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
Evaluations = dict[str, dg.AssetCheckEvaluation]


class NamedProcessor(EchoProcessor):
    """EchoProcessor under the name and with the cadence of another."""

    def __init__(self, name: str = "verification", cadence: float = 900, version: int = 1) -> None:
        super().__init__(name=name, version=version)
        self.cadence = timedelta(seconds=cadence)


class HealthLocation:
    """Ages are seconds before now; `now` is when the test began."""

    def __init__(
        self,
        folder: Path,
        processors: Sequence[EchoProcessor] = (),
        place: Callable[[Path, Settings], Settings] | None = None,
        **settings: object,
    ) -> None:
        self.pipeline: Pipeline = make_pipeline(folder, place).having(**settings)
        self.processors = list(processors) or [NamedProcessor()]
        self.now = datetime.now(UTC)

    def before(self, age: float) -> datetime:
        return self.now - timedelta(seconds=age)

    def file(self, key: str, age: float) -> Path:
        """A session file that was last written so many seconds ago."""
        return write_session(self.pipeline.root, key, "hello", mtime=self.before(age))

    def row(self, key: str, age: float, processor: str = "verification", **more: object) -> None:
        """A row without a signature, processed so many seconds ago."""
        self.pipeline.store.known(self.processors[0])
        values = {
            "processor_name": processor,
            "session_file": key,
            "username": key.split("/")[0],
            "processed_at": self.before(age),
            "items_extracted": 0,
            "file_hash": "h",
            **more,
        }
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        with self.pipeline.store.transaction() as connection:
            connection.execute(
                f"INSERT INTO session_processor_state ({names}) VALUES ({marks})",
                [*values.values()],
            )

    def processed(self, key: str, age: float, processed: float = 0.0) -> None:
        """A file and its row."""
        self.file(key, age)
        self.row(key, processed)

    def examine(self, later: float = 0.0) -> Checkup:
        """What the rules say, so many seconds from now."""
        p = self.pipeline
        return examine(self.processors, p.source, p.store, p.settings, self.before(-later))

    def document(self) -> dict:
        """What `session-pipeline health --json` prints."""
        return json.loads(health_json(self.examine(), []))

    def checks(self, processor: str = "verification") -> Evaluations:
        """The evaluations of the processor's health job, by name."""
        defs = build_definitions(self.processors, self.pipeline.settings)
        with dg.DagsterInstance.ephemeral() as instance:
            job = defs.resolve_job_def(f"{processor}_health_job")
            result = job.execute_in_process(instance=instance)
        assert result.success
        return {found.check_name: found for found in result.get_asset_check_evaluations()}


def value(evaluation: dg.AssetCheckEvaluation, name: str) -> object:
    return evaluation.metadata[name].value


def statuses(evaluations: Evaluations) -> dict[str, object]:
    """Status by check of those that are not ok."""
    found = {name: value(evaluation, "status") for name, evaluation in evaluations.items()}
    return {name: status for name, status in found.items() if status != "ok"}


def passes(evaluation: dg.AssetCheckEvaluation) -> bool:
    """Whether it passed; whatever it says, it is never an error."""
    assert evaluation.severity is dg.AssetCheckSeverity.WARN
    return evaluation.passed
