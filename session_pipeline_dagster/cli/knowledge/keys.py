"""What a person answers in a review: a key at a terminal, a line in a pipe.

A key that was pressed before the question was there is no answer to it.
"""

import os
import sys
import termios
import tty
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

_LONGEST_SEQUENCE = 64
_ESCAPE = "\x1b"


@dataclass(frozen=True, slots=True)
class Key:
    """A key, the word for it where lines are read, and what it does.

    Attributes:
        decides: whether the next question comes after it.
    """

    letter: str
    word: str
    does: str
    decides: bool = True


KEYS: Sequence[Key] = (
    Key("a", "approve", "it is a fact: it becomes an approved item"),
    Key("r", "reject", "it is none, and does not come back"),
    Key("e", "edit", "it is one in other words: you write them"),
    Key("1", "this", "the same as the first item like it; 2 and 3: as the second, the third"),
    Key("=", "same", "the same as another item: you give its id, or words to look for"),
    Key("s", "skip", "later: it comes again after all others"),
    Key("t", "type", "another type: correction, confirmation, definition", decides=False),
    Key("v", "view", "all of what was said", decides=False),
    Key("u", "undo", "take the last decision back", decides=False),
    Key("?", "help", "what the keys do", decides=False),
    Key("q", "quit", "end; what is decided is kept", decides=False),
)
_LETTERS = {key.word: key.letter for key in KEYS}


class Answers(Protocol):
    """Where answers come from."""

    def key(self) -> str | None:
        """The next key; None when there will be no more."""
        ...

    def words(self, ask: str, begin: str = "") -> str:
        """Words that belong to the key; "" for none.

        Args:
            begin: what a person at a terminal may change.
        """
        ...


class Terminal:
    """One key is one answer, without Enter."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def key(self) -> str | None:
        """See `Answers.key`."""
        try:
            before = termios.tcgetattr(self._descriptor)
            try:
                tty.setcbreak(self._descriptor, termios.TCSAFLUSH)
                given = os.read(self._descriptor, _LONGEST_SEQUENCE)
            finally:
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, before)
        except (OSError, termios.error):  # The terminal is gone.
            return None
        if not given or given == b"\x04":
            return None
        text = given.decode("utf-8", "replace")
        # An arrow, or something that was pasted, is no answer.
        return text.lower() if len(text) == 1 else _ESCAPE

    def words(self, ask: str, begin: str = "") -> str:
        """See `Answers.words`."""
        with suppress(EOFError, ImportError):
            # Gives the line its arrow keys and what is to be changed.
            import readline  # noqa: PLC0415  few sessions need it

            readline.set_auto_history(False)
            readline.set_pre_input_hook(lambda: _begin(begin))
            try:
                return input(ask).strip()
            finally:
                readline.set_pre_input_hook()
        return ""


def _begin(text: str) -> None:
    import readline  # noqa: PLC0415  see above

    readline.insert_text(text)
    readline.redisplay()


class Lines:
    """A line is an answer: a key or its word, and what belongs to it behind."""

    def __init__(self) -> None:
        self._rest = ""

    def key(self) -> str | None:
        """See `Answers.key`."""
        try:
            line = sys.stdin.readline() if sys.stdin else ""
        except UnicodeDecodeError:
            return _ESCAPE
        if not line:
            return None
        first, _, self._rest = line.strip().partition(" ")
        letter = _LETTERS.get(first.lower(), first.lower())
        return letter if len(letter) == 1 else _ESCAPE

    def words(self, ask: str, begin: str = "") -> str:
        """See `Answers.words`."""
        return self._rest.strip()


def answers() -> Answers:
    """From where stdin comes."""
    return Terminal(sys.stdin.fileno()) if sys.stdin and sys.stdin.isatty() else Lines()
