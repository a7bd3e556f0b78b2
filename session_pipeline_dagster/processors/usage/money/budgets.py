"""The budgets of a budgets.toml: how much whose work may cost in a period, and when that is told.

Put nothing here that knows what was spent.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from session_pipeline_dagster.processors.usage.money.periods import Period, zone_of
from session_pipeline_dagster.processors.usage.money.toml_file import Section, read, shown

_LONGEST = 60
_MOST_PERCENT = 1000
_MOST = Decimal(10) ** 12
_SMALLEST = Decimal(1).scaleb(-6)
_NOT_SLUG = re.compile(r"[^a-z0-9]+")


class Basis(StrEnum):
    """What counts as spent: list prices; also what was billed without a line; or seats, and list
    prices of those who have none."""

    LIST = "list"
    UNLOGGED = "list+unlogged"
    SEAT = "seat"


class ScopeKind(StrEnum):
    """Whose spending it is."""

    ORG = "org"
    PERSON = "person"
    TEAM = "team"
    COST_CENTER = "cost_center"
    PROJECT = "project"


_TAKES = "it takes org, or person:, team:, cost_center: or project: and a name"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose spending it is; `name` is the person or folder, the team or cost center of the
    directory, or the repository or project folder, exactly; empty for all of it."""

    kind: ScopeKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else str(self.kind)


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget.

    Attributes:
        amount: USD for each period.
        warn: percents of the amount from which on it is told, ascending.
        timezone: name of the time zone in which periods begin.
        line: of its section in the file.
    """

    name: str
    scope: Scope
    period: Period
    amount: Decimal
    warn: tuple[int, ...] = (80, 100)
    basis: Basis = Basis.LIST
    timezone: str = "UTC"
    line: int = 0

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which its periods begin."""
        return ZoneInfo(self.timezone)


def check_name(budget: Budget) -> str:
    """Names its asset check: `budget_` and the name in a-z, 0-9 and _."""
    plain = unicodedata.normalize("NFKD", budget.name).encode("ascii", "ignore").decode().lower()
    slug = _NOT_SLUG.sub("_", plain).strip("_")
    return f"budget_{slug or sha256(budget.name.encode()).hexdigest()[:8]}"


def read_budgets(path: Path) -> tuple[Budget, ...]:
    """The budgets of a file, as they stand.

    Raises:
        SettingsError: the file cannot be used; the message names file and line.
    """
    document = read(path)
    document.only(arrays=("budget",))
    found: dict[str, Budget] = {}
    for section in document.arrays.get("budget", ()):
        budget = _budget(section)
        _refuse_another(section, budget, found)
        found[check_name(budget)] = budget
    return tuple(found.values())


def _refuse_another(section: Section, budget: Budget, found: Mapping[str, Budget]) -> None:
    other = found.get(check_name(budget))
    if other is None:
        return
    if other.name == budget.name:
        what = f"line {other.line} has a budget of this name; give each its own"
    else:
        what = (
            f"this budget and {shown(other.name)} of line {other.line} would both be the check "
            f"{check_name(budget)}; let their names differ in more than signs"
        )
    raise section.fail(what, "name")


def _budget(section: Section) -> Budget:
    section.only("name", "scope", "period", "amount", "warn", "basis", "timezone")
    name = section.text("name")
    if len(name) > _LONGEST:
        raise section.fail(f"name is longer than {_LONGEST} characters", "name")
    scope = _scope(section)
    period = Period(section.one_of("period", list(Period)))
    basis = Basis(section.one_of("basis", list(Basis))) if "basis" in section else Basis.LIST
    if basis is Basis.SEAT and period is not Period.MONTH:
        raise section.fail('seats are paid by the month: basis = "seat" takes period = "month"')
    if basis is Basis.SEAT and scope.kind is ScopeKind.PROJECT:
        what = 'a seat is of a person, not of a project: basis = "seat" takes every other scope'
        raise section.fail(what, "basis")
    amount, warn, timezone = _amount(section), _warn(section), _timezone(section)
    return Budget(name, scope, period, amount, warn, basis, timezone, section.line)


def _scope(section: Section) -> Scope:
    text = section.text("scope")
    kind, colon, name = text.partition(":")
    if text == ScopeKind.ORG:
        return Scope(ScopeKind.ORG)
    if kind in [*ScopeKind] and kind != ScopeKind.ORG and colon and name.strip():
        # As a directory has names of teams; those of folders are exact.
        is_team = kind in (ScopeKind.TEAM, ScopeKind.COST_CENTER)
        name = unicodedata.normalize("NFC", name.strip()) if is_team else name
        return Scope(ScopeKind(kind), name)
    what = f"scope is {shown(text)}; {_TAKES}"
    raise section.fail(what, "scope")


def _amount(section: Section) -> Decimal:
    amount = section.number("amount")
    if _SMALLEST <= amount <= _MOST and amount % _SMALLEST == 0:
        return amount
    what = f"amount is {shown(amount)}; it takes USD from 0.000001, with six decimals at most"
    raise section.fail(what, "amount")


def _warn(section: Section) -> tuple[int, ...]:
    if "warn" not in section:
        return (80, 100)
    given = section.numbers("warn")
    if not given:
        raise section.fail("warn is empty; it takes percents such as [80, 100]", "warn")
    for percent in given:
        if not 1 <= percent <= _MOST_PERCENT or percent % 1:
            what = f"warn has {shown(percent)}; it takes whole percents from 1 to {_MOST_PERCENT}"
            raise section.fail(what, "warn")
    if any(percent >= after for percent, after in pairwise(given)):
        raise section.fail("warn takes percents that rise, each once, such as [80, 100]", "warn")
    return tuple(map(int, given))


def _timezone(section: Section) -> str:
    if "timezone" not in section:
        return "UTC"
    name = section.text("timezone")
    if zone_of(name) is None:
        what = f"timezone {shown(name)} is not known; it takes a name such as Europe/Berlin"
        raise section.fail(what, "timezone")
    return name
