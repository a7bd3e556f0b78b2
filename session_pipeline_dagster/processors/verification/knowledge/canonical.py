"""One form for texts that are only spelt otherwise: what is equal here is one fact.

Case, punctuation, articles, contractions, plurals, British and American spelling, numbers, units
and periods (`measures.py`), and a few phrases that are another way to write one word. Nothing that
could change what is meant: no synonyms, no other order, no tense, no preposition.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise

from session_pipeline_dagster.processors.verification.knowledge.measures import MARK, measured
from session_pipeline_dagster.processors.verification.knowledge.words import CURRENCIES, table

_QUOTES = "\"'“”‘’«»`("
_FRONT = _QUOTES + ",;:…"
"""What may stand before a word and says nothing; ".5" and "!=" begin with their sign."""
_END = _QUOTES + ".,;:!?…)"
_EDGES = ".,;:!?\"'()[]{}“”‘’«»`*_~…"
_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\s\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)
_SIGN = re.compile(r"([<>]=?|[≤≥])(.*)")
_SIGNS = {">=": "≥", "<=": "≤"}
_EMPHASIS = re.compile(r"(\*\*|[*~])(\w(?:.*\w)?)\1")
"""Not by `_`: that is part of names."""
_CASE_COUNTS = re.compile(r"[\d.,]*[KMGT]b(?:ps|/s)?|[\d.,]+[MG]")
"""Mb is no MB, and 5M no 5m."""
_ANSWER = re.compile(r"\W*(?:yes|no|yep|nope|right|correct|exactly)\s*[,.;:!–—]\s*", re.IGNORECASE)
_ARTICLES = frozenset({"a", "an", "the", "our", "yes", "please"})
_SMALL = frozenset({"us", "it", "we", "is", "am", "a", "an", "the", "or", "may", "who", "its"})
"""Words that are another word, a name, when they are written in capitals."""
_WHOSE = frozenset("it that there here what who where how this she he let".split())
_SHORT_NOT = {"ca": "can", "wo": "will", "sha": "shall"}
_SHORT = {"re": "be", "ll": "will", "ve": "have", "m": "am", "d": "would"}
_TWO = frozenset({"cannot", "is", "are"})
"""Lower case letters alone, and yet written in another way."""
_FORMS = table(
    "have=has, do=does, go=goes, each=every, people=persons,"
    "color=colour, colored=coloured, catalog=catalogue, center=centre, gray=grey, canceled="
    "cancelled, canceling=cancelling, behavior=behaviour, favor=favour, license=licence, program="
    "programme, judgment=judgement, labeled=labelled, labor=labour, email=e-mail, ok=okay,"
    "organization=organisation, authorized=authorised, anonymized=anonymised, recognized="
    "recognised, normalized=normalised, summarized=summarised, organized=organised, synchronized="
    "synchronised, initialized=initialised, finalized=finalised, prioritized=prioritised,"
    "database=db, application=app, and=&, backend=back-end, frontend=front-end, signoff=sign-off,"
    "login=log-in, checkout=check-out, via=through"
)
_PHRASES = [
    tuple(part.split() for part in line.split("="))
    for line in (
        "per cent=%",
        "at least=≥",
        "no less than=≥",
        "not less than=≥",
        "no fewer than=≥",
        "a minimum of=≥",
        "at most=≤",
        "no more than=≤",
        "not more than=≤",
        "a maximum of=≤",
        "up to=≤",
        "more than=>",
        "greater than=>",
        "larger than=>",
        "less than=<",
        "fewer than=<",
        "smaller than=<",
        "no one=nobody",
        "be not able to=can not",
        "be unable to=can not",
        "be able to=can",
        "do not ever=never",
        "does not ever=never",
        "not ever=never",
        "without any=without",
        "with no=without",
        "in order to=to",
        "as well as=and",
        "prior to=before",
        "business day=working day",
        "business days=working days",
    )
]
_LONGEST = max(len(before) for before, _ in _PHRASES)
_BY_FIRST = {before[0]: [p for p in _PHRASES if p[0][0] == before[0]] for before, _ in _PHRASES}
_BEFORE_NUMBERS = {"over": ">", "above": ">", "under": "<", "below": "<", "exceeding": ">"}


def words_of(text: str) -> tuple[str, ...]:
    """Its words as written, without the punctuation around them."""
    plain = unicodedata.normalize("NFKC", text).replace("’", "'")
    return tuple(t for t in (found.strip(_EDGES) for found in _TOKEN.findall(plain)) if t)


def canonical(text: str) -> tuple[str, ...]:
    """The words of a text in their one form. Measures begin with `#`."""
    plain = unicodedata.normalize("NFKC", text).replace("’", "'")
    # A "no," in front answers somebody; it denies nothing of what follows.
    plain = _ANSWER.sub("", plain, count=1) if _ANSWER.match(plain) else plain
    raw = [t for t in map(_bare, _TOKEN.findall(plain)) if t]
    found: list[str] = []
    for place, word in enumerate(raw):
        if word.islower() and word.isascii() and word.isalpha() and word not in _TWO:
            # Most words; nothing of `_apart` is about them.
            found.append(word)
        else:
            found += _apart(word, place)
    found = measured(_rephrased(found))
    return tuple(_settled(found))


def _bare(found: str) -> str:
    """Without the punctuation and the emphasis around it."""
    if found.isalpha():
        return found
    word = found.lstrip(_FRONT).rstrip(_END)
    emphasised = _EMPHASIS.fullmatch(word)
    return emphasised[2] if emphasised else word


def _apart(raw: str, place: int) -> Iterable[str]:
    """One word as one or more: contractions, signs and hyphens; a name keeps its capitals."""
    if _CASE_COUNTS.fullmatch(raw):
        yield raw
        return
    sign = _SIGN.fullmatch(raw)
    if sign:
        yield _SIGNS.get(sign[1], sign[1])
        if sign[2]:
            yield from _apart(sign[2], place)
        return
    word = raw.casefold()
    if word in _SMALL and _is_a_name(raw, place):
        yield raw
        return
    if "'" in word or word == "cannot":
        yield from _unfolded(word)
    elif word in {"is", "are"}:
        yield "be"
    elif word in _FORMS:
        yield word
    elif "-" in word[1:] and word.replace("-", "").isalpha() and _is_plain(word):
        yield from (part for part in word.split("-") if part)
    else:
        yield word if place == 0 or not _keeps_its_s(raw) else f"{word}\0"


def _unfolded(word: str) -> Iterable[str]:
    """A contraction or a genitive: "can't", "it's", "manager's"."""
    stem, _, ending = word.rpartition("'")
    if word == "cannot":
        yield from ("can", "not")
    elif word.endswith("n't"):
        stem = word.removesuffix("n't")
        yield from (_SHORT_NOT.get(stem, "be" if stem in {"is", "are"} else stem), "not")
    elif stem and ending in _SHORT:
        yield from (stem, _SHORT[ending])
    elif stem and ending == "s":
        yield from (stem, "be") if stem in _WHOSE else (stem,)
    else:
        yield word


def _is_a_name(raw: str, place: int) -> bool:
    """ "US", "IT", and an "A" or "May" in the middle; "May" and "A" at the beginning are words."""
    return (len(raw) > 1 and raw.isupper()) or (place > 0 and raw[0].isupper())


def _keeps_its_s(raw: str) -> bool:
    """Names are not plurals: Windows, Kubernetes, DNS."""
    return raw[0].isupper() and raw.casefold().endswith("s") and raw.isalpha()


def _is_plain(word: str) -> bool:
    """Neither an option ("--force") nor a number ("twenty-five")."""
    return word[0] != "-" and not measured([word])[0].startswith(MARK)


def _rephrased(words: Sequence[str]) -> list[str]:
    """Phrases that are another way to write a word, as that word."""
    found: list[str] = []
    place = 0
    while place < len(words):
        for before, after in _BY_FIRST.get(words[place], ()):
            if list(words[place : place + len(before)]) == before:
                found += after
                place += len(before)
                break
        else:
            found.append(words[place])
            place += 1
    return found


def _settled(words: Sequence[str]) -> Iterable[str]:
    """Without articles and with one form of each word, once numbers and periods are read."""
    for word, after in pairwise((*words, "")):
        if word in _ARTICLES or (word in CURRENCIES and after.endswith(f" {word}")):
            continue
        if word in {"do", "does"} and after == "not":
            continue
        if after.startswith(MARK) and word in _BEFORE_NUMBERS:
            yield _BEFORE_NUMBERS[word]
        elif word.endswith("\0"):
            yield word.removesuffix("\0")
        else:
            yield _FORMS.get(word) or singular(word)


def singular(word: str) -> str:
    """Without the s of a plural, or of "she runs"."""
    if len(word) < 4 or not word.endswith("s") or not word.isascii() or not word.isalpha():
        return word
    if word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word.removesuffix("ies") + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zzes")):
        return word.removesuffix("es")
    return word.removesuffix("s")
