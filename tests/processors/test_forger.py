"""Users write their own files, and cannot touch each other's numbers with them.

FORGER=each plays every attack alone, which takes minutes; otherwise several share a store, and are
played alone where something moved.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from attacks import ATTACKS, HOUR, TAKEOVERS
from company import Company, Numbers, company, moved, numbers
from forger import FIRST, LAST, Attack, shifted
from lines import UsagePipeline
from recount_users import Referee
from session_pipeline_dagster.contract.quality import Data
from session_pipeline_dagster.processors.usage.quality import claimed_by_several
from threads import history

pytestmark = pytest.mark.slow

AT_ONCE = 1 if os.environ.get("FORGER") == "each" else 24
Way = Callable[["Office", Path, dict[str, tuple[bytes, ...]]], Numbers]


@dataclass(frozen=True, slots=True)
class Office:
    """The company's files and database without a forger, and its numbers."""

    folder: Path
    company: Company
    numbers: Numbers

    def moved(self, after: Numbers, users: Iterable[str] | None = None) -> dict[str, str]:
        return moved(self.numbers, after, self.company.users if users is None else users)

    def copy(self, folder: Path) -> UsagePipeline:
        """A copy of it, to be attacked."""
        shutil.copytree(self.folder, folder)
        return UsagePipeline(folder)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    folder, made = tmp_path_factory.mktemp("office"), company()
    pipeline = UsagePipeline(folder)
    write(pipeline, made.files)
    pipeline.run()
    return Office(folder, made, numbers(pipeline))


def write(pipeline: UsagePipeline, files: dict[str, tuple[bytes, ...]]) -> None:
    for key, lines in files.items():
        pipeline.write_bytes(key, b"".join(lines))


def forged_last(office: Office, folder: Path, files: dict[str, tuple[bytes, ...]]) -> Numbers:
    pipeline = office.copy(folder)
    write(pipeline, files)
    pipeline.run()
    return numbers(pipeline)


def forged_first(office: Office, folder: Path, files: dict[str, tuple[bytes, ...]]) -> Numbers:
    folder.mkdir()
    pipeline = UsagePipeline(folder)
    write(pipeline, files)
    pipeline.run()
    write(pipeline, office.company.files)
    pipeline.run()
    return numbers(pipeline)


def forged_together(office: Office, folder: Path, files: dict[str, tuple[bytes, ...]]) -> Numbers:
    folder.mkdir()
    pipeline = UsagePipeline(folder)
    write(pipeline, office.company.files | files)
    pipeline.run()
    return numbers(pipeline)


WAYS: tuple[Way, ...] = (forged_last, forged_first, forged_together)


def forged(
    office: Office, attacks: Sequence[Attack], forger: str, users: Iterable[str]
) -> dict[str, tuple[bytes, ...]]:
    """The forger's files: some honest work, and the attacks on the files of these users."""
    files = dict(history(77, forger, "msg", "own").files)
    for attack in attacks:
        files |= attack.files(office.company.of(users), forger)
    return files


def _name(way: Way) -> str:
    return str(getattr(way, "__name__", way))


def cases() -> list[object]:
    """(attacks, the forger's name, the way they come): every attack under every name it has."""
    made = []
    for name in (FIRST, LAST):
        named = [attack for attack in ATTACKS if name in attack.names]
        for number, begin in enumerate(range(0, len(named), AT_ONCE)):
            attacks = named[begin : begin + AT_ONCE]
            way = WAYS[number % len(WAYS)]
            label = attacks[0].name if AT_ONCE == 1 else str(number)
            made.append(pytest.param(attacks, name, way, id=f"{name}-{label}-{_name(way)}"))
    return made


@pytest.mark.slow(seconds=10)
@pytest.mark.parametrize(("attacks", "name", "way"), cases())
def test_no_attack_moves_a_number_of_anybody_else(
    office: Office, tmp_path: Path, attacks: Sequence[Attack], name: str, way: Way
) -> None:
    files = forged(office, attacks, name, office.company.users)
    changes = office.moved(way(office, tmp_path / "all", files))
    if not changes:
        return
    guilty = [f"together: {_first(changes)}"]
    for number, attack in enumerate(attacks if len(attacks) > 1 else ()):
        files = forged(office, [attack], name, office.company.users)
        alone = office.moved(way(office, tmp_path / str(number), files))
        guilty += [f"{attack.name}: {_first(alone)}"] if alone else []
    pytest.fail(f"{attacks[0].name} ...\n" + "\n".join(guilty))


def _first(changes: dict[str, str]) -> str:
    user = min(changes)
    return f"{len(changes)} users moved, {user}: {changes[user]}"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [FIRST, LAST])
def test_honest_work_of_another_user_moves_nothing_either(
    office: Office, tmp_path: Path, name: str, way: Way
) -> None:
    changes = office.moved(way(office, tmp_path / "office", forged(office, [], name, [])))
    assert not changes, _first(changes)


@pytest.mark.slow(seconds=30)
@pytest.mark.parametrize("way", WAYS)
def test_all_attacks_at_once_move_nothing_of_anybody_else(
    office: Office, tmp_path: Path, way: Way
) -> None:
    files = forged(office, ATTACKS, LAST, office.company.users)
    changes = office.moved(way(office, tmp_path / "all", files))
    assert not changes, _first(changes)


@pytest.mark.slow
@pytest.mark.parametrize("attack", TAKEOVERS, ids=lambda attack: attack.name)
def test_a_takeover_is_seen_and_ends_with_its_files(
    office: Office, tmp_path: Path, attack: Attack
) -> None:
    (forger, *_) = attack.names
    attacked = {*office.company.users[::2], *office.company.sharing}
    pipeline = office.copy(tmp_path / "office")
    write(pipeline, forged(office, [attack], forger, attacked))
    pipeline.run()
    changes = office.moved(numbers(pipeline))
    assert changes.keys() <= attacked, f"not even attacked: {_first(changes)}"
    if changes:
        assert changes.keys() <= named(pipeline, forger), "numbers moved and nobody can see it"
    shutil.rmtree(pipeline.root / forger)
    pipeline.run()
    after = office.moved(numbers(pipeline))
    assert not after, _first(after)


@pytest.mark.parametrize("name", [FIRST, LAST])
def test_a_copy_that_outlives_its_original_is_seen(
    office: Office, tmp_path: Path, name: str
) -> None:
    """Sessions are deleted after some weeks; a copy made before then is still there."""
    victims = [user for user in office.company.users if user not in office.company.sharing][:5]
    pipelines = [office.copy(tmp_path / "honest"), office.copy(tmp_path / "forged")]
    write(pipelines[1], forged(office, [Attack("copied", (shifted(HOUR),))], name, victims))
    for pipeline in pipelines:
        pipeline.run()
        for key in office.company.of(victims):
            (pipeline.root / key).unlink()
        pipeline.run()
    honest, after = map(numbers, pipelines)
    changes = moved(honest, after, office.company.users)
    if changes:
        assert changes.keys() <= named(pipelines[1], name), "numbers moved and nobody can see it"


@pytest.mark.parametrize("name", ["a-new", "zz-new"])
def test_a_renamed_user_keeps_every_number(office: Office, tmp_path: Path, name: str) -> None:
    pipeline = office.copy(tmp_path / "office")
    old = next(user for user in office.company.users if user not in office.company.sharing)
    (pipeline.root / old).rename(pipeline.root / name)
    pipeline.run()
    after = numbers(pipeline)
    assert after.get(name) == office.numbers[old]
    assert old not in after
    others = [user for user in office.company.users if user != old]
    assert not office.moved(after, others)


@pytest.mark.slow(seconds=15)
def test_by_the_rule_alone_no_attack_takes_anything(office: Office) -> None:
    referee = Referee(office.company.files)
    for attack in ATTACKS:
        for name in attack.names:
            taken = referee.losers(attack.files(office.company.files, name))
            assert not taken, f"{attack.name} by {name}"
    together = forged(office, ATTACKS, LAST, office.company.users)
    assert not referee.losers(together), "all at once"


def test_by_the_rule_alone_every_takeover_takes(office: Office) -> None:
    """If one of them no longer does, it belongs to the attacks."""
    referee = Referee(office.company.files)
    for attack in TAKEOVERS:
        assert referee.losers(attack.files(office.company.files, attack.names[0])), attack.name


def named(pipeline: UsagePipeline, forger: str) -> set[str]:
    """Whom the check names beside the forger."""
    measured = claimed_by_several(Data(pipeline.select, lambda key: None))
    assert measured.violations > 0
    pairs = [{str(row["counted_for"]), str(row["held_by"])} for row in measured.listed]
    return {user for pair in pairs if forger in pair for user in pair - {forger}}


def test_the_check_is_silent_about_honest_work_and_names_whoever_copies_it(
    office: Office, tmp_path: Path
) -> None:
    pipeline = office.copy(tmp_path / "office")
    honest = claimed_by_several(Data(pipeline.select, lambda key: None))
    sharing = set(office.company.sharing)
    assert {
        str(row[name]) for row in honest.listed for name in ("counted_for", "held_by")
    } <= sharing
    (copies,) = [attack for attack in ATTACKS if attack.name == "uuids kept, hour later, plain"]
    victims = set(office.company.users) - sharing
    write(pipeline, forged(office, [copies], LAST, victims))
    pipeline.run()
    assert victims <= named(pipeline, LAST)


def test_a_forger_finds_the_copies_of_every_user(office: Office) -> None:
    """An attack that attacks nobody would pass."""
    assert len(office.company.users) == 19
    assert len({attack.name for attack in [*ATTACKS, *TAKEOVERS]}) == len([*ATTACKS, *TAKEOVERS])
    for attack in [*ATTACKS, *TAKEOVERS]:
        files = attack.files(office.company.files, LAST)
        assert len(files) >= len(office.company.files)
        assert sum(map(len, files.values())) > 500, attack.name
