"""The processor of a pass that asks a model: new turns only, within a budget of tokens."""

from collections.abc import Sequence

import msgspec

from session_pipeline_dagster.processor import Processor, ProcessorResult, Session
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.processors.verification.asking import ModelExtractor
from session_pipeline_dagster.processors.verification.budget import Budget
from session_pipeline_dagster.processors.verification.extractor import Extractor
from session_pipeline_dagster.processors.verification.knowledge_declared import derivations
from session_pipeline_dagster.processors.verification.knowledge_judge import Judge
from session_pipeline_dagster.processors.verification.model import Model
from session_pipeline_dagster.processors.verification.reading import result
from session_pipeline_dagster.processors.verification.turns import Turn, digest, read_turns
from session_pipeline_dagster.settings import ModelSettings, Settings


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


def asking_processor(model: Model, settings: ModelSettings, run_id: str | None) -> Processor:
    """One pass with this model."""
    at_once, budget = settings.sessions_at_once, Budget(settings.tokens_per_run)
    extractor = ModelExtractor(settings.extractor.value, model, run_id)
    return AskingProcessor(extractor, Judge(model, budget, run_id, at_once), budget, at_once)


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
        return result(session, found, self._extractor, self.version, new, memo, append=seen > 0)

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
