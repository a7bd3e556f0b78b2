"""What the author of a processor tests with: make a session, run a processor on it, hold it
against the contract.

Needs no Dagster and no pytest; what is wrong is an AssertionError that says what to do.
`docs/processors.md` walks through it, `docs/readers.md` for readers. `builder.py` makes session
files, `pipeline.py` runs processors, `contract.py` has the rules, `readers.py` those of readers,
`odd.py` what can be odd about a file, `outside.py` what a processor may not depend on.
"""

from session_pipeline_dagster.testing.builder import SessionBuilder, example_session
from session_pipeline_dagster.testing.contract import assert_contract
from session_pipeline_dagster.testing.pipeline import Pass, Pipeline, process_one
from session_pipeline_dagster.testing.readers import assert_reader

__all__ = [
    "Pass",
    "Pipeline",
    "SessionBuilder",
    "assert_contract",
    "assert_reader",
    "example_session",
    "process_one",
]
