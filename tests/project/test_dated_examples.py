"""Example sessions as of these days: two weeks are filled, and a later look doubles none."""

import json
import runpy
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from example_numbers import FILES
from places import ROOT
from session_pipeline_dagster.contract.registry import load_processors
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.opening import open_source
from session_pipeline_dagster.store.database import open_store

TODAY = datetime.now(UTC).date()
SUMS = """SELECT count(*), sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), min(day),
    max(day), count(DISTINCT day), (SELECT sum(messages) FROM usage_daily),
    (SELECT count(*) FROM knowledge_items), (SELECT count(*) FROM verification_evidence),
    (SELECT count(*) FROM knowledge_contradictions)
    FROM (SELECT *, CAST(sent_at AT TIME ZONE 'UTC' AS DATE) AS day FROM usage_messages_unique)"""


@pytest.fixture
def make() -> Callable[[Path, date], None]:
    return runpy.run_path(str(ROOT / "examples" / "dated.py"))["make"]


def days(folder: Path) -> set[date]:
    """On which there are responses."""
    found = set()
    for path in (folder / "sessions").rglob("*.jsonl"):
        for line in path.read_bytes().splitlines():
            is_whole = b'"type":"assistant"' in line or b'"total_token_usage"' in line
            if is_whole and line.endswith(b"}"):
                found.add(datetime.fromisoformat(json.loads(line)["timestamp"]).date())
    return found


@pytest.mark.parametrize("newest", [date(2026, 11, 30), date(2027, 1, 2), date(2028, 3, 1)])
def test_both_weeks_are_filled_for_days_and_nothing_is_in_the_future(
    tmp_path: Path, make: Callable[[Path, date], None], newest: date
) -> None:
    make(tmp_path, newest)
    # Yesterday in the morning, and for three days more.
    for late in range(5):
        ago = {(newest - day).days + late for day in days(tmp_path)}
        assert (min(ago), max(ago)) == (late, late + 10)
        assert len({n for n in ago if n < 7}) >= 2
        assert len({n for n in ago if 7 <= n < 14}) >= 2


def test_they_stay_for_some_days_and_only_their_days_are_others(
    tmp_path: Path, make: Callable[[Path, date], None]
) -> None:
    def files() -> dict[str, bytes]:
        found = (path for path in tmp_path.rglob("*") if path.is_file())
        return {str(path.relative_to(tmp_path)): path.read_bytes() for path in found}

    make(tmp_path, date(2026, 5, 14))
    first = files()
    there = (path for path in (ROOT / "examples" / "sessions").rglob("*.json*"))
    fixed = {str(path.relative_to(ROOT / "examples")): path.read_bytes() for path in there}
    assert {key: text for key, text in first.items() if key in fixed} == fixed
    make(tmp_path, date(2026, 5, 17))
    assert files() == first
    # What went away comes back; a clock that was ahead is no reason to keep the future.
    next((tmp_path / "sessions").rglob("*.jsonl")).unlink()
    make(tmp_path, date(2026, 5, 17))
    assert files() == first
    make(tmp_path, date(2026, 5, 18))
    assert (tmp_path / "last-day").read_text() == "2026-05-18"
    assert {*files()} == {*first}
    assert {key: len(text) for key, text in files().items()} == {
        key: len(text) for key, text in first.items()
    }
    make(tmp_path, date(2026, 5, 14))
    assert files() == first


@pytest.mark.slow
def test_sessions_that_were_moved_replace_their_rows(
    tmp_path: Path, make: Callable[[Path, date], None]
) -> None:
    settings = Settings(roots=(Root(tmp_path / "sessions"),), database=tmp_path / "u.duckdb")

    def found(newest: date) -> list[object]:
        make(tmp_path, newest)
        source, store = open_source(settings), open_store(settings)
        for processor in load_processors().processors:
            report = run_all(processor, source, store, settings, Options())
            assert (report.processed, report.errors) == (FILES, 0)
        return list(store.query(SUMS)[0][1][0])

    early, late = TODAY - timedelta(days=30), TODAY
    first, second = found(early), found(late)
    by = late - early
    assert second == [*first[:4], first[4] + by, first[5] + by, *first[6:]]
