"""Forms of secrets and their look-alikes, from `tests/data/secrets`.

The files hold `⟨a36⟩` where a secret holds 36 random letters and digits, so that nothing in this
repository looks like a real one. `⟨a36#2⟩` is another one of the same kind.
"""

import json
import random
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass

from places import ROOT

FOLDER = ROOT / "tests" / "data" / "secrets"
_FILLER = "aB3dE5fG7hI9jK1lM2nO4pQ6rS8tU0vW"
_LETTERS = {
    "a": string.ascii_letters + string.digits,
    "b": string.ascii_letters + string.digits + "+/",
    "w": string.ascii_letters + string.digits + "-_",
    "h": string.digits + "abcdef",
    "k": string.ascii_lowercase + "234567",
    "l": string.ascii_lowercase + string.digits,
    "u": string.ascii_uppercase + string.digits,
}
_PLACE = re.compile(r"⟨(\w)(\d+)(?:#\d+)?⟩")


@dataclass(frozen=True, slots=True)
class SecretForm:
    """One form.

    Attributes:
        secrets: what may not be left of `text`.
        personal: which personal data it is, as the setting names it; None = a secret.
    """

    text: str
    secrets: tuple[str, ...]
    personal: str | None


def read_forms(name: str) -> Iterator[SecretForm]:
    """The forms of a file, random parts filled in; the same ones every time."""
    for line in (FOLDER / name).read_text("utf-8").splitlines():
        found = json.loads(line)
        secrets = tuple(found.get("secrets") or [found["secret"]])
        filled = {place[0]: _filled(line, place) for place in _PLACE.finditer(line)}
        texts = (
            _PLACE.sub(lambda m, f=filled: f[m[0]], text) for text in (found["text"], *secrets)
        )
        text, *parts = texts
        yield SecretForm(text, tuple(parts), found.get("personal"))


def read_look_alikes() -> list[str]:
    """What looks like a secret and is none; `\\n` in a line of the file is a new line."""
    lines = (FOLDER / "look_alikes.txt").read_text("utf-8").splitlines()
    return [line.replace("⏎", "\n") for line in lines]


def _filled(seed: str, place: re.Match[str]) -> str:
    kind, size = place[1], int(place[2])
    if kind == "r":
        return (_FILLER * 10)[:size]
    return "".join(random.Random(seed + place[0]).choices(_LETTERS[kind], k=size))  # noqa: S311
