"""Sending alerts through apprise: one URL, one sink. A sink that fails keeps its queue.

The only module that imports apprise. URLs hold tokens, so they are neither logged nor kept: a sink
is known by its place in the setting and by a digest.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from session_pipeline_dagster.health.alerts import Alert
from session_pipeline_dagster.health.findings import Status

_TIME = 20.0
"""Seconds after which a tick sends no further alert; the next one goes on."""

# Names of apprise's notification types.
_TYPES = {Status.INFO: "info", Status.UNKNOWN: "warning", Status.WARNING: "warning"}


@dataclass(frozen=True, slots=True)
class Sink:
    """Where alerts go.

    Attributes:
        key: names it in the memory; tells nothing of the URL.
        label: names it for people.
    """

    key: str
    label: str
    url: str = field(repr=False)

    def send(self, alert: Alert) -> bool:
        """Whether the alert was taken."""
        import apprise  # noqa: PLC0415  0.15 s that only who sends pays

        target = apprise.Apprise()
        if not target.add(self.url):
            return False
        kind = "success" if alert.resolved else _TYPES.get(alert.now, "info")
        return bool(
            target.notify(
                title=alert.title,
                body=alert.text,
                notify_type=apprise.NotifyType(kind),
                body_format=apprise.NotifyFormat.TEXT,
            )
        )


def sinks(urls: Sequence[str]) -> list[Sink]:
    """The sinks of the setting."""
    return [
        Sink(
            hashlib.sha256(url.encode()).hexdigest()[:16],
            f"number {place} ({url.partition(':')[0]})",
            url,
        )
        for place, url in enumerate(urls, start=1)
    ]


def deliver(
    targets: Sequence[Sink], queues: Mapping[str, Sequence[Alert]]
) -> dict[str, list[Alert]]:
    """Send each sink its queue, in order and side by side; what was not taken is left."""
    busy = [sink for sink in targets if queues.get(sink.key)]
    if not busy:
        return {}
    stop = time.monotonic() + _TIME
    with ThreadPoolExecutor(len(busy)) as pool:
        left = pool.map(lambda sink: _send_all(sink, queues[sink.key], stop), busy)
        return {sink.key: rest for sink, rest in zip(busy, left, strict=True) if rest}


def _send_all(sink: Sink, queue: Sequence[Alert], stop: float) -> list[Alert]:
    for sent, alert in enumerate(queue):
        # What comes later must not overtake what failed.
        if time.monotonic() > stop or not sink.send(alert):
            return list(queue[sent:])
    return []
