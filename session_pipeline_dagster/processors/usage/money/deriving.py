"""The derivation that keeps `usage_own_billed`: which families a commit touches, and their rows.

A part is a session, as `trails.py` links it: what a session's rows are is made anew whenever a file
of its family came, changed or went, and of nothing else.
"""

from collections.abc import Sequence

from session_pipeline_dagster.contract.derivation import (
    Changes,
    Derivation,
    DerivedTable,
    Inputs,
    Row,
)
from session_pipeline_dagster.processors.usage.money import stored
from session_pipeline_dagster.processors.usage.money.baseline import Trailed, own_billed
from session_pipeline_dagster.processors.usage.money.reconciled import (
    OWN_BILLED_COLUMNS,
    own_billed_rows,
)
from session_pipeline_dagster.processors.usage.money.trails import SESSION, TOUCHED, files_of

NAME = "usage_own_billed"
_PARTS = f"SELECT part FROM session_rollup_changes WHERE rollup = '{NAME}'"


def derivation(gone: str) -> Derivation:
    """The derivation of `usage_own_billed`.

    Args:
        gone: SELECT of the files that nobody has any more.
    """
    files = files_of(_PARTS)
    return Derivation(
        name=NAME,
        tables={NAME: DerivedTable(OWN_BILLED_COLUMNS, key="session_id")},
        reads={
            "trails": stored.TRAILS.format(files=files, gone=gone),
            "bills": stored.BILLS.format(files=files),
            "models": stored.MODELS.format(files=files),
            "links": stored.LINKS.format(files=files),
        },
        compute=_compute,
        changed=TOUCHED,
        deps=("usage_billed", "usage_billed_models"),
        quick=True,
    )


def _of_each_person(family: Sequence[Trailed]) -> Sequence[Sequence[Trailed]]:
    """A bill is settled among a person's own files: nobody's can change somebody else's."""
    found: dict[str, list[Trailed]] = {}
    for file in family:
        found.setdefault(file.username, []).append(file)
    return [*found.values()]


def _compute(inputs: Inputs) -> Changes:
    """The rows of every session that was touched, and of the families they belong to."""
    rows = inputs.rows
    found = stored.families(rows["trails"], rows["bills"], rows["models"], rows["links"])
    sessions = {part.removeprefix(SESSION) for part in inputs.parts}
    added: list[Row] = []
    for family in found:
        sessions.update(file.session_id for file in family)
        for files in _of_each_person(family):
            added += (row for own in own_billed(files) for row in own_billed_rows(own))
    return Changes(
        removed={NAME: sessions},
        added={NAME: added},
        notes={"budget_status": ["billed"]},
        numbers={"families_billed": len(found)},
    )
