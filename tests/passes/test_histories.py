"""Random histories without a violation; and the same oracle finds planted bugs.

`make soak` plays thousands (HISTORIES).
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from duckdb import DuckDBPyConnection

from histories import BusySource, KillableStore, Subject, Violation, play
from lakes import Lakes
from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.passes import deletions, plan
from session_pipeline_dagster.passes.plan import Currency
from session_pipeline_dagster.sources.files import Content, Scan, SessionFile
from session_pipeline_dagster.sources.snapshot import content_hash
from session_pipeline_dagster.store import forget as store_forget
from session_pipeline_dagster.store import write as store_write
from session_pipeline_dagster.store.batch import Batch
from session_pipeline_dagster.store.states import FileState

pytestmark = pytest.mark.slow

HISTORIES = int(os.environ.get("HISTORIES", "500"))
SOON = 200
"""Within so many histories a planted bug must be found."""


@pytest.mark.slow(seconds=20)
def test_no_history_loses_or_doubles_a_line(tmp_path: Path) -> None:
    # A seed of its own for every run of a soak, the same for every run of the tests.
    seed = 0 if HISTORIES <= 500 else int(datetime.now(UTC).timestamp())
    assert play(tmp_path, HISTORIES, batch=500, seed=seed) >= HISTORIES


@pytest.mark.slow(seconds=30)
def test_no_history_loses_or_doubles_a_line_in_a_lake(lakes: Lakes, tmp_path: Path) -> None:
    many = max(HISTORIES // 100, 5)
    assert play(tmp_path, many, Subject(place=lambda f: lakes.store(f).place), batch=5) >= many


class StateFirst(KillableStore):
    """Planted: what was processed is written down before its rows are there."""

    def _commit(self, processor: Processor, batch: Batch, run_id: str | None) -> frozenset[str]:
        with self.transaction() as connection:
            keys = [done.session_file for done in batch.done]
            store_write.delete_records(connection, "session_processor_state", processor.name, keys)
            now = datetime.now(UTC)
            store_write.insert_states(connection, processor, batch.done, now, run_id)
        return super()._commit(processor, batch, run_id)


class RowsFirst(KillableStore):
    """Planted: rows in a transaction of their own, the state in another one after it."""

    def _commit(self, processor: Processor, batch: Batch, run_id: str | None) -> frozenset[str]:
        with self.transaction() as connection:
            keys = [done.session_file for done in batch.done]
            store_write.delete_rows(connection, processor.tables, keys)
            for table, parts in batch.rows.items():
                store_write.insert_parts(connection, table, parts)
        return super()._commit(processor, batch, run_id)


class SecondRead(BusySource):
    """Planted: the hash is of other bytes than those that are parsed."""

    def read(self, file: SessionFile) -> Content:
        content = super().read(file)
        return replace(content, file_hash=super().read(file).file_hash)


def only_newer(file: SessionFile, row: FileState | None, version: int) -> Currency:
    """Planted: a file is due if it is newer, not if it is different."""
    then = row.signature if row and row.processor_version == version else None
    if then and file.signature.mtime_ns <= then.mtime_ns:
        return Currency.CURRENT
    return _currency(file, row, version)


def no_ctime(file: SessionFile, row: FileState | None, version: int) -> Currency:
    """Planted: what size and mtime do not show is not looked for."""
    found = _currency(file, row, version)
    return Currency.CURRENT if found is Currency.SUSPECT else found


_currency = plan.currency


def no_delete(_connection: DuckDBPyConnection, _tables: object, _keys: list[str]) -> None:
    """Planted: new rows come beside those of before."""


_missing = deletions.missing


def no_roots(scan: Scan, known: Mapping[str, str | None]) -> list[str]:
    """Planted: a root without a file is one whose files were all deleted."""
    present = {file.key for file in scan.files}
    return [key for key in known if key not in present]


def one_direction(scan: Scan, known: Mapping[str, str | None]) -> list[str]:
    """Planted: of a renamed user only a name that comes earlier is marked."""
    return [key for key in _missing(scan, known) if not key.startswith("z")]


def no_return(_scan: Scan, _states: object) -> list[str]:
    """Planted: a file that is there again stays marked."""
    return []


def nothing_forgotten(*_given: object) -> None:
    """Planted: what was forgotten meanwhile is written all the same."""


def forgotten_for_ever(
    connection: DuckDBPyConnection, since: datetime, _now: datetime
) -> Callable[[str], bool] | None:
    """Planted: what a clock that was ahead has forgotten stays forgotten until then."""
    sql = "SELECT key_digest FROM session_forgotten WHERE forgotten_at >= ?"
    digests = {row[0] for row in connection.execute(sql, [since]).fetchall()}
    return (lambda key: content_hash(key.encode()) in digests) if digests else None


BUGS = {
    "state before rows": (Subject(store=StateFirst), ()),
    "rows before state": (Subject(store=RowsFirst), ()),
    "> instead of !=": (Subject(), ((plan, "currency", only_newer),)),
    "no delete before insert": (Subject(), ((store_write, "delete_rows", no_delete),)),
    "hash from a second read": (Subject(source=SecondRead), ()),
    "no look at ctime": (Subject(), ((plan, "currency", no_ctime),)),
    "an empty root is all deleted": (Subject(), ((deletions, "missing", no_roots),)),
    "marked in one direction only": (Subject(), ((deletions, "missing", one_direction),)),
    "marked for ever": (Subject(), ((deletions, "returned", no_return),)),
    "forgotten and written": (Subject(), ((store_forget, "forgotten", nothing_forgotten),)),
    "forgotten for ever": (Subject(), ((store_forget, "forgotten", forgotten_for_ever),)),
}


LATE = "state before rows"
"""Only a kill between the two shows it: more histories than for all the others together."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == LATE else name for name in BUGS]
)
def test_a_planted_bug_is_found_within_200_histories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    subject, patches = BUGS[name]
    for module, attribute, planted in patches:
        monkeypatch.setattr(module, attribute, planted)
    with pytest.raises(Violation) as found:
        play(tmp_path, SOON, subject, batch=25)
    sys.stdout.write(f"\n{name}: {found.value.history}\n")  # shown with -s
    assert found.value.history <= SOON


@pytest.mark.slow
def test_without_a_bug_the_same_histories_show_none(tmp_path: Path) -> None:
    assert play(tmp_path, SOON, batch=25) == SOON
