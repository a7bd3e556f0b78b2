"""What a location was loaded with, for the processes of its runs.

A run loads the location anew, and Dagster fails one that does not find each step that was planned.
So what depends on files, which may have changed meanwhile, is kept with the location.
"""

from collections.abc import Sequence

import msgspec
from dagster._core.definitions.definitions_load_context import (
    DefinitionsLoadContext,
    DefinitionsLoadType,
)

Pair = tuple[str, str]


def as_loaded(key: str, now: Sequence[Pair]) -> Sequence[Pair]:
    """In the process of a run: the pairs that the location was loaded with; elsewhere `now`.

    Args:
        key: names them in the location.
    """
    context, found = DefinitionsLoadContext.get(), [*now]
    if context.load_type is DefinitionsLoadType.RECONSTRUCTION:
        kept = context.reconstruction_metadata.get(key)
        found = msgspec.json.decode(kept, type=list[Pair]) if kept else found
    # Dagster's public way passes through every merge, and warns at each start that it is new.
    context.add_to_pending_reconstruction_metadata(key, msgspec.json.encode(found).decode())
    return found
