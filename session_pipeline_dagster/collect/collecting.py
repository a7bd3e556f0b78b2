"""One pass of the collector: what there is, what is brought, and the manifest at its end."""

from dataclasses import dataclass
from datetime import datetime

from session_pipeline_dagster.collect import inventory as machine
from session_pipeline_dagster.collect.inventory import Inventory
from session_pipeline_dagster.collect.manifest import VERSION, Listed, Manifest, encoded, name_of
from session_pipeline_dagster.collect.place import Place, Sent


@dataclass(frozen=True, slots=True)
class Collected:
    """What came of a pass.

    Attributes:
        manifest: the name it was left under; None in a dry run.
    """

    inventory: Inventory
    sent: Sent
    manifest: str | None


def collect(
    found: Inventory, place: Place, name: str, now: datetime, version: str, *, dry_run: bool
) -> Collected:
    """Bring to a place what is not there, and say there what this machine has.

    Args:
        name: of the machine.
        version: of this program.

    Raises:
        SettingsError: somebody else collects from the same folder.
        TargetUnavailable: the place cannot be reached or written to. What was brought is there.
    """
    with machine.alone(found.top):
        sent = place.send(found, dry_run=dry_run)
        if dry_run:
            return Collected(found, sent, None)
        left = name_of(name)
        place.leave(left, encoded(manifest_of(found, sent, name, now, version)))
    return Collected(found, sent, left)


def manifest_of(found: Inventory, sent: Sent, name: str, now: datetime, version: str) -> Manifest:
    """The manifest of a machine that has this; files that failed are in it, since it has them."""
    listed = (
        Listed(file.key, file.size, file.mtime_ns, sent.tags.get(file.key, ""))
        for file in found.files
    )
    return Manifest(
        manifest=VERSION,
        machine=name,
        collected_at=now,
        files=len(found.files),
        bytes=found.bytes,
        newest=found.newest,
        client=found.client,
        collector=version,
        left_out=len(found.left_out),
        sessions=tuple(listed),
    )
