"""The code location: `defs` for Dagster, `build_definitions` for tests and your own location.

Assembly only: nothing runs when this is imported; what is loaded is built in `orchestration/`.
"""

import dagster as dg

from session_pipeline_dagster.contract.registry import load_processors
from session_pipeline_dagster.orchestration.location import (
    build_definitions,
    build_processor_definitions,
)

__all__ = ["build_definitions", "build_processor_definitions", "defs"]


@dg.definitions
def defs() -> dg.Definitions:
    """The installed processors under the environment's settings."""
    return build_definitions(load_processors())
