"""One command as a process of its own: wall, CPU, peak memory, and what it answered."""

import json
import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pass:
    """One process: wall and CPU in seconds (children included), peak memory of one process in MB.

    `longest_commit` is how long it held the database at most, in seconds; 0 where it has none.
    """

    name: str
    wall: float
    cpu: float
    peak_mb: float
    megabytes: float
    longest_commit: float = 0.0


def measure(
    name: str,
    command: Sequence[str],
    answer: Path,
    megabytes: float,
    environment: Mapping[str, str] | None = None,
) -> Pass:
    """Run a command to its end; its standard output goes to `answer`.

    Args:
        megabytes: what the command has to look at.
    """
    env = {**os.environ, **(environment or {})}
    # Users' installations have their bytecode; without it every start compiles our modules.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.monotonic()
    with answer.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, env=env)
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    if status:
        raise SystemExit(f"{name} failed: {command}")
    cpu = usage.ru_utime + usage.ru_stime
    return Pass(name, wall, cpu, usage.ru_maxrss / 1024, megabytes, _longest_commit(answer))


def _longest_commit(answer: Path) -> float:
    text = answer.read_text()
    if '"commit_seconds"' not in text:
        return 0.0
    reports = json.loads(text)["processors"].values()
    return max((max(report["commit_seconds"], default=0.0) for report in reports), default=0.0)


def peak_mb() -> int:
    """This process's largest memory in MB. ru_maxrss would begin with the parent's."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) >> 10
