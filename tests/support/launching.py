"""A Dagster instance whose runs are processes beside the code server."""

from contextlib import AbstractContextManager

import dagster as dg


def launching_instance() -> AbstractContextManager[dg.DagsterInstance]:
    """A real instance in a folder of its own; without it runs would be executed in the test."""
    launcher = dg.DefaultRunLauncher
    named = {"module": launcher.__module__, "class": launcher.__name__}
    return dg.DagsterInstance.local_temp(overrides={"run_launcher": named})
