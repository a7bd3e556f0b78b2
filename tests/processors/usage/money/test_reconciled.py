"""The view `usage_reconciled`: rules and tolerances at their edges, and how long it takes."""

from datetime import date
from decimal import Decimal
from time import process_time

import pytest

from billed_tables import OPUS, insert, price, reconciled, slot, store, write
from session_pipeline_dagster.processors.usage.money.baseline import OwnBilled, Unknown
from session_pipeline_dagster.processors.usage.money.cost_states import BilledModel

MODEL = "claude-opus-5-5"
RATES = (4, 20, 5, 8, Decimal("0.2"), 10_000)
DAY_US = 1_795_442_700_398_000  # 2026-11-23
Row = dict[str, object]


def cost(counts: tuple[int, ...]) -> Decimal:
    return sum((n * Decimal(r) for n, r in zip(counts, RATES, strict=True)), Decimal(0)) / 10**6


def bill(counts: tuple[int, ...], usd: Decimal | None = None, model: str = MODEL) -> BilledModel:
    fresh, out, short, long, read, searches = counts
    return BilledModel(
        model, fresh, out, 0, short + long, short, long, read, searches,
        cost(counts) if usd is None else usd,
    )  # fmt: skip


def own(*models: BilledModel, session: str = "s", user: str = "dev", **given: object) -> OwnBilled:
    whole = {"unknown": None, "unknown_model_cost": False, "last_start_us": DAY_US, **given}
    return OwnBilled(session, user, "work", models=models, **whole)  # ty: ignore


def logged(counts: tuple[int, ...], **given: object) -> tuple[object, ...]:
    return slot("s", MODEL, counts, **{"cost": cost(counts), **given})


def rows(
    one: OwnBilled | list[OwnBilled], *slots: tuple[object, ...], prices: object = (OPUS,)
) -> list[Row]:
    with store(prices) as connection:  # ty: ignore[invalid-argument-type]
        insert(connection, "usage_slots", slots)
        write(connection, one if isinstance(one, list) else [one])
        return reconciled(connection)


LINES = (1_000, 2_000, 3_000, 4_000, 5_000, 20)


def less(name: int, by: int) -> tuple[int, ...]:
    return tuple(n - by * (i == name) for i, n in enumerate(LINES))


def test_a_bill_that_its_lines_explain_is_ok():
    (row,) = rows(own(bill(LINES)), logged(LINES))
    assert (row["status"], row["unlogged_cost"], row["completed_output_tokens"]) == ("ok", 0, 0)
    assert row["billed_cost"] == row["logged_cost"] == cost(LINES)
    assert (row["project"], row["model"], row["day"]) == ("work", MODEL, date(2026, 11, 23))


@pytest.mark.parametrize("at", range(6))
def test_each_counter_has_its_own_unlogged_part_and_rate(at):
    more = tuple(n + 7 * (i == at) for i, n in enumerate(LINES))
    (row,) = rows(own(bill(more)), logged(LINES))
    extra = cost(tuple(7 * (i == at) for i in range(6)))
    assert (row["status"], row["unlogged_cost"]) == ("unlogged", extra)


@pytest.mark.parametrize(
    ("at", "by", "conflict"),
    [(0, 10, False), (0, 11, True), (1, 20, False), (1, 21, True), (4, 50, False), (4, 51, True),
     (5, 10, False), (5, 11, True), (2, 70, False), (2, 71, True), (3, 40, False), (3, 41, True)],
)  # fmt: skip
def test_a_counter_may_be_ten_tokens_or_a_percent_short(at, by, conflict):
    """Cache writes are also compared as a whole: 3,000 and 4,000 may be 70 short together."""
    by_parts = at == 2 and by > 30
    (row,) = rows(own(bill(less(at, by), cost(LINES))), logged(LINES))
    assert row["status"] == ("conflict" if conflict or by_parts else "ok")
    assert (row["unlogged_cost"] is None) == (conflict or by_parts)


@pytest.mark.parametrize(
    ("percent", "status"),
    [("1.01", "ok"), ("1.010001", "contract"), ("0.99", "ok"), ("0.989999", "contract")],
)
def test_a_bill_more_than_a_percent_off_the_list_is_a_contract(percent, status):
    (row,) = rows(own(bill(LINES, cost(LINES) * Decimal(percent))), logged(LINES))
    assert row["status"] == status


def test_the_status_is_of_the_session_and_stands_in_each_of_its_rows():
    other = bill((5, 0, 0, 0, 0, 0), Decimal("0.000005"), "claude-haiku")
    haiku = price("claude-haiku", ("1", "5", "0.10", "1.25", "2"))
    found = rows(own(bill(LINES), other), logged(LINES), prices=(OPUS, haiku))
    assert [(row["model"], row["status"]) for row in found] == [
        ("claude-haiku", "unlogged"), (MODEL, "unlogged"),
    ]  # fmt: skip


def test_what_claude_code_could_not_price_is_a_contract():
    (row,) = rows(own(bill(LINES), unknown_model_cost=True), logged(LINES))
    assert (row["status"], row["unlogged_cost"], row["billed_cost"]) == (
        "contract", None, cost(LINES),
    )  # fmt: skip


def test_conflict_comes_before_contract():
    (row,) = rows(own(bill(less(0, 500)), unknown_model_cost=True), logged(LINES))
    assert row["status"] == "conflict"


def test_what_has_no_list_price_cannot_be_compared_in_money():
    (row,) = rows(own(bill(LINES)), logged(LINES, cost=None, unpriced_messages=1), prices=())
    assert (row["status"], row["logged_cost"]) == ("contract", None)
    (row,) = rows(own(bill(LINES)), prices=())
    assert (row["status"], row["unlogged_input_tokens"]) == ("contract", 1_000)


def test_a_session_without_bill_has_one_row_with_what_its_lines_say():
    gone = own(unknown=Unknown.NO_COST_STATE)
    (row,) = rows(gone, logged(LINES), slot("s", "other", LINES, cost=Decimal(1)))
    assert (row["status"], row["reason"], row["model"]) == ("unknown", "no cost-state", None)
    assert (row["billed_cost"], row["unlogged_cost"], row["billed_input_tokens"]) == (None,) * 3
    assert (row["logged_input_tokens"], row["logged_cost"]) == (2_000, cost(LINES) + 1)
    (row,) = rows(gone)
    assert (row["logged_input_tokens"], row["logged_cost"], row["day"]) == (
        0, 0, date(2026, 11, 23),
    )  # fmt: skip


def test_output_of_partial_responses_is_completed_and_not_unlogged():
    (row,) = rows(own(bill(LINES)), logged(less(1, 500), partial_messages=1))
    assert (row["status"], row["unlogged_output_tokens"]) == ("ok", 0)
    assert (row["completed_output_tokens"], row["completed_cost"]) == (500, Decimal("0.01"))
    assert row["unlogged_cost"] == 0


def test_the_long_context_is_compared_with_the_same_model():
    long = slot("s", f"{MODEL}[1m]", LINES, cost=cost(LINES))
    (row,) = rows(own(bill(LINES)), long)
    assert (row["status"], row["model"]) == ("ok", MODEL)


def test_cache_writes_that_an_old_version_did_not_split_are_no_conflict():
    unsplit = bill((1_000, 2_000, 7_010, 0, 5_000, 20), cost(LINES))
    (row,) = rows(own(unsplit), logged(LINES))
    assert row["status"] == "unlogged"
    assert row["unlogged_cache_creation_5m_tokens"] == 10
    assert row["unlogged_cache_creation_1h_tokens"] == 0


def test_cache_writes_are_a_conflict_as_a_whole_where_they_were_not_split():
    for written, status in ((6_930, "ok"), (6_929, "conflict")):
        (row,) = rows(own(bill((1_000, 2_000, written, 0, 5_000, 20), cost(LINES))), logged(LINES))
        assert row["status"] == status


def test_a_price_that_has_ended_is_no_price():
    ended = price(MODEL, ("4", "20", "0.2", "5", "8"), valid_to=date(2026, 11, 22))
    (row,) = rows(own(bill((1_001, *LINES[1:]))), logged(LINES), prices=(ended,))
    assert (row["status"], row["unlogged_input_tokens"]) == ("contract", 1)


def test_lines_that_are_priced_in_part_cannot_be_compared_in_money():
    few = (1, 0, 0, 0, 0, 0)
    found = rows(own(bill(LINES)), logged(less(0, 1)), logged(few, cost=None, unpriced_messages=1))
    assert [row["status"] for row in found] == ["contract"]


def test_unlogged_tokens_cost_what_they_do_on_the_last_day_of_the_session():
    old = price(MODEL, ("4", "20", "0.2", "5", "8"), valid_to=date(2026, 11, 23))
    new = price(MODEL, ("9", "20", "0.2", "5", "8"), valid_from=date(2026, 11, 24))
    long = price(MODEL, ("99", "20", "0.2", "5", "8"), over_input=200_000)
    fast = price(MODEL, ("98", "20", "0.2", "5", "8"), variant="fast")
    more = own(bill((1_100, *LINES[1:])))
    for day, rate in ((date(2026, 11, 23), 4), (date(2026, 11, 24), 9)):
        (row,) = rows(
            more, logged(LINES, day=date(2026, 11, 1)), logged((0,) * 6, day=day),
            prices=(fast, long, old, new),
        )  # fmt: skip
        assert (row["day"], row["unlogged_cost"]) == (day, Decimal(100 * rate) / 10**6)


def test_unlogged_tokens_cost_what_the_sessions_provider_takes():
    aws = price(MODEL, ("40", "20", "0.2", "5", "8"), provider="aws")
    more = own(bill((1_100, *LINES[1:]), cost(LINES) + Decimal("0.004")))
    (row,) = rows(more, logged(LINES, provider="aws"), prices=(OPUS, aws))
    assert row["unlogged_cost"] == Decimal("0.004")


def test_who_has_a_bill_and_no_line_of_a_session_of_somebody_else_has_none():
    both = [own(bill(LINES)), own(bill((9,) * 6), user="zed")]
    found = rows(both, logged(LINES))
    assert {row["username"]: row["status"] for row in found} == {"dev": "ok"}


def test_of_lines_whose_session_has_no_file_no_bill_is_known():
    (row,) = rows(own(session="other"), logged(LINES))
    assert (row["session_id"], row["status"], row["reason"]) == ("s", "unknown", "no cost-state")
    assert (row["model"], row["billed_cost"], row["unlogged_cost"]) == (None, None, None)


def test_a_bill_with_neither_calls_nor_lines_has_no_row():
    assert rows(own()) == []
    (row,) = rows(own(), logged(LINES))
    assert row["status"] == "conflict"


def test_lines_without_a_model_stay_without_one():
    (row,) = rows(own(), slot("s", None, (1, 0, 0, 0, 0, 0), unpriced_messages=1))
    assert (row["model"], row["status"]) == (None, "contract")


def test_no_cost_is_too_small_or_too_large_for_the_last_digit():
    many = (10**12, 10**12, 10**12, 10**12, 10**12, 10**12)
    (row,) = rows(own(bill(many)))
    assert row["unlogged_cost"] == cost(many)
    half = Decimal("0.000000000001")
    (row,) = rows(own(bill(LINES, cost(LINES) + half)), logged(LINES))
    assert row["billed_cost"] - row["logged_cost"] == half


@pytest.mark.slow(seconds=20)
def test_a_hundred_thousand_sessions_and_a_million_slots_take_seconds_and_grow_evenly():
    took = {sessions: seconds_for(sessions) for sessions in (25_000, 100_000)}
    assert took[100_000] < 20
    assert took[100_000] < 8 * took[25_000]


def seconds_for(sessions: int) -> float:
    with store() as connection:
        connection.execute(
            f"""INSERT INTO usage_own_billed SELECT 's' || i, 'dev', 'work', '{MODEL}', NULL, false,
                DATE '2026-11-23', 1100, 2000, 0, 7000, 3000, 4000, 5000, 0, 0.1
            FROM range({sessions}) AS r(i)"""
        )
        connection.execute(
            f"""INSERT INTO usage_slots SELECT DATE '2026-01-01' + (i % 300)::INT, NULL, 'dev',
                'work', NULL, 's' || (i % {sessions}), NULL, '{MODEL}', 'anthropic', NULL, NULL, 1,
                100, 200, 700, 300, 400, 500, 0, 0, 0, 0.01, 0, 0
            FROM range({sessions} * 10) AS r(i)"""
        )
        began = process_time()
        found = connection.execute(
            "SELECT count(*), count(*) FILTER (status = 'unlogged'), sum(unlogged_input_tokens) "
            "FROM usage_reconciled"
        ).fetchone()
        assert found is not None
        assert found[0] == sessions
        assert found[2] == 100 * sessions
        return process_time() - began
