"""An old path for plugins; what was here is in `transcripts/`. It goes in 0.3."""

import warnings

from session_pipeline_dagster.transcripts.claude_code import KNOWN_TYPES, agent_progress, parse
from session_pipeline_dagster.transcripts.records import Transcript

__all__ = ["KNOWN_TYPES", "Transcript", "agent_progress", "parse"]

warnings.warn(
    "session_pipeline_dagster.transcript moved to session_pipeline_dagster.transcripts; "
    "the old path goes in 0.3",
    DeprecationWarning,
    stacklevel=2,
)
