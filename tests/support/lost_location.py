"""A code location for end-to-end tests: a processor whose machine dies of some files."""

from datetime import timedelta

import dagster as dg

from lost_worker import Killer
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.settings import read_settings


class Hasty(Killer):
    """Looks every few seconds."""

    cadence = timedelta(seconds=3)


@dg.definitions
def defs() -> dg.Definitions:
    """It alone, over the environment's settings."""
    return build_definitions(Registry((Hasty(),)), read_settings())
