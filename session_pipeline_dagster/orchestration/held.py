"""One Dagster instance for all ticks of a process: opening its own is most of what a tick costs."""

from dataclasses import dataclass, field
from threading import Lock

import dagster as dg
from dagster._core.instance.ref import InstanceRef


@dataclass(slots=True)
class HeldInstance:
    """Opens the instance of the first tick and hands it to the next ones, from any thread.

    Dagster's own services share theirs between threads in the same way. It ends with the process.
    """

    _ref: InstanceRef | None = None
    _instance: dg.DagsterInstance | None = None
    _lock: Lock = field(default_factory=Lock)

    def of(self, context: dg.SensorEvaluationContext) -> dg.DagsterInstance:
        """The instance of a tick."""
        ref = context.instance_ref
        if ref is None:
            return context.instance
        with self._lock:
            if self._instance is None or self._ref != ref:
                self._ref, self._instance = ref, dg.DagsterInstance.from_ref(ref)
            return self._instance
