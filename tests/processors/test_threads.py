"""Every response, call and prompt is counted exactly once, however files tell of it.

The histories and their truth are of `threads.py`. A store holds many of them, each of another
user. HISTORIES says how many are played, FIRST_HISTORY the first seed.
"""

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

import pytest

from delivery import deliveries
from lines import UsagePipeline
from recount import RULES, Rules, recount
from thread_ids import EVERYWHERE, STYLES
from threads import History, Truth, history
from user_truths import truths

HISTORIES = int(os.environ.get("HISTORIES", "60"))
FIRST = int(os.environ.get("FIRST_HISTORY", "0"))
AT_ONCE = 20
"""How many histories share a store."""

MISTAKES = (
    replace(RULES, splits=False),
    replace(RULES, strong="either"),
    replace(RULES, strong="counters"),
    replace(RULES, strong="line"),
    replace(RULES, prompt_splits_weak=False),
    replace(RULES, counters_split_weak=False),
    replace(RULES, clock=True),
    replace(RULES, any_user_line=True),
    replace(RULES, weak_key="session"),
    replace(RULES, weak_key="id"),
    replace(RULES, weak_key="time"),
    replace(RULES, maximum=False),
    replace(RULES, main_wins=False),
    replace(RULES, tool_key=False),
    replace(RULES, per_file=True),
)


def told(seeds: Sequence[int]) -> list[History]:
    """A history per seed, each of a user of its own; the styles by turns."""
    styles = list(STYLES)
    return [history(seed, f"user{seed}", styles[seed % len(styles)]) for seed in seeds]


def differences(histories: Sequence[History], found: dict[str, Truth]) -> list[str]:
    """What was counted wrongly, with what is needed to play it again."""
    wrong = []
    for one in histories:
        counted = found.get(one.user, Truth())
        parts = [
            f"{name}: {getattr(counted, name)} counted, {getattr(one.truth, name)} true"
            for name in (field.name for field in fields(Truth))
            if getattr(counted, name) != getattr(one.truth, name)
        ]
        if parts:
            wrong.append(f"seed {one.seed} ({one.style}): {'; '.join(parts)}")
    return wrong


def batches() -> list[range]:
    end = FIRST + HISTORIES
    return [range(at, min(at + AT_ONCE, end)) for at in range(FIRST, end, AT_ONCE)]


@pytest.mark.slow(seconds=5)
@pytest.mark.parametrize("seeds", batches(), ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
def test_what_happened_is_counted_once_in_any_order_and_split(seeds: range, tmp_path: Path) -> None:
    histories = told(seeds)
    rng = random.Random(seeds.start)  # noqa: S311  to be played again
    files = {key: lines for one in histories for key, lines in one.files.items()}
    check(histories, files, rng, tmp_path)


@pytest.mark.slow(seconds=5)
@pytest.mark.parametrize("seeds", batches()[:1], ids=str)
def test_lines_that_stand_in_a_file_again_are_nothing_new(seeds: range, tmp_path: Path) -> None:
    histories = told(seeds)
    rng = random.Random(seeds.start)  # noqa: S311  to be played again
    files = {k: repeating(lines, rng) for one in histories for k, lines in one.files.items()}
    check(histories, files, rng, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("style", EVERYWHERE)
def test_an_id_that_comes_back_in_another_conversation_is_another_response(
    style: str, tmp_path: Path
) -> None:
    histories = [history(seed, f"user{seed}", style) for seed in range(10)]
    for one in histories:
        assert recount(one.files, replace(RULES, apart=True)) == one.truth, f"seed {one.seed}"
    files = {key: lines for one in histories for key, lines in one.files.items()}
    check(histories, files, random.Random(0), tmp_path)  # noqa: S311  to be played again


@pytest.mark.slow(seconds=5)
def test_files_that_move_change_nothing(tmp_path: Path) -> None:
    histories = told(batches()[0])
    rng = random.Random(3)  # noqa: S311  to be played again
    files = {key: lines for one in histories for key, lines in one.files.items()}
    pipeline = check(histories, files, rng, tmp_path)
    for key in rng.sample(list(files), len(files) // 2):
        path = pipeline.root / key
        path.rename(path.with_name(f"{rng.choice('az')}{path.name}"))
    pipeline.run()
    wrong = differences(histories, truths(pipeline))
    assert not wrong, "\n".join(wrong)


def repeating(lines: Sequence[bytes], rng: random.Random) -> tuple[bytes, ...]:
    """The lines of a file, and some of them again: as a whole, or the end or the middle."""
    begin, end = sorted((rng.randint(0, len(lines)), rng.randint(0, len(lines))))
    return (*lines, *rng.choice((lines, lines[begin:], lines[begin:end])))


def check(
    histories: Sequence[History],
    files: Mapping[str, Sequence[bytes]],
    rng: random.Random,
    folder: Path,
) -> UsagePipeline:
    """Deliver the files, and see that everybody's truth is counted."""
    pipeline = UsagePipeline(folder)
    for written in deliveries(files, rng, passes=rng.choice((1, 2, 3, 4))):
        for key, content in written.items():
            pipeline.write_bytes(key, content)
        pipeline.run()
    wrong = differences(histories, truths(pipeline))
    assert not wrong, "\n".join(wrong)
    return pipeline


@pytest.mark.parametrize("style", STYLES)
def test_the_truth_of_a_history_is_what_the_rules_make_of_its_lines(style: str) -> None:
    for seed in range(40):
        one = history(seed, ids=style)
        assert recount(one.files) == one.truth, f"seed {seed} ({one.style})"


def test_the_truth_is_the_same_where_lines_stand_in_a_file_again() -> None:
    counts = []
    for one in told(range(60)):
        rng = random.Random(one.seed)  # noqa: S311  to be played again
        files = {key: repeating(lines, rng) for key, lines in one.files.items()}
        assert recount(files) == one.truth, f"seed {one.seed} ({one.style})"
        counts.append(recount(files, replace(RULES, lines_once=False)) != one.truth)
    assert any(counts)


@pytest.mark.parametrize("rules", MISTAKES, ids=lambda rules: _mistake(rules))
def test_histories_show_every_mistake_of_counting(rules: Rules) -> None:
    histories = told(range(HISTORIES if HISTORIES > 60 else 60))
    assert any(recount(one.files, rules) != one.truth for one in histories)


def _mistake(rules: Rules) -> str:
    names = [field.name for field in fields(Rules)]
    changed = {n: getattr(rules, n) for n in names if getattr(rules, n) != getattr(RULES, n)}
    return ",".join(f"{name}={value}" for name, value in changed.items())


def test_files_grow_line_by_line_and_are_whole_in_the_end() -> None:
    one = history(5)
    lengths: dict[str, int] = {}
    last: dict[str, bytes] = {}
    for written in deliveries(one.files, random.Random(5), passes=4):  # noqa: S311
        for key, content in written.items():
            assert len(content) > lengths.get(key, 0)
            assert content.endswith(b"\n")
            lengths[key], last[key] = len(content), content
    assert last == {key: b"".join(lines) for key, lines in one.files.items()}
