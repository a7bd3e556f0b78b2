"""Why the weights take a sentence for a fact, in words of ours; nothing of the sentence."""

from collections import defaultdict
from collections.abc import Mapping

MOST = 3
_SAYS = {
    "sign": "a phrase says so",
    "s.denial": "it begins with a no",
    "c.no": "it denies something",
    "s.assent": "it begins with a yes",
    "c.yes": "it agrees",
    "s.defining": "it announces something worth knowing",
    "s.announced": "it announces something worth knowing",
    "c.note": "it announces something worth knowing",
    "s.turned": "it says what is so instead",
    "c.actually": "it says what is so instead",
    "s.against": "it sets one thing against another",
    "s.narrowing": "it draws a line",
    "s.meaning": "it says what something means",
    "c.means": "it says what something means",
    "s.rule": "it says what the rule is",
    "c.rule": "it says what the rule is",
    "s.universal": "it holds without exception",
    "s.firm": "it holds without exception",
    "c.always": "it holds without exception",
    "s.ours": "it speaks of how people here do it",
    "c.we": "it speaks of how people here do it",
    "s.finite": "it is a statement",
    "c.be": "it is a statement",
    "s.number": "it holds a number",
    "digit": "it holds a number",
    "s.condition": "it says when it holds",
    "c.when": "it says when it holds",
    "c.because": "it gives a reason",
    "c.wrong": "it says that something is wrong",
    "b:asks": "it answers a question",
    "b:asked": "it answers a question",
    "shared": "it speaks of what the assistant said",
    "b:claim": "it answers a claim of the assistant",
    "name": "it names something",
    "acro": "it names something",
    "code": "it names something",
    "s.acronym": "it spells out a short form",
    "p": "the sentence before it",
    "n": "the sentence after it",
    "at": "its place in the turn",
    "from_end": "its place in the turn",
    "w": "its words",
    "g": "its words",
    "^": "how it begins",
    "$": "how it ends",
    "t": "the turn around it",
}


def reasons(counted: Mapping[str, int]) -> tuple[str, ...]:
    """The strongest reasons, the strongest first.

    Args:
        counted: what each feature counted for.
    """
    sums: dict[str, int] = defaultdict(int)
    for name, count in counted.items():
        for part in name.split("&"):
            said = _SAYS.get(part) or _SAYS.get(part.partition("=")[0].partition(":")[0])
            if said:
                sums[said] += count
    ordered = sorted(sums, key=lambda said: (-sums[said], said))
    return tuple(said for said in ordered[:MOST] if sums[said] > 0)
