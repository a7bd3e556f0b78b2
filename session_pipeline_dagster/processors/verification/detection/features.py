"""What the weights know a sentence by: names of the things that are so about it.

A sentence is seen with its neighbours, its place in the turn, what the assistant said before, and
what stands beside it. Phrases (`phrases.py`, `statements.py`) are English and count in English
sentences only; `concepts.py` counts in all languages. No name holds more than a word or two.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from session_pipeline_dagster.processors.verification.detection import phrases as say
from session_pipeline_dagster.processors.verification.detection import statements as state
from session_pipeline_dagster.processors.verification.detection.claims import strongest_claim
from session_pipeline_dagster.processors.verification.detection.concepts import (
    CONCEPTS,
    concepts_in,
    plain_letters,
)
from session_pipeline_dagster.processors.verification.detection.sentences import Sentence
from session_pipeline_dagster.processors.verification.detection.signs import Sign, signs
from session_pipeline_dagster.processors.verification.detection.terms import words

_SIGNS = {
    # These stand at the beginning.
    "denial": (say.DENIAL, True),
    "assent": (say.ASSENT, True),
    "defining": (say.DEFINING, True),
    "question": (state.QUESTION, True),
    "pointer": (state.POINTER, True),
    "vague": (state.VAGUE, True),
    "inventory": (state.INVENTORY, True),
    "demand": (state.DEMAND, True),
    "dependent": (state.DEPENDENT, True),
    # And these anywhere.
    "announced": (say.ANNOUNCED, False),
    "turned": (say.TURNED, False),
    "against": (say.SET_AGAINST, False),
    "narrowing": (say.NARROWING, False),
    "meaning": (say.MEANING, False),
    "rule": (say.RULE, False),
    "universal": (say.UNIVERSAL, False),
    "doubt": (state.DOUBT, False),
    "wish": (state.WISH, False),
    "moment": (state.MOMENT, False),
    "condition": (state.CONDITION, False),
    "me": (state.FIRST_PERSON, False),
    "you": (state.YOU, False),
    "ours": (state.OURS, False),
    "firm": (state.FIRM, False),
    "fault": (state.PROBLEM, False),
    "wanted": (state.WANTED, False),
    "number": (state.NUMBER, False),
    "finite": (state.FINITE, False),
}
_ENGLISH = re.compile(
    r"\b(?:the|is|are|and|to|of|it|that|this|not|we|you|for|in|on|with|don't|be|only|should|have)\b"
)
_OTHER = re.compile(
    r"\b(?:je|se|na|že|ze|jsou|pro|der|die|das|und|ist|nicht|el|los|las|es|un|una|que|le|les|des"
    r"|est|et|pas|il|os|uma|não|nao|com|para|jsem|aby|ein|eine|wir|con|por|sur|dans|em|ale|jak)\b"
)
_KANA = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+|[\u3040-\u30ff\u3400-\u9fff]")
_CODE = (
    ("`", re.compile(r"`[^`]+`")),
    ("_", re.compile(r"\w_\w")),
    ("", re.compile(r"\b[a-z]+[A-Z]")),
    (".", re.compile(r"\w-*\.(?:py|ts|js|go|sql|md|yml|json)\b")),
    ("()", re.compile(r"\w\(\)")),
)
"""What must stand in a text in which a pattern is worth a search, and the pattern."""
_PATH = re.compile(r"[\w.~-]*/[\w./-]+")
_DIGIT = re.compile(r"\d")
_MOST_WORDS, MOST_LETTERS = 60, 240
SIZES = (3, 4)
_BESIDE_A_SIGN = (
    *("words=", "at=", "from_end=", "share=", "alone", "among", "b:", "t:", "s.", "c."),
    *("code", "path", "n:none", "p:none"),
)
_TAIL = 2_000


@dataclass(frozen=True)
class Scene:
    """A turn of a person: its sentences, and what the assistant said before.

    Attributes:
        text: the turn.
        lines: sentences of the person's own words that are not the assistant's, in order.
        before: the assistant's last text; empty for none.
    """

    text: str
    lines: Sequence[Sentence]
    before: str

    @cached_property
    def claimed(self) -> frozenset[str]:
        """Words of what the assistant said last."""
        return words(self.before[-_TAIL:])

    @cached_property
    def seen(self) -> Sequence["Seen"]:
        """What each sentence shows by itself."""
        return [seen(line) for line in self.lines]

    @cached_property
    def signs(self) -> Mapping[int, Sign]:
        """The sign that covers a sentence, by the sentence's number."""
        found = signs(self.text, self.lines, self.before)
        return {index: sign for sign in found for index in range(sign.first, sign.last + 1)}

    @cached_property
    def length(self) -> int:
        """Characters of all sentences."""
        return sum(line.end - line.start for line in self.lines)

    @cached_property
    def items(self) -> int:
        """How many begin an item of a list."""
        return sum(line.item for line in self.lines)

    @cached_property
    def in_piece(self) -> Mapping[int, int]:
        """How many stand in each run of lines."""
        return Counter(line.piece for line in self.lines)

    @cached_property
    def around(self) -> Sequence[str]:
        """What is so about the whole turn."""
        return list(_around(self))


@dataclass(frozen=True, slots=True)
class Seen:
    """A sentence by itself.

    Attributes:
        tokens: its words.
        marks: what its neighbours are told of it.
        own: what is so about it.
    """

    tokens: Sequence[str]
    marks: Sequence[str]
    own: Sequence[str]


def features(scene: Scene, index: int) -> list[str]:
    """The features of a sentence, each once, in an order that means nothing."""
    this = scene.seen[index]
    found = beyond_words(scene, index)
    begin = len(this.own) + len(scene.around)
    return list(dict.fromkeys([*found[:begin], *_grams(this), *found[begin:]]))


def beyond_words(scene: Scene, index: int) -> list[str]:
    """The features of a sentence but for those that name its words and letters."""
    line, this = scene.lines[index], scene.seen[index]
    found = [*this.own, *scene.around, *_place(scene, index)]
    shared = len(words(line.text) & scene.claimed) if scene.claimed else 0
    found.append(f"shared={min(shared, 3)}")
    for name, at in (("p", index - 1), ("n", index + 1)):
        if 0 <= at < len(scene.lines):
            other = scene.seen[at]
            found += [f"{name}:{mark}" for mark in other.marks]
        else:
            found.append(f"{name}:none")
    sign = scene.signs.get(index)
    if sign:
        beside = [name for name in found if name.startswith(_BESIDE_A_SIGN)]
        found += ["sign", f"sign={sign.kind}", *(f"sign&{name}" for name in beside)]
    return [*found, *_pairs(set(found))]


def seen(line: Sentence) -> Seen:
    """What a sentence shows by itself."""
    lower = line.lower
    language = language_of(lower)
    lead = say.LEAD_IN.match(lower)
    body = lower[lead.end() :] if lead else lower
    body = body or lower
    tokens = _TOKEN.findall(lower if language == "en" else plain_letters(lower))[:_MOST_WORDS]
    tokens = ["0" * min(len(t), 4) if t.isdigit() else t for t in tokens]
    marks = [f"c.{name}" for name in concepts_in(lower)]
    if language == "en":
        marks += [
            f"s.{name}"
            for name, (pattern, begins) in _SIGNS.items()
            if (pattern.match(body) if begins else pattern.search(body))
        ]
        marks += ["s.request"] if state.is_request(body) else []
        marks += ["s.acronym"] if state.ACRONYM.match(line.text) else []
    if line.question:
        marks.append("ends?")
    if line.text.endswith("!"):
        marks.append("ends!")
    if line.text.endswith(":"):
        marks.append("ends:")
    if lead:
        marks.append("lead")
    own = [*marks, f"lang={language}", f"words={_bucket(len(tokens))}"]
    first = CONCEPTS["ask"].match(lower) or CONCEPTS["asked"].match(lower)
    own += ["begins.ask"] if first else []
    own += [
        f"begins.{name}"
        for name in ("no", "yes", "we", "me", "you", "always")
        if CONCEPTS[name].match(body)
    ]
    own += ["code"] if _names_code(line.text) else []
    own += ["path"] if "/" in lower and _PATH.search(line.text) else []
    own += ["digit"] if _holds_digit(lower) else []
    own += ["name"] if re.search(r"(?<!^)\b[A-Z][a-z]+", line.text[1:]) else []
    own += ["acro"] if re.search(r"\b[A-Z]{2,}\b", line.text) else []
    own += ["quoted"] if re.search(r"[\"“„«『「].+?[\"”»』」]", line.text) else []
    own += ["comma"] if "," in lower or "、" in lower else []
    own += ["colon"] if re.search(r"\w: \w", lower) else []
    own += ["equals"] if " = " in lower else []
    own += ["capital"] if line.text[:1].isupper() else []
    own += ["item"] if line.item else []
    told = [*marks, *(f"^{t}" for t in tokens[:1]), *(["item"] if line.item else [])]
    return Seen(tokens, told, own)


def _names_code(text: str) -> bool:
    return any(sign in text and pattern.search(text) for sign, pattern in _CODE)


def _holds_digit(text: str) -> bool:
    if text.isascii():
        return _DIGIT.search(text) is not None
    return any(map(str.isdigit, text))


def language_of(lower: str) -> str:
    """`en`, `ja` or `xx` for another one, by the commonest words; `en` where nothing says."""
    if _KANA.search(lower):
        return "ja"
    if len(_OTHER.findall(lower)) > len(_ENGLISH.findall(lower)):
        return "xx"
    return "xx" if not lower.isascii() and re.search(r"[à-ž]", lower) else "en"


def _grams(this: Seen) -> Iterator[str]:
    tokens = this.tokens
    yield from (f"w={t}" for t in tokens)
    yield from (f"w={a} {b}" for a, b in pairwise(tokens))
    yield from ends(tokens)
    text = spelt(tokens)
    for size in SIZES:
        yield from (f"g={text[i : i + size]}" for i in range(len(text) - size + 1))


def ends(tokens: Sequence[str]) -> list[str]:
    """How a sentence of these words begins and ends, as features."""
    if not tokens:
        return []
    return [f"^={tokens[0]}", f"^={' '.join(tokens[:2])}", f"$={tokens[-1]}"]


def spelt(tokens: Sequence[str]) -> str:
    """The text whose runs of letters, SIZES long, are features."""
    return f" {' '.join(tokens)} "[:MOST_LETTERS]


def _place(scene: Scene, index: int) -> Iterator[str]:
    count, line = len(scene.lines), scene.lines[index]
    yield f"at={min(index, 4)}"
    yield f"from_end={min(count - 1 - index, 4)}"
    yield f"of={_bucket(count)}"
    yield f"share={int(4 * (line.end - line.start) / (scene.length or 1))}"
    yield "alone" if scene.in_piece[line.piece] == 1 else "among"
    yield f"items={_bucket(scene.items)}"


def _around(scene: Scene) -> Iterator[str]:
    before = scene.before[-_TAIL:]
    if not before:
        yield "b:none"
    else:
        yield f"b:claim={strongest_claim(before).value}"
        last = before.rstrip()[-1:]
        if last in "?？":
            yield "b:asks"
        if "?" in before or "？" in before:
            yield "b:asked"
        yield f"b:long={_bucket(len(before) // 60)}"
    yield f"t:own={_bucket(scene.length // 20)}"
    yield f"t:rest={_bucket((len(scene.text) - scene.length) // 60)}"
    if "```" in scene.text:
        yield "t:fence"
    heads = len(re.findall(r"^#{1,4} ", scene.text, re.MULTILINE))
    yield f"t:heads={_bucket(heads)}"
    bold = scene.text.count("**")
    yield f"t:bold={_bucket(bold // 2)}"
    if any(line.question for line in scene.lines):
        yield "t:?"
    asks = sum("s.request" in s.marks or "c.ask" in s.marks for s in scene.seen)
    yield f"t:asks={min(asks, 3)}"


_PAIRED = (
    "s.denial s.assent s.defining s.question s.request s.finite s.firm s.ours s.me s.you s.wish "
    "s.moment s.fault s.number s.meaning s.rule s.universal s.doubt s.against s.turned ends? c.we "
    "c.always c.no c.ask c.now c.means c.be c.asked c.doubt c.wish b:asks b:none t:? code item"
).split()


def _pairs(found: set[str]) -> Iterator[str]:
    """Two signs at once: what one means depends on the other."""
    here = [name for name in _PAIRED if name in found]
    for place, one in enumerate(here):
        yield from (f"{one}&{other}" for other in here[place + 1 :])
    claim = next((name for name in found if name.startswith("b:claim")), "b:none")
    at = next((name for name in found if name.startswith("at=")), "at=0")
    yield from (f"{one}&{claim}" for one in here)
    yield from (f"{one}&{at}" for one in here)


def _bucket(count: int) -> int:
    """Of a size its power of two: 0, 1, 2, 3 for 4-7, and so on, to 8."""
    return min(count.bit_length(), 8)
