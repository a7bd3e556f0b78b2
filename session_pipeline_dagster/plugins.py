"""What is installed behind an entry-point group: what of it loads, and why the rest does not.

A plugin that fails to import or breaks its contract is named with its reason and costs nobody else.
"""

from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import EntryPoint

import msgspec

from session_pipeline_dagster.errors import failure_of
from session_pipeline_dagster.guests import aside


class FailedPlugin(msgspec.Struct, frozen=True):
    """A plugin that could not be loaded: it is named, never silently left out."""

    name: str
    target: str
    error: str


def load_plugins(
    entries: Iterable[EntryPoint], take: Callable[[object], None]
) -> list[FailedPlugin]:
    """Make what each entry point names, our own first, and hand it on; which of them failed.

    Args:
        take: may refuse what was made by raising; that fails the plugin.
    """
    ours = f"{__name__.partition('.')[0]}."
    ordered = sorted(entries, key=lambda e: (not e.value.startswith(ours), e.name, e.value))
    with aside():
        found = [(entry, failure_of(partial(_load, entry, take))) for entry in ordered]
    return [FailedPlugin(entry.name, entry.value, error) for entry, error in found if error]


def _load(entry: EntryPoint, take: Callable[[object], None]) -> None:
    take(entry.load()())
