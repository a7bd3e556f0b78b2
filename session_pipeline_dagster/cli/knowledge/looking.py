"""`knowledge list`, `show` and `export`: commands that look; what decides is not imported."""

import json
from pathlib import Path

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.cli.knowledge.json import list_json, show_json
from session_pipeline_dagster.cli.knowledge.read import Knowledge, read
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.processors.verification.knowledge.export import (
    Bundle,
    bundle,
    is_ours,
)
from session_pipeline_dagster.store.database import open_store

_NAMED = 5


@click.command("list")
@click.option(
    "--status",
    multiple=True,
    type=click.Choice(["pending", "approved", "rejected"]),
    help="Only this one; repeatable. Default: pending and approved.",
)
@click.option("--domain", help="Only this domain.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def list_items(
    context: Context, status: tuple[str, ...], domain: str | None, limit: int, as_json: bool
) -> int:
    """Items, the surest first, and contradictions that wait for a decision."""
    found = _read(context)
    shown = [
        item
        for item in found.items
        if item.status in (status or ("pending", "approved")) and domain in (None, item.domain)
    ]
    if as_json:
        click.echo(list_json(shown[:limit], len(shown), found))
    else:
        from session_pipeline_dagster.cli.knowledge.output import print_list  # noqa: PLC0415  what draws costs a quarter of a small pass

        print_list(shown[:limit], len(shown), found)
    return 0


@click.command("show")
@click.argument("item", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@common
def show(context: Context, item: str, as_json: bool) -> int:
    """One item with its evidence in people's own words, its relations and contradictions."""
    found = _read(context)
    if as_json:
        click.echo(show_json(found.of(item)))
    else:
        from session_pipeline_dagster.cli.knowledge.output import print_show  # noqa: PLC0415  what draws costs a quarter of a small pass

        print_show(found.of(item), found)
    return 0


@click.command("export")
@click.argument("folder", default=".claude/rules", metavar="[FOLDER]")
@click.option(
    "--tokens",
    default=2000,
    show_default=True,
    type=click.IntRange(1),
    help="Estimated tokens of all pages together.",
)
@click.option("--print", "to_stdout", is_flag=True, help="Print it instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout instead.")
@click.option(
    "--allow-imperative",
    is_flag=True,
    help="Also what tells its reader to do something: orders, commands, links.",
)
@common
def export(
    context: Context,
    folder: str,
    tokens: int,
    to_stdout: bool,
    as_json: bool,
    allow_imperative: bool,
) -> int:
    """Write approved items as Markdown, the surest and newest first (default: .claude/rules)."""
    found = _read(context)
    made = bundle(found.exported(), tokens, allow_imperative=allow_imperative)
    _say_held(made)
    if as_json:
        click.echo(json.dumps(made.document(len(found.disputed)), indent=1))
        return 0
    if to_stdout:
        click.echo("\n".join(made.pages.values()), nl=False)
        return 0
    _write_pages(Path(folder), made)
    say(f"{len(made.facts)} approved items in {folder}, about {made.tokens} tokens")
    if made.left_out:
        say(f"{made.left_out} did not fit; --tokens says how much does")
    if found.disputed:
        say(f"{len(found.disputed)} left out: another approved item contradicts them")
    return 0


def _say_held(made: Bundle) -> None:
    """On stderr, so that it is seen whatever becomes of the page."""
    if made.held:
        ids = ", ".join(held.id for held in made.held[:_NAMED])
        more = f" and {len(made.held) - _NAMED} more" if len(made.held) > _NAMED else ""
        said = (
            f"{len(made.held)} held back, for they tell their reader to do something: {ids}{more}"
        )
        say(f"{said}; --allow-imperative hands them on", err=True)


def _write_pages(target: Path, made: Bundle) -> None:
    """Pages of an earlier export are replaced, or go; others are never touched."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        for page in sorted(target.glob("knowledge-*.md")):
            if page.name not in made.pages and is_ours(page.read_text("utf-8", "replace")):
                page.unlink()
        for name, text in made.pages.items():
            page = target / name
            if page.exists() and not is_ours(page.read_text("utf-8", "replace")):
                raise ContractError(f"{page} was not written by an export; move it away")
            page.write_text(text, "utf-8")
    except OSError as error:
        raise ContractError(f"{target} cannot be written to ({error.strerror})") from error


def _read(context: Context) -> Knowledge:
    store = open_store(context.settings, looking=True)
    return read(store, context.registry.get("verification"), context.veil)
