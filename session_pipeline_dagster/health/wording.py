"""How findings say times, shares and files, in words."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from session_pipeline_dagster.passes.plan import Outlook
from session_pipeline_dagster.store.states import OddLines
from session_pipeline_dagster.transcripts.looks import called

_PACKAGE = __name__.partition(".")[0]
_OURS = "upgrade session-pipeline-dagster, where there is a newer version"

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_NEARLY_ALL, _NEARLY_NONE = 99.9, 0.001


def unread(o: Outlook) -> str:
    """Files that nobody reads are no sessions that were processed."""
    if not o.unread:
        return ""
    return f"; {o.unread} more are left out: no reader; `session-pipeline status` lists them"


def newer_format(odd: Iterable[tuple[OddLines, int]], packages: Mapping[str, str]) -> str:
    """What to do about files of which many lines make no sense: of each agent, most lines first,
    who may read a newer format of it.

    Args:
        odd: files, and how many such lines they have.
        packages: agent -> the package of its reader.
    """
    lines = Counter[str | None]()
    for file, number in odd:
        lines[file.agent] += number
    said = [_of_agent(agent, packages) for agent, _ in lines.most_common()]
    return "; ".join(said or [_of_agent(None, packages)])


def _of_agent(agent: str | None, packages: Mapping[str, str]) -> str:
    if agent is None:
        return f"Their agent may write a newer format: {_OURS}"
    package = packages.get(agent)
    if package is None:
        return f"No reader of {called(agent)} is installed any more: install it again"
    if package == _PACKAGE:
        return f"{called(agent)} may write a newer format: {_OURS}"
    return (
        f"{called(agent)} may write a newer format: its reader is of `{package}`, not of "
        "session-pipeline-dagster; upgrade that"
    )


def standing(o: Outlook) -> str:
    """Files that were given up wait for nothing, but they are not processed either."""
    if o.waiting or not o.quarantined:
        return f"{len(o.waiting)} of {o.files} session files are pending"
    return f"{len(o.quarantined)} of {o.files} session files are not processed"


def failed(o: Outlook) -> str:
    """How many of the pending files have failed before."""
    again, given_up = len(o.failed) + len(o.backing_off), len(o.quarantined)
    said = [f"{again} after a failure"] if again else []
    said += [f"{given_up} given up"] if given_up else []
    return f" ({', '.join(said)})" if said else ""


def clock(at: float) -> str:
    """Seconds since 1970-01-01 UTC as a time of day."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def span(seconds: float) -> str:
    """Seconds in the two largest units that matter: `5 h 3 min`."""
    left, parts = round(seconds), []
    for size, unit in _UNITS:
        if left >= size and len(parts) < 2:
            parts.append(f"{left // size} {unit}")
            left %= size
        elif parts:
            break
    return " ".join(parts) or "0 s"


def percent(count: int, whole: int) -> str:
    """A share in percent, two digits at least; 0 and 100 are of none and all alone."""
    share = 100 * count / whole if whole else 0.0
    if share >= _NEARLY_ALL and count < whole:
        return f"over {_NEARLY_ALL}"
    if 0 < share < _NEARLY_NONE:
        return f"under {_NEARLY_NONE}"
    return f"{share:.2g}" if share < 1 else f"{share:.3g}"
