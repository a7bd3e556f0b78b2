"""What `make dev` and `session-pipeline dev` show of Dagster: ready, data is in, and warnings.

All that Dagster says is in dev.log. However this ends (Ctrl-C, TERM, KILL, a closed terminal),
every process of Dagster ends too.
"""

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.orchestration.pages import ReportServer
from session_pipeline_dagster.settings import read_settings

LOG = Path("var/dev.log")
_PATIENCE = 15.0
_BESIDE = 1000
"""How far the reports' port is from Dagster's: links that were made before go on working."""
_GUARD = "cat > /dev/null; kill -TERM -$0 2>/dev/null && sleep 3; kill -KILL -$0 2>/dev/null"
"""Waits until this program is gone, however, and then ends what is left of a group."""
_SHOWN_AT_DEATH = 25
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_SAID = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+ - (?P<who>\S+) - (?P<level>[A-Z]+) - (.*)")
_OF_DAGSTER_ITSELF = re.compile(r"(Supersession|Beta|Preview|Deprecation)Warning")
_READY = re.compile(r"Serving dagster-webserver on (http://\S+)")
# The run of a report is of no job of its processor, so its end would never be seen.
_LAUNCHED = re.compile(r"Launching run for (\w+)(?<!_report)_sensor")
_DONE = re.compile(r'RUN_(SUCCESS|FAILURE) - .* (?:of run for )?"(\w+)_job"')
_COUNTED = re.compile(r"- (\w+): (\d+ files processed, .* failed)")
_LEFT_OUT = re.compile(r"plugin .+ is left out: ")
_FOLLOWS = re.compile(r"Dependencies for step \S+ (failed|were not executed): ")
"""What a failed step brings with it: one line of each step after it, and of no use to anybody."""
_REPORTED = re.compile(r" - usage_report - STEP_SUCCESS - ")


class Screen:
    """What of the log is for the person in front of it; a line at a time."""

    def __init__(self, show: Callable[[str], None], log: Path = LOG, reports: str = "") -> None:
        """`reports`: where they are served, if they are."""
        self._show, self._log, self._reports = show, log, reports
        self._running: set[str] = set()
        self._counts: dict[str, str] = {}
        self._address = ""
        self._told = False

    def take(self, line: str) -> None:
        """Show the line, or what it means, or nothing."""
        said = _SAID.match(line)
        level = said["level"] if said else ""
        if found := _READY.search(line):
            self._address = found[1]
            self._show(f"Ready: {found[1]}   (Ctrl-C ends it; all that Dagster says: {self._log})")
        elif found := _LAUNCHED.search(line):
            self._running.add(found[1])
        elif found := _COUNTED.search(line):
            self._counts[found[1]] = found[2]
        elif found := _DONE.search(line):
            self._running.discard(found[2])
            self._tell()
        elif self._reports and _REPORTED.search(line):
            self._show(f"The report: {self._reports}/usage.html")
            self._reports = ""
        elif _FOLLOWS.search(line):
            return
        elif level in ("WARNING", "ERROR", "CRITICAL") and not _OF_DAGSTER_ITSELF.search(line):
            self._show(f"{level.lower()}: {line.split(f' - {level} - ', 1)[1]}")
        elif not said and _LEFT_OUT.search(line):
            self._show(f"warning: {line.strip()}")

    def _tell(self) -> None:
        if self._running or self._told or not self._counts:
            return
        self._told = True
        counts = "; ".join(f"{name}: {count}" for name, count in self._counts.items())
        self._show(f"Data is in: {self._address}/assets   ({counts})")


def shown(text: str) -> None:
    """A line for the person, if somebody reads."""
    with suppress(OSError):
        sys.stdout.write(printable(text) + "\n")
        sys.stdout.flush()


def follow(lines: Iterable[str], screen: Screen, path: Path) -> list[str]:
    """Write all of it to the log and what matters to the screen; the last lines."""
    last: list[str] = []
    with path.open("w", encoding="utf-8", errors="backslashreplace") as log:
        for raw in lines:
            line = _COLOR.sub("", raw.rstrip("\n"))
            log.write(line + "\n")
            log.flush()
            last = [*last, line][-_SHOWN_AT_DEATH:]
            screen.take(line)
    return last


def main(port: str, home: Path | None = None) -> int:
    """Run Dagster until it ends or is to end; the exit code.

    Args:
        home: Dagster's folder of whoever has no clone, which the environment names too.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    asked = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        asked.set()

    # Set before it starts: what a script has started in the background would ignore Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    log = home / "dev.log" if home else LOG
    told = serve_reports(int(port))
    screen = Screen(shown, log, told[-1].partition("=")[2] if told else "")
    dagster = subprocess.Popen(  # noqa: S603  our own program, no shell
        [*told, *_dagster(port, home)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # A group of its own, so that all of it can be ended, and Ctrl-C comes once.
        start_new_session=True,
    )
    guard = subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", _GUARD, str(dagster.pid)], stdin=subprocess.PIPE, start_new_session=True
    )
    last: list[str] = []
    reader = threading.Thread(
        target=lambda: last.extend(follow(dagster.stdout or (), screen, log)),
        daemon=True,
    )
    reader.start()
    while dagster.poll() is None and not asked.wait(0.2):
        pass
    wanted = asked.is_set()
    if wanted:
        shown("Ending Dagster ...")
    end_all(dagster)
    guard.kill()
    reader.join(2)
    if not wanted:
        shown(f"Dagster has ended by itself (exit {dagster.returncode}). Its last words:")
        for line in last:
            shown(f"  {line}")
    return 0 if wanted else dagster.returncode or 1


def serve_reports(port: int) -> list[str]:
    """Serve this machine's reports beside Dagster, unless somebody else does.

    Returns:
        what makes a command know the address: an `env` in front of it, or nothing.
    """
    try:
        settings = read_settings()
    except SettingsError:
        # The location says so itself, where it is looked for.
        return []
    if settings.report_url is not None:
        return []
    beside = port + _BESIDE if port + _BESIDE < 2**16 else port - _BESIDE
    try:
        server = ReportServer(settings.reports, beside)
    except OSError as error:
        shown(f"The report has no link in Dagster: port {beside} cannot be had ({error.strerror}).")
        return []
    server.start()
    return ["env", f"SESSION_PIPELINE_REPORT_URL={server.address}"]


def _dagster(port: str, home: Path | None) -> list[str]:
    of_clone = ["-w", "workspace.yaml"]
    location = ["-m", "session_pipeline_dagster.definitions"] if home else of_clone
    program = str(Path(sys.executable).with_name("dagster"))
    return [program, "dev", *location, "-h", "127.0.0.1", "-p", port]


def end_all(dagster: subprocess.Popen[str]) -> None:
    """Ask, then insist: Dagster, its daemon, servers and runs."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        give_up = time.monotonic() + _PATIENCE
        if not _signal(dagster.pid, number):
            return
        while time.monotonic() < give_up:
            dagster.poll()
            if not _signal(dagster.pid, 0):
                return
            time.sleep(0.1)


def _signal(group: int, number: int) -> bool:
    """Whether anyone of the group is there to hear it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(Path, sys.argv[2:])))
