"""Names are data: how a text that strangers chose is shown to people, whatever it holds.

A user, a file, a tool or a model may be called anything. What is stored, compared and written as
JSON is exact; every line and page for people goes through here.
"""

import unicodedata

_ACTS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls (a terminal obeys them), what turns or hides the text around it, half characters, line
breaks."""
_JOINERS = "\u200c\u200d"
"""Of the same category, but Persian, Hindi and emoji are not spelt without them."""
_NO_CHARACTERS = "\ufffe\uffff"
"""Not allowed in XML."""


def printable(text: str) -> str:
    """The text in one line, with U+FFFD for every character that would do something else than
    show itself."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("\ufffd" if _acts(character) else character for character in text)


def _acts(character: str) -> bool:
    if character in _JOINERS:
        return False
    return unicodedata.category(character) in _ACTS or character in _NO_CHARACTERS
