"""A text as SQL spells it: for whoever makes SELECTs, without what budgets are made of."""


def quoted(text: str) -> str:
    """The text as a literal."""
    return "'" + text.replace("'", "''") + "'"
