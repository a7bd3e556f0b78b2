"""Usage as a bill: rows of FOCUS 1.2, the FinOps specification of cost and usage.

A row is a day, a person, a project, a model, a kind of token and its price, so that quantity times
price is the cost to the last digit; where a cost alone is known, the quantity is dollars.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from session_pipeline_dagster.processors.usage.money.costing import priced
from session_pipeline_dagster.processors.usage.people.whose import (
    COST_CENTER,
    PERSON,
    TEAM,
    with_people,
)

COLUMNS: Final = (
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency"),
    *("BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass"),
    *("ChargeDescription", "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart"),
    *("ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice"),
    *("EffectiveCost", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory"),
    *("PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory"),
    *("ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId"),
    *("SubAccountId", "SubAccountName", "x_CostCenter", "x_Model", "x_PriceTable", "x_Project"),
    *("x_Team", "x_TokenKind"),
)
LEFT_OUT: Final = (
    *("day", "person", "project", "provider", "model", "messages", "input_tokens"),
    *("output_tokens", "cache_creation_tokens", "cache_read_tokens"),
)
"""Columns of the file that counts what has no price."""

KINDS: Final = {
    # kind: (quantity, price of one, whole units that a price list is written for)
    "input": ("input_tokens", "input", "Tokens"),
    "output": ("output_tokens", "output", "Tokens"),
    "cache_read": ("cache_read_tokens", "cache_read", "Tokens"),
    "cache_write_5m": (
        "cache_creation_tokens - cache_creation_1h_tokens",
        "cache_write_5m",
        "Tokens",
    ),
    "cache_write_1h": ("cache_creation_1h_tokens", "cache_write_1h", "Tokens"),
    "web_search": ("web_search_requests", "web_search", "Requests"),
}
_RECORDED: Final = "recorded"
ALL: Final = "all"
TEAMS: Final = "usage_team_daily"
"""The published table that rows of teams are made of."""
_PER: Final = {"Tokens": 1_000_000, "Requests": 1_000}
_ASKED: Final = ("username", "project", "session_file", "model", "provider")


@dataclass(frozen=True, slots=True)
class Charge:
    """A row as the store has it; `seat`: a subscription pays for it."""

    day: date
    person: str
    team: str | None
    cost_center: str | None
    project: str | None
    provider: str
    model: str | None
    price_model: str | None
    variant: str | None
    price_table: str | None
    kind: str
    rate: Decimal | None
    quantity: int
    cost: Decimal
    seat: bool


@dataclass(frozen=True, slots=True)
class Names:
    """What may stand in a row, as SQL.

    Attributes:
        project: over `project`, which is the group, the repository or the folder.
        teams: whether teams stand beside people.
    """

    project: str = "project"
    teams: bool = True

    @property
    def team(self) -> str:
        """Team and cost center."""
        found = (TEAM, COST_CENTER) if self.teams else ("NULL::VARCHAR", "NULL::VARCHAR")
        return f"{found[0]} AS team_of, {found[1]} AS center_of"


def charges(first: date, last: date, names: Names) -> str:
    """SELECT of the charges of some days, in the order of the file."""
    recorded = f"FROM responses WHERE cost_basis = '{_RECORDED}'"
    return f"""
        WITH responses AS MATERIALIZED ({_responses(first, last, names)}),
        {by_kind("FROM responses WHERE cost_basis NOT IN ('recorded', 'unpriced')")},
        sums AS (FROM by_kind UNION ALL
            SELECT {WHOSE}, provider, model, NULL, NULL, price_table,
                '{_RECORDED}', NULL, count(*), sum(cost)::DECIMAL(38, 12) {recorded} GROUP BY ALL)
        {OF_SUMS}"""


def by_kind(source: str) -> str:
    """SQL of what each kind of token costs, as the common table `by_kind`.

    Args:
        source: FROM and WHERE of rows that have tokens and their rates, and cost these.
    """
    kinds = ", ".join(
        f"{{kind: '{kind}', rate: {rate}, quantity: ({quantity})::BIGINT}}"
        for kind, (quantity, rate, _) in KINDS.items()
    )
    return f"""parts AS (
            SELECT {WHOSE}, provider, model, price_model, variant, price_table,
                unnest([{kinds}], recursive := true)
            {source}),
        by_kind AS (
            SELECT *, (quantity * rate)::DECIMAL(38, 12) AS cost FROM (
                SELECT * EXCLUDE (quantity), sum(quantity)::BIGINT AS quantity
                FROM parts WHERE quantity > 0 GROUP BY ALL))"""


def left_out(first: date, last: date, names: Names) -> str:
    """SELECT of `LEFT_OUT`: what has no price, and so no row."""
    return f"""SELECT day, whose, called, provider, model, count(*),
            sum(input_tokens)::BIGINT, sum(output_tokens)::BIGINT,
            sum(cache_creation_tokens)::BIGINT, sum(cache_read_tokens)::BIGINT
        FROM ({_responses(first, last, names)}) WHERE cost IS NULL
        GROUP BY ALL ORDER BY ALL"""


WHOSE: Final = "day, whose, team_of, center_of, called"
OF_SUMS: Final = """, seats AS (SELECT DISTINCT month, person FROM usage_seats)
        SELECT sums.day, whose, team_of, center_of, called, provider, model, price_model, variant,
            price_table, kind, rate, quantity, cost, seats.person IS NOT NULL AS seat
        FROM sums LEFT JOIN seats
            ON seats.person = whose AND seats.month = date_trunc('month', sums.day)
        ORDER BY ALL"""
"""The charges of the common table `sums`, and whether a seat pays for them."""


def _responses(first: date, last: date, names: Names) -> str:
    """SELECT of the responses of some days: what they cost, and whose they are as it is shown."""
    days = f"""SELECT DISTINCT day FROM usage_slots
        WHERE day BETWEEN DATE '{first}' AND DATE '{last}'"""
    used = f"""(SELECT responses.* EXCLUDE (project),
                coalesce(usage_projects.name, places.repository, responses.project) AS project
            FROM ({priced(_ASKED, days)}) AS responses
            LEFT JOIN (SELECT session_file, any_value(repository) AS repository
                FROM usage_sessions GROUP BY ALL) AS places
                ON places.session_file = responses.session_file
            LEFT JOIN usage_projects
                ON usage_projects.project IS NOT DISTINCT FROM responses.project
                AND usage_projects.repository IS NOT DISTINCT FROM places.repository) AS used"""
    return f"""SELECT used.*, {PERSON} AS whose, {names.team}, ({names.project}) AS called
        FROM {with_people(used)}"""


def charges_of_teams(select: str, within: str) -> str:
    """SELECT of the charges of teams.

    Args:
        select: of the published table. within: SQL, which days are wanted.
    """
    return f"""SELECT day, team, team, any_value(cost_center), NULL::VARCHAR, '(several)',
            NULL::VARCHAR, NULL::VARCHAR, NULL::VARCHAR, NULL::VARCHAR, '{ALL}', NULL,
            sum(messages)::BIGINT, sum(cost)::DECIMAL(38, 12), false
        FROM ({select}) WHERE {within} AND cost IS NOT NULL GROUP BY day, team ORDER BY ALL"""


def left_out_of_teams(select: str, within: str) -> str:
    """SELECT of `LEFT_OUT` for teams; which tokens were without a price is not known of them."""
    return f"""SELECT day, team, NULL::VARCHAR, NULL::VARCHAR, NULL::VARCHAR,
            sum(unpriced_messages)::BIGINT, NULL, NULL, NULL, NULL
        FROM ({select}) WHERE {within} AND unpriced_messages > 0 GROUP BY day, team ORDER BY ALL"""


def row(charge: Charge, shown: Callable[[str], str]) -> Sequence[object]:
    """The row of `COLUMNS`; None is what the specification calls null."""
    model = charge.model or charge.price_model or "all models"
    kind, consumed = charge.kind, "Requests"
    if charge.rate is None:
        # The specification wants a price of all usage, also where a cost alone is known.
        unit, quantity, price = "US Dollars", charge.cost, Decimal(1)
    else:
        consumed = KINDS[kind][2]
        unit = f"{_PER[consumed]} {consumed}"
        quantity = Decimal(charge.quantity) / _PER[consumed]
        price = charge.rate * _PER[consumed]
    month = charge.day.replace(day=1)
    after_month = (month + timedelta(days=31)).replace(day=1)
    person = shown(charge.person)
    sku = f"{charge.provider}/{charge.price_model or charge.model or ALL}/{kind}"
    values: dict[str, object] = {
        "BilledCost": Decimal(0) if charge.seat else charge.cost,
        "BillingAccountId": "session-pipeline",
        "BillingAccountName": None,
        "BillingCurrency": "USD",
        "BillingPeriodEnd": _midnight(after_month),
        "BillingPeriodStart": _midnight(month),
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeDescription": f"{model}, {kind.replace('_', ' ')}: API list price, not an invoice",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": _midnight(charge.day + timedelta(days=1)),
        "ChargePeriodStart": _midnight(charge.day),
        "ConsumedQuantity": charge.quantity,
        "ConsumedUnit": consumed,
        "ContractedCost": charge.cost,
        "ContractedUnitPrice": price,
        "EffectiveCost": charge.cost,
        "InvoiceIssuerName": charge.provider,
        "ListCost": charge.cost,
        "ListUnitPrice": price,
        "PricingCategory": "Standard",
        "PricingQuantity": quantity,
        "PricingUnit": unit,
        "ProviderName": charge.provider,
        "PublisherName": charge.provider,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "Language model API",
        "ServiceSubcategory": "Generative AI",
        "SkuId": sku,
        "SkuMeter": kind,
        "SkuPriceDetails": None,
        "SkuPriceId": f"{sku}/{charge.variant or kind}",
        "SubAccountId": person,
        "SubAccountName": person,
        "x_CostCenter": charge.cost_center,
        "x_Model": charge.model,
        "x_PriceTable": charge.price_table,
        "x_Project": charge.project,
        "x_Team": charge.team,
        "x_TokenKind": kind,
    }
    return [values[name] for name in COLUMNS]


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"
