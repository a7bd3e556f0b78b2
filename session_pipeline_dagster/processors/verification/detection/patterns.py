"""Long regular expressions, written as lists."""

import re

_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)
"""A character, an escaped one or a class of them."""
_OPTIONAL = re.compile(r"(?:\(\?:[^()]*\)[?*])+")


def any_of(lines: str) -> str:
    """The alternatives of all lines; a line that begins with | goes on with the one before."""
    found = "|".join(line.strip() for line in lines.strip().splitlines())
    return f"(?:{found.replace('||', '|')})"


def any_word(text: str) -> str:
    """Any of these words; the longest goes first."""
    return "(?:" + "|".join(sorted(text.split(), key=len, reverse=True)) + ")"


def anywhere(lines: str) -> re.Pattern[str]:
    """The same alternatives to be searched for, where only counts whether one stands in a text.

    What begins with a word or with the text says so once for all of them: most characters of a
    text begin neither. What may stand in front of an alternative need not be looked for.
    """
    found = [_without_what_may_stand_there(each) for each in alternatives(any_of(lines)[3:-1])]
    first = [each[1:] for each in found if each.startswith("^")]
    words = [each[2:] for each in found if each.startswith(r"\b")]
    others = [each for each in found if not each.startswith(("^", r"\b"))]
    begins = [(r"\b", words), ("^", first)]
    return re.compile(
        "|".join([f"{begin}(?:{'|'.join(each)})" for begin, each in begins if each] + others)
    )


def alternatives(pattern: str) -> list[str]:
    """The alternatives of a pattern that stands in no brackets of its own."""
    found, depth, begin = [], 0, 0
    for token in _TOKEN.finditer(pattern):
        if token[0] == "|" and depth == 0:
            found.append(pattern[begin : token.start()])
            begin = token.end()
        depth += (token[0] == "(") - (token[0] == ")")
    return [*found, pattern[begin:]]


def _without_what_may_stand_there(alternative: str) -> str:
    optional = _OPTIONAL.match(alternative)
    return alternative[optional.end() :] if optional else alternative
