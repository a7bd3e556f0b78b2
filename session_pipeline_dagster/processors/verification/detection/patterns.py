"""Long regular expressions, written as lists."""


def any_of(lines: str) -> str:
    """The alternatives of all lines; a line that begins with | goes on with the one before."""
    found = "|".join(line.strip() for line in lines.strip().splitlines())
    return f"(?:{found.replace('||', '|')})"


def any_word(text: str) -> str:
    """Any of these words; the longest goes first."""
    return "(?:" + "|".join(sorted(text.split(), key=len, reverse=True)) + ")"
