"""Rules that the data of a processor must keep, measured on request.

A processor declares them as `quality`; each becomes an asset check. What is measured are the rows,
and where that is needed the transcripts they were made from. Whether the pipeline keeps up is no
matter of the data: that is health.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from session_pipeline_dagster.transcripts.records import Transcript


@dataclass(frozen=True, slots=True)
class Measured:
    """What a rule found.

    Attributes:
        violations: how many things break it; 0 passes.
        numbers: what is shown beside it, by name.
        listed: rows of a table that says where; no text of a transcript. People and sessions are
            named in columns that `people/veil.py: COLUMNS` knows, so that they can be replaced
            where people are hidden, there and in `said` and `occasions`.
        said: what was found in a sentence, where the number of violations does not say it.
        status: ok, info, warning or unknown, where the number of violations does not say it.
        occasions: what an alert is told of once for ever, and as which status; see
            `health/alerts.py`. None: its status alone is told.
        of_one: which numbers are of a single person or session.
    """

    violations: int
    numbers: Mapping[str, int | float] = field(default_factory=dict)
    listed: Sequence[Mapping[str, str | int | float]] = ()
    said: str = ""
    status: str = ""
    occasions: Mapping[str, str] | None = None
    of_one: Collection[str] = ()

    @property
    def stands(self) -> str:
        """Its status."""
        return self.status or ("warning" if self.violations else "ok")


@dataclass(frozen=True, slots=True)
class Data:
    """What a rule may look at.

    Attributes:
        select: the rows of a SELECT over the processor's tables and views.
        transcript: the transcript of a session file as it was processed; None where the file is
            gone, or has changed since and waits for its turn.
    """

    select: Callable[[str], Sequence[tuple[object, ...]]]
    transcript: Callable[[str], Transcript | None]


@dataclass(frozen=True, slots=True)
class Quality:
    """One rule.

    Attributes:
        name: unique in the project; names the asset check.
        table: the asset it is about.
        description: Markdown; what it means if it fails, and what to do.
        measure: counts what breaks the rule. `counted` makes one of a SELECT.
        glance: it is quick and reads no transcript, so that `session-pipeline health` says it too.
    """

    name: str
    table: str
    description: str
    measure: Callable[[Data], Measured]
    glance: bool = False


def counted(sql: str, *names: str) -> Callable[[Data], Measured]:
    """A measure from a SELECT of one row: the violations, then a number for each of the names."""

    def measure(data: Data) -> Measured:
        violations, *numbers = data.select(sql)[0]
        found = {n: _number(value) for n, value in zip(names, numbers, strict=True)}
        return Measured(int(_number(violations)), found)

    return measure


def _number(value: object) -> int | float:
    return value if isinstance(value, int | float) else 0
