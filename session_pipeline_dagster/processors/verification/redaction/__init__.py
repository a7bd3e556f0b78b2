"""Secrets out of a text, before anything else happens to it.

What is taken out leaves `[REDACTED:kind]`, and no rule matches inside of that: redacting twice is
redacting once. The time is linear in the text. A new form of a secret goes to `shapes.py`,
`commands.py` or `accounts.py`, a new word for one to `names.py`, a vendor's to `vendors.py`.
"""

import re
from collections.abc import Collection

from session_pipeline_dagster.processors.verification.redaction.accounts import (
    ACCOUNTS,
    HANDED_OUT,
    PASSWORDS,
    after_slash,
    at_host,
    handed_out,
    said_before,
)
from session_pipeline_dagster.processors.verification.redaction.columns import redact_columns
from session_pipeline_dagster.processors.verification.redaction.commands import COMMANDS
from session_pipeline_dagster.processors.verification.redaction.finding import Search, folded
from session_pipeline_dagster.processors.verification.redaction.glance import (
    DIGITS,
    LITERAL,
    LONG,
    Glance,
    counts,
)
from session_pipeline_dagster.processors.verification.redaction.named import named
from session_pipeline_dagster.processors.verification.redaction.names import LITERALS
from session_pipeline_dagster.processors.verification.redaction.personal import redact_personal
from session_pipeline_dagster.processors.verification.redaction.phrases import (
    ANNOUNCING,
    ANSWERS,
    ECHO,
    echoed,
    pass_phrase,
)
from session_pipeline_dagster.processors.verification.redaction.shapes import SHAPES
from session_pipeline_dagster.processors.verification.redaction.tokens import redact_tokens
from session_pipeline_dagster.settings import DEFAULT_PERSONAL, Personal

_MOST_ROUNDS = 5
# Between characters of a token they are there to hide it; in other scripts they have a meaning.
_INVISIBLE = "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff"
_HIDING = re.compile(rf"(?<=[!-~])[{_INVISIBLE}]+(?=[!-~])")
_FORMS = (*SHAPES, *COMMANDS, *ACCOUNTS, *ANSWERS)
_FINDERS = (
    *((literal, form.find) for form in _FORMS for literal in form.literals),
    ("@", at_host),
    (" / ", after_slash),
    *((literal, pass_phrase) for literal in ANNOUNCING),
    *((literal, echoed) for literal in ECHO),
    *((literal, named) for literal in LITERALS),
    *((literal, said_before) for literal in PASSWORDS),
)
_SEARCH = Search(*_FINDERS, *((literal, handed_out) for literal in HANDED_OUT))
_GLANCE = Glance([literal for literal, _ in _FINDERS], HANDED_OUT)


def redact(text: str, personal: Collection[Personal] = DEFAULT_PERSONAL) -> str:
    """The text with every secret replaced that a rule knows, and personal data of these kinds."""
    # What one rule takes out can lay bare another secret; a text without any is read once.
    for _ in range(_MOST_ROUNDS):
        before = text
        if not text.isascii() and any(character in text for character in _INVISIBLE):
            text = _HIDING.sub("", text)
        text = _once(text, personal)
        if text == before:
            break
    return text


def _once(text: str, personal: Collection[Personal]) -> str:
    lower, given = folded(text), text
    words = lower.split()
    held = _GLANCE.at(words)
    if counts(held):
        text = _SEARCH.redact(text, lower, _GLANCE.places(lower, words, held))
    # What was taken out may have laid bare anything.
    if held & LONG or text != given:
        text = redact_tokens(text)
    if held & LITERAL or text != given:
        text = redact_columns(text)
    if held & DIGITS or "@" in text or text != given:
        text = redact_personal(text, personal)
    return text
