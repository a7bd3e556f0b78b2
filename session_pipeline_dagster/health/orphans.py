"""Which runs have lost their worker: a pure decision from what a run says and which processes live.

Looking at processes and failing runs is `orchestration/janitor.py`.
"""

from dataclasses import dataclass

_CLOCK_GRAIN = 10.0
"""Seconds that the clock of a run and that of the processes may differ."""


@dataclass(frozen=True, slots=True)
class Worker:
    """The process that began a run, as the run's log has it; seconds since the epoch."""

    pid: int
    began: float


def is_gone(worker: Worker, alive_since: float | None) -> bool:
    """Whether the worker's process has ended.

    Args:
        alive_since: when the process that has its id now began; None where there is none. One that
            began after the run did is another process that got the same id.
    """
    return alive_since is None or alive_since > worker.began + _CLOCK_GRAIN
