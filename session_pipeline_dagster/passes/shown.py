"""What is shown in place of people, made as things are set now, for whoever is about to show it."""

from session_pipeline_dagster.contract.derivation import Derivation, basis_of
from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import StoreError, StoreUnusable
from session_pipeline_dagster.processors.usage.people.shown import shown_derivation
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import Store, open_store


def made_from(store: Store, derivation: Derivation) -> object:
    """The basis that a derivation was last made from; None where it never was."""
    sql = f"SELECT basis FROM session_derivation_bases WHERE derivation = '{derivation.name}'"
    return next((basis for (basis,) in store.query(sql)[0][1]), None)


def bring_up(usage: Processor, store: Store, settings: Settings) -> None:
    """Make sure that people and small groups can be shown as they may be: a pass since the last
    change of settings has seen to it, else it is done now, and what was handed on as things were
    set before is deleted. The store must not be open.

    Raises:
        StoreUnusable: it is to be done, and the database cannot be written to.
    """
    if not settings.people.hides or store.place.missing:
        return
    derivation = shown_derivation(settings)
    if made_from(store, derivation) == basis_of(derivation):
        return
    from session_pipeline_dagster.passes.exports.folder import take_back  # noqa: PLC0415  who looks, as a rule, works on nothing
    from session_pipeline_dagster.passes.runner import recompute  # noqa: PLC0415  as above

    writing = open_store(settings)
    try:
        # The next run makes it again: who only looks may not know that it stands.
        take_back(settings)
        writing.prepare(usage)
        recompute(usage, writing, settings)
    except StoreError as error:
        raise StoreUnusable(
            f"{store.place.label} was last brought up to date when people were shown otherwise, "
            f"and cannot be now ({error}); let `session-pipeline run` do it"
        ) from None
