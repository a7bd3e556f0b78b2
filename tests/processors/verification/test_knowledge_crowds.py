"""Many facts that are alike: found at once is what is found one by one."""

import random
from collections.abc import Callable, Iterator
from functools import reduce
from operator import or_

import pytest
from rapidfuzz import fuzz

from session_pipeline_dagster.processors.verification.knowledge.grams import (
    Grams,
    at_least,
    counted,
    members,
    most_shared,
    numbers,
)
from session_pipeline_dagster.processors.verification.knowledge.index import Index, Sieve
from session_pipeline_dagster.processors.verification.knowledge.text import Statement

MARKS = ["weekly", "monthly", "not", "5", "30", "90", "never", "before", "after"]


def words(rng: random.Random, count: int, letters: str = "etaoinshrdlucmfwyp") -> list[str]:
    return ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(count)]


def of_a_few_words(rng: random.Random) -> Iterator[str]:
    """Sentences of the same thirty words; some say the opposite of one before."""
    known, said = words(rng, 30), list[str]()
    while True:
        if said and rng.random() < 0.5:
            told = rng.choice(said).split()
            told[rng.randrange(len(told))] = rng.choice([*MARKS, rng.choice(known)])
        else:
            told = rng.choices(known, k=rng.randint(6, 40))
            told.insert(rng.randrange(len(told)), rng.choice(MARKS))
        said.append(" ".join(told))
        yield said[-1]


def of_one_mould(rng: random.Random) -> Iterator[str]:
    while True:
        n, user = rng.randint(1, 300), rng.randint(1, 9)
        yield f"Boards of team t{n}x are kept for {rng.randint(1, 40)} days by user u{user}"


def of_numbers_alone(rng: random.Random) -> Iterator[str]:
    while True:
        yield f"Exports of the ledger are kept {rng.randint(1, 5000)} days before they are moved"


def in_another_alphabet(rng: random.Random) -> Iterator[str]:
    known = words(rng, 20, "абвгдежз汉字漢語ёß")
    while True:
        yield " ".join((*rng.choices(known, k=rng.randint(7, 12)), rng.choice(MARKS)))


WORLDS = [of_a_few_words, of_one_mould, of_numbers_alone, in_another_alphabet]


def statements(
    world: Callable[[random.Random], Iterator[str]], rng: random.Random, count: int
) -> dict[str, Statement]:
    told = world(rng)
    return {
        f"k{n}": Statement(next(told), frozenset(rng.choices("abcd", k=rng.randint(0, 4))))
        for n in range(count)
    }


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_contrary_in_a_crowd_is_what_one_by_one_finds(
    world: Callable[[random.Random], Iterator[str]], seed: int
) -> None:
    known = statements(world, random.Random(seed), 250)  # noqa: S311  to be played again
    one_by_one, sieve = Index(known), Sieve(known, crowd=0)
    wanted = {key: one_by_one.contrary(told, 20) for key, told in known.items()}
    assert {key: sieve.contrary(told, 20) for key, told in known.items()} == wanted
    assert any(wanted.values()) or world is in_another_alphabet


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("ratio", [65.0, 82.0, 90.0, 97.5])
def test_no_text_of_that_ratio_is_sifted_out(
    world: Callable[[random.Random], Iterator[str]], ratio: float
) -> None:
    rng = random.Random(ratio)  # noqa: S311  to be played again
    texts = [told.folded for told in statements(world, rng, 150).values()]
    # A part of a text, and one with something before it, stand elsewhere.
    texts += [text[3:] for text in texts[:20]] + [f"so, {text}" for text in texts[:20]] + ["", "a"]
    grams, everyone = Grams(texts), (1 << len(texts)) - 1
    for text in texts:
        near = set(numbers(grams.near(text, ratio, everyone)))
        assert {n for n, other in enumerate(texts) if fuzz.ratio(text, other) >= ratio} <= near


def test_of_a_thousand_facts_of_the_same_words_hardly_any_are_compared() -> None:
    rng = random.Random(7)  # noqa: S311  to be played again
    known = words(rng, 60)
    texts = [" ".join(rng.sample(known, 60)) for _ in range(1000)]
    grams, everyone = Grams(texts), (1 << len(texts)) - 1
    compared = sum(grams.near(text, 90.0, everyone).bit_count() for text in texts[:200])
    assert compared < 0.01 * 200 * len(texts)


def test_sets_count_as_lists_do() -> None:
    rng = random.Random(3)  # noqa: S311  to be played again
    for _ in range(50):
        size = rng.randint(1, 40)
        lists = [rng.sample(range(size), rng.randint(0, size)) for _ in range(rng.randint(0, 20))]
        sets, count = [members(held) for held in lists], [0] * size
        for number in (n for held in lists for n in held):
            count[number] += 1
        planes, everyone = counted(sets), (1 << size) - 1
        assert reduce(or_, sets, 0) == members({n for held in lists for n in held})
        for least in range(-1, 25):
            wanted = [n for n in range(size) if count[n] >= least]
            assert numbers(at_least(least, planes, everyone)) == wanted
        for most in range(1, size + 3):
            found = numbers(most_shared(most, planes, everyone))
            bar = sorted(count, reverse=True)[:most][-1]
            assert found == [n for n in range(size) if count[n] >= bar]
