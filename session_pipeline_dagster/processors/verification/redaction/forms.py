"""One form of a secret: a pattern that begins with a literal, and a doubt about what it finds."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from session_pipeline_dagster.processors.verification.redaction.finding import Span


@dataclass(frozen=True, slots=True)
class Form:
    """One form.

    Attributes:
        literals: its pattern is tried where one of them stands, and nowhere else.
        pattern: matched against the text in lower case; its group `secret` goes.
        accepts: whether what was found is one.
    """

    kind: str
    literals: tuple[str, ...]
    pattern: re.Pattern[str]
    accepts: Callable[[str], bool]

    def find(self, text: str, lower: str, at: int) -> Span | None:
        """See `Finder`."""
        found = self.pattern.match(lower, at)
        if found is None:
            return None
        start, end = found.span("secret")
        return Span(start, end, self.kind) if self.accepts(text[start:end]) else None


def form(kind: str, literals: str, pattern: str, accepts: Callable[[str], bool] = bool) -> Form:
    """A form; its literals are separated by `|`, and white space in the pattern does not count."""
    return Form(kind, tuple(literals.split("|")), re.compile(pattern, re.VERBOSE), accepts)
