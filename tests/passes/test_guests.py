"""Strangers' code: whatever it raises is one thing that failed, and stdout is not its own."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from importlib.metadata import EntryPoint
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.errors import DagsterExecutionInterruptedError

from helpers import (
    EchoProcessor,
    Pipeline,
    echo_report,
    expected_rows,
    make_pipeline,
    numbers,
    write_many,
)
from session_pipeline_dagster.contract.derivation import Changes, Derivation, DerivedTable
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.contract.quality import Quality
from session_pipeline_dagster.contract.registry import ENTRY_POINT_GROUP, load_processors
from session_pipeline_dagster.contract.report import Asked
from session_pipeline_dagster.errors import (
    ContractError,
    Deferred,
    Permanent,
    Retryable,
    failure_of,
    is_stop,
)
from session_pipeline_dagster.guests import aside
from session_pipeline_dagster.health.inspection import inspect
from session_pipeline_dagster.passes import pool
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.publish import publish
from session_pipeline_dagster.passes.runner import run_all, run_batch
from session_pipeline_dagster.transcripts.reader import Readers

BAD = "alice/s01.jsonl"
CANARY = "canary-77f0"


class PanicException(BaseException):
    """As pyo3 raises it where Rust code panics."""


class Unspeakable(BaseException):
    """Cannot even be said."""

    def __str__(self) -> str:
        raise PanicException

    __repr__ = __str__


RAISED = {
    "CancelledError": asyncio.CancelledError(CANARY),
    "GeneratorExit": GeneratorExit(CANARY),
    "a panic of Rust code": PanicException(CANARY),
    "SystemExit": SystemExit(CANARY),
    "BaseExceptionGroup": BaseExceptionGroup(CANARY, [GeneratorExit(), ValueError()]),
    "StopIteration": StopIteration(CANARY),
    "what cannot be said": Unspeakable(),
    "MemoryError": MemoryError(),
}
raised = pytest.mark.parametrize("name", RAISED)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 3)
    return pipeline


def others(pipeline: Pipeline) -> list[tuple[object, ...]]:
    return [row for row in expected_rows(pipeline.root) if row[0] != BAD]


def raising(name: str) -> Callable[..., object]:
    def fail(*_given: object) -> object:
        raise RAISED[name]

    return fail


class Failing(EchoProcessor):
    """Raises for the file BAD, here, in threads or in a worker process."""

    def __init__(self, what: str, threads: int = 0) -> None:
        super().__init__()
        self.what, self.threads = what, threads

    def process(self, session: Session) -> object:
        return raising(self.what)() if session.key == BAD else super().process(session)


@raised
@pytest.mark.parametrize("threads", [0, 2])
def test_whatever_a_processor_raises_is_a_failed_attempt_of_its_file(
    pipeline: Pipeline, name: str, threads: int
) -> None:
    report = pipeline.run(Failing(name, threads))
    assert numbers(report) == (3, 2, 0, 0, 1)
    assert pipeline.rows() == others(pipeline)
    failure = pipeline.failures(EchoProcessor())[BAD]
    assert (failure.attempts, failure.error_class) == (1, type(RAISED[name]).__name__)
    assert CANARY not in failure.error


@pytest.mark.slow
@raised
def test_whatever_a_processor_raises_in_a_worker_costs_its_file(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(pool, "CHUNK_BYTES", 100)
    report = pipeline.having(workers=2).run(Failing(name))
    assert numbers(report) == (3, 2, 0, 0, 1)
    assert pipeline.rows() == others(pipeline)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, DagsterExecutionInterruptedError])
def test_who_wants_all_of_it_to_end_is_heard(pipeline: Pipeline, stop: type[BaseException]) -> None:
    def end(session: Session) -> None:
        if session.key == BAD:
            raise stop

    assert is_stop(stop())
    with pytest.raises(stop):
        pipeline.run(EchoProcessor(end))
    assert pipeline.failures(EchoProcessor()) == {}


def compiled(name: str, file: str) -> Callable[[Session], object]:
    """Raises an exception of that name, from a file of that name."""
    spoken = type(name, (Exception,), {})
    code = compile("def fail(kind):\n    raise kind", file, "exec")
    made: dict[str, Callable[[type], object]] = {}
    exec(code, made)  # noqa: S102
    return lambda _session: made["fail"](spoken)


@pytest.mark.parametrize("name", ["X" * 100_000, "Odd"])
@pytest.mark.parametrize("file", ["a\udcff.py", "b" * 10_000, "c.py"])
def test_a_failure_is_written_down_whatever_its_names_are(
    pipeline: Pipeline, name: str, file: str
) -> None:
    def fail(session: Session) -> None:
        if session.key == BAD:
            compiled(name, file)(session)

    assert numbers(pipeline.run(EchoProcessor(fail))) == (3, 2, 0, 0, 1)
    failure = pipeline.failures(EchoProcessor())[BAD]
    assert failure.attempts == 1
    assert len(failure.error) + len(failure.error_class) < 3000


class Unwilling(EchoProcessor):
    """Raises when it is to be sent to a worker."""

    def __getstate__(self) -> object:
        raise PanicException


def test_a_processor_that_raises_when_it_is_to_travel_is_run_here(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "CHUNK_BYTES", 100)
    assert numbers(pipeline.having(workers=2).run(Unwilling())) == (3, 3, 0, 0, 0)


class OddReader:
    agent = "odd"

    def __init__(self, name: str, where: str) -> None:
        self.name, self.where = name, where

    def claims(self, key: str, _head: bytes) -> bool:
        if self.where == "claims" and key == BAD:
            raising(self.name)()
        return key == BAD

    def parse(self, _content: bytes) -> object:
        return raising(self.name)() if self.where == "parse" else "no transcript"


@raised
@pytest.mark.parametrize("where", ["claims", "parse"])
def test_whatever_a_reader_raises_costs_its_file(pipeline: Pipeline, name: str, where: str) -> None:
    source = pipeline.source
    odd = replace(source, readers=Readers((OddReader(name, where), *source.readers.readers)))
    report = run_batch(EchoProcessor(), odd, pipeline.store, pipeline.settings)
    assert numbers(report) == (3, 2, 0, 0, 1)


def test_what_a_reader_makes_that_is_no_transcript_costs_its_file(pipeline: Pipeline) -> None:
    source = pipeline.source
    odd = replace(source, readers=Readers((OddReader("", ""), *source.readers.readers)))
    report = run_batch(EchoProcessor(), odd, pipeline.store, pipeline.settings)
    assert numbers(report) == (3, 2, 0, 0, 1)


def test_a_source_that_cannot_hold_a_file_costs_that_file(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, read = pipeline.source, type(pipeline.source).read

    def too_large(self: object, file: object) -> object:
        if file.key == BAD:
            raise MemoryError
        return read(self, file)

    monkeypatch.setattr(type(source), "read", too_large)
    assert numbers(pipeline.run(EchoProcessor())) == (3, 2, 0, 0, 1)


def derived(compute: Callable[..., object]) -> EchoProcessor:
    echo = EchoProcessor()
    table = DerivedTable("n BIGINT", "n::VARCHAR")
    changed = "SELECT 'all' FROM batch LIMIT 1"
    echo.derivations = (Derivation("sums", {"sums": table}, {}, compute, changed),)
    return echo


COMPUTED = {
    "None": lambda _inputs: None,
    "rows too narrow": lambda _inputs: Changes(added={"sums": [(1,), ()]}),
    "rows that are none": lambda _inputs: Changes(added={"sums": [1]}),
    "rows of no list": lambda _inputs: Changes(added={"sums": 1}),
    "no mapping": lambda _inputs: Changes(added=[1]),
    "keys that are none": lambda _inputs: Changes(removed={"sums": [object()]}),
    "notes that are none": lambda _inputs: Changes(notes={"sums": [1.5, None, "x"]}),
    "numbers that are none": lambda _inputs: Changes(numbers={"n": "x"}),
}


@pytest.mark.parametrize("name", [*RAISED, *COMPUTED])
def test_whatever_a_derivation_does_is_an_error_in_words(pipeline: Pipeline, name: str) -> None:
    echo = derived(COMPUTED.get(name) or raising(name))
    with pytest.raises(ContractError) as found:
        run_all(echo, pipeline.source, pipeline.store, pipeline.settings, Options())
    assert "sums" in str(found.value)
    assert CANARY not in str(found.value)
    assert pipeline.rows() == expected_rows(pipeline.root)


@pytest.mark.parametrize("kind", [Permanent, Retryable, Deferred])
def test_what_is_said_of_a_file_means_nothing_of_a_derivation(
    pipeline: Pipeline, kind: type[Exception]
) -> None:
    def fail(_inputs: object) -> Changes:
        raise kind("the service answered 429")

    with pytest.raises(ContractError, match=f"raised {kind.__name__}: the service answered 429"):
        run_all(derived(fail), pipeline.source, pipeline.store, pipeline.settings, Options())


@raised
def test_whatever_a_beginning_raises_is_an_error_in_words(pipeline: Pipeline, name: str) -> None:
    echo = EchoProcessor()
    echo.begin = raising(name)
    with pytest.raises(ContractError, match="processor 'echo': its beginning raised"):
        pipeline.run(echo)
    echo.begin = lambda *_given: None
    with pytest.raises(ContractError, match="returned NoneType, not a processor"):
        pipeline.run(echo)


@pytest.mark.parametrize("part", ["selects", "render"])
@pytest.mark.parametrize("name", [*RAISED, "None"])
def test_whatever_a_report_does_is_an_error_in_words(
    pipeline: Pipeline, name: str, part: str
) -> None:
    pipeline.run(EchoProcessor())
    report = echo_report(**{part: raising(name) if name in RAISED else lambda *_given: None})
    with pytest.raises(ContractError, match="report 'echo_report'"):
        publish(
            EchoProcessor(),
            report,
            pipeline.store,
            pipeline.settings.reports,
            Asked(date(2026, 1, 1)),
        )


@pytest.mark.parametrize("name", [*RAISED, "None"])
def test_whatever_a_quality_rule_does_is_an_error_in_words(pipeline: Pipeline, name: str) -> None:
    measure = raising(name) if name in RAISED else lambda _data: None
    rule = Quality("odd", "echo_rows", "", measure)
    with pytest.raises(ContractError, match="rule 'odd'"):
        inspect(EchoProcessor(), rule, pipeline.source, pipeline.store)


@raised
def test_whatever_a_plugin_raises_while_it_loads_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "oddplugin", raising=False)
    (tmp_path / "oddplugin.py").write_text(
        "import test_guests\nraise test_guests.RAISED[" + repr(name) + "]\n"
    )
    odd = EntryPoint("odd", "oddplugin:Odd", ENTRY_POINT_GROUP)
    registry = load_processors([odd])
    assert [failed.name for failed in registry.failed] == ["odd"]
    assert failure_of(raising(name))


def test_a_plugin_that_goes_to_another_folder_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And deletes it while it is there."""
    monkeypatch.chdir(tmp_path)
    pipeline = make_pipeline(Path())
    write_many(pipeline.root.absolute(), 3)

    def leave(session: Session) -> None:
        folder = tmp_path / session.key.replace("/", "-")
        folder.mkdir()
        os.chdir(folder)
        folder.rmdir()

    echo = EchoProcessor(leave)
    assert numbers(pipeline.run(echo)) == (3, 3, 0, 0, 0)
    assert pipeline.run(echo, full_refresh=True).processed == 3
    assert pipeline.rows() == expected_rows(tmp_path / "sessions")
    assert publish(
        echo, echo_report(), pipeline.store, pipeline.settings.reports, Asked(date(2026, 1, 1))
    ).paths


# --- what is printed ---

LOUD = """
import ctypes, os, subprocess, sys
from datetime import timedelta
from sys import stdout
from session_pipeline_dagster.contract.derivation import Changes, Derivation, DerivedTable
from session_pipeline_dagster.contract.processor import ProcessorResult
from session_pipeline_dagster.contract.report import Rendered, Report


def shout():
    print("PRINTED")
    stdout.write("PRINTED by who kept the stream")
    sys.__stdout__.write("PRINTED by who knows the first one")
    os.write(1, b"PRINTED by descriptor")
    subprocess.run(["echo", "PRINTED by a child"])
    os.system("echo PRINTED by a shell")
    ctypes.CDLL(None).puts(b"PRINTED by C")


shout()


def render(asked, answers):
    shout()
    return Rendered({"loud.html": b"x"}, {})


def compute(inputs):
    shout()
    return Changes()


class Loud:
    name, version, cadence = "loud", 1, timedelta(seconds=60)
    tables = {"loud_rows": "session_file VARCHAR"}
    derivations = (
        Derivation(
            "sums", {"sums": DerivedTable("n BIGINT", "n::VARCHAR")}, {}, compute,
            "SELECT 'all' FROM batch LIMIT 1",
        ),
    )
    reports = (
        Report("loud_report", ("loud_rows",), "loud_rows", lambda _: ["SELECT 1"], render,
               ("loud.html",)),
    )

    def __init__(self):
        shout()

    def begin(self, settings, run_id):
        shout()
        return self

    def process(self, session):
        shout()
        return ProcessorResult({"loud_rows": [(session.key,)]}, 1)
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_nothing_that_a_plugin_prints_is_in_what_a_command_answers(
    tmp_path: Path, workers: str
) -> None:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 3)
    info = tmp_path / "plugins" / "loud-1.0.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "plugins" / "loud.py").write_text(LOUD)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loud\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[session_pipeline_dagster.processors]\nloud = loud:Loud\n"
    )
    run = "from session_pipeline_dagster.passes import pool; pool.CHUNK_BYTES = 100; "
    run += "from session_pipeline_dagster.cli import main; main()"
    where = ["--sessions", str(pipeline.root), "--database", str(tmp_path / "x.duckdb")]
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "plugins")}
    env["SESSION_PIPELINE_WORKERS"] = workers
    for command in (
        ["run"],
        ["report", "--output", str(tmp_path)],
        ["processors"],
    ):
        made = subprocess.run(
            [sys.executable, "-c", run, *command, "--json", *where],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        json.loads(made.stdout)
        assert "PRINTED" not in made.stdout
        for how in ("who kept", "who knows", "descriptor", "a child", "a shell", "C"):
            assert f"PRINTED by {how}" in made.stderr, how


def test_stdout_is_as_it_was_after_everyone_is_out(capfd: pytest.CaptureFixture) -> None:
    """Two passes in threads of one process end in any order."""
    first_out, second_in = threading.Event(), threading.Event()
    before = sys.stdout

    def first() -> None:
        with aside():
            second_in.wait(10)
        first_out.set()

    thread = threading.Thread(target=first)
    with aside():
        thread.start()
        second_in.set()
        first_out.wait(10)
        os.write(1, b"inside")
        print("inside too")  # noqa: T201
    thread.join()
    assert sys.stdout is before
    os.write(1, b"outside")
    captured = capfd.readouterr()
    assert captured.out == "outside"
    assert "inside" in captured.err
    assert "inside too" in captured.err


def test_a_process_without_stdout_or_stderr_works(tmp_path: Path) -> None:
    code = "import os, sys\nfrom session_pipeline_dagster.guests import aside\n"
    code += "for closed in sys.argv[2:]:\n    os.close(int(closed))\n"
    code += "with aside():\n    pass\nopen(sys.argv[1], 'a').write('done ')\n"
    done = tmp_path / "done"
    for closed in (["1"], ["2"], ["1", "2"]):
        subprocess.run([sys.executable, "-c", code, str(done), *closed], check=False)
    assert done.read_text() == "done " * 3


def test_dagster_calls_its_stop_what_we_take_it_for() -> None:
    assert is_stop(DagsterExecutionInterruptedError())
    assert not is_stop(dg.Failure("x"))
    assert shutil.which("echo")
