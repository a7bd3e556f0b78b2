"""The `usage` processor: what each session cost and did, counted exactly once.

Only declarations are read here, because every start of every process reads them. The work on a file
is in `core.py`, what is derived from the rows in `money/` and `people/`.
"""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from session_pipeline_dagster.contract.derivation import Derivation
from session_pipeline_dagster.contract.processor import ProcessorResult, Session, Summary
from session_pipeline_dagster.contract.quality import Quality
from session_pipeline_dagster.contract.report import Report
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.people.veil import veil_of
from session_pipeline_dagster.processors.usage.money import deriving
from session_pipeline_dagster.processors.usage.money.budgeting import (
    budget_derivation,
    money_rules,
    seats_derivation,
)
from session_pipeline_dagster.processors.usage.money.pricing import price_derivation
from session_pipeline_dagster.processors.usage.people.checks import people_rules
from session_pipeline_dagster.processors.usage.people.deriving import (
    people_derivation,
    projects_derivation,
)
from session_pipeline_dagster.processors.usage.people.shown import shown_derivation
from session_pipeline_dagster.processors.usage.quality import rules
from session_pipeline_dagster.processors.usage.report import usage_report
from session_pipeline_dagster.processors.usage.retained import RETENTION
from session_pipeline_dagster.processors.usage.rollups import ROLLUPS, VIEWS, rollups_shown
from session_pipeline_dagster.processors.usage.summaries import summaries
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
    rollups: Sequence[Rollup] = ROLLUPS
    retention = RETENTION
    internal = (
        *("usage_tool_results", "usage_activity", "usage_pricing", "usage_models_seen"),
        *("usage_trails", "usage_trail_links", "projects_shown", "cells_shown"),
        *("usage_messages_days", "usage_events_days", "usage_activity_days"),
    )
    description = DESCRIPTION
    descriptions = DESCRIPTIONS
    owners = ("team:session-pipeline",)

    def __init__(
        self, money: MoneySettings | None = None, settings: Settings | None = None
    ) -> None:
        self._settings = settings or Settings(money=money or MoneySettings())
        self._money, self._people = self._settings.money, self._settings.people
        # What is plotted of them hangs on what may be shown.
        self.rollups = rollups_shown(self._people)

    def under(self, settings: Settings) -> "UsageProcessor":
        """The processor as money and people are set."""
        return UsageProcessor(settings=settings)

    @property
    def reports(self) -> Sequence[Report]:
        """Its page, with people shown as they may be."""
        return (usage_report(self._settings),)

    @property
    def derivations(self) -> Sequence[Derivation]:
        """What is derived in Python: people, projects, prices, bills, seats, budgets."""
        money = self._money
        return (
            people_derivation(self._people),
            projects_derivation(self._people),
            price_derivation(money),
            deriving.derivation(GONE),
            seats_derivation(money),
            budget_derivation(money),
            shown_derivation(self._settings),
        )

    @property
    def quality(self) -> Sequence[Quality]:
        """Its rules: of the rows, of budgets, and of the files about money and people."""
        veil = partial(veil_of, self._settings)
        return (
            *rules(self._people),
            *money_rules(self._money, veil, self._settings),
            *people_rules(self._people),
        )

    @property
    def summaries(self) -> Sequence[Summary]:
        """What `run` prints."""
        return summaries(self._settings)

    def process(self, session: Session) -> ProcessorResult:
        """Rows of the usage tables for one session file; items are the API responses in it."""
        # What counts takes 15 ms to import, which a start without a file need not pay.
        from session_pipeline_dagster.processors.usage.core import rows_of  # noqa: PLC0415

        rows = rows_of(session, self._money.provider)
        return ProcessorResult(rows, items=len(rows["usage_messages"]))
