"""The processor of a pass that asks a model: new turns only, within a budget of tokens."""

from collections.abc import Callable, Sequence

import msgspec

from session_pipeline_dagster.contract.processor import (
    ON_REQUEST,
    Processor,
    ProcessorResult,
    Session,
)
from session_pipeline_dagster.processors.verification.declared import Declared
from session_pipeline_dagster.processors.verification.detection.asking import MOST, ModelExtractor
from session_pipeline_dagster.processors.verification.detection.extractor import Extractor, limits
from session_pipeline_dagster.processors.verification.detection.gates import ACCEPT, SHOW
from session_pipeline_dagster.processors.verification.detection.reading import result
from session_pipeline_dagster.processors.verification.detection.turns import (
    Turn,
    digest,
    read_turns,
)
from session_pipeline_dagster.processors.verification.knowledge.declared import derivations
from session_pipeline_dagster.processors.verification.knowledge.judge import Judge
from session_pipeline_dagster.processors.verification.models.budget import Budget
from session_pipeline_dagster.processors.verification.models.model import Model
from session_pipeline_dagster.settings import ModelSettings, Settings, Thresholds


class _Memo(msgspec.Struct, frozen=True):
    """What was asked about a file last time.

    Attributes:
        turns, digest: how many turns, and their digest.
        extractor, model: who was asked.
        found: detections in them.
    """

    turns: int
    digest: str
    extractor: str
    model: str | None
    found: int = 0


def asking_processor(
    model: Model,
    settings: ModelSettings,
    run_id: str | None,
    version: int,
    clean: Callable[[str], str],
    thresholds: Thresholds | None = None,
) -> Processor:
    """One pass with this model, of the processor's version.

    Args:
        clean: takes secrets out of a text.
    """
    at_once, budget = settings.sessions_at_once, Budget(settings.tokens_per_run)
    show, accept = limits(thresholds, SHOW, ACCEPT)
    name = settings.extractor.value
    extractor = ModelExtractor(name, model, run_id, accept=accept, show=show)
    judge = Judge(model, budget, run_id, at_once, clean)
    return AskingProcessor(extractor, judge, budget, at_once, version, clean)


class AskingProcessor(Declared):
    """One pass with a model: sessions side by side, within a budget of tokens."""

    # What a model has read under another prompt stays read: it would be paid again.
    reprocess = ON_REQUEST

    def __init__(
        self,
        extractor: Extractor,
        judge: Judge,
        budget: Budget,
        threads: int,
        version: int,
        clean: Callable[[str], str],
    ) -> None:
        self._extractor, self._budget, self.threads = extractor, budget, threads
        self.version, self._clean = version, clean
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
        turns = read_turns(session.transcript, self._clean)
        known = self._known(session.memo, turns)
        seen, earlier = (known.turns, known.found) if known else (0, 0)
        if seen == len(turns):
            return ProcessorResult({}, 0, self._memo(turns, earlier), append=seen > 0)
        with self._budget.spending(session.notes):
            found = self._extractor.find(turns, seen, session.key, session.notes)
        # A session that talks a model into finding things may grow as often as it likes.
        kept = found[: max(MOST - earlier, 0)]
        if len(kept) < len(found):
            session.notes.count("detections_over_limit", len(found) - len(kept))
        memo = self._memo(turns, earlier + len(kept))
        new = len(turns) - seen
        asked = (self._extractor, self.version, self._clean)
        return result(session, kept, *asked, new, memo, append=seen > 0, earlier=earlier)

    def _memo(self, turns: Sequence[Turn], found: int) -> str:
        asked = (self._extractor.name, self._extractor.model)
        return msgspec.json.encode(_Memo(len(turns), digest(turns), *asked, found)).decode()

    def _known(self, memo: str | None, turns: Sequence[Turn]) -> _Memo | None:
        """What is known of the first turns, if this model was asked about them; None = of none."""
        if memo is None:
            return None
        try:
            known = msgspec.json.decode(memo, type=_Memo)
        except msgspec.DecodeError:
            return None
        same = (known.extractor, known.model) == (self._extractor.name, self._extractor.model)
        return known if same and digest(turns[: known.turns]) == known.digest else None
