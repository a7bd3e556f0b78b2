"""What `session-pipeline health` prints for people: the headline, then a line for every finding."""

from collections.abc import Sequence
from itertools import chain

from rich.console import Console
from rich.text import Text

from session_pipeline_dagster.cli.tables import new_console
from session_pipeline_dagster.health.checkup import Checkup
from session_pipeline_dagster.health.findings import Finding, Status, headline, worst
from session_pipeline_dagster.names import printable

_STYLES = {
    Status.OK: "green",
    Status.INFO: "cyan",
    Status.UNKNOWN: "yellow",
    Status.WARNING: "red",
}


def print_health(found: Checkup, general: Sequence[Finding]) -> None:
    """The headline, then a line for every finding."""
    console = new_console()
    everything = [*chain.from_iterable(found.findings.values()), *general]
    console.print(headline([finding.status for finding in everything]))
    for name, findings in found.findings.items():
        causes = {finding.detail for finding in findings}
        if len(causes) == 1 and worst([f.status for f in findings]) is Status.UNKNOWN:
            _say(console, Status.UNKNOWN, name, findings[0].detail)
            continue
        for finding in findings:
            _say(console, finding.status, f"{name}/{finding.check}", finding.detail)
            if finding.reason:
                reason = printable(f"         reason: {finding.reason}")
                console.print(reason, soft_wrap=True)
    for finding in general:
        _say(console, finding.status, finding.check, finding.detail)


def _say(console: Console, status: Status, what: str, detail: str) -> None:
    text = Text.assemble((f"{status:<8}", _STYLES[status]), printable(f" {what}: {detail}"))
    console.print(text, soft_wrap=True)
