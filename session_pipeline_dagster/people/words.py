"""Words that stand for people and files, led back to what they stand for.

Nothing leads back from a word but looking at every name that is known: a key, and no list, is kept.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from session_pipeline_dagster.people.pseudonyms import LONG, Kind, pseudonym
from session_pipeline_dagster.people.veil import Veil


def kind_of(word: str) -> Kind | None:
    """What a word stands for by its form; None where it is none of ours."""
    for kind, letters in LONG.items():
        if re.fullmatch(rf"{kind}-[a-z]{{{letters}}}", word):
            return kind
    return None


def led_back(
    veil: Veil, kind: Kind, words: Iterable[str], names: Iterable[str]
) -> dict[str, list[str]]:
    """Word -> the names that it stands for: itself where there is one that is called so, else
    whatever has this pseudonym. A word of which nothing is found has none.

    Args:
        words: names as people give them, or what was shown in place of them.
        names: all that there are.
    """
    known = dict.fromkeys(names)
    found = {word: [word] if word in known else [] for word in words}
    unknown = {word for word, meant in found.items() if not meant and kind_of(word) is kind}
    if unknown and veil.key:
        for name in known:
            word = pseudonym(veil.key, kind, name)
            if word in unknown:
                found[word].append(name)
    return found


def meant(
    veil: Veil, kind: Kind, words: Sequence[str], names: Callable[[], Iterable[str]]
) -> list[str]:
    """The names that the words stand for; a word that stands for none stays as it is.

    Args:
        names: all that there are; asked for only where a word has the form of one of ours.
    """
    if not (veil.key and any(kind_of(word) is kind for word in words)):
        return [*words]
    found = led_back(veil, kind, words, names())
    return [name for word in words for name in found[word] or [word]]
