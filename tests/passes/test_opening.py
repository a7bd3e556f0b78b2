"""How often a pass opens the database: opening it costs as much as reading a megabyte."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from helpers import EchoProcessor, make_pipeline, write_many
from session_pipeline_dagster.contract.derivation import Changes, Derivation, Inputs
from session_pipeline_dagster.contract.processor import Summary
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.store.file.place import DuckDBFile


def _nothing(_: Inputs) -> Changes:
    return Changes()


@pytest.mark.parametrize(("quick", "times"), [(True, 3), (False, 8)])
def test_a_pass_keeps_the_database_open_only_while_nobody_would_wait_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, quick: bool, times: int
) -> None:
    pipeline, echo = make_pipeline(tmp_path), EchoProcessor()
    touched = "SELECT session_file FROM batch"
    echo.derivations = tuple(
        Derivation(name, {}, {}, _nothing, touched, quick=quick) for name in ("first", "second")
    )
    echo.summaries = (Summary("One", "SELECT 1"), Summary("Two", "SELECT 2"))
    write_many(pipeline.root, 1)
    opened, inside, connect = 0, 0, DuckDBFile.connect

    @contextmanager
    def counted(self: DuckDBFile, timeout: timedelta | None = None) -> Generator[object]:
        nonlocal opened, inside
        opened += not inside
        inside += 1
        with connect(self, timeout) as connection:
            yield connection
        inside -= 1

    monkeypatch.setattr(DuckDBFile, "connect", counted)
    run_all(echo, pipeline.source, pipeline.store, pipeline.settings, Options(summaries=True))
    assert opened == times
