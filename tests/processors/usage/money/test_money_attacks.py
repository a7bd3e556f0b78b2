"""What one person writes, or one mistake does, to the costs and bills of all others: nothing."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from lines import Line, UsagePipeline, assistant, encode, usage, user
from session_pipeline_dagster.contract.quality import Data
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.settings import MoneySettings

OPUS = "claude-opus-5-5"
""" 4 and 20 USD per million: a thousand of each cost 0.024."""


@pytest.fixture
def pipeline(tmp_path: Path) -> UsagePipeline:
    return UsagePipeline(tmp_path)


def priced(folder: Path, text: str) -> MoneySettings:
    file = folder / "prices.toml"
    file.write_text(text, "utf-8")
    return MoneySettings(prices=file)


def call(number: int, at: str = "2026-10-10T12:00:00Z", model: str = OPUS, **more: object) -> Line:
    counts = usage(1000, 1000)
    return assistant(f"msg_{number}", counts, uuid=f"u{number}", model=model, at=at, **more)


def billed(cost: str, inputs: int, output: int, model: str = OPUS, start: int = 1) -> bytes:
    used = {"inputTokens": inputs, "outputTokens": output, "costUSD": float(cost)}
    line = {"type": "cost-state", "totalCostUSD": float(cost), "startTime": start}
    return encode(line | {"modelUsage": {model: used}, "hasUnknownModelCost": False}).rstrip()


def costs(pipeline: UsagePipeline) -> list[tuple[object, ...]]:
    return pipeline.select(
        "SELECT username, sum(cost) FROM usage_daily GROUP BY ALL ORDER BY username"
    )


def bills(pipeline: UsagePipeline) -> list[tuple[object, ...]]:
    return pipeline.select(
        """SELECT username, billed_cost, unlogged_cost, status FROM usage_reconciled
        ORDER BY ALL"""
    )


def test_a_lock_to_the_end_of_time_keeps_every_cost_and_counts_it_once(
    pipeline: UsagePipeline, tmp_path: Path
) -> None:
    pipeline.write("a/p/s.jsonl", call(1))
    own = "[[price]]\nmodel = 'claude-opus-5-5'\ninput = {}\noutput = 0\n"
    lock = "[lock]\nuntil = '9999-12-31'\n"
    pipeline.run(priced(tmp_path, own.format(1)))
    for price in (2, 3):
        pipeline.run(priced(tmp_path, own.format(price) + lock))
        assert costs(pipeline) == [("a", Decimal("0.001"))]
        assert pipeline.select("SELECT count(*), sum(cost) FROM usage_costs") == [
            (1, Decimal("0.001"))
        ]


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("[[price]]\nmodel = 'claude-*'\ninput = 2\n", "claude-x"),
        (
            "[[price]]\nmodel = 'claude-opus-*'\ninput = 2\n"
            "[[price]]\nmodel = '*-5-5-internal'\ninput = 2\n",
            "claude-opus-5-5-internal",
        ),
    ],
)
def test_a_model_that_somebody_invents_takes_nobody_the_own_prices(
    pipeline: UsagePipeline, tmp_path: Path, text: str, model: str
) -> None:
    money = priced(tmp_path, text)
    pipeline.write("bob/p/s.jsonl", call(1))
    pipeline.write("mallory/p/s.jsonl", call(2, model=model))
    pipeline.run(money)
    pipeline.write("carol/p/s.jsonl", call(3, model="claude-opus-4-8"))
    pipeline.run(money)
    assert costs(pipeline) == [
        ("bob", Decimal("0.022")),
        ("carol", Decimal("0.027")),
        ("mallory", None),
    ]
    ((problem,),) = pipeline.select("SELECT problem FROM usage_pricing")
    assert "prices.toml:" in str(problem)
    pipeline.run(priced(tmp_path, text.replace("2", "1", 1)))
    assert costs(pipeline)[0] == ("bob", Decimal("0.021"))


def test_a_late_file_of_a_locked_month_has_the_own_prices_of_then(
    pipeline: UsagePipeline, tmp_path: Path
) -> None:
    own = "[[price]]\nmodel = 'claude-*'\ninput = {0}\noutput = {0}\n"
    pipeline.write("a/p/1.jsonl", call(1))
    pipeline.run(priced(tmp_path, own.format(1)))
    locked = priced(tmp_path, own.format(9) + "[lock]\nuntil = '2026-10-31'\n")
    pipeline.run(locked)
    pipeline.write("b/p/2.jsonl", call(2, model="claude-opus-4-8"))
    pipeline.write("c/p/3.jsonl", call(3, "2026-11-01T00:00:00Z", "claude-opus-4-7"))
    pipeline.run(locked)
    found = [("a", Decimal("0.002")), ("b", Decimal("0.002")), ("c", Decimal("0.018"))]
    assert costs(pipeline) == found
    pipeline.run(locked)
    assert costs(pipeline) == found


def test_nobody_can_change_the_bill_of_somebody_else(pipeline: UsagePipeline) -> None:
    mine = [
        user(uuid="p1"),
        call(1, sessionId="A"),
        call(2, sessionId="A"),
        billed("0.058", 2000, 2500),
    ]
    pipeline.write("alice/p/A.jsonl", *mine)
    pipeline.run()
    alone = bills(pipeline)
    assert alone == [("alice", Decimal("0.058"), Decimal("0.010"), "unlogged")]
    shifted = [dict(line) | {"timestamp": "2026-10-09T12:00:00Z"} for line in mine[:2]]
    for name, copied in (("B", mine[:2]), ("C", shifted), ("A", shifted)):
        lines = [dict(line) | {"sessionId": name} for line in copied]
        pipeline.write(f"bob/p/{name}.jsonl", *lines, billed("0.024", 1000, 1000))
        pipeline.run()
        assert [row for row in bills(pipeline) if row[0] == "alice"] == alone, name


def test_a_copy_under_another_user_adds_no_bill(pipeline: UsagePipeline) -> None:
    lines = [call(1, sessionId="A"), billed("0.030", 1000, 1300)]
    pipeline.write("alice/p/A.jsonl", *lines)
    pipeline.run()
    before = bills(pipeline)
    pipeline.write("bob/p/A.jsonl", *lines)
    pipeline.run()
    assert bills(pipeline) == before


@pytest.mark.parametrize("mark", ["[1m]", "[1M]"])
def test_the_mark_of_a_long_context_does_not_come_between_bill_and_lines(
    pipeline: UsagePipeline, mark: str
) -> None:
    lines = [call(n, model=OPUS + "[1m]", sessionId="s") for n in (1, 2)]
    pipeline.write("a/p/s.jsonl", *lines, billed("0.058", 2000, 2500, OPUS + mark))
    pipeline.run()
    assert bills(pipeline) == [("a", Decimal("0.058"), Decimal("0.010"), "unlogged")]


def test_a_response_of_the_future_does_not_make_the_others_old(pipeline: UsagePipeline) -> None:
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    pipeline.write("a/p/s.jsonl", call(1, now, sessionId="s"), billed("0.124", 1000, 6000))
    pipeline.write("b/p/f.jsonl", call(2, "2099-01-01T00:00:00Z", sessionId="f"))
    pipeline.run()
    (rule,) = [rule for rule in UsageProcessor().quality if rule.name == "unlogged_usage"]

    found = rule.measure(Data(pipeline.select, lambda _: None))
    assert (found.stands, found.numbers["unlogged_percent"]) == ("warning", 80.65)


@pytest.mark.parametrize(
    ("name", "value", "cost"), [("speed", "fast", "0.048"), ("service_tier", "batch", "0.012")]
)
def test_a_later_line_that_does_not_repeat_the_variant_does_not_take_it_away(
    pipeline: UsagePipeline, name: str, value: str, cost: str
) -> None:
    first = call(1, "2026-10-20T12:00:00Z")
    later = json.loads(json.dumps(first)) | {"uuid": "u9"}
    first["message"]["usage"] = {**usage(1000, 1000), name: value}  # ty: ignore
    pipeline.write("a/p/s.jsonl", first, later)
    pipeline.run()
    assert costs(pipeline) == [("a", Decimal(cost))]


def test_a_quarter_of_an_hour_before_1970_is_of_its_own_day(pipeline: UsagePipeline) -> None:
    pipeline.write("a/p/s.jsonl", call(1, "1969-12-31T23:55:00Z"))
    pipeline.run()
    assert pipeline.select("SELECT day::VARCHAR, epoch_us(slot) FROM usage_slots") == [
        ("1969-12-31", -900 * 10**6)
    ]


def test_a_model_that_nobody_has_any_more_is_not_named(pipeline: UsagePipeline) -> None:
    pipeline.write("a/p/s.jsonl", call(1, model="a-secret"), billed("1", 1, 1, "a-secret-bill"))
    pipeline.write("b/p/s.jsonl", call(2))
    pipeline.run()
    pipeline.store.forget([UsageProcessor()], ["a/p/s.jsonl"])
    (pipeline.root / "a/p/s.jsonl").unlink()
    pipeline.run()
    assert pipeline.select("FROM usage_models_seen") == [("anthropic", OPUS)]
    assert pipeline.select("SELECT DISTINCT model FROM model_prices") == [(OPUS,)]


def test_a_lock_after_a_file_with_a_mistake_prices_what_comes_late(
    pipeline: UsagePipeline, tmp_path: Path
) -> None:
    """The list prices of the days before it are locked, not the mistake."""
    pipeline.write("a/p/1.jsonl", call(1))
    pipeline.run(priced(tmp_path, "[[price]]\nmodel = 'claude-*'\ninput = -1\n"))
    own = "[[price]]\nmodel = 'claude-*'\ninput = 9\noutput = 9\n[lock]\nuntil = '2026-10-31'\n"
    locked = priced(tmp_path, own)
    pipeline.run(locked)
    pipeline.write("b/p/2.jsonl", call(2, model="claude-opus-4-8"))
    pipeline.run(locked)
    assert costs(pipeline) == [("a", Decimal("0.024")), ("b", Decimal("0.030"))]
