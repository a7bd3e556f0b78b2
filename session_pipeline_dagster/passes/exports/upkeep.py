"""What is exported by itself: after a pass that changed something, and after a `forget`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from session_pipeline_dagster.passes.exports.folder import copies
from session_pipeline_dagster.settings import ExportFormat, PeopleMode, Settings

if TYPE_CHECKING:
    from session_pipeline_dagster.contract.processor import Processor
    from session_pipeline_dagster.passes.exports.export import Exported
    from session_pipeline_dagster.passes.options import BatchReport
    from session_pipeline_dagster.store.database import Store
    from session_pipeline_dagster.store.published_copy import Made


_BEGUN = "handing-on"
"""The file that stands beside the database until all is written."""


@dataclass(frozen=True, slots=True)
class HandedOn:
    """What was written; None where nothing is set."""

    exported: "Exported | None" = None
    copies: "Mapping[Path, Made]" = field(default_factory=dict)

    def lines(self) -> list[str]:
        """What was done, for people."""
        return [
            *(self.exported.lines() if self.exported else ()),
            *(
                f"{_what(target)}: {made.bytes / 1e6:.1f} MB in {target}"
                for target, made in self.copies.items()
            ),
        ]


def _what(target: Path) -> str:
    return "shared database" if target.stem.endswith("_shared") else "copy for dashboards"


def is_set(settings: Settings) -> bool:
    """Whether anything is exported by itself."""
    return bool(settings.exports.folder or copies(settings))


def is_due(store: "Store", settings: Settings, reports: "Iterable[BatchReport]") -> bool:
    """Whether a pass has changed something of usage, what is set is not there yet, or the last time
    did not come to its end."""
    places = [settings.exports.folder, *copies(settings)]
    missing = [place for place in places if place and not place.exists()]
    changed = any(
        report.processor == "usage"
        and (
            report.processed
            or report.deleted
            or report.returned
            or report.purged
            or report.stale_rollups
        )
        for report in reports
    )
    begun = is_set(settings) and store.beside(_BEGUN).exists()
    return bool(missing) or begun or (changed and is_set(settings))


def hand_on(store: "Store", usage: "Processor", settings: Settings) -> HandedOn:
    """Write the exports and the copy that are set.

    Raises:
        SettingsError, StoreError, ContractError: one of them cannot be made.
    """
    # Nobody who exports nothing waits for what writes exports to be loaded.
    from session_pipeline_dagster.passes.exports.copy import publish  # noqa: PLC0415
    from session_pipeline_dagster.passes.exports.export import Wanted, export  # noqa: PLC0415

    folder, exported = settings.exports.folder, None
    begun = store.beside(_BEGUN)
    begun.touch()
    made = {target: publish(store, usage, settings, target) for target in copies(settings)}
    formats = settings.exports.formats
    if settings.people.mode is PeopleMode.TEAM:
        # It is by person; who asks for it by a command is told so.
        formats -= {ExportFormat.CCUSAGE}
    if folder:
        exported = export(store, usage, settings, folder, Wanted(formats))
    begun.unlink(missing_ok=True)
    return HandedOn(exported, made)
