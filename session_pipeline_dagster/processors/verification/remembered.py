"""What was worked out about a word, remembered: people and agents say the same words all day."""

from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
_MOST, _LONGEST = 30_000, 48
"""Words that are remembered, and characters of the longest of them: some megabytes."""


class Remembered(dict[str, Found]):
    """What each word has; worked out where nobody has asked yet.

    Nothing hangs on what is remembered but the time that it takes.
    """

    def __init__(self, work_out: Callable[[str], Found]) -> None:
        super().__init__()
        self._work_out = work_out

    def __missing__(self, word: str) -> Found:
        found = self._work_out(word)
        if len(word) <= _LONGEST:
            if len(self) >= _MOST:
                self.clear()
            self[word] = found
        return found
