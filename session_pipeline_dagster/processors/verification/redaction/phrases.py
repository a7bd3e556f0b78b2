"""Secrets that look like none but for what announces them: words, answers, `$(echo ...)`."""

import re

from session_pipeline_dagster.processors.verification.redaction.finding import Span
from session_pipeline_dagster.processors.verification.redaction.forms import Form, form
from session_pipeline_dagster.processors.verification.redaction.values import (
    has_digit_or_symbol,
    is_reference,
)

# What is said of a password; with one of them it is a sentence and no pass phrase.
_OF_A_SENTENCE = frozenset(
    """
    a about above across admin after again against all allowed almost alone already also
    always am among an and another any anyone anywhere app are as at back base basically be
    because been before behind being below best better between bit block both broken bug but
    by bytes came can cannot case characters clear clients code column come config correctly
    could data database days default did different do does done down due during each either
    else empty enough entirely env environment even ever every everyone exactly expired fake
    false far few field file fine first for found from full fully function gave generated get
    given gone good got had half hard has hash have held her here hers hidden him his how if
    in input inside instead into invalid is it its itself just kept key keys known last late
    later leaked least left less let letters like likely line local login long longer lost
    made make many may maybe me mine minimum missing more most much must my never new next no
    none nor not nothing now null of off ok okay old on once one only optional or other our
    ours out over own parameter part passed password passwords per perhaps plain please
    possible probably production public put quite rather re read ready really required right
    safe same secret sensitive sent set several she short should since so some somebody
    someone something somewhere soon still strength string strong such system table taken team
    test text than that the their them then there therefore these they thing this those three
    through thus to together token told too true try twice two type under undefined unique
    unknown until up upon us use user username users valid value variable vault very via
    visible was way we weak well were what when where whether which while who whoever whole
    why will with within without word work works would written wrong yes yet you your yours
    """.split()
)
_SUFFIX = re.compile(r"(?:ed|ing|ly|able|ible|tion|ment|ness)$")
# What a sentence may go on with behind the words.
_GOES_ON = frozenset("and but so if now please for on".split())
_WORD = r"[a-z]{3,12}"
_PHRASE = re.compile(
    rf"""
    pass(?:word|wd|[ ]?phrase)(?:[ ](?:for|of|to|on)(?:[ ](?:the|my|our))?[ ][\w.-]{{1,20}})?
    [ ]is(?:[ ]now)?:?[ ]["'`“]?
    (?P<words>{_WORD}(?:[ -]{_WORD}){{2,11}})(?P<after>[ ]\w+|(?![\w'’(=/-]))
    """,
    re.VERBOSE,
)
_FEWEST = 3

ANNOUNCING = ("password is ", "password for ", "password of ", "password to ", "password on ")
ANNOUNCING += ("passwd is ", "passphrase is ", "passphrase for ", "pass phrase is ")
ANNOUNCING += ("pass phrase for ",)


def pass_phrase(text: str, lower: str, at: int) -> Span | None:
    """Three words or more behind "the password is" that make no sentence; see `Finder`."""
    found = _PHRASE.match(lower, at)
    if found is None:
        return None
    words: list[str] = []
    said = found["words"].replace("-", " ").split(" ")
    for word in said:
        if word in _GOES_ON:
            break
        if word in _OF_A_SENTENCE or _SUFFIX.search(word):
            return None
        words.append(word)
    end = found.start("words") + len(" ".join(words))
    goes_on = len(words) < len(said) or not found["after"] or found["after"].strip() in _GOES_ON
    start = found.start("words")
    # Names and the beginnings of sentences have capitals.
    if len(words) < _FEWEST or not goes_on or text[start:end] != lower[start:end]:
        return None
    return Span(start, end, "password")


_NAMED = re.compile(r"(?:pass\w{0,10}|pwd|secret|token|key|auth)\w{0,20}\s?=\s?[\"']?$")
_ECHOED = re.compile(
    r"""
    \$\(\s?(?:echo|printf)\s+(?:-\w{1,3}\s+|--\s+|["']?%s["']?\s+)?["']?
    (?P<secret>[^\s"'$|)(]{4,200})["']?\s{0,3}(?:\|[^)\n]{0,60})?\)
    """,
    re.VERBOSE,
)
_LOOK_BACK = 60
ECHO = ("$(echo ", "$( echo ", "$(printf ", "$( printf ")


def echoed(text: str, lower: str, at: int) -> Span | None:
    """What `API_TOKEN=$(echo ...)` prints; see `Finder`."""
    found = _ECHOED.match(lower, at)
    if found is None or not has_digit_or_symbol(found["secret"]):
        return None
    if not _NAMED.search(lower[max(0, at - _LOOK_BACK) : at]):
        return None
    return Span(*found.span("secret"), "secret")


def _is_answer(value: str) -> bool:
    return has_digit_or_symbol(value) and not (is_reference(value) or value.isdigit())


def _is_name(value: str) -> bool:
    return value[0].isupper() and not is_reference(value)


ANSWERS: tuple[Form, ...] = (
    form(
        "secret",
        "security answer|secret answer|recovery answer|security question|secret question"
        "|recovery question",
        r"""
        (?:security|secret|recovery)[ ](?:question[ ])?answer["'`]?(?:\s?[:=]|[ ]is:?)\s{0,3}["'`]?
        (?P<secret>[^\s"'`,;()]{4,60}[^\s"'`,;().:!?])
        """,
        _is_answer,
    ),
    form(
        "secret",
        "answer to ",
        r"""
        answer[ ]to[ ](?:the|my|our|his|her)[ ](?:security|secret|recovery)[ ]question
        (?:\s?[:=]|[ ]is:?)
        \s{0,3}["'`]?(?P<secret>[^\s"'`,;()]{4,60}[^\s"'`,;().:!?])
        """,
        _is_answer,
    ),
    form(
        "secret",
        "mother's maiden|mothers maiden|mother’s maiden",
        r"""
        mother['’]?s[ ]maiden[ ]name(?:\s?[:=]|[ ]is:?)\s{0,3}["'`]?(?P<secret>[^\W\d][\w'’-]{2,40})
        """,
        _is_name,
    ),
)
