"""`session-pipeline usage`: tokens and money by person, project, model, day and more."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from session_pipeline_dagster.cli.context import (
    Context,
    common,
    say,
    say_absent,
    unusable_directory,
)
from session_pipeline_dagster.contract.derivation import basis_of
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.passes.shown import bring_up, made_from
from session_pipeline_dagster.processors.usage.money import breakdown
from session_pipeline_dagster.processors.usage.money.breakdown import Asked, Usage
from session_pipeline_dagster.processors.usage.money.currencies import (
    USD,
    Currency,
    read_currency,
)
from session_pipeline_dagster.processors.usage.money.zone_spans import (
    WeekStart,
    parse_day,
    parse_zone,
)
from session_pipeline_dagster.processors.usage.people.answered import TEAMS
from session_pipeline_dagster.processors.usage.people.deriving import people_derivation
from session_pipeline_dagster.store.database import Store, open_store


@click.command("usage", help="Tokens and what they cost, by user, project, model, day and more.")
@click.option(
    "--by",
    multiple=True,
    metavar="KEY",
    help=f"{', '.join(breakdown.KEYS)}; repeatable, or with commas. Default: user.",
)
@click.option(
    "--agent",
    metavar="AGENT",
    help="Of one coding agent: claude-code, codex, copilot-cli, gemini-cli.",
)
@click.option("--since", metavar="DAY", help="From this day on, 2026-10-31.")
@click.option("--until", metavar="DAY", help="Up to this day, and all of it.")
@click.option(
    "--timezone", "zone", metavar="ZONE", default="UTC", show_default=True, help="Whose days."
)
@click.option(
    "--week-start", type=click.Choice(["monday", "sunday"]), default="monday", show_default=True
)
@click.option(
    "--currency", metavar="CODE", help="Show costs in it, by SESSION_PIPELINE_CURRENCY_RATES."
)
@click.option("--top", type=click.IntRange(1), metavar="N", help="Only the N dearest rows.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV on stdout.")
@common
def command(
    context: Context,
    by: tuple[str, ...],
    agent: str | None,
    since: str | None,
    until: str | None,
    zone: str,
    week_start: WeekStart,
    currency: str | None,
    top: int | None,
    as_json: bool,
    as_csv: bool,
) -> int:
    """Look only at the sums that are kept, so that it answers at once."""
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    asked = Asked(
        breakdown.parse_by(by, context.settings.people),
        None if since is None else parse_day(since, "--since"),
        None if until is None else parse_day(until, "--until"),
        parse_zone(zone, "--timezone"),
        week_start,
        _currency(context, currency),
        context.settings.people,
        agent,
    )
    breakdown.check(asked)
    store, usage = open_store(context.settings, looking=True), context.registry.get("usage")
    bring_up(usage, store, context.settings)
    # Opening the database costs more than a look.
    with store.held():
        store.ready(usage)
        found, hint = _answered(store, asked), _directory_hint(store, asked)
    say_absent(context.settings)
    if hint:
        say(f"session-pipeline: {hint}", err=True)
    shown = breakdown.dearest(found.rows, top)
    if as_json or as_csv:
        from session_pipeline_dagster.cli.money import usage_data  # noqa: PLC0415  only one of these is needed

        click.echo(
            usage_data.usage_json(found, shown) if as_json else usage_data.usage_csv(found, shown),
            nl=as_json,
        )
    else:
        from session_pipeline_dagster.cli.money.usage_output import print_usage  # noqa: PLC0415  what draws costs a quarter of a small pass

        print_usage(found, shown)
    return 0


def _directory_hint(store: Store, asked: Asked) -> str:
    """What to do where the answer hangs on the directory, and it is not as it is set now."""
    people = asked.people
    # What is shown in place of projects and people hangs on who is in it, too.
    if not people.hides and not {*asked.by} & {"person", *TEAMS}:
        return ""
    if people.directory is not None and not people.directory.is_file():
        return ""
    if unusable := unusable_directory(people):
        return unusable
    derivation = people_derivation(people)
    made = made_from(store, derivation)
    if made == basis_of(derivation) or (made is None and people.directory is None):
        return ""
    return "the directory has changed since the last run; `session-pipeline run` takes it"


def _currency(context: Context, code: str | None) -> Currency:
    if code in (None, USD):
        return Currency()
    file = context.settings.money.rates
    if file is None:
        raise SettingsError("--currency needs rates: SESSION_PIPELINE_CURRENCY_RATES names no file")
    return read_currency(file, code)


def _answered(store: Store, asked: Asked) -> Usage:
    # Types are those of the SELECTs.
    days: Any = store.query(breakdown.days(asked))[0][1]
    selects = breakdown.selects(asked, [day for (day,) in days])
    answers: Sequence[Any] = [rows for _, rows in store.query(*selects)]
    found = breakdown.answer(asked, answers)
    return replace(found, hidden=bool(days) and not found.rows)
