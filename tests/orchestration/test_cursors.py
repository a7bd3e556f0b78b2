"""What a person sees as the cursor on a sensor's page."""

import random

import pytest

from session_pipeline_dagster.health.alerts import Memory as Alerts
from session_pipeline_dagster.orchestration.cursors import read_cursor, write_cursor
from session_pipeline_dagster.passes.pacing import Memory, Moment

WRITTEN = Moment(1_796_020_990.25)


def test_a_moment_is_written_as_people_write_it_and_defaults_are_not_written() -> None:
    cursor = write_cursor(Memory(WRITTEN, fruitless=2))
    assert cursor == '{"requested_at":"2026-11-30T06:43:10.250000Z","fruitless":2}'
    assert read_cursor(Memory, cursor) == Memory(WRITTEN, fruitless=2)
    assert write_cursor(Memory()) == write_cursor(Alerts()) == "{}"


def test_a_moment_that_was_kept_is_the_moment_that_is_read_again() -> None:
    """Else what did not change would look as if it had."""
    source = random.Random(7)  # noqa: S311
    for seconds in (source.uniform(1.7e9, 1.9e9) for _ in range(10_000)):
        assert Moment.of(str(Moment(seconds))) == Moment(seconds), seconds


def test_a_cursor_that_was_written_in_seconds_is_read() -> None:
    assert read_cursor(Memory, '{"requested_at":1796020990.25,"deferred":4}') == Memory(WRITTEN, 4)


@pytest.mark.parametrize("at", ['"noon"', "1e300", "-1", "[]"])
def test_a_moment_that_is_none_is_a_cursor_of_someone_else(at: str) -> None:
    assert read_cursor(Memory, f'{{"requested_at":{at},"deferred":4}}') == Memory()
