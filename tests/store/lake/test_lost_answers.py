"""A line that is cut before or after a COMMIT of Postgres: nothing is lost, nothing is doubled, and
no file that the catalog names is gone. Each kind of transaction, in a folder.

`make soak` cuts at every COMMIT, not only at the last one of each (CUTS), and
at many more of all blocks that are sent (BLOCKS).
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from lakes import Lakes, missing_files, named_files, over
from session_pipeline_dagster.errors import StoreError
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.batch import Batch
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.lake.engine import Engine
from session_pipeline_dagster.store.states import Failure
from tallies import NOW, Tallies, batch, held, settled, wanted
from wire import Wire, wire_to

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
CUTS = int(os.environ.get("CUTS", "1"))
"""At how many COMMITs of a kind, from the last one on."""
BLOCKS = int(os.environ.get("BLOCKS", "3"))
"""At how many of the blocks that a client sends, evenly spread."""
TALLIES = Tallies()


def failure(key: str) -> Failure:
    return Failure(key, 3, "ValueError", "no", NOW, NOW, None, NOW)


@dataclass
class Line:
    """A lake behind a wire, and what must be in it."""

    wire: Wire
    settings: Settings
    store: Store
    latest: dict[str, int] = field(default_factory=dict)
    calls: list[tuple[str, int]] = field(default_factory=list)
    number: int = 0

    def commit(self, *keys: str) -> None:
        self.number += 1
        self.store.commit(TALLIES, batch(self.number, *keys))
        self.latest |= dict.fromkeys(keys, self.number)
        self.calls += [(key, self.number) for key in keys]

    def forget(self, key: str) -> None:
        self.store.forget([TALLIES], [key])
        self.latest.pop(key, None)
        self.calls = [call for call in self.calls if call[0] != key]

    def check(self) -> None:
        settled(self.store)
        assert held(self.store) == wanted(self.latest, self.calls)
        assert not missing_files(self.settings)
        assert len(named_files(self.settings)) > 5


@contextmanager
def line(lakes: Lakes, folder: Path) -> Iterator[Line]:
    with wire_to(lakes.server.port) as wire:
        settings = over(lakes.settings(folder), wire.port)
        settings = replace(settings, lock_timeout=timedelta(seconds=10))
        found = Line(wire, settings, open_store(settings))
        yield found


@pytest.fixture(scope="module")
def behind(lakes: Lakes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """One lake for all of them: a new one takes seconds."""
    with line(lakes, tmp_path_factory.mktemp("lake")) as found:
        found.store.prepare(TALLIES)
        found.commit("a/1", "b/2")
        settled(found.store)
        yield found


def some_failed(line: Line) -> None:
    line.store.commit(TALLIES, Batch(failures=[failure("a/1")]))


def release(line: Line) -> None:
    # What was released by the commit that nobody heard of is said all the same.
    assert line.store.release("tally") == ["a/1"]


def undeclared(line: Line) -> None:
    with line.store.transaction() as connection:
        connection.execute("DELETE FROM session_processor_declarations")


def nothing(_line: Line) -> None:
    """There is nothing to do before."""


Step = Callable[[Line], object]
KINDS: dict[str, tuple[Step, Step]] = {
    "commit of new files": (nothing, lambda line: line.commit(f"c/{line.number}")),
    "commit of known files": (nothing, lambda line: line.commit("a/1", "b/2")),
    "refresh": (
        lambda line: line.commit("a/1"),
        lambda line: line.store.refresh(*Tallies.rollups),
    ),
    "derive": (
        lambda line: line.commit("a/1"),
        lambda line: line.store.derive(Tallies.derivations[0]),
    ),
    "mark_gone": (nothing, lambda line: line.store.mark_gone(TALLIES, ["a/1"], [], NOW)),
    "release": (some_failed, release),
    "mark_outdated": (nothing, lambda line: line.store.mark_outdated("tally", ["a/1"])),
    "forget": (lambda line: line.commit("f/1", "f/2"), lambda line: line.forget("f/1")),
    "prepare": (undeclared, lambda line: line.store.prepare(TALLIES)),
}


@contextmanager
def counted(wire: Wire) -> Iterator[list[int]]:
    """How many COMMITs are sent meanwhile, undisturbed."""
    count: list[int] = []
    wire.cut_before, wire.spared = COMMIT, 1000
    yield count
    count.append(1000 - wire.spared)
    wire.cut_before, wire.spared = None, 0


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_or_doubled_where_the_answer_to_a_commit_is_lost(
    behind: Line, kind: str
) -> None:
    before, step = KINDS[kind]
    before(behind)
    with counted(behind.wire) as count:
        step(behind)
    assert count[0]
    for spared in range(max(count[0] - CUTS, 0), count[0]):
        for cut in ("cut_before", "cut_after"):
            before(behind)
            behind.wire.spared, behind.wire.cuts = spared, 0
            setattr(behind.wire, cut, COMMIT)
            step(behind)
            assert behind.wire.cuts == 1
    behind.check()


@pytest.mark.slow(seconds=30)
def test_a_first_start_is_exact_whichever_of_its_commits_is_not_heard_of(
    lakes: Lakes, tmp_path: Path
) -> None:
    with line(lakes, tmp_path / "counted") as found, counted(found.wire) as count:
        found.store.prepare(TALLIES)
    # The last ones: the fence, the store's own tables, the processor's.
    for spared in range(max(count[0] - 2 - CUTS, 0), count[0]):
        with line(lakes, tmp_path / str(spared)) as found:
            found.wire.cut_after, found.wire.spared = COMMIT, spared
            found.store.prepare(TALLIES)
            found.commit("a/1")
            assert found.wire.cuts == 1
            settled(found.store)
            assert held(found.store) == wanted(found.latest, found.calls)
            assert not missing_files(found.settings)


@pytest.mark.slow(seconds=20)
@pytest.mark.parametrize("cut", ["cut_before", "cut_after"])
def test_wherever_the_line_is_cut_the_work_is_exact_and_no_statement_is_blamed(
    behind: Line, cut: str
) -> None:
    def work() -> None:
        behind.commit("a/1", f"w/{behind.number}")
        settled(behind.store)
        behind.store.known(TALLIES)

    work()
    behind.wire.cut_before, behind.wire.spared = b"", 100_000
    work()
    blocks, behind.wire.cut_before = 100_000 - behind.wire.spared, None
    assert blocks > 100
    for nth in range(BLOCKS):
        behind.wire.cuts = 0
        setattr(behind.wire, cut, b"")
        # From the first quarter on: there the statements of a commit are bound.
        behind.wire.spared = (54 + nth * blocks // BLOCKS) % blocks
        work()
        assert behind.wire.cuts == 1
    behind.check()


def test_without_being_cut_off_ducklake_deletes_files_that_its_catalog_names(
    lakes: Lakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Why `cut_off` is there: whoever takes it out must see that DuckLake has changed.
    with line(lakes, tmp_path) as found:
        found.store.prepare(TALLIES)
        with counted(found.wire) as count:
            found.commit("a/1")
        monkeypatch.setattr(Engine, "cut_off", lambda _: nullcontext())
        found.wire.cut_after, found.wire.spared = COMMIT, count[0] - 1
        with suppress(StoreError, duckdb.Error):
            found.commit("z/9")
        assert missing_files(found.settings)
