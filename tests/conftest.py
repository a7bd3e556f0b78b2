"""Servers that all tests of a process share; which files are begun first: those that take longest,
so that no worker ends with one of them; and failures said at once, for a run may be stopped."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lakes import Lakes
from lakes import lakes as new_lakes
from session_pipeline_dagster.testing.pipeline import Placing


class _Failures:
    """A line for each failure when it happens."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.ensure_newline()
            self._terminal.write_line(f"FAILED {report.nodeid} ({report.duration:.0f} s)")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Failures(terminal))


@pytest.fixture(autouse=True)
def _no_instance_of_another_test() -> Iterator[None]:
    """Dagster remembers which instance was entered last; two that do not end in the order in which
    they were entered leave one that is gone; those of a module end after its last test."""
    _forget_instance()
    yield
    _forget_instance()


def _forget_instance() -> None:
    if remembered := sys.modules.get("dagster._core.storage.defs_state.base"):
        remembered._current_storage.set(None)


@pytest.fixture(scope="session")
def lakes() -> Iterator[Lakes]:
    """Where lakes are made; the server starts when the first test asks."""
    with new_lakes() as made:
        yield made


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that ask for a `place` run over a DuckDB file; those that are marked `everywhere` over
    a lake too, with the same expectations. With PLACES=all (`make soak`) all of them do."""
    everywhere = metafunc.definition.get_closest_marker("everywhere")
    if "place" in metafunc.fixturenames and (everywhere or os.environ.get("PLACES") == "all"):
        lake = pytest.param("lake", marks=pytest.mark.slow)
        metafunc.parametrize("place", ["file", lake], indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Placing:
    """Where a test's database is."""
    if getattr(request, "param", "file") == "file":
        return lambda folder, settings: replace(settings, database=folder / "test.duckdb")
    return request.getfixturevalue("lakes").filled


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort files by what their `slow` tests say of their seconds; a file's tests stay in order.

    pytest-xdist by itself begins with the files that have the most tests, and the longest have few.
    """
    seconds: dict[Path, float] = {}
    for item in items:
        marks = item.iter_markers("slow")
        longest = max((mark.kwargs.get("seconds", 1) for mark in marks), default=0)
        seconds[item.path] = max(longest, seconds.get(item.path, 0))
    items.sort(key=lambda item: -seconds[item.path])
