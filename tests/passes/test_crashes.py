"""Files that kill the process: found, tried a few times alone, given up; nobody else pays."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from helpers import (
    EchoProcessor,
    Pipeline,
    append,
    expected_rows,
    make_pipeline,
    numbers,
    write_many,
)
from places import SUPPORT
from session_pipeline_dagster.contract.processor import Processor, ProcessorResult, Session
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.errors import PipelineError, StoreUnusable
from session_pipeline_dagster.passes import pool
from session_pipeline_dagster.passes.breadcrumbs import Crumb, Trail, blame, trail
from session_pipeline_dagster.sources.files import Signature

POISON = "alice/s07.jsonl"
FILES = 20
DEATHS = {
    "os._exit": lambda: os._exit(139),
    "segmentation fault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "killed for its memory": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


class Deadly(EchoProcessor):
    """Kills its process at the files of `poison`; unlike EchoProcessor with a hook, it travels."""

    def __init__(self, poison: Sequence[str] = (POISON,), death: str = "os._exit") -> None:
        super().__init__()
        self.poison, self.death = poison, death

    def process(self, session: Session) -> ProcessorResult:
        if session.key in self.poison:
            DEATHS[self.death]()
        return super().process(session)


class Homebound(Deadly):
    """The same, but it cannot be sent to another process."""

    def __init__(self, poison: Sequence[str] = (POISON,), death: str = "os._exit") -> None:
        super().__init__(poison, death)
        self.unsendable = lambda: None


RUN = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1].split(":")
import test_crashes
from helpers import Pipeline
from session_pipeline_dagster.settings import Root, Settings

root, database, kind, death = Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], sys.argv[5]
pipeline = Pipeline(root, Settings(roots=(Root(root),), database=database, workers=1))
report = pipeline.run(getattr(test_crashes, kind)(death=death))
print(report.processed, report.errors)
"""


def run_apart(pipeline: Pipeline, kind: str = "Deadly", death: str = "os._exit") -> str:
    """A pass in a process of its own; what it said, or how it ended."""
    arguments = [
        f"{SUPPORT}:{Path(__file__).parent}",
        pipeline.root,
        pipeline.settings.database,
        kind,
        death,
    ]
    found = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in found.stderr, found.stderr
    return found.stdout.strip() or str(found.returncode)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, FILES)
    return pipeline


def others(pipeline: Pipeline) -> list[tuple[object, ...]]:
    return [row for row in expected_rows(pipeline.root) if row[0] != POISON]


def crumbs(pipeline: Pipeline) -> list[str]:
    return [p.name for p in pipeline.settings.database.parent.glob("*.working")]


def crumbs_read(pipeline: Pipeline) -> list[Crumb]:
    """What is in work or was left, without taking it away."""
    found = pipeline.settings.database.parent.glob("*.working")
    lines = [path.read_bytes().splitlines()[0] for path in found]
    return [msgspec.json.decode(line, type=Crumb) for line in lines if line.strip()]


def steps(pipeline: Pipeline) -> Trail:
    return trail(pipeline.store, "echo", 1)


@pytest.mark.slow
@pytest.mark.parametrize("death", DEATHS)
def test_a_file_that_kills_the_process_gets_the_attempt_and_its_batch_mates_none(
    pipeline: Pipeline, death: str
) -> None:
    assert run_apart(pipeline, death=death) in ("139", "-11", "-9")
    assert pipeline.states(EchoProcessor()) == {}
    # The next pass does all others first, and the file alone, in a process of its own.
    assert run_apart(pipeline, death=death) == f"{FILES - 1} 1"
    assert pipeline.rows() == others(pipeline)
    failures = pipeline.failures(EchoProcessor())
    assert list(failures) == [POISON]
    failure = failures[POISON]
    assert (failure.attempts, failure.error_class) == (2, "ProcessDied")
    assert failure.next_attempt_at > datetime.now(UTC)
    assert crumbs(pipeline) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Deadly", "Homebound"])
def test_five_deaths_are_the_last_and_new_content_is_tried_again(
    pipeline: Pipeline, kind: str
) -> None:
    deaths = 0
    for _ in range(10):
        deaths += run_apart(pipeline, kind) == "139"
        pipeline.let_back_off_pass()
    assert deaths == (1 if kind == "Deadly" else 5)
    echo = EchoProcessor()
    assert pipeline.run(echo).quarantined == 1
    failure = pipeline.failures(echo)[POISON]
    assert (failure.attempts, failure.quarantined_at is not None) == (5, True)
    assert pipeline.rows() == others(pipeline)
    assert run_apart(pipeline, kind) == "0 0"
    append(pipeline.root / POISON, "mended")
    assert numbers(pipeline.run(echo)) == (1, 1, 0, 0, 0)
    assert pipeline.rows() == expected_rows(pipeline.root)


@pytest.mark.slow
def test_a_file_that_kills_workers_costs_itself_only_in_the_same_pass(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "CHUNK_BYTES", 500)
    poison = (POISON, "alice/s00.jsonl", "alice/s19.jsonl", "alice/s08.jsonl")
    deadly = Deadly(poison)
    report = pipeline.having(workers=2).run(deadly)
    assert numbers(report) == (FILES, FILES - 4, 0, 0, 4)
    failures = pipeline.failures(deadly)
    assert {key: failure.attempts for key, failure in failures.items()} == dict.fromkeys(poison, 1)
    assert pipeline.rows() == [r for r in expected_rows(pipeline.root) if r[0] not in poison]
    assert crumbs(pipeline) == []
    assert pipeline.having(workers=2).run(deadly).backing_off == 4


class Threaded(Deadly):
    """Several files at once; the poison kills the process while others are in work."""

    threads = 3

    def process(self, session: Session) -> ProcessorResult:
        time.sleep(0.03 if session.key in self.poison else 0.1)
        return super().process(session)


class HomeboundThreaded(Threaded, Homebound):
    """The same, as with a model's client: it cannot be sent to another process."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Threaded", "HomeboundThreaded"])
def test_a_file_that_kills_the_process_of_threads_is_found_and_costs_itself_only(
    pipeline: Pipeline, kind: str
) -> None:
    assert run_apart(pipeline, kind) == "139"
    in_work = {c.session_file for c in crumbs_read(pipeline)}
    assert POISON in in_work
    assert 1 < len(in_work) <= Threaded.threads
    # All that were in work are suspects; each is tried alone, and only the culprit dies again.
    said = [run_apart(pipeline, kind)]
    assert said == ["139" if kind == "HomeboundThreaded" else f"{FILES - 1} 1"]
    assert len(pipeline.states(EchoProcessor())) >= FILES - len(in_work)
    said.append(run_apart(pipeline, kind))
    assert pipeline.rows() == others(pipeline)
    assert list(pipeline.failures(EchoProcessor())) == [POISON]
    for _ in range(8):
        pipeline.let_back_off_pass()
        said.append(run_apart(pipeline, kind))
    assert said.count("139") == (4 if kind == "HomeboundThreaded" else 0)
    assert pipeline.failures(EchoProcessor())[POISON].quarantined_at
    assert pipeline.rows() == others(pipeline)
    assert crumbs(pipeline) == []


class StillBorn(Deadly):
    """Its workers die while they unpack it."""

    def __setstate__(self, state: dict[str, object]) -> None:
        os._exit(1)


@pytest.mark.slow
def test_workers_that_die_before_they_begin_a_file_are_an_error_and_blame_nobody(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "CHUNK_BYTES", 500)
    with pytest.raises(PipelineError, match="SESSION_PIPELINE_WORKERS=1"):
        pipeline.having(workers=2).run(StillBorn())
    assert pipeline.failures(EchoProcessor()) == {}


class Slow(Deadly):
    """Says who works, and takes its time."""

    def process(self, session: Session) -> ProcessorResult:
        os.write(2, b"%d\n" % os.getpid())
        time.sleep(0.2)
        return super().process(session)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


KILLED = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1].split(":")
import test_crashes
from helpers import Pipeline
from session_pipeline_dagster.passes import pool
from session_pipeline_dagster.settings import Root, Settings

pool.CHUNK_BYTES = 500
root, database = Path(sys.argv[2]), Path(sys.argv[3])
settings = Settings(roots=(Root(root),), database=database, workers=2, batch_bytes=500)
Pipeline(root, settings).run(test_crashes.Slow(()))
"""


@pytest.mark.slow
def test_a_run_that_is_killed_takes_its_workers_with_it_and_blames_no_file(
    pipeline: Pipeline,
) -> None:
    arguments = [f"{SUPPORT}:{Path(__file__).parent}", pipeline.root, pipeline.settings.database]
    command = [sys.executable, "-c", KILLED, *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        workers = {int(run.stderr.readline()) for _ in range(6)} - {run.pid}
        run.kill()
    assert workers
    give_up = time.monotonic() + 20
    while any(map(is_alive, workers)) and time.monotonic() < give_up:
        time.sleep(0.1)
    assert not any(map(is_alive, workers))
    echo = EchoProcessor()
    pipeline.run(echo)
    assert pipeline.failures(echo) == {}
    assert pipeline.rows() == expected_rows(pipeline.root)
    assert crumbs(pipeline) == []


def test_a_living_process_is_not_blamed_and_a_finished_one_leaves_nothing(
    pipeline: Pipeline,
) -> None:
    files = pipeline.source.scan().files
    with steps(pipeline).walk() as crumb:
        crumb.name(files[3])
        with steps(pipeline).left_behind() as found:
            assert found == []
    assert crumbs(pipeline) == []


def left(pipeline: Pipeline, content: bytes) -> Path:
    """What a dead process leaves."""
    path = pipeline.settings.database.with_name("test.duckdb.echo.x1.working")
    path.write_bytes(content)
    return path


def test_what_was_left_behind_is_seen_once_and_kept_until_it_is_dealt_with(
    pipeline: Pipeline,
) -> None:
    with steps(pipeline).walk() as crumb:
        for file in (*pipeline.source.scan().files[:2], pipeline.source.scan().files[4]):
            crumb.name(file)
        (path,) = pipeline.settings.database.parent.glob("*.working")
        content = path.read_bytes()
    left(pipeline, content)
    with steps(pipeline).left_behind() as found, steps(pipeline).left_behind() as again:
        assert [c.session_file for c in found] == ["alice/s04.jsonl"]
        assert again == []
    left(pipeline, content)
    with pytest.raises(KeyError), steps(pipeline).left_behind() as found:
        raise KeyError
    with steps(pipeline).left_behind() as found:
        assert len(found) == 1
    assert crumbs(pipeline) == []


@pytest.mark.parametrize("content", [b"", b"\n", b"\n\n{", b"\0\0", b"{", b'{"session_file":1}\n'])
def test_a_breadcrumb_that_names_no_file_blames_nobody(pipeline: Pipeline, content: bytes) -> None:
    """A machine that loses power may leave anything."""
    left(pipeline, content)
    echo = EchoProcessor()
    assert numbers(pipeline.run(echo)) == (FILES, FILES, 0, 0, 0)
    assert crumbs(pipeline) == []


def test_a_name_with_odd_characters_leaves_a_breadcrumb_too(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    folder = pipeline.root / "a'l\"i\nce"
    folder.mkdir()
    (folder / os.fsdecode(b"-\xff%.jsonl")).write_bytes(b"")
    (file,) = pipeline.source.scan().files
    with steps(pipeline).walk() as crumb:
        crumb.name(file)
        (path,) = tmp_path.glob("*.working")
        left(pipeline, path.read_bytes())
    with steps(pipeline).left_behind() as found:
        assert [c.session_file for c in found] == [file.key]


def test_the_breadcrumb_of_a_living_runs_worker_is_left_to_that_run(pipeline: Pipeline) -> None:
    """Of two runs at once, one must not take what the other needs to find its culprit."""
    folder, content = pipeline.settings.database.parent, b""
    with steps(pipeline).walk(worker=True) as crumb:
        crumb.name(pipeline.source.scan().files[0])
        (path,) = folder.glob("*.working")
        content = path.read_bytes()
    for run in (os.getppid(), os.getpid(), 2**22 + 1):
        (folder / f"test.duckdb.echo.of{run}-x.working").write_bytes(content)
    with steps(pipeline).left_behind() as found:
        assert len(found) == 1, "of the run that is gone"
    with steps(pipeline).left_behind(by_own_workers=True) as found:
        assert len(found) == 1
    assert crumbs(pipeline) == [f"test.duckdb.echo.of{os.getppid()}-x.working"]


def test_a_death_before_an_upgrade_is_counted_after_it(pipeline: Pipeline) -> None:
    """The new version's roll-ups are not there yet when the old version's death is written down."""
    pipeline.run(EchoProcessor())
    append(pipeline.root / POISON, "more")
    with steps(pipeline).walk() as crumb:
        (file,) = [f for f in pipeline.source.scan().files if f.key == POISON]
        crumb.name(file)
        (path,) = pipeline.settings.database.parent.glob("*.working")
        left(pipeline, path.read_bytes())
    upgraded = EchoProcessor()
    upgraded.rollups = [
        Rollup(
            "echo_sizes",
            "session_file VARCHAR, bytes BIGINT",
            "session_file",
            "SELECT session_file FROM echo_rows WHERE session_file IN (FROM batch) "
            "UNION SELECT session_file FROM echo_sizes WHERE session_file IN (FROM batch)",
            "SELECT session_file, sum(text_bytes) FROM echo_rows "
            "WHERE session_file IN (FROM parts) GROUP BY 1",
        )
    ]
    assert numbers(pipeline.run(upgraded)) == (1, 1, 0, 0, 0)
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_a_file_about_which_more_is_known_since_is_not_blamed(pipeline: Pipeline) -> None:
    echo, now = EchoProcessor(), datetime.now(UTC)
    pipeline.run(echo)
    state = pipeline.states(echo)[POISON]
    before = Crumb(POISON, Signature(1, 2, 3), 1, now.timestamp() - 60)
    after = Crumb(POISON, Signature(1, 2, 3), 1, now.timestamp() + 60)
    assert blame(before, state, None, now) is None
    failure = blame(after, state, None, now)
    assert failure is not None
    assert (failure.attempts, failure.next_attempt_at) == (1, now)
    # A crash between the attempt's commit and the breadcrumb's removal counts once.
    assert blame(before, None, failure, now) is None
    second = blame(after, None, failure, now)
    assert second is not None
    assert (second.attempts, second.next_attempt_at) == (2, now + timedelta(minutes=2))


def test_a_file_that_was_blamed_for_nothing_is_cleared_by_its_next_look(
    pipeline: Pipeline,
) -> None:
    """Its process died while it looked whether anything had changed."""
    echo = EchoProcessor()
    pipeline.run(echo)
    (file,) = [f for f in pipeline.source.scan().files if f.key == POISON]
    with steps(pipeline).walk() as crumb:
        crumb.name(file)
        (path,) = pipeline.settings.database.parent.glob("*.working")
        left(pipeline, path.read_bytes())
    report = pipeline.run(echo)
    assert (report.skipped, report.processed) == (1, 0)
    assert pipeline.failures(echo) == {}


def test_a_folder_that_takes_no_file_stops_the_pass_in_words(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    missing = trail(pipeline.having(database=tmp_path / "nowhere" / "x.duckdb").store, "echo", 1)
    with pytest.raises(StoreUnusable, match="takes no further file"), missing.walk():
        pass


def test_processors_do_not_see_each_others_breadcrumbs(pipeline: Pipeline) -> None:
    file = pipeline.source.scan().files[0]
    with steps(pipeline).walk() as crumb:
        crumb.name(file)
        (path,) = pipeline.settings.database.parent.glob("*.working")
        left(pipeline, path.read_bytes())
    other: Processor = EchoProcessor(name="other")
    pipeline.run(other)
    assert pipeline.failures(other) == {}
    assert crumbs(pipeline) == ["test.duckdb.echo.x1.working"]
