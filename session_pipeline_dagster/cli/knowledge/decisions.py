"""`knowledge approve`, `reject`, `edit`, `same` and `resolve`: each a decision, written at once."""

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.cli.knowledge import deciding
from session_pipeline_dagster.processors.verification.knowledge import labels, review
from session_pipeline_dagster.processors.verification.knowledge.decisions import Choice


@click.command("approve")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@common
def approve(context: Context, ids: tuple[str, ...]) -> int:
    """Let candidates and items stand as they are: no run changes or retracts them."""
    return _decide(context, [Choice(key, labels.APPROVED) for key in dict.fromkeys(ids)])


@click.command("reject")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@common
def reject(context: Context, ids: tuple[str, ...]) -> int:
    """Refuse candidates and items: the same in another spelling does not come back."""
    return _decide(context, [Choice(key, labels.REJECTED) for key in dict.fromkeys(ids)])


@click.command("edit")
@click.argument("name", metavar="ID")
@click.argument("content", metavar="WORDS")
@common
def edit(context: Context, name: str, content: str) -> int:
    """Approve a candidate or an item in words of your own."""
    return _decide(context, [Choice(name, labels.EDITED, content=content)])


@click.command("same")
@click.argument("name", metavar="ID")
@click.argument("other", metavar="ITEM")
@common
def same(context: Context, name: str, other: str) -> int:
    """Put a candidate or an item under another item: it says the same."""
    return _decide(context, [Choice(name, labels.SAME, other=other)])


def _decide(context: Context, choices: list[Choice]) -> int:
    store = deciding.writable(context)
    done = deciding.decide(store, choices, deciding.reviewer(context), context.veil)
    deciding.merge(store)
    for choice in choices:
        about = done.items[choice.id]
        put = f": {about}" if about not in (None, choice.id) else ""
        say(f"{choice.id} {choice.decision}{put}")
    return 0


@click.command("resolve")
@click.argument("contradiction", metavar="ID")
@click.option(
    "--action",
    required=True,
    type=click.Choice(["kept_a", "kept_b", "merge", "both_valid"]),
    help="kept_a, kept_b: that side is approved, the other rejected. merge: a gets the "
    "merged content. both_valid: neither changes.",
)
@click.option("--content", help="For merge: the words of both; default: those suggested.")
@common
def resolve(context: Context, contradiction: str, action: str, content: str | None) -> int:
    """Decide a contradiction."""
    store, by = deciding.writable(context), deciding.reviewer(context)
    deciding.write(
        store,
        lambda inputs: review.resolve(inputs, contradiction, action, content, by),
        [contradiction],
    )
    deciding.merge(store)
    say(f"{contradiction} resolved: {action}")
    return 0
