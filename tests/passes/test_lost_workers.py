"""Machines that die with all that is on them: who did it is named by the lease, and given up."""

import shutil
import signal
import time
from pathlib import Path

import msgspec
import pytest

from helpers import append, expected_rows, write_session
from lakes import Lakes
from lost_worker import Killer, Machine, one_pass, settings
from session_pipeline_dagster.cli.forget import delete
from session_pipeline_dagster.passes.breadcrumbs import Crumb, blamed, forget_notes, leased, trail
from session_pipeline_dagster.passes.plan import MAX_ATTEMPTS
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.passes.shards import Shard
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.lake.leases import Leases
from session_pipeline_dagster.store.states import Failure

KILLED = -signal.SIGKILL


class Team:
    """Sessions and a lake that machines share, seen from one that lives."""

    def __init__(self, catalog: str, folder: Path) -> None:
        self.catalog, self.folder, self.root = catalog, folder, folder / "sessions"
        self.root.mkdir()

    @property
    def store(self) -> Store:
        return open_store(settings(self.catalog, self.folder, self.folder / "work"))

    @property
    def leases(self) -> Leases:
        found = self.store.place.leases()
        assert found
        return found

    def machine(self, shard: str = "", workers: int = 1) -> Machine:
        return Machine(self.catalog, self.folder, shard, workers)

    def work(self) -> None:
        """A pass on a machine that lives."""
        one_pass(self.catalog, self.folder, self.folder / "work")

    def let_time_pass(self) -> None:
        """As if nobody had been heard of for a minute, and every retry were due."""
        with self.leases.catalog.session() as session:
            session.execute(
                "UPDATE public.session_pipeline_leases "
                "SET beat_at = beat_at - interval '61 seconds'"
            )
        with self.store.transaction() as connection:
            connection.execute(
                "UPDATE session_processor_failures SET next_attempt_at = last_failed_at"
            )

    def in_work(self) -> set[str]:
        """The files that lost workers had in work."""
        notes = [note for lost in self.leases.lost() for note in lost.working_on]
        return {msgspec.json.decode(note, type=Crumb).session_file for note in notes}

    def failures(self) -> dict[str, Failure]:
        return dict(self.store.known(Killer()).failures)

    def rows(self) -> list[tuple[object, ...]]:
        return self.store.query("SELECT * FROM echo_rows ORDER BY ALL")[0][1]

    def expected(self) -> list[tuple[object, ...]]:
        return [row for row in expected_rows(self.root) if "poison" not in str(row[0])]


@pytest.fixture
def team(lakes: Lakes, tmp_path: Path) -> Team:
    return Team(lakes.server.catalog(), tmp_path)


@pytest.mark.slow(seconds=60)
def test_a_file_that_kills_its_machine_at_once_is_named_and_given_up_the_others_are_done(
    team: Team,
) -> None:
    for number in range(60):
        write_session(team.root, f"alice/s{number:02}.jsonl", "hello")
    write_session(team.root, "alice/s30-poison-0.jsonl", "boom")
    ends = []
    while not any(failure.quarantined_at for failure in team.failures().values()):
        ends.append(team.machine().gone())
        team.let_time_pass()
        assert len(ends) < 4 * MAX_ATTEMPTS
    assert team.rows() == team.expected()
    (failure,) = team.failures().values()
    assert (failure.session_file, failure.attempts) == ("alice/s30-poison-0.jsonl", MAX_ATTEMPTS)
    # At first it may not have been named; and whoever names it lets it wait.
    assert MAX_ATTEMPTS <= ends.count(KILLED) <= MAX_ATTEMPTS + 1
    assert team.machine().gone() == 0, "and nobody dies of it any more"


@pytest.mark.slow(seconds=20)
def test_a_machine_that_was_killed_from_outside_costs_its_file_nothing(team: Team) -> None:
    write_session(team.root, "alice/a-slow.jsonl", "hello")
    write_session(team.root, "bob/b.jsonl", "hello")
    machine = team.machine()
    machine.at_work()
    time.sleep(2)
    machine.kill()
    assert team.in_work() == set(), "it may be a line that is down"
    team.let_time_pass()
    assert team.in_work() == {"alice/a-slow.jsonl"}
    (team.root / "alice" / "a-slow.jsonl").rename(team.root / "alice" / "a.jsonl")
    team.work()
    assert team.rows() == team.expected()
    assert team.failures() == {}
    assert team.leases.lost() == []


@pytest.mark.slow(seconds=30)
def test_what_worker_processes_had_in_work_is_in_the_lease_too(team: Team) -> None:
    for name in ("a", "b-poison-4"):
        path = write_session(team.root, f"alice/{name}.jsonl", "hello")
        append(path, *["x" * 1000] * 5000)
    write_session(team.root, "alice/c.jsonl", "hello")
    assert team.machine(workers=2).gone() == KILLED
    team.let_time_pass()
    assert "alice/b-poison-4.jsonl" in team.in_work()
    with trail(team.store, "echo", 1).left_behind() as crumbs:
        found = {failure.session_file for failure in blamed(crumbs, {}, {})}
    assert "alice/b-poison-4.jsonl" in found, "all of the machine went, so it may have been it"
    (team.root / "alice" / "b-poison-4.jsonl").rename(team.root / "alice" / "b.jsonl")
    team.work()
    assert team.rows() == team.expected()


@pytest.mark.slow(seconds=20)
def test_whoever_comes_after_a_death_writes_down_each_file_before_it_begins(team: Team) -> None:
    write_session(team.root, "alice/a-poison-0.jsonl", "boom")
    for _ in range(2):
        assert team.machine().gone() == KILLED
        team.let_time_pass()
    assert team.in_work() == {"alice/a-poison-0.jsonl"}


@pytest.mark.slow(seconds=20)
def test_another_processor_leaves_what_is_not_its_own(team: Team) -> None:
    write_session(team.root, "alice/a-poison-2.jsonl", "boom")
    assert team.machine().gone() == KILLED
    team.let_time_pass()
    other = Killer(name="other")
    shutil.rmtree(team.root)
    team.root.mkdir()
    write_session(team.root, "bob/b.jsonl", "hello")
    run(team, other)
    assert team.in_work() == {"alice/a-poison-2.jsonl"}
    run(team, Killer())
    assert team.in_work() == set()


@pytest.mark.slow(seconds=40)
def test_a_pass_of_another_shard_that_blames_a_file_knows_what_it_did_before(team: Team) -> None:
    first, second = Shard(1, 2), Shard(2, 2)
    name = next(n for n in ("alice", "bob", "carol", "dave") if second.has(f"{n}/x", ""))
    write_session(team.root, f"{name}/a-poison-2.jsonl", "boom")
    for attempts in (1, 2):
        assert team.machine(str(second)).gone() == KILLED
        team.let_time_pass()
        one_pass(team.catalog, team.folder, team.folder / "work", str(first))
        (failure,) = team.failures().values()
        assert failure.attempts == attempts
        team.let_time_pass()


def run(team: Team, processor: Killer) -> None:
    given = settings(team.catalog, team.folder, team.folder / "work")
    with leased(open_store(given)) as store:
        run_batch(processor, LocalSource(given.roots), store, given)


@pytest.mark.slow(seconds=10)
def test_what_is_forgotten_stands_in_no_lease_any_more(team: Team) -> None:
    write_session(team.root, "alice/a-poison-2.jsonl", "boom")
    assert team.machine().gone() == KILLED
    team.let_time_pass()
    assert team.in_work() == {"alice/a-poison-2.jsonl"}
    forget_notes(team.store, ["alice/another.jsonl"])
    assert team.in_work() == {"alice/a-poison-2.jsonl"}

    given = settings(team.catalog, team.folder, team.folder / "work")
    delete(team.store, [Killer()], given, ["alice/a-poison-2.jsonl"])

    assert team.in_work() == set()
