"""What went into responses of Copilot CLI, which only the end of a process says, in one sum.

Put here what such an end covers and what it adds to the responses that have a line. A process that
was killed writes none: what went into its responses is unknown, which is not 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from session_pipeline_dagster.transcripts.copilot_lines import Metrics
from session_pipeline_dagster.transcripts.records import (
    INPUT_OF_PROCESS,
    INPUT_UNKNOWN,
    OutputDetails,
    Usage,
)

_BY_ID = {
    **{"msg_bdrk_": "aws", "msg_vrtx_": "google", "msg_": "anthropic"},
    **dict.fromkeys(("resp_", "chatcmpl-"), "openai"),
}
PROVIDER = "github-copilot"
"""Who serves what no id says otherwise of."""


def served_by(call: str | None) -> str | None:
    """Who served an API call, as the price library calls them; None = its id does not say it."""
    return next((who for start, who in _BY_ID.items() if (call or "").startswith(start)), None)


@dataclass(slots=True, eq=False)
class Answer:
    """A response: one event, or several where the client has split it.

    Attributes:
        name: the event's that began it.
        call: the API's name of it.
        output: tokens; None where no event says.
        is_covered: the sum of its process has what went in.
        places: of its records.
    """

    name: str
    call: str | None
    model: str | None
    provider: str
    output: int | None = None
    is_covered: bool = False
    places: list[int] = field(default_factory=list)

    @property
    def usage(self) -> Usage:
        """What is known of its cost."""
        if self.is_covered:
            return Usage(0, self.output or 0, input_basis=INPUT_OF_PROCESS)
        return Usage(None, self.output or 0, None, None, input_basis=INPUT_UNKNOWN)

    @property
    def is_whole(self) -> bool:
        """Whether its output is known, be it in the sum of the process."""
        return self.is_covered or self.output is not None


@dataclass(frozen=True, slots=True)
class Sum:
    """What a process says of a model, beyond the responses that have a line."""

    model: str
    provider: str
    usage: Usage


class Process:
    """The responses of the process at hand."""

    def __init__(self) -> None:
        self._answers: list[Answer] = []
        self._providers: dict[str, str] = {}
        # What the end before said.
        self._before: dict[str, Metrics] = {}

    def begins(self) -> None:
        """Another one; of what the one before has not summed up, nobody will say more."""
        self._answers.clear()

    def answered(self, answer: Answer) -> None:
        """One more response."""
        self._answers.append(answer)
        if answer.model is not None:
            self._providers[_plain(answer.model)] = answer.provider

    def ends(self, metrics: dict[str, Metrics]) -> tuple[list[Answer], list[Sum]]:
        """Its sums: the responses that they cover, and what they say beyond these."""
        if not metrics:
            return [], []
        said: dict[str | None, int] = {}
        covered: list[Answer] = []
        models = {_plain(model) for model in metrics}
        # Older versions name no model beside a response.
        (only, *others) = metrics
        for answer in self._answers:
            if answer.model is None and not others:
                answer.model = only
                self._providers.setdefault(_plain(only), answer.provider)
            model = None if answer.model is None else _plain(answer.model)
            if model is None or model in models:
                covered.append(answer)
                said[model] = said.get(model, 0) + (answer.output or 0)
        new = self._new(metrics, said)
        sums = [*self._beyond(new, said)]
        for answer in covered:
            answer.is_covered = True
        self._answers = [answer for answer in self._answers if not answer.is_covered]
        self._before = metrics
        return covered, sums

    def _new(self, metrics: dict[str, Metrics], said: dict[str | None, int]) -> dict[str, Metrics]:
        """What came since the end before. A process counts from 0; but one that writes two ends
        goes on counting, and so do versions that read the counts of before."""
        grown = {
            model: counts.beyond(self._before.get(model, Metrics()))
            for model, counts in metrics.items()
        }
        goes_on = self._before.keys() <= grown.keys() and all(
            counts.least >= 0 and counts.output >= said.get(_plain(model), 0)
            for model, counts in grown.items()
        )
        is_all = all(counts.output == said.get(_plain(m), 0) for m, counts in metrics.items())
        return grown if goes_on and not (is_all and any(said.values())) else metrics

    def _beyond(self, new: dict[str, Metrics], said: dict[str | None, int]) -> Iterator[Sum]:
        # Of whichever model a response was that names none, its output is in these counts.
        nameless = said.get(None, 0)
        for model, counts in new.items():
            output = max(counts.output - said.pop(_plain(model), 0), 0)
            taken = min(output, nameless)
            nameless -= taken
            read, written = counts.cache_read, counts.cache_write
            usage = Usage(
                max(counts.input - read - written, 0),
                output - taken,
                written,
                read,
                output_tokens_details=OutputDetails(counts.reasoning),
                input_basis=INPUT_OF_PROCESS,
            )
            if counts.input or output - taken or read or written or counts.reasoning:
                yield Sum(model, self._providers.get(_plain(model), PROVIDER), usage)


def _plain(model: str) -> str:
    # Events and sums can differ in it.
    return model.replace(".", "-")
