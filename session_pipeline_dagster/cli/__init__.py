"""What does a person type? What Dagster users do in the UI, for scripts and cron."""

from session_pipeline_dagster.cli.main import main

__all__ = ["main"]
