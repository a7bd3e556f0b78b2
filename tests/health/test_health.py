"""What the rules see, over real files and a real DuckDB file, and how findings combine."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from health_location import DAY, HOUR, MINUTE, HealthLocation, NamedProcessor
from helpers import append, set_mtime
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.errors import Permanent
from session_pipeline_dagster.health.findings import Finding, Status, headline, worst
from session_pipeline_dagster.health.surroundings import lake_tidied
from session_pipeline_dagster.health.wording import percent
from session_pipeline_dagster.settings import OnDelete
from session_pipeline_dagster.testing.pipeline import Placing


@pytest.fixture
def location(tmp_path: Path, place: Placing) -> HealthLocation:
    return HealthLocation(tmp_path, place=place)


def not_ok(location: HealthLocation, processor: str = "verification", later: float = 0) -> dict:
    """Finding by check, of those that are not ok."""
    found = location.examine(later).findings[processor]
    return {f.check: f for f in found if f.status is not Status.OK}


def statuses(location: HealthLocation, processor: str = "verification", later: float = 0) -> dict:
    found = not_ok(location, processor, later)
    return {check: finding.status.value for check, finding in found.items()}


def finding(location: HealthLocation, check: str, later: float = 0) -> Finding:
    found = location.examine(later).findings["verification"]
    return next(f for f in found if f.check == check)


def process(location: HealthLocation, hook: Callable[[Session], object] | None = None) -> None:
    """Run the first processor over what is due, as a run would."""
    processor = location.processors[0]
    processor.hook = hook
    location.pipeline.run(processor)
    processor.hook = None


def refuse(key: str, error: type[Exception] = ValueError) -> Callable[[Session], object]:
    def hook(session: Session) -> None:
        if session.key.startswith(key):
            raise error("SECRET of the transcript")

    return hook


# --- freshness ---------------------------------------------------------------------------------


def test_nothing_ever_processed_with_an_old_and_a_fresh_file_is_a_warning(location) -> None:
    location.file("x/old.jsonl", age=30 * DAY)
    location.file("x/fresh.jsonl", age=10)
    assert statuses(location) == {"freshness": "warning"}
    assert finding(location, "freshness").numbers["lag_seconds"] == pytest.approx(30 * DAY, abs=5)


def test_a_processor_that_never_ran_is_a_warning_although_another_did(tmp_path: Path) -> None:
    both = [NamedProcessor("verification"), NamedProcessor("other")]
    location = HealthLocation(tmp_path, both)
    location.file("x/s.jsonl", age=2 * HOUR)
    process(location)
    assert statuses(location) == {}
    assert statuses(location, "other") == {"freshness": "warning"}


@pytest.mark.parametrize(("age", "expected"), [(29, {}), (31, {"freshness": "warning"})])
def test_the_grace_is_twice_the_interval(location, age: int, expected: dict) -> None:
    location.file("x/s.jsonl", age=age * MINUTE)
    assert statuses(location) == expected


def test_a_shorter_interval_is_a_shorter_grace(tmp_path: Path) -> None:
    often = HealthLocation(tmp_path, cadences={"verification": timedelta(minutes=5)})
    often.file("x/s.jsonl", age=11 * MINUTE)
    assert statuses(often) == {"freshness": "warning"}


def test_the_first_file_after_an_idle_night_is_ok_until_the_grace_has_passed(location) -> None:
    location.processed("x/evening.jsonl", age=9 * HOUR, processed=9 * HOUR)
    location.file("x/morning.jsonl", age=60)
    assert statuses(location) == {}
    assert statuses(location, later=31 * MINUTE) == {"freshness": "warning"}


def test_a_last_file_just_after_the_last_processing_is_not_forgotten(location) -> None:
    location.row("x/earlier.jsonl", age=9 * HOUR)
    location.file("x/s.jsonl", age=9 * HOUR - 5 * MINUTE)
    assert statuses(location) == {"freshness": "warning"}
    assert finding(location, "freshness").numbers["lag_seconds"] == pytest.approx(300, abs=5)


def test_a_file_given_up_long_ago_makes_no_alarm_of_the_first_file_after_a_night(location) -> None:
    location.file("x/bad.jsonl", age=30 * HOUR)
    location.file("x/good.jsonl", age=29 * HOUR)
    process(location, refuse("x/bad.jsonl", Permanent))
    location.now += timedelta(hours=9)
    location.file("x/morning.jsonl", age=60)
    assert statuses(location) == {"fifo_stuck_file": "info", "quarantine": "info"}


@pytest.mark.everywhere
def test_files_that_land_and_all_fail_are_a_warning(location: HealthLocation) -> None:
    location.processed("x/good.jsonl", age=9 * HOUR, processed=9 * HOUR)
    for number in range(2):
        location.file(f"x/new{number}.jsonl", age=2 * HOUR)
    process(location, refuse("x/new", Permanent))
    assert statuses(location) == {"quarantine": "info"}, "one or two wait for nothing"
    location.file("x/new2.jsonl", age=2 * HOUR)
    process(location, refuse("x/new", Permanent))
    assert statuses(location)["freshness"] == "warning"


def test_a_file_from_the_future_is_no_alarm_and_no_age_is_negative(location) -> None:
    location.file("x/future.jsonl", age=-3 * HOUR)
    found = location.examine().findings["verification"]
    assert statuses(location) == {}
    assert all(number >= 0 for f in found for number in f.numbers.values())
    location.processed("x/s.jsonl", age=60)
    assert statuses(location) == {}
    process(location)
    location.file("x/late.jsonl", age=31 * MINUTE)
    assert statuses(location) == {}
    assert finding(location, "freshness").numbers["lag_seconds"] < MINUTE, (
        "the future counts as now"
    )


def test_a_row_from_the_future_does_not_hide_what_landed(location: HealthLocation) -> None:
    location.row("x/earlier.jsonl", age=-30 * DAY)
    location.file("x/s.jsonl", age=HOUR)
    assert statuses(location) == {"freshness": "warning"}


def test_no_files_where_there_were_some_is_ok_but_says_so(location: HealthLocation) -> None:
    location.row("x/earlier.jsonl", age=HOUR)
    assert statuses(location) == {}
    assert "mounted" in finding(location, "freshness").detail


# --- backlog -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "fresh", "expected"),
    [(20, 30, "warning"), (19, 30, "ok"), (20, 181, "ok"), (20, 180, "warning")],
)
def test_an_old_backlog_behind_fresh_files_is_a_warning(location, old, fresh, expected) -> None:
    """From 20 files and a tenth of all; 4 x grace is 2 h."""
    for index in range(old):
        location.file(f"x/old{index}.jsonl", age=2 * HOUR + MINUTE)
    for index in range(fresh):
        location.file(f"x/fresh{index}.jsonl", age=MINUTE)
    process(location, lambda session: refuse(session.key)(session) if "old" in session.key else 0)
    found = finding(location, "backlog")
    assert found.status.value == expected
    assert (found.numbers["backlog"], found.numbers["session_files"]) == (old, old + fresh)
    assert statuses(location).get("freshness") is None, "the fresh ones hide it"


def test_a_backlog_within_the_stuck_grace_is_none(location: HealthLocation) -> None:
    for index in range(30):
        location.file(f"x/{index}.jsonl", age=2 * HOUR - MINUTE)
    assert finding(location, "backlog").status is Status.OK


# --- fifo_stuck_file ---------------------------------------------------------------------------


@pytest.mark.everywhere
def test_a_grown_file_that_keeps_failing_is_stuck_although_it_has_a_row(location) -> None:
    grown = location.file("x/grown.jsonl", age=5 * HOUR)
    process(location)
    append(grown, "more")
    set_mtime(grown, location.before(4 * HOUR))
    location.file("x/fresh.jsonl", age=60)
    process(location, refuse("x/grown.jsonl"))
    found = not_ok(location)["fifo_stuck_file"]
    assert (found.status, found.stuck_file) == (Status.INFO, "x/grown.jsonl")
    assert "failed 1 times" in found.detail
    assert "session-pipeline retry x/grown.jsonl" in found.detail


def test_the_oldest_file_alone_is_not_skipped_by_older_ones(location: HealthLocation) -> None:
    location.processed("x/older.jsonl", age=9 * HOUR, processed=8 * HOUR)
    location.file("x/waiting.jsonl", age=5 * HOUR)
    assert "fifo_stuck_file" not in statuses(location)


def test_a_newer_file_that_has_grown_since_was_processed_all_the_same(location) -> None:
    newer = location.file("x/newer.jsonl", age=HOUR)
    process(location)
    append(newer, "more")
    location.file("x/stuck.jsonl", age=5 * HOUR)
    assert statuses(location) == {"fifo_stuck_file": "info"}


def test_rows_of_an_older_version_have_overtaken_nothing(location: HealthLocation) -> None:
    for age in (5 * HOUR, HOUR):
        location.file(f"x/{age}.jsonl", age=age)
    process(location)
    location.processors = [NamedProcessor(version=2)]
    assert "fifo_stuck_file" not in statuses(location)
    assert finding(location, "freshness").numbers["pending"] == 2


# --- what makes nothing pending ----------------------------------------------------------------


@pytest.mark.parametrize("touch", ["chmod", "hard link"])
def test_a_backup_that_touches_every_inode_makes_nothing_pending(location, touch: str) -> None:
    paths = [location.file(f"x/{index}.jsonl", age=5 * HOUR) for index in range(30)]
    process(location)
    before = paths[0].stat().st_ctime_ns
    for path in paths:
        if touch == "chmod":
            path.chmod(0o600)
        else:
            os.link(path, path.with_suffix(".bak"))
    assert paths[0].stat().st_ctime_ns != before
    assert statuses(location) == {}
    assert finding(location, "freshness").numbers["pending"] == 0


def test_rows_with_absolute_paths_count(location: HealthLocation) -> None:
    path = location.file("x/s.jsonl", age=5 * HOUR)
    location.file("x/fresh.jsonl", age=60)
    location.row("x/fresh.jsonl", age=0)
    assert statuses(location) == {"fifo_stuck_file": "info"}
    location.row(str(path), age=4 * HOUR)
    assert statuses(location) == {}
    append(path, "changed after that")
    set_mtime(path, location.before(3 * HOUR))
    assert statuses(location) == {"fifo_stuck_file": "info"}


def test_rows_without_a_signature_count_by_mtime(location: HealthLocation) -> None:
    location.processed("x/fresh.jsonl", age=60)
    location.processed("x/before.jsonl", age=5 * HOUR, processed=4 * HOUR)
    assert statuses(location) == {}
    location.processed("x/after.jsonl", age=4 * HOUR, processed=5 * HOUR)
    found = not_ok(location)
    assert found["fifo_stuck_file"].stuck_file == "x/after.jsonl"


def test_a_row_without_a_version_gets_one_at_its_first_run(location: HealthLocation) -> None:
    location.processed("x/s.jsonl", age=5 * HOUR)
    process(location)
    assert location.processors[0].calls == [], "it is current by its mtime"
    found = location.pipeline.select("SELECT processor_version FROM session_processor_state")
    assert found == [(1,)]


# --- quarantine and lines ----------------------------------------------------------------------


@pytest.mark.everywhere
def test_a_file_given_up_is_listed_with_its_reason_and_how_to_release_it(location) -> None:
    location.file("x/bad.jsonl", age=HOUR)
    location.processed("x/good.jsonl", age=MINUTE)
    process(location, refuse("x/bad.jsonl", Permanent))
    found = not_ok(location)["quarantine"]
    assert found.status is Status.INFO
    assert [failure.session_file for failure in found.failures] == ["x/bad.jsonl"]
    assert "session-pipeline retry x/bad.jsonl" in found.detail
    location.pipeline.store.release("verification")
    process(location)
    assert statuses(location) == {}


def test_a_command_to_paste_takes_an_odd_key_as_one_word(location) -> None:
    key = "x/a b;$(id), c.jsonl"
    location.file(key, age=HOUR)
    location.processed("x/good.jsonl", age=MINUTE)
    process(location, refuse(key, Permanent))
    detail = not_ok(location)["quarantine"].detail
    (command,) = re.findall(r"`session-pipeline (retry .*? --processor .*?)`", detail)
    assert shlex.split(command)[1] == key
    (config,) = re.findall(r"`(retry: .*?\])`", detail)
    assert yaml.safe_load(config) == {"retry": [key]}


@pytest.mark.everywhere
def test_files_that_are_tried_again_are_listed_beside_those_given_up(location) -> None:
    location.file("x/given_up.jsonl", age=HOUR)
    process(location, refuse("x/given_up.jsonl", Permanent))
    location.file("x/again.jsonl", age=HOUR)
    process(location, refuse("x/again.jsonl", ValueError))
    found = not_ok(location)["quarantine"]
    assert found.numbers == {"quarantined": 1, "failing": 1}
    listed = [failure.session_file for failure in found.failures]
    assert listed == ["x/again.jsonl", "x/given_up.jsonl"], "newest first"
    location.pipeline.let_back_off_pass()
    assert len(not_ok(location)["quarantine"].failures) == 2, "also when its time has come"


def lines(location: HealthLocation, key: str, good: int, *odd: str, age: float = HOUR) -> None:
    path = location.file(key, age)
    path.write_text('{"type":"user"}\n' * good + "".join(f"{line}\n" for line in odd))
    set_mtime(path, location.before(age))


@pytest.mark.parametrize(
    ("odd", "check", "limit"),
    [
        ("not json", "unreadable_lines", "unreadable_percent"),
        ('{"type":"new-in-2027"}', "unknown_record_types", "unknown_percent"),
    ],
)
def test_a_share_of_odd_lines_over_the_limit_is_a_warning(tmp_path, odd, check, limit) -> None:
    location = HealthLocation(tmp_path, **{limit: 2.0})
    lines(location, "x/a.jsonl", 98, odd, odd)
    process(location)
    assert statuses(location) == {}, "at the limit"
    lines(location, "x/b.jsonl", 97, odd, odd, odd)
    process(location)
    assert statuses(location) == {check: "warning"}
    found = not_ok(location)[check]
    assert found.numbers[check] == 5
    assert found.numbers["share_percent"] == 2.5
    assert "upgrade" in found.detail


def test_odd_lines_of_old_files_and_of_very_few_lines_are_no_drift(location) -> None:
    lines(location, "x/old.jsonl", 100, *["not json"] * 50, age=8 * DAY)
    lines(location, "x/tiny.jsonl", 98, "not json")
    process(location)
    assert statuses(location) == {}
    assert finding(location, "unreadable_lines").numbers["lines"] == 99


@pytest.mark.slow
@pytest.mark.everywhere
def test_the_files_with_the_most_odd_lines_are_named_with_their_counts(location) -> None:
    for number in range(1, 13):
        lines(location, f"x/{number:02}.jsonl", 3, *["not json"] * number)
    process(location)
    found = not_ok(location)["unreadable_lines"]
    assert found.files == [(f"x/{number:02}.jsonl", number) for number in range(12, 2, -1)]
    assert "x/12.jsonl (12), x/11.jsonl (11)," in found.detail
    assert "x/03.jsonl (3) and 2 more files" in found.detail
    (check,) = [c for name, c in location.checks().items() if name == "unreadable_lines"]
    assert check.metadata["files"].records[0].data == {"session": "x/12.jsonl", "lines": 12}
    service = location.document()["services"]["session_pipeline"]["processors"]["verification"]
    assert service["checks"]["unreadable_lines"]["files"][9] == {
        "session": "x/03.jsonl",
        "lines": 3,
    }


def test_odd_lines_of_files_that_are_gone_do_not_count(location: HealthLocation) -> None:
    lines(location, "x/good.jsonl", 200)
    lines(location, "x/gone.jsonl", 10, *["not json"] * 90)
    lines(location, "x/one.jsonl", 10, "not json")
    process(location)
    assert statuses(location) == {"unreadable_lines": "warning"}
    (location.pipeline.root / "x" / "gone.jsonl").unlink()
    for _ in ("before a pass has marked it", "after"):
        found = finding(location, "unreadable_lines")
        assert found.status is Status.OK
        assert found.numbers["unreadable_lines"] == 1
        assert found.numbers["lines"] == 211
        assert found.files == [("x/one.jsonl", 1)]
        process(location)


@pytest.mark.parametrize(
    ("count", "whole", "said"),
    [
        (0, 0, "0"),
        (0, 5, "0"),
        (5, 5, "100"),
        (999_999, 1_000_000, "over 99.9"),
        (995, 1000, "99.5"),
        (1, 10**9, "under 0.001"),
        (1, 300, "0.33"),
        (1, 3, "33.3"),
        (1, 100, "1"),
    ],
)
def test_a_share_is_said_as_a_person_would(count: int, whole: int, said: str) -> None:
    assert percent(count, whole) == said


# --- the lake ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "status"), [(2.0, Status.OK), (2.001, Status.WARNING)])
def test_a_lake_that_nobody_has_tidied_for_two_days_is_a_warning(days: float, status) -> None:
    found = lake_tidied(timedelta(days=days), "the_job")
    assert (found.check, found.status) == ("lake_tidied", status)
    assert found.numbers == {"untidied_seconds": pytest.approx(86400 * days)}
    assert ("`the_job`" in found.detail) == (status is Status.WARNING)


# --- unknown -----------------------------------------------------------------------------------


def test_a_root_that_vanished_is_unknown_and_not_ok(location: HealthLocation) -> None:
    location.processed("x/s.jsonl", age=60)
    shutil.rmtree(location.pipeline.root)
    found = not_ok(location)
    assert {f.status for f in found.values()} == {Status.UNKNOWN}
    assert len(found) == 7
    assert "SESSION_DATA_DIR" in found["freshness"].detail
    document = location.document()
    assert document["status"] == "unknown"
    assert document["services"]["session_pipeline"]["session_files"] is None


def test_a_busy_database_is_unknown_with_the_holder(tmp_path: Path) -> None:
    location = HealthLocation(tmp_path, lock_timeout=timedelta(seconds=0.1))
    location.processed("x/s.jsonl", age=60)
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    command = [sys.executable, "-c", hold, str(location.pipeline.settings.database)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        found = location.examine()
        holder.communicate("\n")
    assert found.busy == ["verification"]
    (cause,) = {f.detail for f in found.findings["verification"]}
    assert f"process {holder.pid}" in cause
    assert statuses(location) == {}


def test_a_database_that_is_none_is_unknown_with_the_cause(location: HealthLocation) -> None:
    location.pipeline.settings.database.write_text("no database")
    location.file("x/s.jsonl", age=60)
    found = location.examine()
    assert found.busy == []
    assert {f.status for f in found.findings["verification"]} == {Status.UNKNOWN}
    assert "not a DuckDB file" in found.findings["verification"][0].detail


# --- together ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processors_combine_and_the_worst_one_wins(tmp_path: Path) -> None:
    """One is up to date, the other stands still; then the other way round."""
    location = HealthLocation(tmp_path, [NamedProcessor("verification"), NamedProcessor("second")])
    location.file("x/a.jsonl", age=2 * HOUR)
    location.pipeline.run(location.processors[0])
    document = location.document()
    service = document["services"]["session_pipeline"]
    assert (document["status"], service["status"]) == ("degraded", "warning")
    assert service["detail"].startswith("second: ")
    assert "verification: " not in service["detail"]
    each = {name: found["status"] for name, found in service["processors"].items()}
    assert each == {"verification": "ok", "second": "warning"}

    location.pipeline.run(location.processors[1])
    location.file("x/older.jsonl", age=3 * HOUR)
    location.row("x/older.jsonl", age=0, processor="second")
    document = location.document()
    service = document["services"]["session_pipeline"]
    assert (document["status"], service["status"]) == ("ok", "info")
    assert service["stuck_file"] == "x/older.jsonl"
    assert service["processors"]["second"]["status"] == "ok"
    assert service["lag_seconds"] == 0


def test_a_slower_processor_has_a_longer_grace(tmp_path: Path) -> None:
    both = [NamedProcessor("verification", 900), NamedProcessor("slow", 3600)]
    location = HealthLocation(tmp_path, both)
    location.file("x/s.jsonl", age=HOUR)
    assert statuses(location) == {"freshness": "warning"}
    assert statuses(location, "slow") == {}


@pytest.mark.parametrize(
    ("given", "wins", "says"),
    [
        ("", "ok", "ok"),
        ("ok info", "info", "ok"),
        ("info unknown ok", "unknown", "unknown"),
        ("unknown warning info", "warning", "degraded"),
    ],
)
def test_the_worst_status_wins_and_info_is_never_the_headline(given, wins, says) -> None:
    found = [Status(word) for word in given.split()]
    assert worst(found).value == wins
    assert headline(found) == says


def test_no_finding_quotes_a_transcript(location: HealthLocation) -> None:
    location.file("x/bad.jsonl", age=5 * HOUR)
    location.file("x/good.jsonl", age=HOUR)
    process(location, refuse("x/bad.jsonl"))
    found = location.examine().findings["verification"]
    assert not_ok(location)["fifo_stuck_file"].reason
    assert "SECRET" not in str(found)


# --- vanished files ---------------------------------------------------------------------------


def test_a_user_whose_files_all_vanished_is_a_warning_before_they_are_purged(tmp_path) -> None:
    location = HealthLocation(tmp_path)
    location.pipeline = location.pipeline.having(on_delete=OnDelete.PURGE)
    for key in ("alice/a.jsonl", "alice/p/b.jsonl", "bob/c.jsonl", "bob/d.jsonl"):
        location.file(key, age=60)
    process(location)
    (location.pipeline.root / "bob" / "c.jsonl").unlink()
    process(location)
    assert "vanished_files" not in not_ok(location), "one file of many is no user that vanished"
    away = (location.pipeline.root / "alice").rename(location.pipeline.root.parent / "alice")
    process(location)
    found = not_ok(location)["vanished_files"]
    assert found.status is Status.WARNING
    assert "2 files of alice would be purged on 20" in found.detail
    assert found.numbers == {"deleted_files": 3, "vanished_files": 2}
    away.rename(location.pipeline.root / "alice")
    process(location)
    assert "vanished_files" not in not_ok(location)


def test_a_user_whose_files_vanished_while_rows_are_kept_alarms_nobody(location) -> None:
    location.file("alice/a.jsonl", age=60)
    location.file("bob/b.jsonl", age=60)
    process(location)
    shutil.rmtree(location.pipeline.root / "alice")
    process(location)
    assert "vanished_files" not in not_ok(location)
    assert finding(location, "vanished_files").detail == "rows are kept of 1 deleted files"
