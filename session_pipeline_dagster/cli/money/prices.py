"""`session-pipeline prices`: what models cost, why, and what another table would change."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.cli.ending import COULD_NOT
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.passes.shown import bring_up
from session_pipeline_dagster.settings import PeopleMode
from session_pipeline_dagster.store.database import Store, open_store

if TYPE_CHECKING:
    from session_pipeline_dagster.processors.usage.money.own_prices import OwnPrices
    from session_pipeline_dagster.processors.usage.money.price_diff import Diff
    from session_pipeline_dagster.processors.usage.money.price_list import PriceList


@click.group("prices", help="How a price is found, what it is, and what another would change.")
def command() -> None:
    """The commands."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def list_prices(context: Context, as_json: bool) -> int:
    """The prices in force, of the models that were seen, and models without one."""
    from session_pipeline_dagster.processors.usage.money import price_list  # noqa: PLC0415  only this needs it

    store, usage = open_store(context.settings, looking=True), context.registry.get("usage")
    bring_up(usage, store, context.settings)
    # Opening the database costs more than a look.
    with store.held():
        store.ready(usage)
        answers: Any = [rows for _, rows in store.query(*price_list.SELECTS)]
    hides = context.settings.people.mode is not PeopleMode.NAMED
    found = price_list.price_list(answers, hides=hides)
    problem = _problem(context, found)
    if as_json:
        from session_pipeline_dagster.cli.money.prices_data import list_json  # noqa: PLC0415  only one of these is needed

        click.echo(list_json(found, problem))
    else:
        from session_pipeline_dagster.cli.money.prices_output import print_list  # noqa: PLC0415  what draws costs a quarter of a small pass

        print_list(found)
    if problem is None:
        return 0
    say(f"session-pipeline: {problem}", err=True)
    return COULD_NOT


@command.command("explain")
@click.argument("model")
@click.argument("day", required=False)
@click.option("--provider", help="Who served it, as the price library calls them: aws, google.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def explain(
    context: Context, model: str, day: str | None, provider: str | None, as_json: bool
) -> int:
    """Where the price of MODEL on DAY (2026-10-31; default: today) is from."""
    from session_pipeline_dagster.processors.usage.money import price_explained  # noqa: PLC0415  only this needs it
    from session_pipeline_dagster.processors.usage.money.zone_spans import parse_day  # noqa: PLC0415  as above

    money = context.settings.money
    on = datetime.now(UTC).date() if day is None else parse_day(day, "DAY")
    if not model.strip():
        raise SettingsError("MODEL is empty; give the name of a model")
    own = _own(context)
    found = price_explained.explain(provider or money.provider, model, on, own)
    if as_json:
        from session_pipeline_dagster.cli.money.prices_data import explain_json  # noqa: PLC0415  as above

        click.echo(explain_json(found, own))
    else:
        from session_pipeline_dagster.cli.money.prices_output import print_explanation  # noqa: PLC0415  as above

        print_explanation(found, own)
    return 0


@command.command("diff")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def diff(context: Context, as_json: bool) -> int:
    """What the next run would change: costs as stored, and by the prices that there are now."""
    least = context.settings.people.smallest_group
    if least > 1:
        raise SettingsError(
            f"prices diff would tell models of fewer than {least} people apart "
            "(SESSION_PIPELINE_MIN_GROUP); `session-pipeline usage` before and after a run tells "
            "what changes"
        )
    store = open_store(context.settings, looking=True)
    store.ready(context.registry.get("usage"))
    found = _compared(context, store)
    if as_json:
        from session_pipeline_dagster.cli.money.prices_data import diff_json  # noqa: PLC0415  as above

        click.echo(diff_json(found))
    else:
        from session_pipeline_dagster.cli.money.prices_output import print_diff  # noqa: PLC0415  as above

        print_diff(found)
    return 0


def _compared(context: Context, store: Store) -> "Diff":
    """Price all responses of the months in which anything changes, twice."""
    from session_pipeline_dagster.processors.usage.money import price_diff, pricing  # noqa: PLC0415  only this needs it

    money = context.settings.money
    derivation = pricing.price_derivation(money)
    rows: Mapping[str, Any] = {
        name: rows
        for name, (_, rows) in zip(
            derivation.reads, store.query(*derivation.reads.values()), strict=True
        )
    }
    made = pricing.made_now(money, rows)
    if made.problem:
        raise SettingsError(made.problem)
    days = made.days_to_cost_again(rows["used"])
    if not days:
        return price_diff.diff(made, (), ())
    before, after = (
        rows
        for _, rows in store.query(
            *price_diff.selects(), beside=price_diff.beside(derivation, made, days)
        )
    )
    return price_diff.diff(made, before, after)


def _own(context: Context) -> "OwnPrices | None":
    """The own prices of the settings; raises SettingsError with file and line."""
    file = context.settings.money.prices
    if not file:
        return None
    from session_pipeline_dagster.processors.usage.money.own_prices import read_prices  # noqa: PLC0415  who has no file does not wait for it

    return read_prices(file)


def _problem(context: Context, found: "PriceList") -> str | None:
    """What is wrong with the file of own prices now, or was when the table was made."""
    try:
        _own(context)
    except SettingsError as error:
        return str(error)
    return found.problem
