"""Names are data: how a text that strangers chose is shown or kept, and how long a stored name is.

A user, a file, a tool or a model may be called anything. What is stored, compared and written as
JSON is exact, but for the end of a name that is too long to be one; every line and page for people
goes through `printable`.
"""

import unicodedata

LONGEST = 200
"""Characters of a name as it is stored."""
_DIGEST = 16

_ACTS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Controls (a terminal obeys them), what turns or hides the text around it, half characters, line
breaks."""
_JOINERS = "\u200c\u200d"
"""Of the same category, but Persian, Hindi and emoji are not spelt without them."""
_NO_CHARACTERS = "\ufffe\uffff"
"""Not allowed in XML."""

_FORMULA = ("=", "+", "-", "@", "\ufffd")
"""With these a spreadsheet begins to calculate; the last stands for a tab or a line break."""


def printable(text: str) -> str:
    """The text in one line, with U+FFFD for every character that would do something else than
    show itself."""
    if text.isascii() and text.isprintable():
        return text
    return "".join("\ufffd" if _acts(character) else character for character in text)


def cell(text: str) -> str:
    """The text as a cell of a table that a spreadsheet may open: printable, and no formula."""
    shown = printable(text)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def plain(text: str) -> str:
    """The text without such characters: for what is kept as words, not as a name. What breaks a
    line or is wide is a space."""
    if text.isascii() and text.isprintable():
        return text
    kept = (" " if c.isspace() else "" if _acts(c) else c for c in text)
    return "".join(kept)


def short(name: str) -> str:
    """The name as it is stored: of more than `LONGEST` characters the end gives way to a digest of
    the whole, so that two long names stay two. Doing it twice changes nothing."""
    if len(name) <= LONGEST:
        return name
    import hashlib  # noqa: PLC0415  few names are so long, and every process would load OpenSSL

    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{name[: LONGEST - _DIGEST - 1]}~{digest}"


def _acts(character: str) -> bool:
    if character in _JOINERS:
        return False
    return unicodedata.category(character) in _ACTS or character in _NO_CHARACTERS
