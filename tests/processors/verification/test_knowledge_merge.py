"""Merging what people said: what is one item, and that the order of reading does not matter."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from knowledge_lines import FISCAL, MONTHLY, NOON, WEEKLY, applied, id_of, knowledge, only, said
from session_pipeline_dagster.contract.derivation import Inputs, Row
from session_pipeline_dagster.processors.verification.knowledge.contradictions import by_rules
from session_pipeline_dagster.processors.verification.knowledge.derive import Checking
from session_pipeline_dagster.processors.verification.knowledge.items import Observation, confidence
from session_pipeline_dagster.processors.verification.knowledge.merge import Known, merge
from session_pipeline_dagster.processors.verification.knowledge.rows import row

RESPELT = "Fiscal years of the company start on February 1st."
REWORDED = "The company starts its fiscal year on the first of February"


def test_a_correction_is_one_item_with_one_piece_of_evidence() -> None:
    known = knowledge([said(FISCAL, kind="correction")])
    assert (only(known).confidence, only(known).status) == (0.90, "pending")
    assert [e.user_quote for e in known.evidence.values()] == [FISCAL]


def test_three_people_confirm_one_fact() -> None:
    known = knowledge([said(FISCAL, user, at=n) for n, user in enumerate(("ann", "bob", "cy"))])
    assert only(known).confidence == 0.70
    assert {e.source_user for e in known.evidence.values()} == {"ann", "bob", "cy"}


def test_a_second_user_with_the_same_fact_supports_the_same_item() -> None:
    known = knowledge([said(FISCAL, "alice"), said(FISCAL, "bob", at=1)])
    assert only(known).id == id_of(FISCAL)
    assert {e.source_user for e in known.evidence.values()} == {"alice", "bob"}


def test_the_same_person_again_is_evidence_but_no_second_verifier() -> None:
    known = knowledge([said(FISCAL, at=n) for n in range(3)])
    assert (only(known).confidence, len(known.evidence)) == (0.60, 3)


@pytest.mark.parametrize(
    ("types", "verifiers", "expected"),
    [
        (["correction"], 1, 0.90),
        (["unprompted_definition"], 1, 0.90),
        (["confirmation"], 1, 0.60),
        (["something else"], 1, 0.60),
        (["confirmation"], 3, 0.70),
        (["confirmation", "correction"], 2, 0.95),
        (["correction"], 9, 1.0),
        ([], 0, 0.60),
    ],
)
def test_confidence_rises_with_independent_verifiers(
    types: Sequence[str], verifiers: int, expected: float
) -> None:
    assert confidence(types, verifiers) == expected


def test_another_spelling_is_the_same_fact() -> None:
    known = knowledge([said(FISCAL), said(RESPELT, "bob", at=1)])
    assert only(known).content == FISCAL
    assert len(known.evidence) == 2


def test_other_words_are_another_item_however_alike_they_are() -> None:
    terms = ("fiscal year", "february")
    told = [said(FISCAL, entities=terms), said(REWORDED, "bob", at=1, entities=terms)]
    assert len(knowledge(told).items) == 2
    one, other = "Invoices go to finance, orders to ops", "Orders go to finance, invoices to ops"
    assert len(knowledge([said(one), said(other)]).items) == 2


def test_another_fact_of_the_same_domain_is_another_item() -> None:
    assert len(knowledge([said(FISCAL), said(WEEKLY, at=1)]).items) == 2


def test_the_same_in_another_domain_is_the_same_fact() -> None:
    known = knowledge([said(FISCAL), said(RESPELT, "bob", at=1, domain="product")])
    assert only(known).domain == "finance"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (WEEKLY, MONTHLY),
        (
            "Exports retry 3 times before the job gives up",
            "Exports retry 5 times before the job gives up",
        ),
        (
            "The gateway times out after 30 seconds of silence",
            "The gateway times out after 30 minutes of silence",
        ),
        (
            "Deploys to production are allowed on Fridays",
            "Deploys to production are not allowed on Fridays",
        ),
        (
            "Refunds are included in the revenue we report",
            "Refunds are excluded from the revenue we report",
        ),
        (
            "The raw events of the app are kept in Postgres",
            "The raw events of the app are kept in MySQL",
        ),
        (
            "All of the workers in production run Python 3.11",
            "All of the workers in production run Python 3.12",
        ),
        (
            "The books of the company are closed in April",
            "The books of the company are closed in March",
        ),
    ],
)
def test_opposite_facts_never_merge(one: str, other: str) -> None:
    for kinds in (("confirmation", "confirmation"), ("unprompted_definition", "confirmation")):
        first, second = said(one, kind=kinds[0]), said(other, "bob", kinds[1], at=1)
        assert len(knowledge([first, second]).items) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Exports retry 3 times before they stop", "exports retry three times before they stop."),
        ("The report is refreshed every day", "The report is refreshed daily"),
        ("Invoices above 1,000 EUR need approval", "Invoices above €1000 need an approval"),
        ("Tokens expire after 24 hours", "Tokens expire after a day"),
        ("Logs are kept for 12 months", "Logs are kept for one year"),
        ("The cache is emptied every 7 days", "The cache is emptied once a week"),
        ("The feed is loaded twice a day", "The feed is loaded two times per day"),
        ("The job starts at 02:00", "The job starts at 2 am"),
        ("Bonuses are paid on the first of March", "Bonuses are paid on 1 March"),
        ("Uploads take at most 5 MB", "Uploads take up to 5 MB"),
        ("We don't round rates", "We do not round our rates"),
        ("The archive cannot be edited", "The archive can't be edited"),
        ("Guests are not able to export", "Guests can not export"),
        ("**Never** deploy on Friday", "Never deploy on Friday"),
        ("No, the colour codes are in the catalogue", "The color codes are in the catalog"),
    ],
)
def test_another_spelling_does_not_keep_apart(one: str, other: str) -> None:
    assert len(knowledge([said(one), said(other, "bob", at=1)]).items) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The alert fires if status != 5", "The alert fires if status = 5"),
        ("The job runs every 2 hours", "The job runs 2 hours"),
        ("Backups run 7 days", "Backups run weekly"),
        ("The nightly export goes to S3", "The daily export goes to S3"),
        ("Retries happen twice a day", "Retries happen once a day"),
        ("Each user has one role", "Each user has roles"),
        ("Each team has a budget of 5 EUR", "All teams have a budget of 5 EUR"),
        ("The first quarter is the weakest", "The third quarter is the weakest"),
        ("The link has 100 Mb/s", "The link has 100 MB/s"),
        ("The cache has 1 GB", "The cache has 1 GiB"),
        ("The limit is 5M", "The limit is 5m"),
        ("The rate is 1.000 EUR", "The rate is 1000 EUR"),
        ("Python 3.1 is supported", "Python 3.10 is supported"),
        ("Logs are kept for a month", "Logs are kept for 30 days"),
        ("Shops open at 2 am", "Shops open at 2 pm"),
        ("Times are in EST", "Times are in EDT"),
        ("We ship to the US", "We ship to us"),
        ("`_id` is the key", "`id` is the key"),
        ("Pushes use --force", "Pushes use force"),
        ("Settings are in ~/x", "Settings are in /x"),
        ("The range is [0, 1)", "The range is (0, 1]"),
        ("The rate is -5", "The rate is 5"),
        ("It takes ~5 days", "It takes 5 days"),
    ],
)
def test_a_small_sign_that_changes_the_fact_keeps_apart(one: str, other: str) -> None:
    assert len(knowledge([said(one), said(other, "bob", at=1)]).items) == 2


def test_a_contradicting_correction_is_not_merged() -> None:
    wrong = said("Orders are counted when the invoice was sent to the customer")
    right = said(
        "Orders are counted when the invoice was paid by the customer", "bob", "correction", at=1
    )
    assert len(knowledge([wrong, right]).items) == 2


def test_a_correction_in_the_same_words_is_the_same_fact() -> None:
    known = knowledge([said(FISCAL), said(RESPELT, "bob", "correction", at=1)])
    assert (only(known).confidence, len(known.evidence)) == (0.95, 2)


def test_the_oldest_words_are_kept_and_reviewed_ones_before_all() -> None:
    late = said(RESPELT, "bob", at=5)
    known = knowledge([late])
    assert only(knowledge([late, said(FISCAL)], known)).content == FISCAL
    approved = replace(only(known), status="approved")
    files = frozenset({approved.source_file})
    reviewed = replace(known, items={approved.id: approved}, files=files)
    after = knowledge([late, said(FISCAL)], reviewed)
    assert only(after) == approved
    assert len(after.evidence) == 2


@pytest.mark.parametrize("status", ["approved", "rejected"])
def test_a_reviewed_item_is_never_changed_or_retracted_by_what_is_read(status: str) -> None:
    known = knowledge([said(FISCAL)])
    item = replace(only(known), status=status, content=FISCAL + ", says the CFO", confidence=0.1)
    known = replace(known, items={item.id: item}, files=frozenset({item.source_file}))
    more = [said(FISCAL, "bob", at=1), said(FISCAL, "cy", "correction", at=2)]
    with_more = knowledge([said(FISCAL), *more], known)
    assert dict(with_more.items) == {item.id: item}
    assert len(with_more.evidence) == 3
    nothing = knowledge([], known)
    assert (dict(nothing.items), dict(nothing.evidence)) == ({item.id: item}, {})


def test_a_rejected_fact_does_not_come_back_in_another_spelling() -> None:
    known = knowledge([said(FISCAL)])
    item = replace(only(known), status="rejected")
    known = replace(known, items={item.id: item})
    assert dict(knowledge([said(FISCAL), said(RESPELT, "bob", at=1)], known).items) == {
        item.id: item
    }


def test_an_item_whose_last_evidence_vanished_is_retracted() -> None:
    known = knowledge([said(FISCAL), said(WEEKLY, at=1)])
    after = knowledge([said(WEEKLY, at=1)], known)
    assert set(after.items) == {id_of(WEEKLY)}
    assert len(after.evidence) == 1


def test_a_reviewed_item_goes_with_the_file_it_came_from_if_that_was_taken_away() -> None:
    known = knowledge([said(FISCAL, "alice", session="alice/s.jsonl")])
    item = replace(only(known), status="approved")
    known = replace(known, items={item.id: item})
    assert dict(knowledge([], known).items) == {}
    there = replace(known, files=frozenset({"alice/s.jsonl"}))
    assert dict(knowledge([], there).items) == {item.id: item}
    others = [said(FISCAL, "cy", at=2), said(FISCAL, "bob", at=1)]
    supported = knowledge(others[1:], known)
    assert dict(supported.items) == {
        item.id: replace(item, source_user="bob", source_ref="bob/s1.jsonl:2")
    }
    # The same whether both are read at once or not; and it is named anew only if it must be.
    again = replace(supported, files=frozenset({"bob/s1.jsonl"}))
    assert dict(knowledge(others, again).items) == dict(knowledge(others, known).items)
    assert [e.source_user for e in supported.evidence.values()] == ["bob"]


def test_a_reworded_answer_replaces_the_item_of_the_same_line() -> None:
    known = knowledge([said(FISCAL, line="u1", session="a/s.jsonl")])
    after = knowledge(
        [said("Fiscal years start in February", line="u1", session="a/s.jsonl")], known
    )
    assert only(after).content == "Fiscal years start in February"
    assert len(after.evidence) == 1


def copies(o: Observation) -> list[Observation]:
    """The same line in a fork, and in a copy under another user that a model read otherwise."""
    fork = replace(o, session_file="alice/fork.jsonl", digest=f"{o.digest} fork")
    copy = replace(o, session_file="zoe/copy.jsonl", username="zoe", digest=f"{o.digest} copy")
    return [fork, replace(copy, title="Fiscal year", content="The fiscal year begins in February")]


def test_copies_and_forks_and_renamed_files_are_no_second_evidence() -> None:
    one = said(FISCAL, line="u1", session="alice/a.jsonl")
    other = said(RESPELT, "bob", at=1, line="u2", session="alice/b.jsonl")
    known = knowledge([one, other])
    after = knowledge([one, other, *copies(one), *copies(other)], known)
    assert len(after.evidence) == 2
    assert only(after).confidence == only(known).confidence
    renamed = knowledge([copies(one)[0], other], after)
    assert len(renamed.evidence) == 2


def test_a_line_that_says_one_thing_twice_is_one_piece_of_evidence() -> None:
    twice = [said(FISCAL, line="u1"), said(FISCAL, kind="unprompted_definition", line="u1")]
    known = knowledge(twice)
    (evidence,) = known.evidence.values()
    assert (evidence.detection_type, len(evidence.digests)) == ("unprompted_definition", 2)


def test_reading_the_same_again_changes_nothing() -> None:
    everything = [said(FISCAL), said(RESPELT, "bob", at=1), said(WEEKLY), said(MONTHLY, "bob")]
    merged = merge(everything, knowledge(everything))
    assert not merged.items
    assert not merged.evidence


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  made-up data


def crowd(rng: random.Random, sessions: int) -> list[list[Observation]]:
    """Sessions in which people say few things in many ways, so that groups touch each other."""
    subjects = ["The revenue report of the finance team", "The churn model of the growth team"]
    ends = [
        "on the shared dashboard",
        "on the shared dashboards",
        "in the shared dashboard now",
        "for all teams",
    ]
    verbs = ["is refreshed", "gets refreshed", "is being refreshed", "is not refreshed"]
    periods = ["weekly", "weekly", "monthly"]
    made = []
    for n in range(sessions):
        user, file = rng.choice("abcd"), f"s{n}.jsonl"
        made.append(
            [
                said(
                    f"{rng.choice(subjects)} {rng.choice(verbs)} {rng.choice(periods)} "
                    f"{rng.choice(ends)}{rng.choice(('', '.', ', yes'))}",
                    user,
                    rng.choice(
                        ("confirmation", "confirmation", "unprompted_definition", "correction")
                    ),
                    at=rng.randrange(6),
                    line=f"{n // 2 * 2 if rng.random() < 0.2 else n}-{k}",
                    session=f"{user}/{file}",
                    domain=rng.choice(("finance", "finance", None)),
                    entities=rng.sample(("revenue", "churn", "report", "model"), 2),
                )
                for k in range(rng.randrange(1, 4))
            ]
        )
    return made


@pytest.mark.slow
def test_the_order_of_reading_does_not_matter() -> None:
    """200 permutations of 12 sessions, in batches, with some taken back and read again: the same
    items, evidence and contradictions."""
    both = False
    for seed in range(200):
        rng = seeded(seed)
        sessions = crowd(seeded(seed % 10), 12)
        wanted = knowledge([o for session in sessions for o in session])
        doubts = contradictions(wanted, {}, {})
        assert len(wanted.items) > 2
        order = list(range(12))
        rng.shuffle(order)
        known, there = Known({}, {}), {}
        found: dict[str, Row] = {}
        checks: dict[str, Row] = {}
        while order:
            for n in order[: rng.randrange(1, 4)]:
                there[n] = sessions[n]
            order = [n for n in order if n not in there]
            if order and rng.random() < 0.3:
                lost = rng.choice(list(there))
                del there[lost]
                order.append(lost)
            seen = [o for session in there.values() for o in session]
            rng.shuffle(seen)
            known = applied(known, merge(seen, known))
            found = contradictions(known, found, checks)
        assert known.items == wanted.items, seed
        assert known.evidence == wanted.evidence, seed
        assert found == doubts, seed
        both |= bool(doubts)
    assert both


def contradictions(known: Known, found: dict[str, Row], checks: dict[str, Row]) -> dict[str, Row]:
    """The contradictions after a check by rules; `checks` are brought up to date."""
    items = [
        tuple(list(v) if isinstance(v, tuple) else v for v in row(i)) for i in known.items.values()
    ]
    rows = {"items": items, "contradictions": [*found.values()], "checks": [*checks.values()]}
    made = Checking(None).compute(Inputs(frozenset(), rows, datetime.now(UTC)))
    after = []
    for table, there in (("knowledge_contradictions", found), ("knowledge_checks", checks)):
        kept = {k: v for k, v in there.items() if k not in made.removed[table]}
        after.append(kept | {str(r[0]): r for r in made.added[table]})
    checks.clear()
    checks |= after[1]
    return after[0]


@pytest.mark.slow
def test_the_order_of_reading_does_not_matter_beside_reviewed_items() -> None:
    for seed in range(200):
        rng = seeded(seed)
        sessions = crowd(seeded(seed % 6), 10)
        everything = [o for session in sessions for o in session]
        start = knowledge(sessions[0])
        items = {
            k: replace(i, status=rng.choice(("approved", "rejected", "pending")))
            for k, i in start.items.items()
        }
        files = frozenset(o.session_file for o in everything)
        start = replace(start, items=items, files=files)
        wanted = applied(start, merge(everything, start))
        known = applied(start, merge(sessions[0], start))
        order = list(range(1, 10))
        rng.shuffle(order)
        for end in range(1, 10):
            seen = [*sessions[0], *(o for n in order[:end] for o in sessions[n])]
            known = applied(known, merge(seen, known))
        assert known.items == wanted.items, seed
        assert known.evidence == wanted.evidence, seed


@pytest.mark.slow
def test_the_order_of_reading_and_of_decisions_does_not_matter() -> None:
    """200 permutations of 10 sessions and of decisions about them: what a person put under an item
    is there at the end, with whatever says the very same."""
    moved = 0
    for seed in range(200):
        rng = seeded(seed)
        sessions = crowd(seeded(seed % 6), 10)
        everything = [o for session in sessions for o in session]
        start = knowledge(sessions[0])
        items = {k: replace(i, status="approved") for k, i in start.items.items()}
        start = replace(start, items=items, files=frozenset(o.session_file for o in everything))
        some = rng.sample(everything, 6)
        put = {o.digest: (rng.choice(list(items)), n) for n, o in enumerate(some)}
        wanted = applied(start, merge(decided(everything, put), start))
        known = applied(start, merge(sessions[0], start))
        left: list[object] = [*range(1, 10), *put]
        rng.shuffle(left)
        there, made = [0], {}
        for event in left:
            if isinstance(event, int):
                there.append(event)
            else:
                made[event] = put[event]
            seen = decided([o for n in there for o in sessions[n]], made)
            known = applied(known, merge(seen, known))
        assert known.items == wanted.items, seed
        assert known.evidence == wanted.evidence, seed
        held = {d: e.item_id for e in known.evidence.values() for d in e.digests}
        assert all(held[d] == item for d, (item, _) in put.items() if d in held), seed
        moved += len(put.keys() & held.keys())
    assert moved > 500


def decided(
    observations: Sequence[Observation], put: Mapping[str, tuple[str, int]]
) -> list[Observation]:
    """The observations with what a person decided about them."""
    return [
        replace(o, put=put[o.digest][0], put_at=put[o.digest][1]) if o.digest in put else o
        for o in observations
    ]


def test_what_has_no_time_comes_last_and_is_no_error() -> None:
    timeless = replace(said(FISCAL, "bob"), detected_at=None, digest="x")
    known = knowledge([timeless, said(RESPELT, at=3)])
    assert only(known).content == RESPELT
    assert only(known).updated_at == NOON + 3 * 3_600_000_000
    assert only(knowledge([timeless])).created_at is None


def _numbers(n: int) -> str:
    return f"The revenue report number {n} is refreshed weekly on the finance dashboard"


def _names(n: int) -> str:
    name = f"{chr(65 + n % 26)}{chr(65 + n // 26 % 26)}{chr(65 + n // 676)}"
    return f"The revenue report of team Alpha{name}x is refreshed weekly on the finance dashboard"


def _words(n: int) -> str:
    words = REWORDED.split()
    words.insert(n % len(words), f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}")
    return " ".join(words)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["confirmation", "correction"])
@pytest.mark.parametrize("content", [_numbers, _names, _words])
def test_a_thousand_alike_facts_cost_little_more_than_each(
    content: Callable[[int], str], kind: str
) -> None:
    took: dict[int, float] = {}
    for count in (250, 1000):
        told = [
            said(content(n), f"u{n % 9}", kind, at=n, entities=("a", "b")) for n in range(count)
        ]
        times = []
        for _ in range(3):
            begun = time.process_time()
            known = knowledge([replace(o) for o in told])
            times.append(time.process_time() - begun)
        took[count] = min(times)
        assert len(known.evidence) == count
    # Five times the cost, and a little for what a clock does not resolve.
    assert took[1000] < 5 * took[250] + 0.1


@pytest.mark.slow
def test_hundreds_of_alike_facts_are_the_same_items_however_they_arrive() -> None:
    chooser = random.Random(3)  # noqa: S311  to be played again
    kinds = ["confirmation", "confirmation", "correction"]
    told = [
        said(content(n), f"u{n % 9}", chooser.choice(kinds), at=n, entities=("a", "b")[: n % 3])
        for n in range(150)
        for content in (_names, _words, _numbers)
    ]
    at_once = knowledge(told)
    for _ in range(3):
        chooser.shuffle(told)
        known, there = Known({}, {}), told[:0]
        while len(there) < len(told):
            there = told[: len(there) + chooser.randint(1, 60)]
            known = applied(known, merge(there, known))
        assert known == at_once


@pytest.mark.slow
def test_alike_items_have_a_bounded_number_of_contradictions() -> None:
    items = {
        i.id: i for i in knowledge([said(_numbers(n), at=n) for n in range(300)]).items.values()
    }
    assert len(items) == 300
    assert 300 <= len(by_rules(items.values(), items)) <= 300 * 20
