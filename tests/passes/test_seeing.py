"""Many states are compared in the database, and all that anyone makes of it is what it was."""

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from helpers import EchoProcessor, Pipeline, append, make_pipeline, write_many, write_session
from histories import play
from session_pipeline_dagster.contract.processor import AUTOMATIC, ON_REQUEST, UNPAID
from session_pipeline_dagster.health.findings import Snapshot, snapshot
from session_pipeline_dagster.passes.deletions import Unsettled, settle, to_purge, unsettled
from session_pipeline_dagster.passes.plan import Currency, currency, last_change, left_out, look
from session_pipeline_dagster.passes.seeing import Sight, see
from session_pipeline_dagster.settings import OnDelete, Settings
from session_pipeline_dagster.sources.files import LeftOut, Scan, SessionFile, Signature
from session_pipeline_dagster.store import compare, database
from session_pipeline_dagster.store.states import FileState
from session_pipeline_dagster.store.write import RECORDS

CASES = int(os.environ.get("SEEING", "80"))
"""`make soak` takes more."""
VERSION = 3
NOW = datetime.now(UTC)
ODD_TIMES = ("infinity", "-infinity", "20000-01-01", "0044-03-15 (BC) 00:00:00+00", "1950-01-01")
KEYS = [
    *(f"{user}/p{n}/{n}.jsonl" for user in ("ada", "böb", "b", "über") for n in range(6)),
    *(f"two:{user}/{n}.jsonl" for user in ("ada", "eve") for n in range(4)),
    *(f"a%3Ab/{n}.jsonl" for n in range(3)),
    *(f"a:b/{n}.jsonl" for n in range(3)),
    *(f"/abs/ada/p{n}/{n}.jsonl" for n in range(4)),
    "/abs/gone.jsonl",
    "hidden/1.jsonl",
    "hidden/2.jsonl",
]
COLUMNS = (
    "processor_name, session_file, username, session_day, processed_at, file_hash, size_bytes, "
    "mtime_ns, ctime_ns, processor_version, memo, signature_at, gone_at, root, left_out, readers, "
    "lines, unreadable_lines, unknown_lines"
)


class Stopped(datetime):
    """The store's clock: a little later than that of who looks."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return (NOW + timedelta(seconds=0.5)).astimezone(tz)


class Versioned(EchoProcessor):
    """An echo that says what a new version of it means."""

    def __init__(self, reprocess: str = AUTOMATIC) -> None:
        super().__init__(version=VERSION)
        self.reprocess = reprocess


class Case:
    """Random states, failures and files; each value is often one that makes no difference."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  to be played again
        self.one = self.random.choice
        calm = self.random.random()
        self.odd: Callable[[], bool] = lambda: self.random.random() > calm
        self.processor = Versioned(self.one((AUTOMATIC, ON_REQUEST, UNPAID)))
        known = [key for key in KEYS if self.random.random() < 0.8]
        self.states = [self.state(key) for key in known]
        self.failures = [self.failure(key) for key in KEYS if self.odd() and self.odd()]
        signatures = {str(row[1]): row[6:9] for row in self.states}
        files = [
            self.file(key, signatures.get(key))
            for key in KEYS
            if not key.startswith(("/", "a:")) and self.random.random() < 0.8
        ]
        roots = self.one((("", "two"), ("", "two"), ("",), ("two",), ()))
        files = [file for file in files if file.root in roots]
        if self.odd():
            files.append(self.file("zoe/\udcff.jsonl", (1, 2, 3)))
        if self.odd():
            self.random.shuffle(files)
        hidden = [LeftOut("hidden/", "folder cannot be read: no")]
        self.scan = Scan([f for f in files if not f.key.startswith("hidden")], hidden)
        self.keys = self.random.sample(KEYS, self.random.randint(0, 3))

    def ns(self) -> int:
        """A time in nanoseconds: near those at which signatures were taken, too."""
        at = 1_750_000_000 + self.random.randint(0, 5)
        if self.odd():
            return self.one((0, -(2**63), 2**63 - 1, int((NOW.timestamp() + 90) * 1e9)))
        return at * 10**9 + self.random.randint(-2, 2)

    def time(self) -> str | None:
        if self.odd():
            near = [NOW + timedelta(seconds=s) for s in (-1, -0.4, 0.4, 1, 59, 60.2, 61, 90)]
            return self.one((None, *ODD_TIMES, *(str(t) for t in near)))
        # Now and then exactly as far from an mtime as is racy.
        at = datetime.fromtimestamp(1_750_000_000 + self.random.randint(-3, 8), UTC)
        return str(at + timedelta(microseconds=self.random.randint(-1, 1)))

    def missed(self) -> str | None:
        if not self.odd():
            return None
        ago = [NOW - timedelta(days=d) for d in (0.5, 6.9, 7, 7.1, 40)]
        return self.one((*map(str, ago), self.time(), str(NOW - timedelta(days=7))))

    def signature(self) -> tuple[object, ...]:
        found = (self.random.randint(0, 3), self.ns(), self.ns())
        if self.odd():
            return self.one(((None, None, None), (None, *found[1:]), (2**64 - 1, *found[1:])))
        return found

    def root(self, key: str) -> str | None:
        # What was imported under a path is of no root.
        root = None if key.startswith("/") else "two" if key.startswith("two:") else ""
        return self.one((None, "other", "", "two")) if self.odd() and self.odd() else root

    def state(self, key: str) -> tuple[object, ...]:
        day = self.one((None, "infinity", "20000-01-01", "2026-01-05")) if self.odd() else None
        return (
            "echo",
            key,
            self.one(("ada", "eve", None)),
            day or str(date(2026, 1, self.random.randint(1, 9))),
            self.time(),
            self.one(("h1", "h2", None)),
            *self.signature(),
            self.one((None, 0, 1, 2, 4)) if self.odd() else VERSION,
            self.one((None, "memo")),
            self.time(),
            self.missed(),
            self.root(key),
            self.one((None, "", "a mail")) if self.odd() else None,
            self.one((None, "us", "them")),
            *self.one(((9, 0, 0), (9, 2, 1), (None, 1, None))),
        )

    def failure(self, key: str) -> tuple[object, ...]:
        signature, at = self.signature(), self.one((str(NOW), "2025-01-01"))
        later = str(NOW + timedelta(hours=self.one((-1, 1))))
        given_up = self.one((None, str(NOW)))
        head = ("echo", key, self.one((1, 3)), "E", "it failed", at, at, later, given_up, None)
        return (*head, *signature, 1, self.one((2, 3, 4)), self.root(key))

    def file(self, key: str, known: tuple[object, ...] | None) -> SessionFile:
        size, mtime, ctime = known or (None, None, None)
        if size is None or mtime is None or ctime is None or self.odd():
            size, mtime, ctime = self.random.randint(0, 3), self.ns(), self.one((self.ns(), 2**70))
        elif self.odd():
            # Another one in one respect alone.
            size, mtime, ctime = self.one(
                ((5, mtime, ctime), (size, self.ns(), ctime), (size, mtime, self.ns()))
            )
        signature = Signature(int(str(size)), int(str(mtime)), int(str(ctime)))
        root = "two" if key.startswith("two:") else ""
        user = key.removeprefix("two:").partition("/")[0]
        return SessionFile(key, user, None, f"/abs/{key}", signature, root)

    def write(self, pipeline: Pipeline) -> None:
        with pipeline.store.transaction() as connection:
            for table in RECORDS:
                connection.execute(f"DELETE FROM {table}")
            states = [*self.states, *(("other", *row[1:]) for row in self.states[:1])]
            state = f"session_processor_state ({COLUMNS})"
            for table, rows in ((state, states), ("session_processor_failures", self.failures)):
                if rows:
                    values = ", ".join(f"({', '.join(map(literal, row))})" for row in rows)
                    connection.execute(f"INSERT INTO {table} VALUES {values}")


def literal(value: object) -> str:
    """A value in SQL: as a parameter each takes DuckDB half a millisecond."""
    return "NULL" if value is None else f"'{value}'" if isinstance(value, str) else str(value)


def all_of(case: Case, seen: Sight, settings: Settings) -> dict[str, object]:
    """What runner, sensors, status and health make of what was seen."""
    known, version = seen.known, case.processor.version
    states, failures, rest = known.states, known.failures, known.rest
    found: Unsettled = unsettled(seen.scan, known, settings, NOW)
    taken: Snapshot = snapshot("echo", version, seen, NOW)
    keys = {*case.keys, *(f.key for f in seen.files if f.key in failures)}
    return {
        "outlook": look(seen.files, states, failures, version, NOW, rest),
        "change": last_change(states, failures, rest),
        "left out": left_out(seen.scan.files, states, "us"),
        "unsettled": tuple(map(sorted, (found.gone, found.purge, found.back))),
        "purge": to_purge(known.gone(), settings),
        "gone": sum(one.files for one in known.gone()),
        "days": rest.days | {state.session_day for state in states.values()} - {None},
        "snapshot": replace(taken, failures={}),
        "asked": {key: states.get(key) for key in keys},
        "rest": (known.prepared, known.stale_rollups, failures, known.lines),
    }


def ways(case: Case, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> tuple[Sight, Sight]:
    """The same seen in Python and in SQL."""
    seen = []
    for many in (10**9, 0):
        monkeypatch.setattr(compare, "MANY", many)
        since = datetime(2020, 1, 1, tzinfo=UTC)
        store, settings = pipeline.store, pipeline.settings
        seen.append(
            see(case.processor, case.scan, store, settings, NOW, None, since, keys=case.keys)
        )
    assert (seen[0].known.places, seen[1].known.places is None) == (None, False)
    return seen[0], seen[1]


def is_calm(file: SessionFile, state: FileState | None, case: Case, failed: set[str]) -> bool:
    """Whether nothing can follow from a file, by the rules in words."""
    is_current = currency(file, state, VERSION) is Currency.CURRENT
    is_plain = state is not None and not state.gone and state.left_out is None
    return is_current and is_plain and file.key not in {*case.keys, *failed}


@pytest.mark.parametrize("on_delete", OnDelete)
@pytest.mark.parametrize("part", [3, 200_000])
def test_in_the_database_or_in_python_everyone_sees_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_delete: OnDelete, part: int
) -> None:
    monkeypatch.setattr(compare, "PART", part)
    monkeypatch.setattr(database, "datetime", Stopped)
    pipeline = make_pipeline(tmp_path).having(on_delete=on_delete, purge_after=timedelta(days=7))
    pipeline.store.prepare(Versioned())
    settings = pipeline.settings
    for seed in range(2 * (part == 3) + (on_delete is OnDelete.PURGE), CASES, 4):
        case = Case(seed)
        with pipeline.store.held():
            case.write(pipeline)
            plain, quick = ways(case, pipeline, monkeypatch)
        expected, found = all_of(case, plain, settings), all_of(case, quick, settings)
        for what, value in expected.items():
            assert found[what] == value, f"{what} in case {seed}"
        assert quick.known.states.items() <= plain.known.states.items()
        moved = {key for key in KEYS if key.startswith(("a%3A", "a:"))}
        states, failed = plain.known.states, {*plain.known.failures}
        # No more than what the rules say is looked at, but for files that have moved.
        calm = {f.key for f in case.scan.files if is_calm(f, states.get(f.key), case, failed)}
        assert not (calm - moved) & {file.key for file in quick.files}
        if seed % 3:
            continue
        again = pipeline.having(database=tmp_path / "copy.duckdb")
        shutil.copyfile(settings.database, again.settings.database)
        settled = settle(case.processor, case.scan, plain.known, pipeline.store, settings, NOW)
        assert settled == settle(
            case.processor, case.scan, quick.known, again.store, again.settings, NOW
        )
        rows = "SELECT * FROM session_processor_state ORDER BY ALL"
        assert pipeline.select(rows) == again.select(rows)


def test_every_kind_of_file_comes_up_in_these_cases() -> None:
    """Otherwise the test above would say nothing."""
    kinds = dict.fromkeys(Currency, 0)
    for seed in range(CASES):
        case = Case(seed)
        rows = {str(row[1]): row for row in case.states}
        for file in case.scan.files:
            row = rows.get(file.key)
            state = None if row is None else _state(row)
            kinds[currency(file, state, VERSION)] += 1
    assert min(kinds.values()) > CASES / 2, kinds


def _state(row: tuple[object, ...]) -> FileState:
    numbers = [None if value is None else int(str(value)) for value in row[6:9]]
    whole = [number for number in numbers if number is not None]
    signature = Signature(*whole) if len(whole) == 3 else None
    version = VERSION if row[9] is None else int(str(row[9]))
    return FileState(str(row[1]), None, _us(row[4]), None, signature, _us(row[11]), version)


def _us(time: object) -> int | None:
    if time is None or time in ODD_TIMES:
        return None
    return int(datetime.fromisoformat(str(time)).timestamp() * 1e6)


def test_a_signature_is_racy_to_the_very_microsecond(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, mtime = make_pipeline(tmp_path), 1_750_000_000 * 10**9
    case = Case(0)
    case.failures, case.keys, case.processor, known = [], [], Versioned(), []
    for microseconds in (-2_000_001, -2_000_000, 0, 2_000_000, 2_000_001):
        key, at = f"a/{microseconds}.jsonl", datetime.fromtimestamp(mtime / 1e9, UTC)
        times = (str(at), "h", 1, mtime, 1, VERSION, None)
        signed = str(at + timedelta(microseconds=microseconds))
        known.append(("echo", key, "a", None, *times, signed, None, "", None, None, 0, 0, 0))
    case.states = known
    signature = Signature(1, mtime, 1)
    files = [SessionFile(str(row[1]), "a", None, f"/{row[1]}", signature) for row in known]
    case.scan = Scan(files, [])
    pipeline.store.prepare(case.processor)
    case.write(pipeline)
    plain, quick = ways(case, pipeline, monkeypatch)
    states = plain.known.states
    suspect = [f for f in files if currency(f, states[f.key], VERSION) is Currency.SUSPECT]
    assert [f.key for f in quick.files] == [f.key for f in suspect]
    assert [f.key for f in files if f not in suspect] == ["a/-2000001.jsonl", "a/2000001.jsonl"]


def test_only_what_differs_becomes_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, echo = make_pipeline(tmp_path), EchoProcessor()
    write_many(pipeline.root, 9)
    # What is signed within two seconds of its ctime is fine; of its mtime it would be racy.
    pipeline.run(echo)
    append(pipeline.root / "alice/s03.jsonl", "grown")
    write_session(pipeline.root, "bob/new.jsonl", "new")
    (pipeline.root / "alice/s05.jsonl").unlink()
    monkeypatch.setattr(compare, "MANY", 9)
    scan = pipeline.source.scan()
    seen = see(echo, scan, pipeline.store, pipeline.settings, datetime.now(UTC))
    assert [file.key for file in seen.files] == ["alice/s03.jsonl", "bob/new.jsonl"]
    assert sorted(seen.known.states) == ["alice/s03.jsonl", "alice/s05.jsonl"]
    assert seen.known.rest.files == 7
    report = pipeline.run(echo)
    assert (report.session_files, report.processed, report.deleted) == (9, 2, 1)
    monkeypatch.setattr(compare, "MANY", 11)
    assert see(echo, scan, pipeline.store, pipeline.settings, datetime.now(UTC)).files == scan.files


def test_a_look_that_may_not_write_compares_in_the_database_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, echo = make_pipeline(tmp_path), EchoProcessor()
    write_many(pipeline.root, 3)
    pipeline.run(echo)
    before = pipeline.settings.database.read_bytes()
    monkeypatch.setattr(compare, "MANY", 0)
    place = replace(pipeline.store.place, looking=True)
    store = replace(pipeline.store, place=place)
    seen = see(echo, pipeline.source.scan(), store, pipeline.settings, datetime.now(UTC))
    assert (seen.files, seen.known.rest.files) == ([], 3)
    assert pipeline.settings.database.read_bytes() == before


@pytest.mark.slow(seconds=20)
def test_no_history_loses_or_doubles_a_line_where_all_is_compared_in_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "MANY", 0)
    monkeypatch.setattr(compare, "PART", 40)
    assert play(tmp_path, 500, batch=250, seed=11) >= 500
