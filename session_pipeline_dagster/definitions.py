"""The code location: `defs` for Dagster, `build_definitions` for tests and your own location.

Assembly only: nothing runs when this is imported, and what is loaded is said in `defs/`.
"""

import warnings
from pathlib import Path

import dagster as dg

from session_pipeline_dagster import defs as folder
from session_pipeline_dagster.orchestration.location import (
    build_definitions,
    build_processor_definitions,
    in_one_process,
)

__all__ = ["build_definitions", "build_processor_definitions", "defs"]


@dg.definitions
def defs() -> dg.Definitions:
    """Everything in `defs/`, in a clone as in an installed wheel."""
    # Not `load_from_defs_folder`: it needs a pyproject.toml, and imports what every other package
    # has registered for dg (docs/decisions/0022-component.md).
    path = Path(folder.__path__[0])
    tree = dg.ComponentTree.from_module(folder, project_root=path.parents[1])
    with warnings.catch_warnings():
        # Of Dagster about itself, at every start.
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return in_one_process(tree.build_defs_at_path(path))
