"""What people's machines have and what arrived of it: the check `not_arrived`.

A pure rule over manifests (`collect/manifest.py`) and the keys that a scan found; what is not
collected with `session-pipeline collect` has no manifest, and nothing is said of it. Ages are by
the clock of whoever keeps the files: that of a laptop may be wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from session_pipeline_dagster.collect.manifest import Left, Manifests
from session_pipeline_dagster.health.findings import Finding, Status
from session_pipeline_dagster.health.rules import NOT_SEEN, cannot_look, partly
from session_pipeline_dagster.health.wording import span
from session_pipeline_dagster.names import short
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.sources.files import Scan, SessionSource

NOT_ARRIVED = "not_arrived"
_MANY = 5
_SKEW = 3600.0
"""Seconds that two clocks may differ before a time counts as one of the future."""
_WRONG = 86400.0
"""Seconds after which a machine's clock is worth a word: days of usage are then wrong."""
_LISTING = 300.0
"""Seconds that a listing of a bucket may take: what was put meanwhile may not be in it."""


def about(silent: timedelta) -> str:
    """What the check makes sure of."""
    return (
        "Every machine that collects with `session-pipeline collect` was heard of in the last "
        f"{silent.days} days, and all session files that it had then are here. If the clock of one "
        "is wrong by over a day, it passes, and its text begins with `info:`."
    )


def looked_for(
    source: SessionSource,
    scan: Scan,
    manifests: Manifests,
    now: datetime,
    silent: timedelta,
    veil: Veil | None = None,
) -> Finding:
    """Read what machines say that they have, and compare it with what is here.

    Args:
        manifests: what was read before.
        silent: after so long without a manifest a machine is named.
        veil: how people are.
    """
    left = manifests.read(source, scan) if scan.manifests else []
    at = now.timestamp()
    finding = not_arrived(left, scan, at, silent, veil, remote=source.remote)
    return partly([finding], [one.reason for one in scan.missing])[0]


def not_looked(cause: str) -> Finding:
    """Where the session files cannot be listed."""
    return cannot_look(NOT_ARRIVED, cause, NOT_SEEN)


@dataclass(slots=True)
class _Said:
    """What is wrong, by kind; each a text that names one machine, as people may be shown."""

    veil: Veil
    silent: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    clocks: list[str] = field(default_factory=list)
    missing_files: int = 0

    def name(self, one: Left) -> str:
        """A machine and whose it is. What it is called may be somebody's name, too."""
        machine = "a machine" if self.veil.hides else f"machine {one.machine}"
        return f"{machine} of {self.veil.person(one.user)}"

    def file(self, one: Left) -> str:
        """Its manifest."""
        return self.veil.file(f"{one.folder}collected.{one.machine}.json")


def not_arrived(
    left: Sequence[Left],
    scan: Scan,
    now: float,
    silent: timedelta,
    veil: Veil | None = None,
    *,
    remote: bool = False,
) -> Finding:
    """Warns of machines that were not heard of for long, of files that they had and that are not
    here, and of manifests that are none.

    Args:
        now: seconds since the epoch.
        remote: the listing may be older than what was put while it was made.
    """
    sizes = {file.key: file.signature.size for file in scan.files} if left else {}
    said = _Said(veil or Veil())
    for one in left:
        _age(one, now, silent, said)
        if one.manifest is None:
            said.broken.append(f"{said.file(one)} ({one.problem})")
        elif one.settled and not (remote and abs(now - one.arrived) < _LISTING):
            _compare(one, sizes, said)
    users = len({one.user for one in left})
    numbers = {
        "machines": len(left),
        "silent_machines": len(said.silent),
        "missing_files": said.missing_files,
        "unreadable_manifests": len(said.broken),
    }
    detail, status = _worded(said, silent)
    if not detail:
        detail = "nobody collects with `session-pipeline collect`"
        if left:
            detail = (
                f"{len(left)} machine{'s' * (len(left) != 1)} of {users} user"
                f"{'s' * (users != 1)}: all files that they had are here"
            )
    return Finding(NOT_ARRIVED, status, detail, numbers)


def _worded(said: _Said, silent: timedelta) -> tuple[str, Status]:
    parts: list[str] = []
    if said.silent:
        parts.append(
            f"not heard of for over {silent.days} d: {_some(said.silent)}. Stage: collecting. See "
            "there what `session-pipeline collect` says; delete the manifest of a machine that is "
            "no more"
        )
    if said.missing:
        parts.append(
            f"not here: {_some(said.missing)}. Stage: collecting. The machine has them; see what "
            "`session-pipeline collect` says there, and whether somebody deleted them here"
        )
    if said.broken:
        parts.append(
            f"no manifest that can be read: {_some(said.broken)}. The next `session-pipeline "
            "collect` there writes it anew"
        )
    status = Status.WARNING if parts else Status.OK
    if said.clocks:
        parts.append(f"a clock is wrong: {_some(said.clocks)}; days of its sessions may be, too")
        status = status if status is Status.WARNING else Status.INFO
    return "; ".join(parts), status


def _age(one: Left, now: float, silent: timedelta, said: _Said) -> None:
    own = one.manifest.collected_at.timestamp() if one.manifest else None
    if own is not None and one.arrived <= now + _SKEW and abs(own - one.arrived) > _WRONG:
        way = "ahead" if own > one.arrived else "behind, or it was so long on its way"
        said.clocks.append(f"{said.name(one)}, {span(abs(own - one.arrived))} {way}")
    times = [at for at in (one.arrived, own) if at is not None and at <= now + _SKEW]
    if not times:
        # Whoever says that it is of the future would never be late.
        ahead = span(one.arrived - now)
        when = f"its manifest is {ahead} ahead of now: nobody can tell"
        said.silent.append(f"{said.name(one)} ({when})")
    elif now - times[0] > silent.total_seconds():
        said.silent.append(f"{said.name(one)} ({span(now - times[0])})")


def _compare(one: Left, sizes: dict[str, int], said: _Said) -> None:
    manifest = one.manifest
    listed = manifest.sessions if manifest else ()
    gone = [f.key for f in listed if f.size > sizes.get(one.folder + f.key, -1)]
    if not gone:
        return
    said.missing_files += len(gone)
    more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
    part = " (a part of it)" if one.folder + gone[0] in sizes else ""
    first = short(said.veil.file(one.folder + gone[0]))
    said.missing.append(f"{first}{part}{more} of {said.name(one)}")


def _some(said: Sequence[str]) -> str:
    more = f", and {len(said) - _MANY} more" if len(said) > _MANY else ""
    return ", ".join(said[:_MANY]) + more
