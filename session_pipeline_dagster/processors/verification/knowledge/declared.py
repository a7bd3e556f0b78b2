"""The derivations of knowledge, as the processor declares them.

What they compute is in `derive.py`, imported when there is something to compute: every
start of every process reads the declaration.
"""

from functools import partial
from typing import TYPE_CHECKING

from session_pipeline_dagster.contract.derivation import Changes, Derivation, Inputs
from session_pipeline_dagster.processors.verification.knowledge import tables as tables

if TYPE_CHECKING:
    from session_pipeline_dagster.processors.verification.knowledge.judge import Judge

_SOURCE = "regexp_replace(source_ref, ':[0-9]*$', '')"


def derivations(judge: "Judge | None" = None) -> tuple[Derivation, Derivation]:
    """Items with their evidence, relations and labels, then contradictions.

    Args:
        judge: whom to ask about contradictions; None = rules alone.
    """
    merging = Derivation(
        tables.KNOWLEDGE,
        {
            "knowledge_items": tables.ITEMS,
            "verification_evidence": tables.EVIDENCE,
            "knowledge_relations": tables.RELATIONS,
            "knowledge_labels": tables.LABELS,
        },
        reads={
            "observations": tables.READ_OBSERVATIONS,
            "items": tables.READ_ITEMS,
            "evidence": tables.READ_EVIDENCE,
            "relations": tables.READ_RELATIONS,
            "resolved": "SELECT item_a_id, item_b_id FROM knowledge_contradictions WHERE resolved",
            "labels": tables.READ_LABELS,
            "files": f"{tables.READ_FILES} AND session_file IN (SELECT {_SOURCE} "
            "FROM knowledge_items UNION ALL SELECT session_file FROM knowledge_labels)",
        },
        compute=_merge,
        # Of an item that a person reviewed, nothing but its source may be left.
        # The version is part of the declaration: with other rules all of it is due again.
        changed=f"""/* merge rules {tables.RULES_VERSION} */ SELECT '{tables.SESSIONS}'
            WHERE EXISTS (FROM verifications SEMI JOIN batch USING (session_file))
            OR EXISTS (FROM knowledge_labels SEMI JOIN batch USING (session_file))
            OR EXISTS (FROM knowledge_items WHERE {_SOURCE} IN (FROM batch))""",
        deps=("verifications",),
    )
    checking = Derivation(
        tables.CHECKING,
        {"knowledge_contradictions": tables.CONTRADICTIONS, "knowledge_checks": tables.CHECKS},
        reads={
            "items": tables.READ_ITEMS,
            "contradictions": tables.READ_CONTRADICTIONS,
            "checks": tables.READ_CHECKS,
        },
        compute=partial(_check, judge),
        deps=("knowledge_items",),
        journals=("llm_calls",),
    )
    return merging, checking


def _merge(inputs: Inputs) -> Changes:
    from session_pipeline_dagster.processors.verification.knowledge.derive import merge_knowledge  # noqa: PLC0415  see above

    return merge_knowledge(inputs)


def _check(judge: "Judge | None", inputs: Inputs) -> Changes:
    from session_pipeline_dagster.processors.verification.knowledge.derive import Checking  # noqa: PLC0415  see above

    return Checking(judge).compute(inputs)
