"""An old path for plugins; what was here is in `contract/derivation.py`. It goes in 0.3."""

import warnings

from session_pipeline_dagster.contract.derivation import (
    Changes,
    Compute,
    Derivation,
    DerivedTable,
    Inputs,
    Row,
)

__all__ = ["Changes", "Compute", "Derivation", "DerivedTable", "Inputs", "Row"]

warnings.warn(
    "session_pipeline_dagster.derivation moved to session_pipeline_dagster.contract.derivation; "
    "the old path goes in 0.3",
    DeprecationWarning,
    stacklevel=2,
)
