"""List prices beside the library itself, and the figures that were computed by hand."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider, StartDateConstraint, TieredPrices

from session_pipeline_dagster.processors.usage.money import listed
from session_pipeline_dagster.processors.usage.money.own_prices import OwnPrices
from session_pipeline_dagster.processors.usage.money.price_table import price_rows, table_name
from session_pipeline_dagster.processors.usage.money.rates import Counts, price_of

DAY = date(2026, 10, 20)
CONTEXTS = {
    "standard": None,
    "fast": {"speed": "fast"},
    "batch": {"processing": "batch"},
}


def usd(
    model: str,
    counts: Counts,
    *,
    day: date = DAY,
    variant: str = "standard",
    provider: str = "anthropic",
    own: OwnPrices | None = None,
) -> Decimal | None:
    return price_of(price_rows([(provider, model)], own), day, variant, counts)


def regions(aws: listed.Region = "regional", google: listed.Region = "global") -> OwnPrices:
    return OwnPrices("p", "0" * 8, (), (), {}, listed.Regions(aws, google), None)


@pytest.mark.parametrize(
    ("tokens", "day", "expected"),
    [
        (200_000, date(2026, 3, 12), "0.615"),
        (200_001, date(2026, 3, 12), "1.222506"),
        (200_001, date(2026, 3, 13), "0.615003"),
    ],
)
def test_sonnet_is_dearer_above_200_000_tokens_until_march_12th(
    tokens: int, day: date, expected: str
) -> None:
    counts = Counts(input=tokens, output=1_000)

    assert usd("claude-sonnet-4-6", counts, day=day) == Decimal(expected)


@pytest.mark.parametrize(("tokens", "expected"), [(100_000, "0.0105"), (100_001, "0.0525005")])
def test_haiku_is_dearer_above_100_000_tokens(tokens: int, expected: str) -> None:
    assert usd("claude-haiku-5-5", Counts(input=tokens, output=1_000)) == Decimal(expected)


def test_all_input_counts_for_the_band() -> None:
    at = Counts(cache_read=60_000, cache_write_5m=30_000, cache_write_1h=10_000)
    above = Counts(input=1, cache_read=60_000, cache_write_5m=30_000, cache_write_1h=10_000)

    assert usd("claude-haiku-5-5", at) == Decimal("0.00635")
    assert usd("claude-haiku-5-5", above) == Decimal("0.0317505")


def test_opus_in_fast_mode_has_its_own_price() -> None:
    counts = Counts(input=1_000, output=1_000)

    assert usd("claude-opus-4-8", counts, variant="fast") == Decimal("0.06")
    assert usd("claude-opus-4-8", counts) == Decimal("0.03")


def test_bedrock_is_regional_unless_it_is_said_to_be_global() -> None:
    counts = Counts(input=1_000, output=1_000)

    for name in ("claude-opus-5-5", "anthropic.claude-opus-5-5", "claude-opus-5-5-v1:0"):
        assert usd(name, counts, provider="aws") == Decimal("0.0264")
        assert usd(name, counts, provider="aws", own=regions(aws="global")) == Decimal("0.024")


def test_a_region_in_the_name_is_believed_before_the_setting() -> None:
    counts = Counts(input=1_000, output=1_000)

    eu, everywhere = "eu.anthropic.claude-opus-5-5-v1:0", "global.anthropic.claude-opus-5-5-v1:0"
    for aws in ("regional", "global"):
        own = regions(aws=aws)
        assert usd(eu, counts, provider="aws", own=own) == Decimal("0.0264")
        assert usd(everywhere, counts, provider="aws", own=own) == Decimal("0.024")


def test_a_bedrock_model_without_a_global_price_keeps_the_one_it_has() -> None:
    name, counts = "claude-opus-4-1-20250805", Counts(input=1_000)

    assert usd(name, counts, provider="aws", own=regions(aws="global")) == Decimal("0.015")
    assert listed.listed("aws", name, listed.Regions(aws="global")).region == "regional"


def test_vertex_is_global_unless_it_is_said_to_be_regional() -> None:
    counts = Counts(input=1_000, output=1_000)

    for name in ("claude-opus-5-5", "claude-opus-5-5@20260901", "vertex_ai/claude-opus-5-5"):
        assert usd(name, counts, provider="google") == Decimal("0.024")
        own = regions(google="regional")
        assert usd(name, counts, provider="google", own=own) == Decimal("0.0264")


@pytest.mark.parametrize(
    "name", ["claude-3-5-haiku", "claude-opus-4-1", "claude-sonnet-4@20250514"]
)
def test_vertex_models_before_4_5_cost_the_same_in_a_region(name: str) -> None:
    counts = Counts(input=1_000, output=1_000)

    regional = usd(name, counts, provider="google", own=regions(google="regional"))
    assert regional == usd(name, counts, provider="google")
    assert regional is not None


def test_gemini_has_no_price_by_region() -> None:
    counts = Counts(input=1_000, output=1_000)

    regional = usd("gemini-2.5-pro", counts, provider="google", own=regions(google="regional"))
    assert regional == usd("gemini-2.5-pro", counts, provider="google")


def test_a_premium_is_not_taken_on_searches() -> None:
    own, counts = regions(google="regional"), Counts(web_searches=1_000)

    assert usd("claude-fable-5-2", counts, provider="google", own=own) == Decimal(10)


def test_seven_searches_cost_seven_cents() -> None:
    for variant in CONTEXTS:
        counts = Counts(web_searches=7)
        assert usd("claude-opus-5-5", counts, variant=variant) == Decimal("0.07")


def test_bedrock_ids_and_vertex_ids_are_known_where_no_provider_is() -> None:
    counts = Counts(input=1_000, output=1_000)

    assert usd("us.anthropic.claude-opus-5-5-v1:0", counts) == Decimal("0.0264")
    assert usd("anthropic.claude-opus-5-5-v1:0", counts) == Decimal("0.0264")
    assert usd("vertex_ai/claude-opus-5-5", counts) == Decimal("0.024")


def test_the_mark_of_a_long_context_is_taken_off() -> None:
    for name in ("claude-opus-5-5[1m]", "claude-opus-5-5[1M]"):
        (row, *_) = price_rows([("anthropic", name)], None)
        assert (row.model, row.price_model) == (name, "claude-opus-5-5")


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("anthropic", "opus"),
        ("anthropic", "claude"),
        ("anthropic", ""),
        ("anthropic", "[1m]"),
        ("anthropic", "<synthetic>"),
        ("anthropic", "claude-opus-99"),
        ("anthropic", "vertex_ai/"),
        ("anthropic", "gpt-4.1"),
        ("aws", "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"),
        ("aws", "claude-haiku-4-5"),
        ("a provider that nobody knows", "claude-opus-5-5"),
        ("perplexity", "sonar"),
        ("google", "imagen-3"),
    ],
)
def test_what_the_library_does_not_know_or_cannot_say_by_tokens_has_no_row(
    provider: str, name: str
) -> None:
    assert price_rows([(provider, name)], None) == []


def test_a_variant_that_is_not_published_is_standard_and_assumed() -> None:
    rows = price_rows([("aws", "claude-opus-5-5")], None)

    assert {(row.variant, row.assumed, row.rates) for row in rows} == {
        ("standard", False, rows[0].rates),
        ("fast", True, rows[0].rates),
        ("batch", True, rows[0].rates),
    }


def test_a_variant_is_assumed_until_the_day_it_is_published() -> None:
    batch = [
        (row.valid_from, row.valid_to, str(row.input.normalize()), row.assumed)
        for row in price_rows([("anthropic", "claude-opus-4-8")], None)
        if row.variant == "batch"
    ]

    assert batch == [
        (None, date(2026, 10, 13), "0.000005", True),
        (date(2026, 10, 14), None, "0.0000025", False),
    ]


def test_a_model_that_a_provider_resells_has_no_variants_there() -> None:
    name = "claude-fable-5-20260901"
    assert listed.listed("google", name).model == "claude-fable-5"

    for provider, expected in (
        ("anthropic", [False, True, False]),
        ("google", [False, True, True]),
    ):
        rows = price_rows([(provider, name)], None)
        assert [row.assumed for row in rows if row.is_valid_on(DAY)] == expected
    assert usd(name, Counts(input=1_000_000), provider="google", variant="batch") == 10
    assert len({period.bands for period in listed.listed("google", name).periods}) == 1


def test_a_price_by_the_hour_is_the_dearest_of_the_day_and_assumed() -> None:
    rows = price_rows([("deepseek", "deepseek-chat")], None)

    assert {row.assumed for row in rows} == {True}
    assert {(row.input, row.output) for row in rows} == {
        (Decimal("0.00000027"), Decimal("0.0000011"))
    }
    v4 = price_rows([("deepseek", "deepseek-v4-flash")], None)
    standard = [row for row in v4 if row.variant == "standard"]
    # Its peak hours are listed without a first day, so they hold for the days before as well.
    assert {row.assumed for row in standard} == {True}
    assert {row.input for row in standard} == {Decimal("0.0000003")}


def test_a_write_for_an_hour_without_a_price_is_priced_as_the_library_does() -> None:
    counts = Counts(cache_write_1h=1_000_000, cache_write_5m=1_000_000, cache_read=1_000_000)

    sonnet = "claude-3-7-sonnet-20250219"
    assert usd(sonnet, counts, provider="aws") == Decimal("3.75") * 2 + Decimal("0.3")
    assert usd("claude-2", counts) == Decimal(8) * 3


def test_the_name_of_the_table_is_the_package_and_its_version() -> None:
    assert table_name(None) == f"genai-prices {genai_prices.__version__}"
    assert table_name(regions()) == f"{table_name(None)} + prices.toml#00000000"


def test_rates_have_at_most_twelve_decimals() -> None:
    seen = [(one.id, model.id) for one in get_snapshot().providers for model in one.models]
    rows = price_rows(seen, None)

    assert len({(row.provider, row.model) for row in rows}) > 1_900
    for row in rows:
        for rate in (row.input, row.output, row.cache_read, row.cache_write_1h, row.web_search):
            exponent = rate.as_tuple().exponent
            assert isinstance(exponent, int)
            assert exponent >= -12
            assert rate < 1_000_000


def test_the_library_is_imported_when_a_price_is_asked_for_and_not_before() -> None:
    code = (
        "import sys\n"
        "from session_pipeline_dagster.processors.usage.money import (\n"
        "    library_version, listed, own_prices, price_explained, price_table, rates, toml_file)\n"
        "library_version.version()\n"
        "assert not {'genai_prices', 'pydantic'} & set(sys.modules), 'before'\n"
        "price_table.price_rows([('anthropic', 'claude-opus-5-5')], None)\n"
        "assert 'genai_prices' in sys.modules\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


def claude_models() -> list[tuple[Provider, ModelInfo]]:
    return [
        (provider, model)
        for provider in get_snapshot().providers
        if provider.id in ("anthropic", "aws", "google")
        for model in provider.models
        if "claude" in model.id
    ]


def days_of(model: ModelInfo) -> set[date]:
    prices = model.prices if isinstance(model.prices, list) else []
    starts = {
        one.constraint.start_date
        for one in (*prices, *(model.price_variants or ()))
        if isinstance(one.constraint, StartDateConstraint)
    }
    near = {start + timedelta(days=step) for start in starts for step in (-1, 0, 1)}
    return near | {date(2024, 1, 1), DAY, date(2030, 1, 1)}


def edges_of(model: ModelInfo) -> set[int]:
    prices = [one.prices for one in model.prices] if isinstance(model.prices, list) else []
    plain = [] if isinstance(model.prices, list) else [model.prices]
    starts = {
        tier.start
        for price in (*prices, *plain, *(one.prices for one in model.price_variants or ()))
        for value in vars(price).values()
        if isinstance(value, TieredPrices)
        for tier in value.tiers
    }
    return {start + step for start in starts for step in (-1, 0, 1)} | {0, 1, 7_777, 1_000_000}


def some_counts(total: int) -> Iterator[Counts]:
    yield Counts(input=total, output=1_001, web_searches=3)
    read, write, hour = total // 2, total // 5, total // 7
    yield Counts(total - read - write - hour, 999, read, write, hour)
    yield Counts(cache_write_1h=total)
    yield Counts(cache_read=total, output=1)


def by_library(
    provider: Provider, model: ModelInfo, day: date, variant: str, counts: Counts
) -> Decimal:
    usage = genai_prices.Usage(
        input_tokens=counts.total_input,
        output_tokens=counts.output,
        cache_read_tokens=counts.cache_read,
        cache_write_tokens=counts.cache_write_5m + counts.cache_write_1h,
        cache_write_1h_tokens=counts.cache_write_1h,
        web_searches=counts.web_searches,
    )
    return model.calc_price(
        usage,
        provider,
        genai_request_timestamp=datetime(day.year, day.month, day.day, 13, 5, tzinfo=UTC),
        price_context=CONTEXTS[variant],
    ).total_price


def models_of_several_tiers() -> list[tuple[Provider, ModelInfo]]:
    return [
        (provider, model)
        for provider in get_snapshot().providers
        for model in provider.models
        if len(edges_of(model)) > 4 + 3
    ]


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        pytest.param(one, model, id=f"{one.id}-{model.id}")
        for one, model in (*claude_models(), *models_of_several_tiers())
    ],
)
def test_prices_equal_those_of_the_library_to_the_last_digit(
    provider: Provider, model: ModelInfo
) -> None:
    name = model.id.removeprefix("regional.")
    found = listed.listed(provider.id, name).model
    if found != model.id:
        pytest.skip(f"{name} is found as {found}")
    rows = price_rows([(provider.id, name)], None)

    for day in days_of(model):
        for variant in CONTEXTS:
            for total in edges_of(model):
                for counts in some_counts(total):
                    expected = by_library(provider, model, day, variant, counts)
                    assert price_of(rows, day, variant, counts) == expected
