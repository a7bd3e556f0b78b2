"""A location in which money is set: its files, runs and ticks, and the alerts that come of them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest

from helpers import EXAMPLES, OLD, set_mtime
from session_pipeline_dagster.contract.registry import load_processors
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.orchestration.alerts import alert_sensor
from session_pipeline_dagster.orchestration.sensors import processor_sensor
from session_pipeline_dagster.processors.usage.money import budgeting
from session_pipeline_dagster.settings import MoneySettings, Root, Settings
from session_pipeline_dagster.store.database import open_store
from webhook import Webhook

_DAY = re.compile(r'"timestamp": ?"(\d{4}-\d\d-\d\d)T')


class MoneyLocation:
    """The location as its server has loaded it, over `folder/sessions`, which begins empty.

    `prices.toml` has nothing in it, `budgets.toml` one budget: bob, 0.50 USD a month.
    """

    def __init__(self, folder: Path, instance: dg.DagsterInstance, webhook: Webhook | None) -> None:
        self.instance, self.webhook = instance, webhook
        self.sessions = folder / "sessions"
        self.sessions.mkdir()
        self.prices, self.budgets = folder / "prices.toml", folder / "budgets.toml"
        self.prices.write_text("")
        self.budgets.write_text(budget("bob", "person:bob", "0.50"))
        self.settings = Settings(
            # Set, for this location is loaded before there is a session, and its sensor made after.
            start_date=date(2025, 2, 1),
            roots=(Root(self.sessions),),
            database=folder / "usage.duckdb",
            workers=1,
            # As soon as an alert is due.
            alert_delay=timedelta(microseconds=1),
            alert_urls=(f"{webhook.url}?cto=60&rto=60",) if webhook else (),
            money=MoneySettings(prices=self.prices, budgets=self.budgets),
        )
        self._cursors: dict[str, str | None] = {}
        self.reload()

    def reload(self, **money: object) -> None:
        """Load the location, with other settings of money."""
        self.settings = replace(self.settings, money=replace(self.settings.money, **money))
        self.registry = load_processors().only(["usage"]).under(self.settings)
        self.defs = build_definitions(self.registry, self.settings)

    # --- files -----------------------------------------------------------------------------------

    def arrive(self, *days: str, user: str = "*") -> None:
        """Session files of the examples whose last line is of these days (all: none given)."""
        for path in sorted(EXAMPLES.rglob("*.jsonl")):
            key = path.relative_to(EXAMPLES)
            if user in ("*", key.parts[0]) and (not days or last_day(path) in days):
                self.put(key, path.read_text("utf-8"))

    def put(self, key: Path | str, text: str) -> None:
        """A session file that has been at rest for long."""
        target = self.sessions / key
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")
        set_mtime(target, OLD)

    # --- what the daemon does --------------------------------------------------------------------

    def run(
        self, request: dg.RunRequest | None = None, **given: object
    ) -> dg.ExecuteInProcessResult:
        """A run of usage_job, as a person or a sensor asks for it."""
        job = self.defs.resolve_job_def("usage_job")
        if request:
            given["tags"] = request.tags
            if request.asset_selection is not None:
                checks = request.asset_check_keys
                job = job.get_subset(
                    asset_selection={*request.asset_selection},
                    asset_check_selection=None if checks is None else {*checks},
                )
        result = job.execute_in_process(instance=self.instance, **given)
        assert result.success
        return result

    def ask(self, check: str = "budget_bob") -> dg.AssetCheckEvaluation:
        """The check alone, as with the button on its page."""
        job = self.defs.resolve_job_def("usage_job")
        key = dg.AssetCheckKey(dg.AssetKey("usage_daily"), check)
        alone = job.get_subset(asset_selection=set(), asset_check_selection={key})
        return said(alone.execute_in_process(instance=self.instance))[check]

    def tick(self) -> list[dg.RunRequest]:
        """What usage_sensor asks for."""
        (usage,) = self.registry.processors
        sensor = processor_sensor(usage, self.settings)
        context = dg.build_sensor_context(
            self.instance, self._cursors.get("usage"), definitions=self.defs
        )
        result = sensor(context)
        self._cursors["usage"] = result.cursor
        return list(result.run_requests or [])

    def follow(self) -> list[dg.ExecuteInProcessResult]:
        """The runs that usage_sensor asks for at a tick."""
        return [self.run(request) for request in self.tick()]

    def alerts(self, check: str = "budget_bob") -> list[str]:
        """What the webhook gets of a check at three ticks of alert_sensor."""
        assert self.webhook
        had = len(self.webhook.taken)
        for _ in range(3):
            context = dg.build_sensor_context(
                instance=self.instance,
                cursor=self._cursors.get("alert"),
                repository_def=self.defs.get_repository_def(),
                sensor_name="alert_sensor",
            )
            result = alert_sensor(self.registry, self.settings)(context)
            self._cursors["alert"] = result.cursor
        return [
            f"{message['title'].partition(':')[0]}: {message['message'].splitlines()[1]}"
            for message in self.webhook.taken[had:]
            if check in message["title"]
        ]

    # --- what came of it -------------------------------------------------------------------------

    def select(self, sql: str) -> list[tuple[object, ...]]:
        """Rows of the database."""
        return open_store(self.settings).query(sql)[0][1]

    def costs(self) -> Mapping[str, Decimal]:
        """USD by user."""
        return dict(self.select("SELECT username, sum(cost) FROM usage_daily GROUP BY ALL"))


def budget(name: str, scope: str, amount: str, **more: str) -> str:
    """A section of a budgets.toml; a month, at 80 and 100 %."""
    lines = {"name": f'"{name}"', "scope": f'"{scope}"', "period": '"month"', "amount": amount}
    return "[[budget]]\n" + "".join(f"{k} = {v}\n" for k, v in (lines | more).items())


def last_day(path: Path) -> str:
    """The UTC day of the last line of a session file."""
    return max(_DAY.findall(path.read_text("utf-8")))


def made(result: dg.ExecuteInProcessResult) -> list[str]:
    """The assets that a run has materialized, in that order, each once."""
    keys = [e.asset_key.path[-1] for e in result.all_events if e.is_step_materialization]
    return list(dict.fromkeys(keys))


def shown(result: dg.ExecuteInProcessResult, asset: str) -> Mapping[str, object]:
    """The metadata of an asset that a run has materialized."""
    (found,) = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in found.metadata.items()}


def said(result: dg.ExecuteInProcessResult) -> Mapping[str, dg.AssetCheckEvaluation]:
    """What the checks said in a run, by name."""
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


def status(found: dg.AssetCheckEvaluation) -> object:
    """ok, info, warning or unknown, as a check of ours says of itself."""
    return found.metadata["status"].value


def stop_the_clock(monkeypatch: pytest.MonkeyPatch, day: str) -> None:
    """Budgets are asked at noon of that day."""
    now = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC)
    monkeypatch.setattr(budgeting, "_now", lambda: now)
