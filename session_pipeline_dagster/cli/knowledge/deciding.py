"""What the commands that decide share: the store, who decides, and how it is written."""

from collections.abc import Sequence
from datetime import UTC, datetime

from session_pipeline_dagster.cli.context import Context
from session_pipeline_dagster.cli.progress import showing
from session_pipeline_dagster.contract.derivation import Changes, Compute, Inputs
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.processors.verification.knowledge import decisions, review
from session_pipeline_dagster.processors.verification.knowledge.decisions import (
    Choice,
    Done,
    Reviewer,
)
from session_pipeline_dagster.processors.verification.knowledge.declared import derivations
from session_pipeline_dagster.processors.verification.knowledge.questions import READS
from session_pipeline_dagster.store.database import Store, open_store

_NOTHING = "there is no knowledge yet; `session-pipeline run` reads the sessions"


def writable(context: Context) -> Store:
    """The store, with the tables that a decision changes.

    Raises:
        ContractError: nothing was found yet that could be decided about.
    """
    store = open_store(context.settings)
    if store.place.missing:
        raise ContractError(_NOTHING)
    store.prepare(context.registry.get("verification"))
    if not any(store.row_counts(["verifications", "knowledge_items"]).values()):
        raise ContractError(_NOTHING)
    return store


def readable(context: Context) -> Inputs | None:
    """What a review is about, as of one moment; None where nothing was found yet.

    Raises:
        StoreUnusable: the tables are of another version.
    """
    store = open_store(context.settings, looking=True)
    if store.place.missing or not store.row_counts(["verifications"])["verifications"]:
        return None
    store.ready(context.registry.get("verification"))
    return inputs(store)


def inputs(store: Store) -> Inputs:
    """What a review is about, as of one moment."""
    found = [rows for _, rows in store.query(*READS.values())]
    return Inputs(frozenset(), dict(zip(READS, found, strict=True)), datetime.now(UTC))


def reviewer(context: Context) -> Reviewer:
    """Whoever is at the keyboard, now."""
    return Reviewer(context.settings.user, int(datetime.now(UTC).timestamp() * 1_000_000))


def decide(store: Store, choices: Sequence[Choice], by: Reviewer, veil: Veil | None = None) -> Done:
    """Write decisions with their labels: all of them, or none.

    Args:
        veil: how somebody who was faster is shown.

    Raises:
        Unknown, Overtaken, ContractError: as `decisions.decide`.
        StoreBusy: others keep writing.
    """
    made: list[Done] = []

    def compute(given: Inputs) -> Changes:
        made.append(decisions.decide(given, choices, by))
        return made[-1].changes

    named = [key for choice in choices for key in (choice.id, choice.other) if key]
    for odd in (key for key in named if not key.isascii()):
        raise decisions.Unknown(f"no candidate or item {printable(odd)}")
    try:
        write(store, compute, named)
    except decisions.Overtaken as error:
        if error.by is None or veil is None or not veil.hides:
            raise
        said = veil.without(str(error), {error.by: veil.person(error.by)})
        raise decisions.Overtaken(said) from None
    return made[-1]


def take_back(store: Store, done: Done) -> None:
    """Undo decisions.

    Raises:
        Overtaken: somebody has decided anew since.
    """
    named = {*done.after, *done.items, *(label.detection_key for label in done.labels)}
    named |= {item for item in done.items.values() if item}
    write(store, lambda given: decisions.undo(given, done), sorted(named))


def write(store: Store, compute: Compute, ids: Sequence[str] | None = None) -> None:
    """Write what follows from a decision about these ids, in one transaction."""
    store.derive(review.review(compute, ids), compute)


def merge(store: Store) -> None:
    """Let decisions take effect on what belongs together. Until then it is noted as to be done."""
    with showing("knowledge") as shown:
        shown.phase("merge")
        store.derive(derivations()[0])
