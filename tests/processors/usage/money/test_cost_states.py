"""What one cost-state line says, and that a bad value costs that line and nothing else."""

import json
from decimal import Decimal

import pytest

from session_pipeline_dagster.processors.usage.money.cost_states import MAX_MODELS, plain, read

LINE = (
    b'{"type":"cost-state","sessionId":"s","totalCostUSD":0.06535200000000001,'
    b'"totalAPIDuration":1310,"totalToolDuration":531,"totalLinesAdded":7,"totalLinesRemoved":2,'
    b'"totalDuration":2992,"startTime":1795442700398,"modelUsage":{"claude-opus-5-5":{'
    b'"inputTokens":98,"outputTokens":728,"thinkingTokens":5,"cacheReadInputTokens":14000,'
    b'"cacheCreationInputTokens":7000,"cacheCreationEphemeral5mInputTokens":2800,'
    b'"cacheCreationEphemeral1hInputTokens":4200,"webSearchRequests":3,'
    b'"costUSD":0.06535200000000001}},"hasUnknownModelCost":false}'
)


def line(**given: object) -> bytes:
    return json.dumps({"type": "cost-state", **given}).encode()


def usage(**given: object) -> bytes:
    return line(modelUsage={"opus": given})


def test_a_line_is_read_to_the_last_digit():
    found = read(LINE)
    assert found is not None
    assert found.total_cost == Decimal("0.065352000000")
    assert (found.start_us, found.duration_ms) == (1795442700398000, 2992)
    assert (found.api_duration_ms, found.tool_duration_ms) == (1310, 531)
    assert (found.lines_added, found.lines_removed, found.has_unknown_model_cost) == (7, 2, False)
    (model,) = found.models
    assert (model.model, model.input_tokens, model.output_tokens) == ("claude-opus-5-5", 98, 728)
    assert (model.thinking_tokens, model.cache_read_tokens) == (5, 14000)
    assert model.cache_creation_tokens == 7000
    assert (model.cache_creation_5m_tokens, model.cache_creation_1h_tokens) == (2800, 4200)
    assert (model.web_search_requests, model.cost) == (3, Decimal("0.065352"))


def test_what_an_older_version_leaves_out_is_nothing():
    found = read(line())
    assert found is not None
    assert (found.start_us, found.total_cost, found.models) == (None, 0, ())
    assert found.split
    null = read(line(modelUsage=None, startTime=None, totalCostUSD=None))
    assert null == found


def test_a_bill_without_models_does_not_say_for_what_it_is():
    found = read(line(totalCostUSD=1))
    assert found is not None
    assert not found.split


def test_cache_writes_that_are_not_split_were_for_five_minutes():
    found = read(usage(cacheCreationInputTokens=10, cacheCreationEphemeral1hInputTokens=4))
    assert found is not None
    (model,) = found.models
    assert (model.cache_creation_5m_tokens, model.cache_creation_1h_tokens) == (6, 4)
    split = read(usage(cacheCreationEphemeral5mInputTokens=3))
    assert split is not None
    assert split.models[0].cache_creation_tokens == 3


@pytest.mark.parametrize(
    "bad",
    [
        usage(inputTokens=-1), usage(inputTokens=10**13), usage(inputTokens="7"),
        usage(inputTokens=1.5), usage(inputTokens=True), usage(inputTokens=float("nan")),
        usage(costUSD=float("inf")), usage(costUSD=-0.1), usage(costUSD=1e10),
        line(totalCostUSD="1"), line(startTime=-1), line(startTime=10**18), line(totalDuration=[]),
        line(modelUsage=[]), line(modelUsage="x"), line(modelUsage={"opus": 3}),
        line(modelUsage={f"m{i}": {} for i in range(10_000)}),
        line(modelUsage={"m" * 10**6: {}}), line(modelUsage={"a\x00b": {}}),
        line(modelUsage={"\ud800": {}}), line(modelUsage={"": {}}), line(hasUnknownModelCost="no"),
        b'{"type":"cost-state","totalCostUSD":1e999999999999999999999}',
        b'{"type":"cost-state","totalCostUSD":' + b"9" * 10_000 + b"}",
        b'{"type":"cost-state","x":' + b"[" * 100_000, b'{"type":"cost-state"', b"", b"[]", b"\xff",
        b'{"type":"assistant","totalCostUSD":1}', b'"cost-state"', b"null",
    ],
    ids=range(32),
)  # fmt: skip
def test_a_value_that_can_be_none_makes_no_bill(bad):
    assert read(bad) is None


def test_the_smallest_and_largest_that_count_do():
    tiny = read(b'{"type":"cost-state","totalCostUSD":1e-999999}')
    assert tiny is not None
    assert tiny.total_cost == 0
    large = read(usage(inputTokens=10**12, costUSD=10**9))
    assert large is not None
    assert large.models[0].cost == 10**9
    many = read(line(modelUsage={f"m{i}": {} for i in range(MAX_MODELS)}))
    assert many is not None
    assert len(many.models) == MAX_MODELS
    assert read(usage(inputTokens=12.0)) == read(usage(inputTokens=12))


def test_the_mark_of_a_long_context_has_no_price_of_its_own():
    assert plain("claude-opus-5-5[1m]") == "claude-opus-5-5"
    assert plain("claude-opus-5-5") == "claude-opus-5-5"
