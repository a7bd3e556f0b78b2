"""What the `verification` processor declares, whoever reads the sessions: rules or a model."""

from collections.abc import Mapping
from datetime import timedelta

from session_pipeline_dagster.contract.processor import (
    ON_REQUEST,
)
from session_pipeline_dagster.processors.verification.knowledge import catalog
from session_pipeline_dagster.processors.verification.knowledge.declared import derivations
from session_pipeline_dagster.processors.verification.knowledge.tables import VIEWS
from session_pipeline_dagster.processors.verification.quality import QUALITY
from session_pipeline_dagster.processors.verification.tables import (
    DESCRIPTION,
    DESCRIPTIONS,
    JOURNALS,
    RETENTION,
    SUMMARIES,
    TABLES,
)


class Declared:
    """The attributes of the contract."""

    name = "verification"
    # 2: many more forms of secrets are taken out. 3: weights decide, and a model has another prompt
    # and gates. Always that of weights.json.
    version = 3
    cadence = timedelta(seconds=900)
    tables = TABLES
    journals = JOURNALS
    views = VIEWS
    retention = RETENTION
    derivations = derivations()
    summaries = (*SUMMARIES, *catalog.SUMMARIES)
    quality = (*QUALITY, *catalog.QUALITY)
    description = DESCRIPTION
    descriptions: Mapping[str, str] = {**DESCRIPTIONS, **catalog.DESCRIPTIONS}
    owners = ("team:session-pipeline",)
    internal = ("verification_readings", "knowledge_checks")
    threads = 0
    metered = True
    needs_consent = True
    # A model would be paid again for every session.
    reprocess: str = ON_REQUEST
