"""A worker on a machine of its own: one pass over a lake, by a processor that may kill the machine.

    lost_worker.py CATALOG FOLDER WORK SHARD WORKERS

FOLDER has `sessions/` and the lake's `data/`; WORK is the machine's own, and goes with it. A file
with `poison` in its name kills the process group, at once or after the seconds that its name ends
with; one with `slow` takes ten minutes.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from helpers import EchoProcessor
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.passes.breadcrumbs import leased
from session_pipeline_dagster.passes.options import BatchReport, Options
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.passes.shards import parse
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import open_store

SUPPORT = Path(__file__).parent


class Killer(EchoProcessor):
    """Echo; of a poisoned file its machine dies."""

    def process(self, session: Session) -> ProcessorResult:
        name = session.key.rpartition("/")[2].removesuffix(".jsonl")
        if "poison" in name:
            time.sleep(float(name.rpartition("-")[2] or 0))
            os.killpg(0, signal.SIGKILL)
        if "slow" in name:
            # What a processor prints goes where errors go.
            sys.stdout.write("slow\n")
            sys.stdout.flush()
            time.sleep(600)
        return super().process(session)


def settings(catalog: str, folder: Path, work: Path, workers: int = 1) -> Settings:
    return Settings(
        roots=(Root(folder / "sessions"),),
        database=Lake(catalog),
        lake_data=f"{folder}/data/",
        work_dir=work,
        workers=workers,
    )


def one_pass(
    catalog: str, folder: Path, work: Path, shard: str = "", workers: int = 1
) -> BatchReport:
    given = settings(catalog, folder, work, workers)
    options = Options(shard=parse(shard) if shard else None)
    with leased(open_store(given), shard=shard) as store:
        return run_batch(Killer(), LocalSource(given.roots), store, given, options)


class Machine:
    """A process group with files of its own; both go together."""

    def __init__(self, catalog: str, folder: Path, shard: str = "", workers: int = 1) -> None:
        self.work = Path(tempfile.mkdtemp(prefix="machine-"))
        self.process = subprocess.Popen(
            [sys.executable, __file__, catalog, folder, self.work, shard, str(workers)],
            env={**os.environ, "PYTHONPATH": str(SUPPORT)},
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def at_work(self) -> None:
        """Wait until it is at work on a slow file."""
        assert self.process.stderr
        assert any(b"slow" in line for line in self.process.stderr)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.gone()

    def gone(self) -> int:
        """Wait until it is, whatever for; its exit code."""
        self.process.communicate(timeout=120)
        shutil.rmtree(self.work)
        return self.process.returncode


if __name__ == "__main__":
    made = one_pass(
        sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], int(sys.argv[5])
    )
    sys.exit(bool(made.errors))
