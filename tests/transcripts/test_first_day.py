"""The session day: the first top-level timestamp in line order, whoever asks."""

from datetime import date

import pytest

from lines import encode, other, user
from session_pipeline_dagster.transcripts.head import HEAD_BYTES, first_day

EARLY, LATE = "2026-03-10T12:00:00Z", "2026-03-12T12:00:00Z"


def day_of(*lines: object) -> date | None:
    return first_day(encode(*lines), whole=True)


@pytest.mark.parametrize(
    ("time", "day"),
    [
        ("2026-03-10T23:59:59.999Z", date(2026, 3, 10)),
        ("2026-03-10T23:30:00-05:00", date(2026, 3, 11)),
        ("2026-03-11T01:00:00+02:00", date(2026, 3, 10)),
        ("2026-03-10T23:59:59", date(2026, 3, 10)),
        ("2026-03-10 23:59:59", date(2026, 3, 10)),
        ("1969-12-31T23:59:59.5Z", date(1969, 12, 31)),
        ("9999-12-31T23:59:59Z", date(9999, 12, 31)),
    ],
)
def test_the_day_is_the_utc_day(time: str, day: date) -> None:
    assert day_of(user(at=time)) == day


@pytest.mark.parametrize(
    ("time", "day"),
    [
        ("9999-12-31T23:59:59-05:00", date(9999, 12, 31)),
        ("0001-01-01T00:00:00+05:00", date(1, 1, 1)),
    ],
)
def test_a_time_outside_the_calendar_once_it_is_utc_is_the_calendars_end(
    time: str, day: date
) -> None:
    assert day_of(user(at=time), user(at=EARLY)) == day


def test_the_first_in_line_order_counts_not_the_smallest() -> None:
    assert day_of(user(at=LATE), user(at=EARLY)) == date(2026, 3, 12)


@pytest.mark.parametrize(
    "line",
    [
        other("file-history-snapshot", at=None, snapshot={"timestamp": LATE}),
        user('"timestamp":"2026-03-12T12:00:00Z"', at=None),
        other("user", at=None, timestamp=None),
        other("user", at=None, timestamp=1773144000),
        other("user", at=None, timestamp="yesterday"),
        b'{"timestamp":"2026-03-12T12:00:00Z"',
        b'["timestamp"]',
        b'"timestamp"',
        b"\0" * 100,
        b"",
    ],
    ids=lambda line: str(line)[:60],
)
def test_a_line_without_a_top_level_time_is_passed_over(line) -> None:
    assert day_of(line, user(at=EARLY)) == date(2026, 3, 10)


@pytest.mark.parametrize("odd", [b"\xff", b"\\ud800", "\u2028".encode()])
def test_an_odd_character_does_not_hide_the_time(odd: bytes) -> None:
    line = b'{"type":"user","x":"%b","timestamp":"%b"}' % (odd, EARLY.encode())
    assert day_of(line, user(at=LATE)) == date(2026, 3, 10)


def test_a_bom_and_crlf_do_not_hide_the_time() -> None:
    content = b"\xef\xbb\xbf" + encode(user(at=EARLY), user(at=LATE)).replace(b"\n", b"\r\n")
    assert first_day(content, whole=True) == date(2026, 3, 10)


def test_a_file_without_any_time_has_no_day() -> None:
    assert day_of(other("summary", at=None)) is None
    assert first_day(b"", whole=True) is None


def test_a_cut_last_line_is_left_alone_and_a_whole_one_is_not() -> None:
    tail = encode(user(at=EARLY)).rstrip(b"\n")
    head = encode(other("summary", at=None)) + tail
    assert first_day(head, whole=False) is None
    assert first_day(head, whole=True) == date(2026, 3, 10)
    assert first_day(head[:-5], whole=True) is None


@pytest.mark.parametrize(("over", "day"), [(0, date(2026, 3, 10)), (1, None)])
def test_only_the_first_mebibyte_counts(over: int, day: date | None) -> None:
    line = encode(user(at=EARLY))
    padding = b" " * (HEAD_BYTES + over - len(line) - 1) + b"\n"
    assert first_day(padding + line, whole=True) == day
