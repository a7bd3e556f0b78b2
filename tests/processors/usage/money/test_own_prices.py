"""What prices.toml changes, and each thing that is wrong with one, by file and line."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.processors.usage.money import library_version, listed, toml_file
from session_pipeline_dagster.processors.usage.money.own_prices import (
    OwnPrices,
    own_prices,
    read_prices,
)
from session_pipeline_dagster.processors.usage.money.price_explained import explain
from session_pipeline_dagster.processors.usage.money.price_table import (
    frozen,
    model_of,
    price_rows,
    table_name,
)
from session_pipeline_dagster.processors.usage.money.rates import (
    VARIANTS,
    Counts,
    PriceRow,
    price_of,
)

DAY = date(2026, 10, 20)
EVEN = Counts(input=1_000_000, output=1_000_000)
FULL = "input = 1\noutput = 2\ncache_read = 3\ncache_write_5m = 4\ncache_write_1h = 5\n"


def own(text: str) -> OwnPrices:
    return own_prices(toml_file.parse("prices.toml", text.encode()))


def usd(
    prices: OwnPrices | None,
    model: str,
    counts: Counts = EVEN,
    *,
    day: date = DAY,
    variant: str = "standard",
    provider: str = "anthropic",
) -> Decimal | None:
    return price_of(price_rows([(provider, model)], prices), day, variant, counts)


def error_of(text: str, *seen: str) -> str:
    with pytest.raises(SettingsError) as raised:
        price_rows([("anthropic", model) for model in seen], own(text))
    return str(raised.value)


def test_an_own_price_is_per_million_tokens_and_per_thousand_searches() -> None:
    prices = own(f"[[price]]\nmodel = 'house'\n{FULL}web_search = 6\n")

    (row,) = [row for row in price_rows([("x", "house")], prices) if row.variant == "standard"]
    assert [str(rate) for rate in (row.input, row.output, row.cache_read)] == [
        "0.000001000000", "0.000002000000", "0.000003000000",
    ]  # fmt: skip
    assert (row.source, row.assumed, row.price_model) == ("custom", False, "house")
    assert (row.valid_from, row.valid_to, row.over_input, row.upto_input) == (None, None, 0, None)
    every = Counts(1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000)
    assert usd(prices, "house", every) == 1 + 2 + 3 + 4 + 5 + 6


def test_the_table_is_named_by_the_content_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text("")
    assert table_name(read_prices(path)) == f"{library_version.version()} + prices.toml#e3b0c442"


def test_a_search_costs_nothing_where_neither_the_file_nor_the_library_has_a_price() -> None:
    assert usd(own(f"[[price]]\nmodel = 'house'\n{FULL}"), "house", Counts(web_searches=9)) == 0


def test_an_own_price_holds_from_its_first_to_its_last_day() -> None:
    prices = own(
        "[[price]]\nmodel = 'claude-opus-5-5'\nfrom = 2026-02-01\nto = '2026-02-28'\n" + FULL
    )

    def on(*day: int) -> Decimal | None:
        return usd(prices, "claude-opus-5-5", day=date(*day))

    assert [on(2026, 1, 31), on(2026, 2, 1), on(2026, 2, 28), on(2026, 3, 1)] == [24, 3, 3, 24]


def test_an_own_price_replaces_the_bands_of_the_list() -> None:
    rows = price_rows([("anthropic", "claude-haiku-5-5")], own("[[price]]\nmodel = '*'\n" + FULL))

    assert [(row.variant, row.over_input, row.upto_input) for row in rows] == [
        (variant, 0, None) for variant in VARIANTS
    ]


def test_what_an_own_price_leaves_out_is_the_list_price_of_that_variant_and_band() -> None:
    prices = own("[[price]]\nmodel = 'claude-haiku-5-5'\ninput = 7\n")

    assert usd(prices, "claude-haiku-5-5", Counts(input=100_000)) == Decimal("0.7")
    assert usd(prices, "claude-haiku-5-5", Counts(input=100_001)) == Decimal("0.700007")
    read = Counts(input=1, cache_read=100_000)
    assert usd(prices, "claude-haiku-5-5", read) == Decimal("0.005007")
    assert usd(prices, "claude-haiku-5-5", read, variant="batch") == Decimal("0.002507")
    early = date(2026, 10, 13)
    assert usd(prices, "claude-haiku-5-5", read, variant="batch", day=early) == Decimal("0.005007")
    assert [
        (row.variant, row.assumed)
        for row in price_rows([("anthropic", "claude-haiku-5-5")], prices)
        if row.over_input == 0
    ] == [("standard", False), ("fast", True), ("batch", True), ("batch", False)]


def test_an_exact_name_beats_a_pattern() -> None:
    exact = f"[[price]]\nmodel = 'claude-opus-5-5'\n{FULL}"
    pattern = "[[price]]\nmodel = 'claude-*'\ninput = 100\noutput = 100\n"

    for prices in (own(exact + pattern), own(pattern + exact)):
        assert usd(prices, "claude-opus-5-5") == 3
        assert usd(prices, "Claude-Opus-5-5[1m]") == 3
        assert usd(prices, "claude-opus-5") == 200


def test_a_pattern_has_stars_and_question_marks_and_no_other_signs() -> None:
    def matches(pattern: str, model: str) -> bool:
        return bool(price_rows([("x", model)], own(f"[[price]]\nmodel = '{pattern}'\n{FULL}")))

    assert matches("house-?", "house-1")
    assert matches("*", "anything/at:all")
    assert matches("HOUSE*", "house")
    assert matches("house[1m]", "house")
    assert matches("a.b", "a.b")
    assert not matches("a.b", "aXb")
    assert not matches("house-?", "house-12")
    assert not matches("house", "house-1")
    assert not matches("[ab]", "a")
    assert not matches("*", "<synthetic>")


def test_a_price_of_one_provider_beats_one_of_any_and_is_for_no_other() -> None:
    prices = own(
        f"[[price]]\nmodel = 'house'\nprovider = 'AWS'\n{FULL}"
        f"[[price]]\nmodel = 'house'\nvariant = 'fast'\n{FULL.replace('= 1', '= 9')}"
        "[[price]]\nmodel = 'claude-opus-5-5'\nprovider = 'google'\ninput = 0\n"
    )

    assert usd(prices, "house", provider="aws") == 3
    assert usd(prices, "house", provider="x") is None
    assert usd(prices, "house", provider="x", variant="fast") == 11
    assert usd(prices, "house", provider="x", variant="batch") is None
    assert usd(prices, "claude-opus-5-5", provider="google") == 20
    assert usd(prices, "claude-opus-5-5") == 24


def test_a_price_of_one_variant_leaves_the_others_to_the_list() -> None:
    standard = own(f"[[price]]\nmodel = 'claude-opus-5-5'\nvariant = 'standard'\n{FULL}")
    fast = own(f"[[price]]\nmodel = 'claude-opus-5-5'\nvariant = 'fast'\n{FULL}")

    def each(prices: OwnPrices) -> list[Decimal | None]:
        return [usd(prices, "claude-opus-5-5", variant=variant) for variant in VARIANTS]

    assert each(standard) == [3, 48, 12]
    assert each(fast) == [24, 3, 12]


def test_an_own_standard_price_stands_for_a_variant_that_nobody_publishes() -> None:
    prices = own(f"[[price]]\nmodel = '*opus*'\nvariant = 'standard'\n{FULL}")

    for provider, model in (("aws", "claude-opus-5-5"), ("x", "opus")):
        rows = price_rows([(provider, model)], prices)
        assert [(row.variant, row.assumed) for row in rows] == [
            ("standard", False), ("fast", True), ("batch", True),
        ]  # fmt: skip
        assert {usd(prices, model, variant=one, provider=provider) for one in VARIANTS} == {3}


def test_an_alias_is_priced_as_what_it_stands_for() -> None:
    prices = own(
        "[alias]\nopus = 'best'\nbest = 'claude-opus-5-5[1m]'\n'arn:aws:1' = 'house'\n"
        f"[[price]]\nmodel = 'house'\n{FULL}"
    )

    assert usd(prices, "OPUS[1m]") == 24
    assert usd(prices, "arn:aws:1", provider="aws") == 3
    (row, *_) = price_rows([("anthropic", "opus")], prices)
    assert (row.model, row.price_model, row.source) == ("opus", "claude-opus-5-5", "list")


def test_an_own_price_may_name_an_alias_or_what_it_stands_for() -> None:
    alias = "[alias]\nopus = 'claude-opus-5-5'\n"

    for model in ("opus", "claude-opus-5-5"):
        assert usd(own(f"{alias}[[price]]\nmodel = '{model}'\n{FULL}"), "opus") == 3


def test_a_discount_is_taken_off_list_prices_and_searches_from_its_day_on() -> None:
    prices = own(
        "[[discount]]\nprovider = 'anthropic'\npercent = 10\nfrom = 2026-02-01\n"
        "[[discount]]\nprovider = 'anthropic'\npercent = 25.5\nfrom = 2026-03-01\n"
        "[[discount]]\nprovider = 'anthropic'\npercent = 0\nfrom = 2026-04-01\n"
    )

    def on(*day: int) -> Decimal | None:
        counts = Counts(input=1_000_000, web_searches=1_000)
        return usd(prices, "claude-opus-5-5", counts, day=date(*day))

    expected = [14, Decimal("12.6"), Decimal("10.43"), 14]
    assert [on(2026, 1, 31), on(2026, 2, 1), on(2026, 3, 1), on(2026, 4, 1)] == expected
    assert usd(prices, "claude-opus-5-5", provider="aws", day=date(2026, 2, 1)) == Decimal("26.4")
    sources = {
        (row.valid_from, row.source)
        for row in price_rows([("anthropic", "claude-opus-5-5")], prices)
        if row.variant == "standard"
    }
    assert sources == {
        (None, "list"),
        (date(2026, 2, 1), "custom"),
        (date(2026, 3, 1), "custom"),
        (date(2026, 4, 1), "list"),
    }


def test_a_discount_of_one_provider_stands_before_one_of_all_from_the_same_day() -> None:
    prices = own(
        "[[discount]]\nprovider = 'anthropic'\npercent = 50\n[[discount]]\npercent = 100\n"
    )

    assert usd(prices, "claude-opus-5-5") == 12
    assert usd(prices, "claude-opus-5-5", provider="google") == 0


def test_a_discount_is_not_taken_off_own_prices_nor_off_what_they_leave_out() -> None:
    prices = own("[[discount]]\npercent = 50\n[[price]]\nmodel = 'claude-opus-5-5'\ninput = 1\n")

    assert usd(prices, "claude-opus-5-5") == 21


def test_a_discount_and_a_region_come_together() -> None:
    prices = own("[region]\ngoogle = 'regional'\n[[discount]]\npercent = 50\n")

    assert usd(prices, "claude-opus-5-5", provider="google") == Decimal("13.2")


def test_regions_and_the_lock_are_read() -> None:
    prices = own("[region]\naws = 'global'\ngoogle = 'regional'\n[lock]\nuntil = '2026-10-31'\n")

    assert prices.regions == listed.Regions("global", "regional")
    assert prices.lock_until == date(2026, 10, 31)
    assert own("").regions == listed.Regions("regional", "global")
    assert own("").lock_until is None


PRICE = f"[[price]]\nmodel = 'house'\n{FULL}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[prcie]]\n", '1: "prcie" is not known here; is price meant?'),
        ("[price]\n", "1: write [[price]] in two brackets, once for each"),
        ("[[price]]\ninput = 1\n", "1: model is missing"),
        ("[[price]]\nmodel = ''\n", '2: model is ""; it takes one line of text'),
        (
            "[[price]]\nmodel = '[1m]'\n",
            "2: model is no name; write the name of a model or a pattern",
        ),
        ("[[price]]\nmodel = 1\n", "2: model is 1; it takes text in quotes"),
        (
            "[[price]]\nmodel = 'a'\n",
            "1: no price is given; give one of input, output, cache_read, cache_write_5m,"
            " cache_write_1h, web_search",
        ),
        (PRICE + "inptu = 1\n", '8: "inptu" is not known here; is input meant?'),
        (PRICE + "variant = 'slow'\n", '8: variant is "slow"; it takes standard, fast or batch'),
        (PRICE + "provider = 3\n", "8: provider is 3; it takes text in quotes"),
        (PRICE + "web_search = -1\n", "8: web_search is -1; it takes a number from 0"),
        (PRICE + "web_search = true\n", "8: web_search is true; it takes a number from 0"),
        (PRICE + "web_search = nan\n", "8: web_search is NaN; it takes a number from 0"),
        (
            PRICE + "web_search = 1e9\n",
            "8: web_search is 1E+9; it takes less than 1000000000 USD for a thousand searches",
        ),
        (
            "[[price]]\nmodel = 'a'\ninput = 1.0000001\n",
            "3: input is 1.0000001; it takes at most 6 decimals",
        ),
        (
            "[[price]]\nmodel = 'a'\ninput = 1000000000\n",
            "3: input is 1000000000; it takes less than 1000000000 USD for a million tokens",
        ),
        (
            PRICE + "from = 2026-02-02\nto = 2026-02-01\n",
            "9: to is 2026-02-01, before from (2026-02-02)",
        ),
        (
            PRICE + "from = 2026-02-02 10:00:00\n",
            "8: from is 2026-02-02 10:00:00; it takes a day such as 2026-10-31",
        ),
        (
            PRICE + "to = 2026-02-01\n" + PRICE + "from = 2026-02-01\n",
            "9: the days of this price and of that of line 1 overlap; change from or to of one",
        ),
        (
            PRICE + "from = 2026-02-01\n" + PRICE + "to = 2026-02-01\n",
            "9: the days of this price and of that of line 1 overlap; change from or to of one",
        ),
        (
            PRICE + PRICE.replace("house", "House[1m]"),
            "8: the days of this price and of that of line 1 overlap; change from or to of one",
        ),
        ("[[discount]]\nprovider = 'x'\n", "1: percent is missing"),
        (
            "[[discount]]\npercent = 100.5\n",
            "2: percent is 100.5; it takes 0 to 100 with at most 6 decimals",
        ),
        ("[[discount]]\npercent = -1\n", "2: percent is -1; it takes a number from 0"),
        (
            "[[discount]]\npercent = 0.0000001\n",
            "2: percent is 1E-7; it takes 0 to 100 with at most 6 decimals",
        ),
        ("[[discount]]\npercent = 1\nto = 2026-01-01\n", '3: "to" is not known here; it takes'),
        (
            "[[discount]]\npercent = 1\n[[discount]]\npercent = 2\n",
            "3: this discount and that of line 1 begin on the same day for the same provider;",
        ),
        ("[alias]\na = 1\n", "2: a is 1; it takes text in quotes"),
        ("[alias]\na = 'a[1m]'\n", '2: "a" is an alias of itself; name a model'),
        ("[alias]\nx = 'a'\na = 'b'\nb = 'A'\n", '3: "a" is an alias of "b", in a circle; name a'),
        ("[alias]\na = 'b'\nA = 'c'\n", '3: "A" is an alias already; remove one of the two'),
        ("[alias]\na = '[1m]'\n", '2: "a" is no alias; write name = "model"'),
        ("[region]\naws = 'globl'\n", '2: aws is "globl"; it takes regional or global'),
        ("[region]\nazure = 'global'\n", '2: "azure" is not known here; it takes aws or google'),
        ("[lock]\n", "1: until is missing; write the last day that stays, or remove [lock]"),
        ("[lock]\nuntil = 'x'\n", '2: until is "x"; it takes a day such as 2026-10-31'),
        ("[lock]\nuntill = 2026-01-01\n", '2: "untill" is not known here; is until meant?'),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(text: str, said: str) -> None:
    assert error_of(text).startswith(f"prices.toml:{said}")


def test_prices_may_follow_each_other_and_differ_by_provider_or_variant() -> None:
    prices = own(
        PRICE + "to = 2026-02-01\n" + PRICE + "from = 2026-02-02\n"
        + PRICE + "provider = 'aws'\n" + PRICE + "variant = 'fast'\n"
    )  # fmt: skip

    assert len(prices.prices) == 4


def test_two_patterns_that_hold_for_a_model_seen_are_an_error_that_names_both_lines() -> None:
    text = (
        f"[[price]]\nmodel = 'claude-*'\nfrom = 2026-02-01\n{FULL}"
        f"[[price]]\nmodel = '*-opus-5-5'\nto = 2026-03-01\n{FULL}"
    )

    assert error_of(text, "claude-haiku-5-5", "claude-opus-5-5[1m]") == (
        'prices.toml:9: this price and that of line 1 both hold for "claude-opus-5-5"'
        " on 2026-02-01; change the model or the days of one"
    )
    price_rows([("anthropic", "claude-haiku-5-5"), ("anthropic", "x-opus-5-5")], own(text))


def test_two_exact_prices_of_an_alias_and_its_model_are_an_error() -> None:
    text = f"[alias]\na = 'b'\n[[price]]\nmodel = 'a'\n{FULL}[[price]]\nmodel = 'b'\n{FULL}"

    assert error_of(text, "a").startswith("prices.toml:10: this price and that of line 3 both")


def test_a_price_left_out_of_a_model_that_the_library_does_not_know_is_an_error() -> None:
    text = "\n[[price]]\nmodel = 'h*'\ninput = 1\noutput = 2\ncache_read = 0\n"

    assert error_of(text, "claude-opus-5-5", "house") == (
        f'prices.toml:2: {library_version.version()} has no price of "house"; give cache_write_5m'
        " and cache_write_1h, too"
    )
    assert price_rows([("anthropic", "elsewhere")], own(text)) == []


def test_an_explanation_says_where_a_price_is_from() -> None:
    prices = own(
        "[alias]\nopus = 'claude-opus-5-5'\n[region]\naws = 'global'\n"
        "[[discount]]\npercent = 10\nfrom = 2026-01-01\n"
        f"[[price]]\nmodel = 'opus'\nvariant = 'batch'\nfrom = 2026-10-01\n{FULL}"
    )

    said = explain("aws", "opus[1m]", DAY, prices)

    assert said.names == ("opus", "claude-opus-5-5")
    assert said.tried == (("aws", "global.anthropic.claude-opus-5-5"),)
    assert (said.listed_model, said.region) == ("global.anthropic.claude-opus-5-5", "global")
    assert said.price_table == table_name(prices)
    standard, fast, batch = said.variants
    assert [one.input for one in standard.rows] == [Decimal("0.0000036")]
    assert standard.rows[0].valid_from == date(2026, 1, 1)
    assert standard.discount is not None
    assert standard.discount.line == 5
    assert fast.rows[0].assumed
    assert batch.own is not None
    assert (batch.own.file, batch.own.line) == ("prices.toml", 8)
    assert batch.discount is None


def test_an_explanation_of_what_nothing_prices_names_what_was_tried() -> None:
    said = explain("anthropic", "opus", DAY, None)

    assert not said.is_priced
    assert said.tried == (("anthropic", "opus"),)
    assert not explain("x", "<synthetic>", DAY, own(f"[[price]]\nmodel = '*'\n{FULL}")).is_priced


# -- the lock

UNTIL = date(2026, 2, 10)


def test_a_lock_keeps_days_up_to_its_last_and_changes_those_after() -> None:
    seen = [("anthropic", "claude-opus-5-5")]
    stored = price_rows(seen, None)
    new = price_rows(seen, own("[[discount]]\npercent = 50\n"))

    rows = frozen(stored, new, UNTIL)

    def at(day: date) -> tuple[Decimal | None, set[str]]:
        tables = {row.price_table for row in rows if row.is_valid_on(day)}
        return price_of(rows, day, "standard", EVEN), tables

    assert at(UNTIL) == (24, {stored[0].price_table})
    assert at(UNTIL + timedelta(days=1)) == (12, {new[0].price_table})
    assert frozen(rows, new, UNTIL) == rows
    assert frozen(stored, new, None) == new


def test_a_lock_prices_a_model_that_was_never_priced_by_the_new_table() -> None:
    stored = price_rows([("anthropic", "claude-opus-5-5")], None)
    prices = own("[[discount]]\npercent = 50\n")
    new = price_rows([("anthropic", "claude-opus-5"), ("anthropic", "claude-opus-5-5")], prices)

    rows = [row for row in frozen(stored, new, UNTIL) if row.model == "claude-opus-5"]

    assert rows == [row for row in new if row.model == "claude-opus-5"]


def test_a_lock_keeps_the_rows_of_a_model_that_is_priced_no_more() -> None:
    stored = price_rows([("anthropic", "claude-opus-5-5")], None)

    rows = frozen(stored, [], UNTIL)

    assert {row.valid_to for row in rows} == {UNTIL}
    assert price_of(rows, UNTIL, "standard", EVEN) == 24


def test_a_lock_up_to_the_end_of_all_days_keeps_all() -> None:
    seen = [("anthropic", "claude-sonnet-4-6")]
    stored, new = price_rows(seen, None), price_rows(seen, own(f"[[price]]\nmodel = '*'\n{FULL}"))

    rows = frozen(stored, new, date.max)

    for day in (date(2026, 3, 12), DAY, date.max):
        assert price_of(rows, day, "standard", EVEN) == price_of(stored, day, "standard", EVEN)


# -- any file

BOUNDS = [date.min, date(2026, 1, 1), date(2026, 3, 12), date(2026, 3, 13), date(2026, 10, 14)]
DAYS = st.sampled_from([*BOUNDS, date(2026, 5, 5), date.max])
NAMES = st.sampled_from(
    ["claude-sonnet-4-6", "claude-haiku-5-5", "claude-*", "*", "house", "?ouse", "house[1m]"]
)
SEEN = [
    (provider, model)
    for provider in ("anthropic", "aws", "google", "deepseek")
    for model in ("claude-sonnet-4-6", "claude-haiku-5-5", "house", "house[1m]", "deepseek-chat")
]


@st.composite
def price_sections(draw: st.DrawFn) -> tuple[tuple[str, ...], str]:
    """What no two sections may share, and the section."""
    model = draw(NAMES)
    provider = draw(st.sampled_from(["", 'provider = "anthropic"\n', 'provider = "aws"\n']))
    variant = draw(st.sampled_from(["", *(f'variant = "{one}"\n' for one in VARIANTS)]))
    first, last = sorted([draw(DAYS), draw(DAYS)])
    begins = draw(st.sampled_from(["", f"from = {first.isoformat()}\n"]))
    ends = draw(st.sampled_from(["", f"to = {last.isoformat()}\n"]))
    partly = f"output = {draw(st.integers(0, 9))}.25\n"
    rates = draw(st.sampled_from([FULL, partly])) if model.startswith("claude-h") else FULL
    text = f'[[price]]\nmodel = "{model}"\n{provider}{variant}{begins}{ends}{rates}'
    return (model, provider, variant), text


@st.composite
def discount_sections(draw: st.DrawFn) -> tuple[tuple[str, ...], str]:
    provider = draw(st.sampled_from(["", 'provider = "aws"\n', 'provider = "anthropic"\n']))
    first = draw(st.sampled_from(["", *(f"from = {day.isoformat()}\n" for day in BOUNDS)]))
    text = f"[[discount]]\npercent = {draw(st.integers(0, 100))}\n{provider}{first}"
    return (provider, first), text


@st.composite
def files(draw: st.DrawFn) -> str:
    sections = draw(
        st.lists(
            st.one_of(price_sections(), discount_sections()),
            unique_by=lambda section: section[0],
            max_size=4,
        )
    )
    aws = draw(st.sampled_from(["regional", "global"]))
    alias = draw(st.sampled_from(["", "[alias]\nhouse = 'claude-haiku-5-5'\n"]))
    texts = [text for _, text in sections]
    return "\n".join([*texts, f"[region]\naws = '{aws}'", alias])


def rows_that_hold(
    rows: Sequence[PriceRow], seen: tuple[str, str], day: date, variant: str, total: int
) -> list[PriceRow]:
    return [
        row for row in rows if (row.provider, row.model) == seen and row.holds(day, variant, total)
    ]


NEAR = sorted(
    {
        date.fromordinal(bound.toordinal() + step)
        for bound in (*BOUNDS, date.max)
        for step in (-1, 0, 1)
        if 1 <= bound.toordinal() + step <= date.max.toordinal()
    }
)


def rows_of(text: str) -> list[PriceRow] | None:
    """None where the file is refused, which is another test's."""
    try:
        return price_rows(SEEN, own(text))
    except SettingsError:
        return None


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=80)
@given(files(), files(), st.none() | DAYS)
def test_at_most_one_row_holds_whatever_the_files_say(
    text: str, before: str, until: date | None
) -> None:
    rows, stored = rows_of(text), rows_of(before)
    if rows is None or stored is None:
        return
    locked = frozen(stored, rows, until)

    for seen in SEEN:
        of_seen = [row for row in rows if (row.provider, row.model) == seen]
        locked_of_seen = [row for row in locked if (row.provider, row.model) == seen]
        known = any((row.provider, row.model) == seen for row in stored)
        for day in NEAR:
            for variant in VARIANTS:
                for total in (0, 1, 100_000, 100_001, 200_000, 200_001):
                    held = rows_that_hold(of_seen, seen, day, variant, total)
                    assert len(held) <= 1
                    assert len(rows_that_hold(locked_of_seen, seen, day, variant, total)) <= 1
                is_kept = until is not None and day <= until and known
                counts = Counts(input=100_001, output=3)
                expected = [row for row in stored if (row.provider, row.model) == seen]
                assert price_of(locked_of_seen, day, variant, counts) == price_of(
                    expected if is_kept else of_seen, day, variant, counts
                )


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=50)
@given(files())
def test_rows_that_are_joined_over_days_say_what_each_day_says(text: str) -> None:
    rows = rows_of(text)
    if rows is None:
        return
    prices = own(text)

    for seen in SEEN:
        model = model_of(*seen, prices)
        of_seen = [row for row in rows if (row.provider, row.model) == seen]
        for day in NEAR:
            for variant in VARIANTS:
                priced = model.on(day, variant)
                bands = priced.bands if priced else ()
                assert [
                    (row.over_input, row.upto_input, row.rates, row.source, row.assumed)
                    for row in of_seen
                    if row.variant == variant and row.is_valid_on(day)
                ] == [
                    (one.over_input, one.upto_input, one.rates, priced.source, priced.is_assumed)
                    for one in bands
                    if priced
                ]
