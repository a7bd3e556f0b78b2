"""What the knowledge commands print for people. For scripts see `json.py`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from session_pipeline_dagster.cli.knowledge.read import (
    ContradictionShown,
    EvidenceShown,
    ItemShown,
    Knowledge,
    OneItem,
)
from session_pipeline_dagster.cli.tables import new_console, show_table
from session_pipeline_dagster.names import printable

if TYPE_CHECKING:
    from session_pipeline_dagster.processors.verification.knowledge.questions import (
        Questions,
    )

_MANY = 20


def print_list(shown: Sequence[ItemShown], total: int, found: Knowledge) -> None:
    """The list command's tables."""
    console = new_console()
    if not found.items:
        console.print("No knowledge yet; `session-pipeline run` reads the sessions")
        return
    # What is short stands below each other: the text needs the width.
    rows = [
        (
            (item.id, f"{item.status}, {item.domain or '-'}"),
            *(f"{item.confidence:.2f}", item.evidence, item.verifiers),
            _clean(item.content),
        )
        for item in shown
    ]
    names = ("item", "confidence", "evidence", "people", "content")
    show_table(console, "Knowledge", names, rows, right=names[1:4])
    if total > len(shown):
        console.print(f"{total - len(shown)} more; --limit {total} shows all")
    _print_contradictions(console, found.open, found)
    if found.waiting:
        console.print(f"{found.waiting} items wait for their contradiction check")


def print_show(found: OneItem, knowledge: Knowledge) -> None:
    """The show command's text: the item, then what hangs on it."""
    console, item = new_console(), found.item
    console.print(Text(_clean(item.content), style="bold"))
    reviewed = f" by {item.reviewed_by} on {item.reviewed_on}" if item.reviewed_by else ""
    about = (
        f"{item.id}   {item.status}{reviewed}   confidence {item.confidence:.2f}   "
        f"domain {item.domain or '-'}   from {item.source or '-'}"
    )
    console.print(printable(about))
    if item.entities:
        console.print("about: " + _clean(", ".join(item.entities)))
    rows = [((e.user, e.type, e.said_on or "-"), _words(e), e.source) for e in found.evidence]
    show_table(console, "Evidence", ("who, as, on", "in their words", "where"), rows)
    _print_contradictions(console, found.contradictions, knowledge)
    contents = {i.id: i.content for i in knowledge.items}
    for r in found.relations[:_MANY]:
        other = r.item_b if r.item_a == item.id else r.item_a
        words = _clean(contents.get(other, ""))
        console.print(f"{r.type} {r.score:.2f}   {other}   {words}", soft_wrap=True)


def _words(evidence: EvidenceShown) -> tuple[str, ...]:
    """A quote, and below it why it was found, where its finder says so."""
    quote = _clean(evidence.quote)
    if evidence.score is None:
        return (quote,)
    why = _clean("; ".join(evidence.reasons))
    return (quote, f"score {evidence.score:.2f}{f': {why}' if why else ''}")


def print_waiting(console: Console, found: "Questions | None", made: Mapping[str, int]) -> None:
    """What was decided, and what still waits."""
    if made:
        console.print(", ".join(f"{number} {what}" for what, number in sorted(made.items())))
    if found is None:
        return
    console.print(f"to be looked at: {len(found.candidates)} candidates, {len(found.items)} items")
    if found.items:
        console.print("`session-pipeline knowledge review --items` asks about items too")


def _print_contradictions(
    console: Console, found: Sequence[ContradictionShown], knowledge: Knowledge
) -> None:
    """Both sides below each other, so that they can be compared."""
    if not found:
        return
    contents = {item.id: item.content for item in knowledge.items}
    rows = []
    for c in found[:_MANY]:
        sides = tuple(
            f"{name} {item} {_clean(contents.get(item, 'gone'))}"
            for name, item in (("a", c.item_a), ("b", c.item_b))
        )
        state = f"resolved: {c.resolution}" if c.resolved else "open"
        head = (c.id, f"{c.severity or '-'}, {state}", f"by {_clean(c.found_by)}")
        rows.append((head, sides, _clean(c.explanation)))
    show_table(console, "Contradictions", ("contradiction", "a and b", "why"), rows)
    if len(found) > _MANY:
        console.print(f"... and {len(found) - _MANY} more; --json lists all")


def _clean(text: str) -> str:
    """What people said, in one line."""
    return printable(" ".join(text.split()))
