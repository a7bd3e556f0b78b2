"""What is exported by itself: after a pass that changed something, and after somebody is forgotten."""

from dataclasses import dataclass

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.passes.exports.copy import publish
from session_pipeline_dagster.passes.exports.export import Exported, Wanted, export
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.published_copy import Made


@dataclass(frozen=True, slots=True)
class HandedOn:
    """What was written; None where nothing is set."""

    exported: Exported | None = None
    copy: Made | None = None


def hand_on(store: Store, usage: Processor, settings: Settings) -> HandedOn:
    """Write the exports and the copy that are set.

    Raises:
        SettingsError, StoreError, ContractError: one of them cannot be made.
    """
    folder, target = settings.exports.folder, settings.exports.copy
    return HandedOn(
        export(store, usage, settings, folder, Wanted(settings.exports.formats)) if folder else None,
        publish(store, usage, settings, target) if target else None,
    )
