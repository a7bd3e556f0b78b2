"""An old path for plugins; what was here is in `contract/`. It goes in 0.3."""

import warnings

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.processor import (
    AUTOMATIC,
    ON_REQUEST,
    Beginning,
    Extras,
    Notes,
    Processor,
    ProcessorResult,
    Session,
    Summary,
    extras,
)
from session_pipeline_dagster.contract.registry import (
    ENTRY_POINT_GROUP,
    FailedPlugin,
    Registry,
    check_contract,
    load_processors,
)
from session_pipeline_dagster.contract.rollup import Rollup

__all__ = [
    "AUTOMATIC",
    "ENTRY_POINT_GROUP",
    "ON_REQUEST",
    "Beginning",
    "Extras",
    "FailedPlugin",
    "Notes",
    "Processor",
    "ProcessorResult",
    "Registry",
    "Rollup",
    "Row",
    "Session",
    "Summary",
    "check_contract",
    "extras",
    "load_processors",
]

warnings.warn(
    "session_pipeline_dagster.processor moved to session_pipeline_dagster.contract; "
    "the old path goes in 0.3",
    DeprecationWarning,
    stacklevel=2,
)
