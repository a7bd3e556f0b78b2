"""Budgets, seats and spikes as parts of the processor: derived tables, and checks.

Their files are read whenever a declaration is asked for, so a change counts at once; the checks
that there are, one a budget, are those of the file as the code location was loaded.
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from session_pipeline_dagster.contract.derivation import (
    Changes,
    Derivation,
    DerivedTable,
    Inputs,
    Row,
)
from session_pipeline_dagster.contract.quality import Data, Measured, Quality
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.people.projects import HIDDEN
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.processors.usage.money import seat_sql
from session_pipeline_dagster.processors.usage.money import seats as seating
from session_pipeline_dagster.processors.usage.money.pricing import content_of
from session_pipeline_dagster.settings import MoneySettings, PeopleMode, Settings

if TYPE_CHECKING:
    from session_pipeline_dagster.processors.usage.money.budget_status import BudgetStatus
    from session_pipeline_dagster.processors.usage.money.budgets import Budget
    from session_pipeline_dagster.processors.usage.money.verdict import Verdict

BUDGETS, SEATS = "budget_status", "seats"
_STATUS = DerivedTable(
    """period_start DATE, budget VARCHAR, spent DECIMAL(38, 12), forecast DECIMAL(38, 12),
        percent DECIMAL(18, 4), level VARCHAR, unpriced_messages BIGINT, amount DECIMAL(38, 12),
        threshold INTEGER, unpriced_models VARCHAR""",
    "concat_ws(chr(31), budget, period_start::VARCHAR)",
)
_SEATS = DerivedTable(seat_sql.COLUMNS, seat_sql.KEY)


def budgets_of(money: MoneySettings) -> tuple["Budget", ...]:
    """The budgets of the file that is set; none where there is no file.

    Raises:
        SettingsError: the file cannot be used; names file and line.
    """
    if not money.budgets:
        return ()
    from session_pipeline_dagster.processors.usage.money.budgets import read_budgets  # noqa: PLC0415  who has no budgets does not wait for them

    return read_budgets(money.budgets)


# --- derived tables ------------------------------------------------------------------------------


def seats_derivation(money: MoneySettings) -> Derivation:
    """The seats of the file, as a table."""
    return Derivation(
        name=SEATS,
        tables={SEATS: _SEATS},
        reads={"stood": f"SELECT {seat_sql.KEY} FROM {SEATS}"},
        compute=partial(_seats, money.seats),
        basis=partial(content_of, money.seats),
        quick=True,
    )


def _seats(file: Path | None, inputs: Inputs) -> Changes:
    try:
        rows = seating.rows(seating.read_seats(file)) if file else []
    except SettingsError:
        # The check of the file says it; what was good last stays.
        return Changes()
    removed = [str(key) for (key,) in inputs.rows["stood"]]
    return Changes({SEATS: removed}, {SEATS: rows}, {BUDGETS: ["seats"]}, {"seats": len(rows)})


def budget_derivation(money: MoneySettings) -> Derivation:
    """How every budget stands in every period."""
    try:
        found = budgets_of(money)
    except SettingsError:
        found = None
    reads: dict[str, str] = {}
    if found:
        from session_pipeline_dagster.processors.usage.money.budget_sql import spendings_sql  # noqa: PLC0415  as above

        reads = {f"budget {n}": spendings_sql(budget) for n, budget in enumerate(found)}
    return Derivation(
        name=BUDGETS,
        tables={BUDGETS: _STATUS},
        reads={**reads, "stood": f"SELECT {_STATUS.key} FROM {BUDGETS}"},
        compute=partial(_stands, found),
        # A forecast is another one every day.
        basis=lambda: f"{content_of(money.budgets)} {_now().date()}",
        deps=("usage_slots", "model_prices", "usage_own_billed", SEATS, "people"),
        quick=True,
    )


def _stands(budgets: "Sequence[Budget] | None", inputs: Inputs) -> Changes:
    if budgets is None:
        return Changes()
    from session_pipeline_dagster.processors.usage.money.budget_sql import spendings  # noqa: PLC0415  as above
    from session_pipeline_dagster.processors.usage.money.budget_status import statuses  # noqa: PLC0415  as above

    rows = [
        astuple(status)
        for n, budget in enumerate(budgets)
        for status in statuses(budget, spendings(inputs.rows[f"budget {n}"]), inputs.now)
    ]
    removed = [str(key) for (key,) in inputs.rows["stood"]]
    return Changes({BUDGETS: removed}, {BUDGETS: rows}, numbers={"budgets": len(budgets)})


Select = Callable[[str], Sequence[Sequence[object]]]
"""The rows of a SELECT."""


def judged(
    budget: "Budget", select: Select, now: datetime, *, hides: bool = False
) -> "tuple[Verdict, Sequence[BudgetStatus]]":
    """What is said of a budget, and how it stands in every period.

    Args:
        hides: no model is named, for it may be one person's, or be called like somebody.
    """
    from session_pipeline_dagster.processors.usage.money.budget_sql import spendings, spendings_sql  # noqa: PLC0415  as above
    from session_pipeline_dagster.processors.usage.money.budget_status import statuses  # noqa: PLC0415  as above
    from session_pipeline_dagster.processors.usage.money.verdict import verdict  # noqa: PLC0415  as above

    spent = spendings(select(spendings_sql(budget)))
    if hides:
        spent = [
            replace(one, unpriced_models=[HIDDEN] * bool(one.unpriced_models)) for one in spent
        ]
    periods = statuses(budget, spent, now)
    return verdict(budget, periods, now), periods


# --- checks --------------------------------------------------------------------------------------


def money_rules(
    money: MoneySettings, veil: Callable[[], Veil] = Veil, settings: Settings | None = None
) -> Sequence[Quality]:
    """The checks of the files, of each budget, and of spikes.

    Args:
        veil: how people are shown; asked for only where a budget is of one.
        settings: which groups are too small to be shown; None: none is.
    """
    try:
        budgets = budgets_of(money)
    except SettingsError:
        budgets = ()
    return (
        Quality(
            "prices_file",
            "usage_daily",
            "The file that `SESSION_PIPELINE_PRICES` names can be read and makes sense. While it "
            "does not, costs stay with the last good prices.",
            partial(_prices_are_good, money),
            glance=True,
        ),
        Quality(
            "budgets_file",
            "usage_daily",
            "The file that `SESSION_PIPELINE_BUDGETS` names can be read and makes sense, and "
            "somebody is in each team and cost center that it has a budget of. While it cannot be "
            "read, what was good last stays.",
            partial(_budgets_are_good, money, settings),
            glance=True,
        ),
        Quality(
            "seats_file",
            "usage_daily",
            "The file that `SESSION_PIPELINE_SEATS` names can be read and makes sense, and "
            "somebody is called as each seat says, or is in its team. While it cannot be read, "
            "what was good last stays.",
            partial(_seats_are_good, money, settings),
            glance=True,
        ),
        *_budget_rules(money, budgets, veil, settings),
        Quality(
            "spend_spike",
            "usage_daily",
            "No hour of a session costs far more than its person's hours do: more than five times "
            "their median of 14 days, and than `SESSION_PIPELINE_SPIKE_USD`. Each session is told "
            "once, as information.",
            partial(_spikes, money),
        ),
    )


def _prices_are_good(money: MoneySettings, data: Data) -> Measured:
    def own() -> Sequence[object]:
        if not money.prices:
            return ()
        from session_pipeline_dagster.processors.usage.money.own_prices import read_prices  # noqa: PLC0415  as above

        found = read_prices(money.prices)
        return (*found.prices, *found.discounts, *found.aliases)

    found = _file_is_good(own, data)
    if found.violations:
        return found
    # What shows only beside the models that were seen.
    rows = data.select("SELECT DISTINCT problem FROM usage_pricing WHERE problem IS NOT NULL")
    said = "; ".join(str(problem) for (problem,) in rows)
    return Measured(len(rows), said=said) if rows else found


def _file_is_good(read: Callable[[], Sequence[object]], _: Data) -> Measured:
    try:
        found = len(read())
    except SettingsError as error:
        return Measured(1, said=str(error))
    return Measured(
        0, {"sections": found}, said=f"{found} in the file" if found else "nothing is set"
    )


def _budgets_are_good(money: MoneySettings, settings: Settings | None, data: Data) -> Measured:
    found = _file_is_good(partial(budgets_of, money), data)
    if found.violations or money.budgets is None:
        return found
    hides = settings is not None and settings.people.hides
    wrong = strangers_of(money, budgets_of(money), data.select, hides=hides)
    return Measured(len(wrong), found.numbers, said="; ".join(wrong)) if wrong else found


def _seats_are_good(money: MoneySettings, settings: Settings | None, data: Data) -> Measured:
    file = money.seats
    found = _file_is_good(lambda: seating.read_seats(file) if file else (), data)
    if found.violations or file is None:
        return found
    from session_pipeline_dagster.processors.usage.money.seat_holders import strangers  # noqa: PLC0415  as above

    hides = settings is not None and settings.people.hides
    wrong = strangers(file, seating.read_seats(file), data.select, hides=hides)
    return Measured(len(wrong), found.numbers, said="; ".join(wrong)) if wrong else found


def strangers_of(
    money: MoneySettings, budgets: "Sequence[Budget]", select: Select, *, hides: bool
) -> list[str]:
    """What is said of budgets in whose team or cost center the directory has nobody."""
    if not budgets or money.budgets is None:
        return []
    from session_pipeline_dagster.processors.usage.money.budget_scopes import strangers  # noqa: PLC0415  as above

    return strangers(money.budgets, budgets, select, hides=hides)


def _budget_rules(
    money: MoneySettings,
    budgets: "Sequence[Budget]",
    veil: Callable[[], Veil],
    settings: Settings | None,
) -> list[Quality]:
    """A check for each budget. One of a person is called by their pseudonym, and there is none
    where nothing below a team is shown."""
    if not budgets:
        return []
    from session_pipeline_dagster.processors.usage.money.budgets import ScopeKind, check_name  # noqa: PLC0415  as above

    found = []
    for budget in budgets:
        check, name = check_name(budget), repr(budget.name)
        if budget.scope.kind is ScopeKind.PERSON and (shown := veil()).hides:
            if shown.mode is PeopleMode.TEAM:
                continue
            # By the budget's own name, for a person may have several.
            check = f"budget_{shown.person(budget.name).replace('-', '_')}"
            name = f"of {shown.person(budget.scope.name)}"
        found.append(_budget_rule(money, budget, check, name, settings))
    return found


def _budget_rule(
    money: MoneySettings, budget: "Budget", check: str, name: str, settings: Settings | None
) -> Quality:
    return Quality(
        check,
        "usage_daily",
        f"The budget {name} is kept: warns at {_percents(budget.warn)} of "
        f"{budget.amount} USD a {budget.period}, once each. Unknown while something in it has no "
        "price.",
        partial(_budget, money, budget.name, settings),
    )


def _percents(warn: Sequence[int]) -> str:
    return " and ".join(f"{percent} %" for percent in warn)


def _budget(money: MoneySettings, name: str, settings: Settings | None, data: Data) -> Measured:
    # As the file says now; it may have changed since the location was loaded.
    for budget in budgets_of(money):
        if budget.name == name:
            if not _is_shown(budget, settings, data):
                return Measured(0, said="not shown: it is of fewer people than may be shown")
            hides = settings is not None and settings.people.hides
            said, _ = judged(budget, data.select, _now(), hides=hides)
            return _measured(said)
    return Measured(0, said="the file has no such budget any more; reload the code location")


def _is_shown(budget: "Budget", settings: Settings | None, data: Data) -> bool:
    """Whether each of its periods may be shown; of one that is not, occasions would tell."""
    if settings is None or settings.people.smallest_group <= 1:
        return True
    from session_pipeline_dagster.processors.usage.people.budgets_shown import shown_budget  # noqa: PLC0415  as above
    from session_pipeline_dagster.processors.usage.quoting import quoted  # noqa: PLC0415  as above

    rows = shown_budget(budget, settings)
    if rows is None:
        return False
    everything = f"SELECT count(*) FROM budget_status WHERE budget = {quoted(budget.name)}"
    return data.select(f"SELECT count(*) FROM ({rows})") == data.select(everything)


def _spikes(money: MoneySettings, data: Data) -> Measured:
    from session_pipeline_dagster.processors.usage.money import spikes as found  # noqa: PLC0415  as above

    today: date = _now().date()
    rows: Sequence[Row] = data.select(found.spikes_sql(money.spike, today))
    measured = _measured(found.spike_verdict(found.spikes(rows)))
    return replace(measured, of_one=("most",))


def _measured(said: "Verdict") -> Measured:
    return Measured(
        int(said.status in ("warning", "unknown")),
        said.numbers,
        said.listed,
        said.sentence,
        said.status,
        said.occasions,
    )


def _now() -> datetime:
    return datetime.now(UTC)
