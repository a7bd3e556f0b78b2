"""How often a pass opens the database: opening it costs as much as reading a megabyte."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from helpers import OLD, EchoProcessor, make_pipeline, set_mtime, write_many
from session_pipeline_dagster.contract.derivation import Changes, Derivation, Inputs
from session_pipeline_dagster.contract.processor import Summary
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.sources.files import Fingerprint, Scan, SessionFile
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.file.place import DuckDBFile


def _nothing(_: Inputs) -> Changes:
    return Changes()


class Openings:
    """How often the database was opened, and by how many it is open now."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = self.inside = 0
        connect = DuckDBFile.connect

        @contextmanager
        def counted(file: DuckDBFile, timeout: timedelta | None = None) -> Generator[object]:
            self.times += not self.inside
            self.inside += 1
            with connect(file, timeout) as connection:
                yield connection
            self.inside -= 1

        monkeypatch.setattr(DuckDBFile, "connect", counted)


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> Openings:
    return Openings(monkeypatch)


@pytest.mark.parametrize(("quick", "times", "again"), [(True, 3, 1), (False, 8, 2)])
def test_a_pass_keeps_the_database_open_only_while_nobody_would_wait_long(
    tmp_path: Path, openings: Openings, *, quick: bool, times: int, again: int
) -> None:
    pipeline, echo = make_pipeline(tmp_path), EchoProcessor()
    touched = "SELECT session_file FROM batch"
    echo.derivations = tuple(
        Derivation(name, {}, {}, _nothing, touched, quick=quick) for name in ("first", "second")
    )
    echo.summaries = (Summary("One", "SELECT 1"), Summary("Two", "SELECT 2"))
    write_many(pipeline.root, 1)
    given = (echo, pipeline.source, pipeline.store, pipeline.settings, Options(summaries=True))
    run_all(*given)
    assert openings.times == times
    openings.times = 0
    run_all(*given)
    assert (openings.times, openings.inside) == (again, 0)


def test_nobody_waits_for_the_database_while_files_are_listed_compared_or_processed(
    tmp_path: Path, openings: Openings
) -> None:
    pipeline, seen = make_pipeline(tmp_path), []

    def see(_: object) -> None:
        seen.append(openings.inside)

    class Watched(LocalSource):
        def scan(self) -> Scan:
            see("scan")
            return LocalSource.scan(self)

        def fingerprint(self, file: SessionFile) -> Fingerprint:
            see(file)
            return LocalSource.fingerprint(self, file)

    source, echo = Watched(pipeline.settings.roots), EchoProcessor(see)
    paths = write_many(pipeline.root, 2)
    given = (echo, source, pipeline.store, pipeline.settings, Options(summaries=True))
    run_all(*given)
    set_mtime(paths[0], OLD - timedelta(days=1))
    run_all(*given)
    run_all(*given)
    # Three scans, two files that are processed, one that is compared.
    assert seen == [0] * 6
