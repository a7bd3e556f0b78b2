"""What a collector says of one machine, in the folder of its user: the manifest.

It is written last, so all that it lists has been tried. `health/arrivals.py` compares it with what
is there. Whoever may write to that folder may have written it: nothing in it is trusted, and one
that is none costs itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from session_pipeline_dagster.errors import Permanent, Retryable
from session_pipeline_dagster.sources.files import Scan, SessionFile, SessionSource, Signature
from session_pipeline_dagster.sources.keys import MANIFEST

VERSION = 1
MOST_BYTES = 16 << 20
"""Of a manifest: a hundred thousand files."""


class Listed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A session file as the machine has it.

    Attributes:
        key: its path below the user's folder, as keys are written.
        mtime_ns: by that machine's clock.
        tag: the etag that a bucket gave it; empty in folders.
    """

    key: str
    size: int
    mtime_ns: int
    tag: str = ""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What one machine has, and when that was sent. Sizes in bytes.

    Attributes:
        manifest: its version.
        machine: stands for the machine and the folder; its own id does not follow from it.
        collected_at: by that machine's clock, like `newest`, the mtime of the newest file.
        client: the version of Claude Code that wrote to the newest file.
        collector: the version of this program.
        left_out: how many are no session files, though named so.
    """

    manifest: int
    machine: str
    collected_at: datetime
    files: int
    bytes: int
    newest: datetime | None = None
    client: str | None = None
    collector: str = ""
    left_out: int = 0
    sessions: tuple[Listed, ...] = ()


def name_of(machine: str) -> str:
    """What the manifest of a machine is called."""
    return f"collected.{machine}.json"


def encoded(manifest: Manifest) -> bytes:
    """A manifest as it is written: one line."""
    return msgspec.json.encode(manifest) + b"\n"


def decoded(content: bytes, machine: str) -> Manifest:
    """The manifest of a machine.

    Raises:
        ValueError: it is none; says what is wrong, and nothing of what it holds.
    """
    try:
        found = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("it is not one, or only a part of it") from None
    if found.manifest != VERSION:
        raise ValueError(f"it is of version {found.manifest}, and this one reads {VERSION}")
    if found.machine != machine:
        raise ValueError("it is the one of another machine")
    if found.collected_at.tzinfo is None:
        raise ValueError("its time has no time zone")
    return found


@dataclass(frozen=True, slots=True)
class Left:
    """A manifest that lies in a user's folder.

    Attributes:
        folder: the user's, as the keys of its files begin: `alice/`, with its root's name.
        arrived: when it was put there, by the clock of whoever keeps it; seconds since the epoch.
        manifest: None where it is not one; `problem` says why.
        settled: it is still the one that the scan saw, so what it lists can be compared with it.
    """

    user: str
    folder: str
    machine: str
    arrived: float
    manifest: Manifest | None = None
    problem: str = ""
    settled: bool = True


@dataclass(slots=True)
class Manifests:
    """Reads manifests, and each only once as long as it stays as it is."""

    _known: Mapping[tuple[str, str], tuple[Signature, Left]] = field(default_factory=dict)

    def read(self, source: SessionSource, scan: Scan) -> list[Left]:
        """All manifests of a scan, by user and machine."""
        kept: dict[tuple[str, str], tuple[Signature, Left]] = {}
        for file in sorted(scan.manifests, key=lambda file: file.key):
            at = (file.root, file.key)
            known = self._known.get(at)
            if known is not None and known[0] == file.signature:
                kept[at] = known
                continue
            left = _read(source, file)
            # What may read otherwise next time is read again.
            seen = file.signature if left.settled else Signature(-1, 0, 0)
            kept[at] = (seen, left)
        self._known = kept
        return [left for _, left in kept.values()]


def _read(source: SessionSource, file: SessionFile) -> Left:
    folder, _, name = file.key.rpartition("/")
    found = MANIFEST.fullmatch(name)
    machine = found[1] if found else name
    arrived = file.signature.mtime_ns / 1e9

    def left(manifest: Manifest | None = None, problem: str = "", *, settled: bool = True) -> Left:
        return Left(file.user, f"{folder}/", machine, arrived, manifest, problem, settled)

    if file.signature.size > MOST_BYTES:
        return left(problem=f"it is larger than {MOST_BYTES >> 20} MB")
    try:
        content = source.read(file)
    except (Permanent, Retryable) as error:
        return left(problem=str(error), settled=False)
    except OSError as error:
        return left(problem=error.strerror or "it cannot be read", settled=False)
    settled = content.signature == file.signature
    try:
        return left(decoded(content.complete, machine), settled=settled)
    except ValueError as error:
        return left(problem=str(error), settled=settled)
