"""A name as only an attacker would choose it, and whether a text for people obeys it."""

import re
from collections.abc import Iterable
from pathlib import Path

from conversations import FACT, conversation
from lines import assistant, encode, tool, usage

NAME = "al\x1b[31mice\nFORGED \u202eevil\u200b\U000e0041"
ACTING = "\x1b\u202e\u200b\U000e0041"


def shows(text: str) -> bool:
    """Whether the name stands there, in one line, and no character of it acts."""
    assert not set(ACTING) & set(text), ascii(text)
    # Nothing makes the second half of the name a line of its own; as JSON it is escaped.
    assert not re.search(r"(?<!\ufffd)(?<!\\n)FORGED", text), ascii(text)
    return "\ufffdFORGED" in text


def hostile_tree(root: Path) -> dict[str, str]:
    """Session files of that user: what each is for -> its key."""
    folder = root / NAME / "p"
    folder.mkdir(parents=True)
    call = assistant("msg_9", usage(1, 2), [tool(NAME)], model=NAME)
    told = FACT.replace("invoice date:", "invoice\u202e date:")
    lines = conversation("hi", "By order date?", told, "Thanks.")
    (folder / f"{NAME}.jsonl").write_bytes(encode(*lines, call))
    (folder / f"{NAME}.jsonl.gz").write_bytes(b"not gzip data")
    (folder / f"{NAME} link.jsonl").symlink_to(root)
    names = {"good": ".jsonl", "bad": ".jsonl.gz", "link": " link.jsonl"}
    return {what: f"{NAME}/p/{NAME}{end}" for what, end in names.items()}


def strings(value: object) -> Iterable[str]:
    """Every string in decoded JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, held in value.items():
            yield from strings(key)
            yield from strings(held)
    elif isinstance(value, list):
        for held in value:
            yield from strings(held)
