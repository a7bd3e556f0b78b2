"""What DuckDB's errors at opening mean."""

from pathlib import Path

import pytest

from session_pipeline_dagster.store.file.errors import busy, passes, unusable

HELD = 'IO Error: Could not set lock on file "x": Conflicting lock is held in python (PID 4711).'
CLOSING = 'Binder Error: Unique file handle conflict: Cannot attach "x" - it is already attached'
DAMAGED = "IO Error: Could not read enough bytes from file"


@pytest.mark.parametrize(("text", "waits"), [(HELD, True), (CLOSING, True), (DAMAGED, False)])
def test_only_what_waiting_mends_is_waited_for(text: str, waits: bool) -> None:
    """A thread that closes the last connection collides with one that opens: rare, and passing."""
    assert passes(text) is waits


def test_the_holder_is_named_where_duckdb_names_it() -> None:
    held, closing = busy(Path("x"), HELD), busy(Path("x"), CLOSING)
    assert (held.pid, closing.pid) == (4711, None)
    assert "process 4711" in str(held)
    assert "another process" in str(closing)


def test_anything_else_is_told_in_one_line() -> None:
    assert str(unusable(Path("x"), f"{DAMAGED}\nmore", "1.5")) == f"x cannot be used: {DAMAGED}"
