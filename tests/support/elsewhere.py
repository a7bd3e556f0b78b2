"""A run launcher whose workers are on other machines, and of which it hears nothing: like Celery's,
it says of every run that it works until the run says otherwise."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from dagster._config import Field
from dagster._core.launcher import LaunchRunContext, RunLauncher
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData, serialize_value


class Elsewhere(RunLauncher, ConfigurableClass):
    """Starts each run as a machine: a process group with a work folder of its own.

    `folder/RUN_ID` holds its process group's id. Its temporary files are those of nobody else.
    """

    def __init__(self, folder: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__()
        self.folder, self._inst_data = Path(folder), inst_data

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        return {"folder": Field(str)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> "Elsewhere":
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        run, origin = context.dagster_run, context.job_code_origin
        assert origin
        told = ExecuteRunArgs(origin, run.run_id, self._instance.get_ref())
        work = tempfile.mkdtemp(prefix="machine-", dir=self.folder)
        with (self.folder / "machines.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dagster", "api", "execute_run", serialize_value(told)],
                env={**os.environ, "SESSION_PIPELINE_WORK_DIR": work},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        (self.folder / run.run_id).write_text(str(process.pid))

    def terminate(self, run_id: str) -> bool:
        return False

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: object) -> CheckRunHealthResult:
        return CheckRunHealthResult(WorkerStatus.RUNNING)
