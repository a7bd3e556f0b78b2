"""`session-pipeline knowledge`: look at what was learned, decide about it, hand it on.

Parses arguments and chooses exit codes; what is printed is in `cli_knowledge_output.py`, what a
decision does in `processors/verification/knowledge_review.py`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from session_pipeline_dagster.errors import ContractError

if TYPE_CHECKING:
    from session_pipeline_dagster.cli import Context
    from session_pipeline_dagster.cli_knowledge_read import Knowledge
    from session_pipeline_dagster.contract.derivation import Compute
    from session_pipeline_dagster.processors.verification.knowledge.review import Reviewer
    from session_pipeline_dagster.store.database import Store

Common = Callable[[Callable[..., int]], Callable[..., None]]

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


def knowledge_group(common: Common) -> click.Group:
    """The commands.

    Args:
        common: adds the options of every command and makes an exit code of what it returns.
    """
    group = click.Group(
        "knowledge", help="What people corrected, confirmed and defined: review it, hand it on."
    )
    group.command("list")(_list_options(common(_list)))
    group.command("show")(click.argument("item", metavar="ID")(_JSON(common(_show))))
    ids = click.argument("ids", nargs=-1, required=True, metavar="ID...")
    group.command("approve")(ids(common(_approve)))
    group.command("reject")(ids(common(_reject)))
    group.command("resolve")(_resolve_options(common(_resolve)))
    group.command("export")(_export_options(common(_export)))
    return group


def _list_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        _JSON,
        click.option("--limit", default=50, show_default=True, type=click.IntRange(1)),
        click.option("--domain", help="Only this domain."),
        click.option(
            "--status",
            multiple=True,
            type=click.Choice(["pending", "approved", "rejected"]),
            help="Only this one; repeatable. Default: pending and approved.",
        ),
    ):
        command = option(command)
    return command


def _list(
    context: "Context", status: tuple[str, ...], domain: str | None, limit: int, as_json: bool
) -> int:
    """Items, the surest first, and contradictions that wait for a decision."""
    from session_pipeline_dagster import cli_knowledge_output as output  # noqa: PLC0415  see cli.py

    found = _read(context)
    shown = [
        item
        for item in found.items
        if item.status in (status or ("pending", "approved")) and domain in (None, item.domain)
    ]
    if as_json:
        click.echo(output.list_json(shown[:limit], len(shown), found))
    else:
        output.print_list(shown[:limit], len(shown), found)
    return 0


def _show(context: "Context", item: str, as_json: bool) -> int:
    """One item with its evidence in people's own words, its relations and contradictions."""
    from session_pipeline_dagster import cli_knowledge_output as output  # noqa: PLC0415  see cli.py

    found = _read(context)
    if as_json:
        click.echo(output.show_json(found.of(item)))
    else:
        output.print_show(found.of(item), found)
    return 0


def _approve(context: "Context", ids: tuple[str, ...]) -> int:
    """Let items stand as they are: no run changes or retracts them."""
    return _decide(context, ids, "approved")


def _reject(context: "Context", ids: tuple[str, ...]) -> int:
    """Refuse items: the same in other words does not come back."""
    return _decide(context, ids, "rejected")


def _decide(context: "Context", ids: tuple[str, ...], status: str) -> int:
    from session_pipeline_dagster.processors.verification.knowledge import review as review  # noqa: PLC0415  see cli.py

    by = _reviewer(context)
    _write(context, lambda inputs: review.set_status(inputs, ids, status, by))
    for item in dict.fromkeys(ids):
        click.echo(f"{item} {status}")
    return 0


def _resolve_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--content", help="For merge: the words of both; default: those suggested."),
        click.option(
            "--action",
            required=True,
            type=click.Choice(["kept_a", "kept_b", "merge", "both_valid"]),
            help="kept_a, kept_b: that side is approved, the other rejected. merge: a gets the "
            "merged content. both_valid: neither changes.",
        ),
        click.argument("contradiction", metavar="ID"),
    ):
        command = option(command)
    return command


def _resolve(context: "Context", contradiction: str, action: str, content: str | None) -> int:
    """Decide a contradiction."""
    from session_pipeline_dagster.processors.verification.knowledge import review as review  # noqa: PLC0415  see cli.py

    by = _reviewer(context)
    _write(context, lambda inputs: review.resolve(inputs, contradiction, action, content, by))
    click.echo(f"{contradiction} resolved: {action}")
    return 0


def _export_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--print", "to_stdout", is_flag=True, help="Print it instead."),
        click.option(
            "--tokens",
            default=2000,
            show_default=True,
            type=click.IntRange(1),
            help="Estimated tokens of all pages together.",
        ),
        click.argument("folder", default=".claude/rules", metavar="[FOLDER]"),
    ):
        command = option(command)
    return command


def _export(context: "Context", folder: str, tokens: int, to_stdout: bool) -> int:
    """Write approved items as Markdown, the surest and newest first (default: .claude/rules)."""
    from session_pipeline_dagster.processors.verification.knowledge.export import bundle, is_ours  # noqa: PLC0415  see cli.py

    found = _read(context)
    made = bundle(found.exported(), tokens)
    if to_stdout:
        click.echo("\n".join(made.pages.values()), nl=False)
        return 0
    target = Path(folder)
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
        raise ContractError(f"{folder} cannot be written to ({error.strerror})") from error
    click.echo(f"{made.facts} approved items in {folder}, about {made.tokens} tokens")
    if made.left_out:
        click.echo(f"{made.left_out} did not fit; --tokens says how much does")
    if found.disputed:
        click.echo(f"{len(found.disputed)} left out: another approved item contradicts them")
    return 0


def _read(context: "Context") -> "Knowledge":
    from session_pipeline_dagster.cli_knowledge_read import read  # noqa: PLC0415  see cli.py

    return read(_store(context))


def _write(context: "Context", decide: "Compute") -> None:
    """Write a decision, then let it take effect on what belongs together."""
    from session_pipeline_dagster.cli_knowledge_read import read  # noqa: PLC0415  see cli.py
    from session_pipeline_dagster.processors.verification.knowledge.declared import derivations  # noqa: PLC0415  see cli.py
    from session_pipeline_dagster.processors.verification.knowledge.review import review  # noqa: PLC0415

    store = _store(context)
    if not read(store).items:
        raise ContractError("there is no knowledge yet; `session-pipeline run` reads the sessions")
    store.derive(review(decide), decide)
    store.derive(derivations()[0])


def _reviewer(context: "Context") -> "Reviewer":
    from session_pipeline_dagster.processors.verification.knowledge.review import Reviewer  # noqa: PLC0415  see cli.py

    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    return Reviewer(context.settings.user, now)


def _store(context: "Context") -> "Store":
    from session_pipeline_dagster.store.database import open_store  # noqa: PLC0415  see cli.py

    return open_store(context.settings)
