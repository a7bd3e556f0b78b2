"""Reports of any processor: what may be declared, and that they name nobody who is forgotten."""

import threading
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from helpers import EchoProcessor, Pipeline, echo_report, make_pipeline, write_session
from session_pipeline_dagster.cli import forget as cli_forget
from session_pipeline_dagster.cli import main
from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.report import Asked, Rendered, Report
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.errors import ContractError, StoreBusy
from session_pipeline_dagster.passes.publish import Published, discard, publish
from session_pipeline_dagster.settings import OnDelete

TODAY = date(2026, 6, 1)


def keys_page(_: Asked, answers: list[list[Row]]) -> Rendered:
    return Rendered({"echo_report.html": str(answers).encode()}, {})


KEYS = echo_report(selects=lambda _: ["SELECT session_file FROM echo_rows"], render=keys_page)


def make(pipeline: Pipeline, report: Report = KEYS) -> Published:
    where = pipeline.settings.reports
    return publish(EchoProcessor(), report, pipeline.store, where, Asked(TODAY))


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    """Rows of alice and bob, and alice's file deleted."""
    made = make_pipeline(tmp_path)
    for user in ("alice", "bob"):
        write_session(made.root, f"{user}/s.jsonl", "hello")
    made.run(EchoProcessor())
    (made.root / "alice" / "s.jsonl").unlink()
    return made


# --- what is forgotten ---


def forget_alice(pipeline: Pipeline, *options: str, code: int = 0) -> Result:
    pipeline.store.prepare(EchoProcessor())
    where = ["--sessions", str(pipeline.root), "--database", str(pipeline.settings.database)]
    found = CliRunner().invoke(main, ["forget", *where, "--user", "alice", *options])
    assert found.exit_code == code, found.output
    return found


def test_a_user_whose_rows_were_purged_before_is_in_no_report_either(pipeline: Pipeline) -> None:
    page = pipeline.settings.reports / "usage.html"
    page.parent.mkdir()
    page.write_text("alice")
    purging = pipeline.having(on_delete=OnDelete.PURGE, purge_after=timedelta(0))
    purging.run(EchoProcessor())
    assert purging.run(EchoProcessor()).purged
    assert "0 session files" in forget_alice(pipeline, "--dry-run", code=2).output
    assert page.exists()
    forget_alice(pipeline, "--yes", code=2)
    assert not page.exists()


def test_what_a_killed_process_left_half_written_goes_too(pipeline: Pipeline) -> None:
    folder = pipeline.settings.reports
    folder.mkdir()
    (folder / f".usage.html.{'0f' * 16}").write_text("alice")
    kept = {".usage.html.swp", "usage.html.old", "mine.html"}
    for name in kept:
        (folder / name).write_text("of others")
    forget_alice(pipeline, "--yes")
    assert {path.name for path in folder.iterdir()} == kept


def test_a_report_that_is_made_while_someone_is_forgotten_does_not_stay(
    pipeline: Pipeline,
) -> None:
    reading = threading.Event()

    def slowly(asked: Asked, answers: list[list[Row]]) -> Rendered:
        reading.set()
        while pipeline.select("SELECT * FROM echo_rows WHERE session_file LIKE 'alice/%'"):
            time.sleep(0.02)
        # Long enough for everything that does not wait.
        time.sleep(1)
        return keys_page(asked, answers)

    made: list[Published] = []
    report = replace(KEYS, render=slowly)
    publishing = threading.Thread(target=lambda: made.append(make(pipeline, report)))
    publishing.start()
    assert reading.wait(10)
    processor = EchoProcessor()
    processor.reports = [report]
    cli_forget.delete(pipeline.store, [processor], pipeline.settings, ["alice/s.jsonl"])
    publishing.join(10)
    assert made
    assert not made[0].paths[0].exists()
    assert b"bob" in make(pipeline).paths[0].read_bytes()


def test_who_waits_for_a_report_that_hangs_is_told_so(pipeline: Pipeline) -> None:
    hanging, over = threading.Event(), threading.Event()

    def hang(asked: Asked, answers: list[list[Row]]) -> Rendered:
        hanging.set()
        over.wait(30)
        return keys_page(asked, answers)

    publishing = threading.Thread(target=lambda: make(pipeline, replace(KEYS, render=hang)))
    publishing.start()
    try:
        assert hanging.wait(10)
        store = pipeline.having(lock_timeout=timedelta(milliseconds=200)).store
        with pytest.raises(StoreBusy, match="a report is still being made"):
            discard([KEYS], store, pipeline.settings.reports)
    finally:
        over.set()
        publishing.join(10)
    discard([KEYS], store, pipeline.settings.reports)


def test_a_report_makes_no_file_that_it_has_not_declared(pipeline: Pipeline) -> None:
    """Nobody would delete it when someone is to be forgotten."""
    with pytest.raises(ContractError, match="other files than it declares"):
        make(pipeline, replace(KEYS, files=("other.html",)))
    assert not pipeline.settings.reports.exists()


def test_reports_go_even_if_what_is_derived_cannot_be_computed(pipeline: Pipeline) -> None:
    page = make(pipeline).paths[0]
    assert b"alice" in page.read_bytes()
    processor = EchoProcessor()
    processor.reports = [KEYS]
    processor.rollups = [
        Rollup(
            "echo_sums",
            "part VARCHAR, lines BIGINT",
            "part",
            changed="SELECT 'all' FROM batch",
            refresh="SELECT error('broken')::VARCHAR, 1",
        )
    ]
    with pytest.raises(ContractError, match="echo_sums"):
        cli_forget.delete(pipeline.store, [processor], pipeline.settings, ["alice/s.jsonl"])
    assert not page.exists()
