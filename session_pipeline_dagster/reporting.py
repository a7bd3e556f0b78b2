"""An old path for plugins; what was here is in `contract/report.py`. It goes in 0.3."""

import warnings

from session_pipeline_dagster.contract.report import DAYS, MOST_DAYS, Asked, Rendered, Report

__all__ = ["DAYS", "MOST_DAYS", "Asked", "Rendered", "Report"]

warnings.warn(
    "session_pipeline_dagster.reporting moved to session_pipeline_dagster.contract.report; "
    "the old path goes in 0.3",
    DeprecationWarning,
    stacklevel=2,
)
