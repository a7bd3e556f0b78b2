"""The `verification` processor: what people corrected, confirmed and defined, as they said it."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec

from session_pipeline_dagster.processor import ON_REQUEST, Processor, ProcessorResult, Session
from session_pipeline_dagster.processors.verification import knowledge_catalog as catalog
from session_pipeline_dagster.processors.verification.budget import Budget
from session_pipeline_dagster.processors.verification.extractor import Detection, Extractor
from session_pipeline_dagster.processors.verification.knowledge_derive import derivations
from session_pipeline_dagster.processors.verification.knowledge_judge import Judge
from session_pipeline_dagster.processors.verification.knowledge_tables import VIEWS
from session_pipeline_dagster.processors.verification.model import build_model
from session_pipeline_dagster.processors.verification.quality import QUALITY
from session_pipeline_dagster.processors.verification.rows import rows
from session_pipeline_dagster.processors.verification.tables import (
    DESCRIPTION,
    DESCRIPTIONS,
    JOURNALS,
    SUMMARIES,
    TABLES,
)
from session_pipeline_dagster.processors.verification.turns import Turn, digest, read_turns
from session_pipeline_dagster.settings import Settings


class _Memo(msgspec.Struct, frozen=True):
    """What was asked about a file last time.

    Attributes:
        turns, digest: how many turns, and their digest.
        extractor, model: who was asked.
    """

    turns: int
    digest: str
    extractor: str
    model: str | None


class VerificationProcessor:
    """Detections in every session file.

    With rules a file is read again as a whole. A model is asked about new turns only: the memo
    says which turns it has seen, and their digest whether they are still the same.
    """

    name = "verification"
    version = 1
    cadence = timedelta(seconds=900)
    tables = TABLES
    journals = JOURNALS
    views = VIEWS
    derivations = derivations()
    summaries = (*SUMMARIES, *catalog.SUMMARIES)
    quality = (*QUALITY, *catalog.QUALITY)
    description = DESCRIPTION
    descriptions: Mapping[str, str] = {**DESCRIPTIONS, **catalog.DESCRIPTIONS}
    owners = ("team:session-pipeline",)
    internal = ("verification_readings", "knowledge_checks")
    threads = 0
    metered = True
    # A model would be paid again for every session.
    reprocess = ON_REQUEST

    def begin(self, settings: Settings, run_id: str | None) -> Processor:
        """The processor of one pass: rules, or the model of the settings.

        Raises:
            SettingsError: a model is asked for, but its package or key is missing.
        """
        model = build_model(settings.model)
        if model is None:
            return self
        from session_pipeline_dagster.processors.verification.asking import (  # noqa: PLC0415  see process
            ModelExtractor,
        )

        at_once, budget = settings.model.sessions_at_once, Budget(settings.model.tokens_per_run)
        extractor = ModelExtractor(settings.model.extractor.value, model, run_id)
        judge = Judge(model, budget, run_id, at_once)
        return AskingProcessor(extractor, judge, budget, at_once)

    def process(self, session: Session) -> ProcessorResult:
        """Rows of one session file; items are the detections in it."""
        # Its phrases take 0.03 s to compile, which a pass of another processor need not pay.
        from session_pipeline_dagster.processors.verification.rules import (  # noqa: PLC0415
            RulesExtractor,
        )

        turns, extractor = read_turns(session), RulesExtractor()
        found = extractor.find(turns, 0, session.key, session.notes)
        return self._result(session, found, extractor, turns=len(turns))

    def _result(
        self,
        session: Session,
        found: Sequence[Detection],
        extractor: Extractor,
        turns: int,
        memo: str | None = None,
        *,
        append: bool = False,
    ) -> ProcessorResult:
        made = rows(session, found, extractor, self.version)
        counts = session.notes.counts
        quotes, rejected = counts.get("quotes", len(found)), counts.get("rejected_quotes", 0)
        reading = (session.key, extractor.name, extractor.model, turns, quotes, rejected, len(made))
        tables = {"verifications": made, "verification_readings": [reading]}
        return ProcessorResult(tables, len(made), memo, append)


class AskingProcessor(VerificationProcessor):
    """One pass with a model: sessions side by side, within a budget of tokens."""

    def __init__(self, extractor: Extractor, judge: Judge, budget: Budget, threads: int) -> None:
        self._extractor, self._budget, self.threads = extractor, budget, threads
        self.derivations = derivations(judge)

    def begin(self, settings: Settings, run_id: str | None) -> Processor:
        """Itself: it has begun."""
        return self

    def process(self, session: Session) -> ProcessorResult:
        """Rows of the turns that the model has not seen; items are the detections in them.

        Raises:
            Deferred: the tokens of this pass are used up, or nobody answers.
            Retryable, Permanent, SettingsError: as `Model.ask`.
        """
        turns = read_turns(session)
        memo = self._memo(turns)
        seen = self._seen(session.memo, turns)
        if seen == len(turns):
            return ProcessorResult({}, 0, memo, append=seen > 0)
        with self._budget.spending(session.notes):
            found = self._extractor.find(turns, seen, session.key, session.notes)
        new = len(turns) - seen
        return self._result(session, found, self._extractor, new, memo, append=seen > 0)

    def _memo(self, turns: Sequence[Turn]) -> str:
        asked = (self._extractor.name, self._extractor.model)
        return msgspec.json.encode(_Memo(len(turns), digest(turns), *asked)).decode()

    def _seen(self, memo: str | None, turns: Sequence[Turn]) -> int:
        """How many of the first turns this model was already asked about; 0 = the whole file."""
        if memo is None:
            return 0
        try:
            known = msgspec.json.decode(memo, type=_Memo)
        except msgspec.DecodeError:
            return 0
        same = (known.extractor, known.model) == (self._extractor.name, self._extractor.model)
        if not same or digest(turns[: known.turns]) != known.digest:
            return 0
        return known.turns
