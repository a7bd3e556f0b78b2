"""The contract of a report: files for people, rendered from a processor's tables.

A processor declares them as `reports`; each becomes an asset, and `session-pipeline report` makes
it too. Rendering sees rows, never a connection; `passes/publish.py` reads them
and writes the files.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from session_pipeline_dagster.contract.derivation import Row

DAYS, MOST_DAYS = 30, 36_500
"""How many days a report shows, unless it is told; the most that it can be told."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked for.

    Attributes:
        today: UTC; what is dated later is left out.
        days: how many days, counted back from the last one with data.
        unread: how many session files no reader claims, by agent; empty also where nobody could
            look.
    """

    today: date
    days: int = DAYS
    unread: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a report made of its rows.

    Attributes:
        files: file name -> content; the one to open comes first.
        numbers: the headline, by name; for metadata and the command line. Names no person.
        preview: a small SVG that names no person, for the catalog; empty = none.
    """

    files: Mapping[str, bytes]
    numbers: Mapping[str, int | float]
    preview: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """One report.

    Attributes:
        name: names the asset.
        deps: tables and roll-ups it is read from.
        trigger: the one of them whose refresh makes the report outdated.
        selects: the SELECTs whose rows, all as of one moment, are rendered.
        render: the files, from the rows of each SELECT.
        files: their names; what is forgotten is deleted with them.
        description: Markdown for the catalog.
    """

    name: str
    deps: Sequence[str]
    trigger: str
    selects: Callable[[Asked], Sequence[str]]
    render: Callable[[Asked, Sequence[Sequence[Row]]], Rendered]
    files: Sequence[str]
    description: str = ""
