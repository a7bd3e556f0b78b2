"""An old path for plugins; what was here is in `contract/quality.py`. It goes in 0.3."""

import warnings

from session_pipeline_dagster.contract.quality import Data, Measured, Quality, counted

__all__ = ["Data", "Measured", "Quality", "counted"]

warnings.warn(
    "session_pipeline_dagster.quality moved to session_pipeline_dagster.contract.quality; "
    "the old path goes in 0.3",
    DeprecationWarning,
    stacklevel=2,
)
