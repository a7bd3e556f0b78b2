"""How changed files are found, and that each change ends up in the rows exactly once."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from helpers import (
    OLD,
    EchoProcessor,
    Pipeline,
    append,
    echo_rows,
    expected_rows,
    make_pipeline,
    numbers,
    session_line,
    set_mtime,
    write_many,
    write_session,
)
from session_pipeline_dagster.contract.processor import ProcessorResult, Session

KEY = "alice/s00.jsonl"


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return make_pipeline(tmp_path)


@pytest.fixture
def echo() -> EchoProcessor:
    return EchoProcessor()


@pytest.fixture
def path(pipeline: Pipeline, echo: EchoProcessor) -> Path:
    """A session file that has been processed, beside two others."""
    path, *_ = write_many(pipeline.root, 3, lines=3)
    assert pipeline.run(echo).processed == 3
    echo.calls.clear()
    return path


def test_a_touched_file_is_skipped_for_free(
    pipeline: Pipeline, echo: EchoProcessor, path: Path
) -> None:
    rows = pipeline.rows()
    set_mtime(path, OLD + timedelta(days=1))
    assert numbers(pipeline.run(echo)) == (1, 0, 1, 0, 0)
    assert echo.calls == []
    assert pipeline.rows() == rows
    assert pipeline.states(echo)[KEY].signature.mtime_ns == path.stat().st_mtime_ns
    assert numbers(pipeline.run(echo)) == (0, 0, 0, 0, 0)


def shrink(path: Path) -> None:
    path.write_text(path.read_text().splitlines(keepends=True)[0])


def grow(path: Path) -> None:
    append(path, "one more")


def rewrite_in_place(path: Path) -> None:
    path.write_text(path.read_text().replace("line", "LINE").replace("of 0", 'of\\"'))


@pytest.mark.parametrize("shift", [timedelta(days=-30), timedelta(0), timedelta(days=30)])
@pytest.mark.parametrize("change", [shrink, grow, rewrite_in_place])
def test_a_change_is_found_whatever_the_mtime_says(
    pipeline: Pipeline, echo: EchoProcessor, path: Path, change: object, shift: timedelta
) -> None:
    """As after cp -p or rsync -t: the mtime may be the old one, or an older one."""
    change(path)
    set_mtime(path, OLD + shift)
    pipeline.run(echo)
    assert echo.calls == [KEY]
    assert pipeline.rows() == expected_rows(pipeline.root)
    assert numbers(pipeline.run(echo)) == (0, 0, 0, 0, 0)


def test_a_rewrite_of_the_same_size_and_mtime_is_found_by_its_ctime(
    pipeline: Pipeline, echo: EchoProcessor, path: Path
) -> None:
    before = path.stat()
    rewrite_in_place(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    pipeline.run(echo)
    assert echo.calls == [KEY]
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_a_chmod_of_everything_makes_nothing_pending_and_uses_no_cap(
    pipeline: Pipeline, echo: EchoProcessor, path: Path
) -> None:
    assert path.exists()
    for found in pipeline.root.glob("*/*.jsonl"):
        found.chmod(0o600)
    write_session(pipeline.root, "bob/new.jsonl", "new")
    report = pipeline.run(echo, max_files=1)
    assert numbers(report) == (1, 1, 3, 0, 0)
    assert echo.calls == ["bob/new.jsonl"]
    ctimes = {f.key: f.signature.ctime_ns for f in pipeline.source.scan().files}
    signed = {key: state.signature.ctime_ns for key, state in pipeline.states(echo).items()}
    assert signed == ctimes
    assert numbers(pipeline.run(echo)) == (0, 0, 0, 0, 0)


def test_a_write_within_the_clocks_grain_of_the_last_look_is_found(
    pipeline: Pipeline, echo: EchoProcessor
) -> None:
    """The signature is that of the new bytes, as if both writes fell into one tick of the clock."""
    now = datetime.now(UTC) + timedelta(seconds=1)  # set_mtime cuts the fraction off
    path = write_session(pipeline.root, "alice/x.jsonl", "old", mtime=now)
    pipeline.run(echo)
    path.write_text(session_line("new!"))
    pretend_seen(pipeline, path)
    pipeline.run(echo)
    assert pipeline.rows() == [("alice/x.jsonl", 1, 4)]


def pretend_seen(pipeline: Pipeline, path: Path) -> None:
    """Make the state row's signature that of the file as it is now."""
    found = path.stat()
    with pipeline.store.connect() as connection:
        connection.execute(
            """UPDATE session_processor_state SET size_bytes = ?, mtime_ns = ?, ctime_ns = ?
            WHERE session_file LIKE '%' || ?""",
            [found.st_size, found.st_mtime_ns, found.st_ctime_ns, path.name],
        )


def test_verify_finds_what_stat_cannot_see(
    pipeline: Pipeline, echo: EchoProcessor, path: Path
) -> None:
    append(path, "under the radar")
    set_mtime(path, OLD)
    pretend_seen(pipeline, path)
    assert numbers(pipeline.run(echo)) == (0, 0, 0, 0, 0)
    report = pipeline.run(echo, verify=True)
    assert (report.processed, report.skipped) == (1, 2)
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_a_row_without_a_signature_is_current_if_the_file_is_older_and_gets_one(
    pipeline: Pipeline, echo: EchoProcessor, path: Path
) -> None:
    with pipeline.store.connect() as connection:
        connection.execute("UPDATE session_processor_state SET mtime_ns = NULL, file_hash = NULL")
    set_mtime(path, datetime.now(UTC) + timedelta(days=1))
    assert pipeline.run(echo).scanned == 1
    assert echo.calls == [KEY]
    assert all(state.signature for state in pipeline.states(echo).values())


def test_lines_appended_while_the_file_is_processed_come_with_the_next_pass(
    pipeline: Pipeline,
) -> None:
    path = write_session(pipeline.root, "alice/x.jsonl", "1", "22")
    appended = iter(["333"])

    def grow_meanwhile(_session: Session) -> None:
        for text in appended:
            append(path, text)

    echo = EchoProcessor(grow_meanwhile)
    assert pipeline.run(echo).lines == 2
    assert len(pipeline.rows()) == 2
    assert numbers(pipeline.run(echo)) == (1, 1, 0, 0, 0)
    assert pipeline.rows() == expected_rows(pipeline.root)
    assert len(pipeline.rows()) == 3


def test_a_file_rewritten_while_it_is_processed_comes_again(pipeline: Pipeline) -> None:
    path = write_session(pipeline.root, "alice/x.jsonl", "1", "22")
    rewritten = iter(["4444"])

    def rewrite(_session: Session) -> None:
        for text in rewritten:
            path.write_text(session_line(text))

    echo = EchoProcessor(rewrite)
    pipeline.run(echo)
    pipeline.run(echo)
    assert pipeline.rows() == [("alice/x.jsonl", 1, 4)]


def test_a_file_deleted_mid_run_is_no_error_and_keeps_its_rows(
    pipeline: Pipeline, echo: EchoProcessor, path: Path
) -> None:
    rows = pipeline.rows()
    for found in pipeline.root.glob("*/*.jsonl"):
        append(found, "more")
    set_mtime(path, OLD - timedelta(days=1))

    def delete_the_next(session: Session) -> None:
        if session.key == KEY:
            (pipeline.root / "alice" / "s01.jsonl").unlink()

    echo.hook = delete_the_next
    report = pipeline.run(echo)
    assert numbers(report) == (3, 2, 0, 0, 0)
    assert report.gone == 1
    assert [r for r in pipeline.rows() if "s01" in r[0]] == [r for r in rows if "s01" in r[0]]
    assert pipeline.failures(echo) == {}


# --- append ---


class Appending(EchoProcessor):
    """Adds rows for the lines that are new; all of them where the old part changed."""

    def process(self, session: Session) -> ProcessorResult:
        self.calls.append(session.key)
        rows = echo_rows(session)
        sizes = [row[2] for row in rows]
        before = json.loads(session.memo) if session.memo else []
        if self.hook:
            self.hook(session)
        grown = bool(before) and sizes[: len(before)] == before
        new = rows[len(before) :] if grown else rows
        return ProcessorResult({"echo_rows": new}, len(new), json.dumps(sizes), append=grown)


def test_a_grown_file_gets_only_its_new_rows(pipeline: Pipeline) -> None:
    path = write_session(pipeline.root, "alice/x.jsonl", "1", "22")
    processor = Appending()
    pipeline.run(processor)
    append(path, "333")
    report = pipeline.run(processor)
    assert report.items_extracted == 1
    assert pipeline.rows() == expected_rows(pipeline.root)
    assert pipeline.states(processor)["alice/x.jsonl"].memo == "[1, 2, 3]"
    path.write_text(session_line("4444"))
    pipeline.run(processor)
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_a_full_refresh_builds_appended_rows_anew(pipeline: Pipeline) -> None:
    """The old rows may be wrong; that is why somebody asks for a full refresh."""
    write_session(pipeline.root, "alice/x.jsonl", "1", "22")
    processor = Appending()
    pipeline.run(processor)
    with pipeline.store.connect() as connection:
        connection.execute("UPDATE echo_rows SET text_bytes = -1")
    pipeline.run(processor, full_refresh=True)
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_a_new_version_builds_appended_rows_anew(pipeline: Pipeline) -> None:
    """Rows of the old version must not survive beside those of the new one."""
    write_session(pipeline.root, "alice/x.jsonl", "1", "22")
    pipeline.run(Appending())
    with pipeline.store.connect() as connection:
        connection.execute("UPDATE echo_rows SET text_bytes = -1")
    pipeline.run(Appending(version=2))
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_two_passes_that_append_the_same_part_add_it_once(pipeline: Pipeline) -> None:
    path = write_session(pipeline.root, "alice/x.jsonl", "1", "22")
    pipeline.run(Appending())
    append(path, "333")
    pipeline.run(Appending(lambda _session: pipeline.run(Appending())))
    pipeline.run(Appending())
    assert pipeline.rows() == expected_rows(pipeline.root)


def test_an_old_look_never_overwrites_a_newer_one_for_good(pipeline: Pipeline) -> None:
    path = write_session(pipeline.root, "alice/x.jsonl", "old")

    def other_run_sees_more(session: Session) -> None:
        if len(session.transcript.records) == 1:
            append(path, "newer")
            pipeline.run(EchoProcessor())

    pipeline.run(EchoProcessor(other_run_sees_more))
    pipeline.run(EchoProcessor())
    assert pipeline.rows() == expected_rows(pipeline.root)
    assert len(pipeline.rows()) == 2
