"""The `usage` processor: what each session cost and did, counted exactly once."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from msgspec.structs import astuple

from session_pipeline_dagster.contract.derivation import Derivation, Row
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.contract.quality import Quality
from session_pipeline_dagster.processors.usage.activity import blocks
from session_pipeline_dagster.processors.usage.beside import pull_requests
from session_pipeline_dagster.processors.usage.counting import Counted, count
from session_pipeline_dagster.processors.usage.money import deriving
from session_pipeline_dagster.processors.usage.money.bills import bill_rows
from session_pipeline_dagster.processors.usage.money.budgeting import (
    budget_derivation,
    money_rules,
    seats_derivation,
)
from session_pipeline_dagster.processors.usage.money.pricing import price_derivation
from session_pipeline_dagster.processors.usage.money.stored import Owner
from session_pipeline_dagster.processors.usage.outcomes import ERROR
from session_pipeline_dagster.processors.usage.quality import QUALITY
from session_pipeline_dagster.processors.usage.report import REPORTS
from session_pipeline_dagster.processors.usage.rollups import ROLLUPS, SUMMARIES, VIEWS
from session_pipeline_dagster.processors.usage.rows import EventRow, MessageRow, SessionRow
from session_pipeline_dagster.processors.usage.summary import session_row
from session_pipeline_dagster.processors.usage.tables import DESCRIPTION, DESCRIPTIONS, TABLES
from session_pipeline_dagster.processors.usage.unique import GONE
from session_pipeline_dagster.settings import MoneySettings, Settings


class UsageProcessor:
    """Tokens, tool calls and times of every session file.

    Rows are per file, so that a file's rows can always be replaced alone; what several files share
    (forks, resumes, copies) is counted once in the `_unique` views and in `usage_daily`.
    """

    name = "usage"
    version = 3
    cadence = timedelta(seconds=600)
    tables = TABLES
    views = VIEWS
    rollups = ROLLUPS
    internal = (
        *("usage_tool_results", "usage_activity", "usage_pricing", "usage_models_seen"),
        *("usage_trails", "usage_trail_links"),
    )
    summaries = SUMMARIES
    reports = REPORTS
    description = DESCRIPTION
    descriptions = DESCRIPTIONS
    owners = ("team:session-pipeline",)

    def __init__(self, money: MoneySettings | None = None) -> None:
        self._money = money or MoneySettings()

    def under(self, settings: Settings) -> "UsageProcessor":
        """The processor as money is set."""
        return UsageProcessor(settings.money)

    @property
    def derivations(self) -> Sequence[Derivation]:
        """What is derived in Python: prices, bills, seats and budgets."""
        money = self._money
        return (
            price_derivation(money),
            deriving.derivation(GONE),
            seats_derivation(money),
            budget_derivation(money),
        )

    @property
    def quality(self) -> Sequence[Quality]:
        """Its rules: of the rows, of budgets and of the files about money."""
        return (*QUALITY, *money_rules(self._money))

    def process(self, session: Session) -> ProcessorResult:
        """Rows of the usage tables for one session file; items are the API responses in it."""
        counted = count(session, self._money.provider)
        worked = blocks(counted)
        summary = session_row(counted, worked)
        results: list[Row] = [
            (session.key, tool_id, outcome == ERROR, session.user, outcome)
            for tool_id, outcome in counted.orphan_results.items()
        ]
        rows = {
            "usage_sessions": [astuple(summary)],
            "usage_pull_requests": [*map(astuple, pull_requests(session, summary.session_id))],
            "usage_tool_results": results,
            **_billed(counted, summary),
            "usage_activity": [*map(astuple, worked)],
            "usage_messages": _let_go(counted.messages),
            "usage_events": _let_go(counted.events),
        }
        return ProcessorResult(rows, items=len(rows["usage_messages"]))


def _billed(counted: Counted, summary: SessionRow) -> Mapping[str, Sequence[Row]]:
    """What was billed is said in the file of a main thread."""
    if summary.is_subagent:
        return {}
    session = counted.session
    owner = Owner(session.key, summary.session_id, session.user, counted.project, counted.first_us)
    return bill_rows(owner, session.transcript)


def _let_go(structs: dict[str, MessageRow] | dict[str, EventRow]) -> list[Row]:
    """The rows of the structs, which are used up: a file may have 100,000s of them."""
    rows: list[Any] = list(structs.values())
    structs.clear()
    for at, struct in enumerate(rows):
        rows[at] = astuple(struct)
    return rows
