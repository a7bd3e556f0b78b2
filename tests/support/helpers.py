"""Shared by the tests: a tiny processor, session files on disk, and a pipeline over them."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from places import ROOT
from session_pipeline_dagster.contract.processor import Processor, ProcessorResult, Session
from session_pipeline_dagster.contract.report import Rendered, Report
from session_pipeline_dagster.passes.options import BatchReport, Options
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.states import Failure, FileState

EXAMPLES = ROOT / "examples" / "sessions"
OLD = datetime(2025, 3, 2, 12, tzinfo=UTC)
"""When session files were last written unless a test says otherwise: long ago, so not racy."""

Rows = list[tuple[object, ...]]


class EchoProcessor:
    """One row per line: (session_file, line, bytes of its texts). `hook` runs before each file."""

    cadence = timedelta(seconds=60)

    def __init__(
        self, hook: Callable[[Session], object] | None = None, name: str = "echo", version: int = 1
    ) -> None:
        self.name, self.version, self.hook = name, version, hook
        self.tables = {f"{name}_rows": "session_file VARCHAR, line BIGINT, text_bytes BIGINT"}
        self.calls: list[str] = []

    def process(self, session: Session) -> ProcessorResult:
        self.calls.append(session.key)
        if self.hook:
            self.hook(session)
        return ProcessorResult(
            {f"{self.name}_rows": echo_rows(session)}, len(session.transcript.records)
        )


def echo_rows(session: Session) -> Rows:
    """The rows that EchoProcessor makes of a session."""
    found = zip(session.transcript.numbers, session.transcript.records, strict=True)
    return [
        (session.key, number, sum(len(text.encode()) for text in record.texts()))
        for number, record in found
    ]


def echo_report(name: str = "echo_report", table: str = "echo_rows", **changes: object) -> Report:
    """A report of one page: how many rows the table has."""
    report = Report(
        name=name,
        deps=(table,),
        trigger=table,
        selects=lambda _: [f"SELECT count(*) FROM {table}"],
        render=lambda _, answers: Rendered(
            {f"{name}.html": str(answers[0]).encode()}, {"rows": answers[0][0][0]}
        ),
        files=(f"{name}.html",),
    )
    return replace(report, **changes)


def session_line(text: str, day: str = "2025-03-01") -> str:
    """One user line of a session file, with its newline."""
    line = {"type": "user", "timestamp": f"{day}T12:00:00.000Z", "sessionId": "s"}
    return json.dumps(line | {"message": {"role": "user", "content": text}}) + "\n"


def write_session(
    root: Path, key: str, *texts: str, day: str = "2025-03-01", mtime: datetime = OLD
) -> Path:
    """Write a session file with one user line per text."""
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(session_line(text, day) for text in texts), "utf-8")
    set_mtime(path, mtime)
    return path


def write_many(root: Path, count: int, lines: int = 2) -> list[Path]:
    """`alice/s00.jsonl` and so on, each a minute younger than the one before."""
    return [
        write_session(
            root,
            f"alice/s{index:02}.jsonl",
            *(f"line {line} of {index}" for line in range(lines)),
            mtime=OLD + timedelta(minutes=index),
        )
        for index in range(count)
    ]


def append(path: Path, *texts: str) -> None:
    """Add lines to a session file."""
    with path.open("a", encoding="utf-8") as handle:
        handle.write("".join(session_line(text) for text in texts))


def set_mtime(path: Path, mtime: datetime) -> None:
    """Set a file's mtime; its ctime becomes now, as with every change."""
    ns = int(mtime.timestamp()) * 10**9
    os.utime(path, ns=(ns, ns))


def expected_rows(root: Path) -> Rows:
    """What `echo_rows` must hold for the tree as it is, by a reader of its own."""
    return sorted(
        (path.relative_to(root).as_posix(), number, len(json.loads(line)["message"]["content"]))
        for path in root.glob("*/**/*.jsonl")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
    )


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A root of session files, a database, and everything to run a processor over them."""

    root: Path
    settings: Settings

    @property
    def source(self) -> LocalSource:
        return LocalSource(self.settings.roots, limits=self.settings.limits)

    @property
    def store(self) -> Store:
        return open_store(self.settings)

    def having(self, **changes: object) -> "Pipeline":
        """The same files and database with other settings."""
        return Pipeline(self.root, replace(self.settings, **changes))

    def run(self, processor: Processor, **options: object) -> BatchReport:
        return run_batch(processor, self.source, self.store, self.settings, Options(**options))

    def rows(self, table: str = "echo_rows") -> Rows:
        return self.select(f"SELECT * FROM {table} ORDER BY ALL")

    def select(self, sql: str) -> Rows:
        return self.store.query(sql)[0][1]

    def states(self, processor: Processor) -> dict[str, FileState]:
        return dict(self.store.known(processor).states)

    def failures(self, processor: Processor) -> dict[str, Failure]:
        return dict(self.store.known(processor).failures)

    def let_back_off_pass(self) -> None:
        """As if every failed file's next attempt had come."""
        with self.store.transaction() as connection:
            connection.execute(
                "UPDATE session_processor_failures SET next_attempt_at = last_failed_at"
            )


def make_pipeline(
    folder: Path, place: Callable[[Path, Settings], Settings] | None = None
) -> Pipeline:
    """A pipeline over an empty root.

    Args:
        place: gives the settings their database (default: a DuckDB file in the folder).
    """
    root = folder / "sessions"
    root.mkdir()
    settings = Settings(
        roots=(Root(root),),
        database=folder / "test.duckdb",
        create_database_folder=False,
        lock_timeout=timedelta(seconds=20),
        workers=1,
    )
    return Pipeline(root, place(folder, settings) if place else settings)


def numbers(report: BatchReport) -> Sequence[int]:
    """scanned, processed, skipped, capped, errors of a report."""
    return (report.scanned, report.processed, report.skipped, report.capped, report.errors)


def peak_mb() -> int:
    """This process's largest memory in MB. ru_maxrss would begin with the parent's."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) >> 10


def run_tests_in_zone(zone: str, *arguments: str | Path) -> str:
    """What pytest says of these tests where that zone is the machine's; they pass.

    In a process of its own, for DuckDB reads TZ only once.
    """
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        env={**os.environ, "TZ": zone},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout
    return found.stdout
