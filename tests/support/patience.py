"""Programs of tests that are waited for: not for ever, for one that hangs would hang all tests."""

import os
import signal
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

PATIENCE = 400.0
"""Seconds until Dagster has its data in, on a machine that does much else."""


@contextmanager
def killed_after(seconds: float, process: "subprocess.Popen[str]") -> Generator[None]:
    """Whoever reads what the process says comes to its end, whether or not it has said it."""

    def end() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
