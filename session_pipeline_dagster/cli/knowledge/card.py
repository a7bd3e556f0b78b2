"""How one question of a review looks: what was said before it, the quote, why it was found."""

from collections.abc import Mapping
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from session_pipeline_dagster.cli.knowledge.keys import KEYS
from session_pipeline_dagster.cli.knowledge.read import source_shown
from session_pipeline_dagster.names import plain, printable
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.processors.verification.knowledge.heard import Exchange
from session_pipeline_dagster.processors.verification.knowledge.questions import Question

WIDEST = 100
"""Columns; longer lines are hard to read."""
_BEFORE, _AROUND = 320, 200
_REASONS = 3


def show(
    console: Console,
    question: Question,
    exchange: Exchange | None,
    like: Mapping[str, str],
    place: str,
    veil: Veil,
) -> None:
    """The card.

    Args:
        exchange: what was said; None where it cannot be read any more.
        like: the items that it may be the same as, by id.
        veil: how whoever said it is shown.
    """
    o, score = question.detected.observation, question.detected.score
    sure = "no score" if score is None else f"score {score:.2f}"
    kind = o.detection_type.removeprefix("unprompted_")
    head = Text.assemble((printable(f"{place}   {kind}   {sure}"), "bold"))
    name = printable(question.id)
    room = console.width - head.cell_len - cell_len(name)
    console.print()
    console.print(head.append(" " * max(room, 3)).append(name, "dim"))
    console.print(Text("-" * console.width, "dim"))
    if exchange and exchange.assistant:
        _label(console, "The assistant said")
        _body(console, Text(_shortened(_line(exchange.assistant), _BEFORE)))
    when = f" on {_day(o.detected_at)}" if o.detected_at is not None else ""
    _label(console, printable(f"{veil.person(o.username)} said{when}"))
    _body(console, _quoted(_line(o.user_quote), _line(exchange.user) if exchange else ""))
    gone = "" if exchange else " (cannot be read any more)"
    _body(console, Text(printable(f"{source_shown(o.source_ref, veil)}{gone}"), "dim"))
    if question.lines > 1:
        _body(console, Text(f"and {question.lines - 1} more lines that say so", "dim"))
    _label(console, "As a fact")
    _body(console, Text(_line(question.content), "bold green"))
    if question.detected.reasons:
        _label(console, "Because")
        _body(console, Text(_line("; ".join(question.detected.reasons[:_REASONS]))))
    show_like(console, like)


def show_like(console: Console, like: Mapping[str, str]) -> None:
    """Items that it may be the same as, with the key for each."""
    if like:
        _label(console, "Like it")
    for number, (key, words) in enumerate(like.items(), start=1):
        line = Text.assemble((f"{number} ", "bold cyan"), _shortened(_line(words), _AROUND))
        _body(console, line.append(f"  {printable(key)}", "dim"))


def show_whole(console: Console, exchange: Exchange | None) -> None:
    """All that was said, line by line."""
    if exchange is None:
        console.print("The session cannot be read any more")
        return
    sides = (("The assistant said", exchange.assistant), ("The person said", exchange.user))
    for name, text in sides:
        if text:
            _label(console, name)
            _body(console, Text("\n".join(printable(line) for line in text.splitlines())))


def show_keys(console: Console, like: int) -> None:
    """The keys: a line of those that decide, a line of the others."""
    shown = {"1": ("1" if like == 1 else f"1-{like}", "same as"), "=": ("=", "same as ...")}
    console.print()
    for deciding in (True, False):
        line = Text()
        for key in KEYS:
            if key.decides is deciding and (key.letter != "1" or like):
                letter, word = shown.get(key.letter, (key.letter, key.word))
                piece = Text.assemble((f" {letter} ", "reverse"), f" {word}  ")
                # A key and its word stay together, however narrow it is.
                if line.cell_len + piece.cell_len > console.width + 2:
                    console.print(line)
                    line = Text()
                line.append_text(piece)
        line.rstrip()
        console.print(line)


def show_help(console: Console) -> None:
    """What each key does."""
    console.print()
    for key in KEYS:
        _body(console, Text.assemble((f"{key.letter}  ", "bold"), key.does))


def _label(console: Console, text: str) -> None:
    console.print(Text(text, "cyan"))


def _body(console: Console, text: Text) -> None:
    # Not soft: a paragraph keeps its indent.
    text.overflow = "fold"
    console.print(Padding(text, (0, 0, 0, 2)))


def _quoted(quote: str, turn: str) -> Text:
    """The quote between what was said around it."""
    at = turn.find(quote)
    if at < 0:
        return Text(_shortened(quote, 2 * _BEFORE), "bold")
    before, after = turn[:at], turn[at + len(quote) :]
    if len(before) > _AROUND:
        before = "... " + before[-_AROUND:].partition(" ")[2]
    if len(after) > _AROUND:
        after = after[:_AROUND].rpartition(" ")[0] + " ..."
    return Text.assemble(before, (_shortened(quote, 2 * _BEFORE), "bold"), after)


def _shortened(text: str, most: int) -> str:
    """Its beginning and, since questions come last, more of its end."""
    if len(text) <= most:
        return text
    head, tail = text[: most // 3].rpartition(" ")[0], text[-(most - most // 3) :].partition(" ")[2]
    return f"{head} ... {tail}"


def _line(text: str) -> str:
    """What was said, in one line, without what a terminal would obey."""
    return " ".join(plain(text).split())


def _day(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment / 1e6, UTC):%Y-%m-%d}"
