"""An old path for plugins; what was here is in `transcripts/records.py`. It goes in 0.3."""

import warnings

from session_pipeline_dagster.transcripts.records import (
    Block,
    CacheCreation,
    Iteration,
    Message,
    Record,
    ServerToolUse,
    Usage,
    epoch_us,
    parse_time,
)

__all__ = [
    "Block",
    "CacheCreation",
    "Iteration",
    "Message",
    "Record",
    "ServerToolUse",
    "Usage",
    "epoch_us",
    "parse_time",
]

warnings.warn(
    "session_pipeline_dagster.records moved to session_pipeline_dagster.transcripts.records; "
    "the old path goes in 0.3",
    DeprecationWarning,
    stacklevel=2,
)
