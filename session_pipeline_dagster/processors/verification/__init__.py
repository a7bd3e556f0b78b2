"""The `verification` processor: what people corrected, confirmed and defined, as they said it.

Only declarations are read here, because every start of every process reads them. The work is in
`detection/` and `asking_processor.py`, what comes of it over all sessions in `knowledge/`.
"""

from copy import copy
from functools import partial

from session_pipeline_dagster.contract.processor import (
    UNPAID,
    Processor,
    ProcessorResult,
    Session,
)
from session_pipeline_dagster.processors.verification.declared import Declared
from session_pipeline_dagster.processors.verification.models.build import build_model
from session_pipeline_dagster.settings import (
    DEFAULT_PERSONAL,
    Extractor,
    Settings,
    Thresholds,
)


class VerificationProcessor(Declared):
    """Detections in every session file.

    With rules a file is read again as a whole. A model is asked about new turns only: the memo
    says which turns it has seen, and their digest whether they are still the same.
    """

    _personal = DEFAULT_PERSONAL
    _thresholds = Thresholds()

    def under(self, settings: Settings) -> Processor:
        """With rules a new version reads again whatever no model was paid for."""
        found = copy(self)
        if settings.model.extractor is Extractor.RULES:
            found.reprocess = UNPAID
        return found

    def begin(self, settings: Settings, run_id: str | None) -> Processor:
        """The processor of one pass: rules, or the model of the settings.

        Raises:
            SettingsError: a model is asked for, but its package or key is missing.
        """
        model = build_model(settings.model)
        if model is None:
            begun = copy(self)
            begun._personal, begun._thresholds = settings.personal, settings.thresholds
            return begun
        from session_pipeline_dagster.processors.verification.asking_processor import (  # noqa: PLC0415  see process
            asking_processor,
        )
        from session_pipeline_dagster.processors.verification.redaction import redact  # noqa: PLC0415  see process

        clean = partial(redact, personal=settings.personal)
        given = (model, settings.model, run_id, self.version, clean, settings.thresholds)
        return asking_processor(*given)

    def process(self, session: Session) -> ProcessorResult:
        """Rows of one session file; items are the detections in it."""
        # Its phrases take 0.1 s to compile, which a start or another processor need not pay.
        from session_pipeline_dagster.processors.verification.detection.reading import read_by_rules  # noqa: PLC0415
        from session_pipeline_dagster.processors.verification.redaction import redact  # noqa: PLC0415

        clean = partial(redact, personal=self._personal)
        return read_by_rules(session, self.version, clean, self._thresholds)
