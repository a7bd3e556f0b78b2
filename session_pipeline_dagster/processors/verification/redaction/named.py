"""Values behind a name: `password = ...`, "the password is ...", `"token": "..."`, `--secret ...`.

How sure one can be that a value is the secret hangs on what links it to its name: an equals sign
leaves little doubt, in the middle of a sentence it must look like a password.
"""

import re
from dataclasses import dataclass

from session_pipeline_dagster.processors.verification.redaction.finding import Span, is_in_mark
from session_pipeline_dagster.processors.verification.redaction.links import (
    Link,
    extent,
    links,
)
from session_pipeline_dagster.processors.verification.redaction.names import (
    ABOUT_IT,
    LITERALS,
    NAME,
    QUALIFIED,
)
from session_pipeline_dagster.processors.verification.redaction.values import (
    has_digit_or_symbol,
    is_code,
    is_in_words,
    is_reference,
    looks_chosen,
    looks_issued,
    looks_strong,
)
from session_pipeline_dagster.processors.verification.redaction.vendors import vendor_token

_CODE = re.compile(r"\d(?:[ -]?\d){2,7}(?![\w%]|[.,:]\d)")
_PASS_CODE = re.compile(r"pass[ _-]?code")
_USER_BEFORE = re.compile(
    r"\b(?:user(?:name)?|login|account)\s?[:=]?\s[\w.@-]{1,40}[,;]?\s(?:and\s|with\s)?$",
    re.IGNORECASE,
)
_CODE_ENDS = ("code", "codes", "kód", "код")
_OPTION_BEFORE = re.compile(r"(?:^|[\s\"'`(=])(?:--?|/)[\w-]{0,30}$")
_ELEMENT_BEFORE = re.compile(r"<[^<>\n]{0,60}$")
_JOINED = re.compile(r"\w[./:_-]+\w")
_WORD_BEFORE = re.compile(r"[\w-]$")
_ASSIGNMENT = re.compile(r"[\w.-]+=")
_NAME_BEFORE = re.compile(r"[\w-]{0,40}$")
_LOOK_BACK, _QUALIFIER = 48, 24
_SHORTEST, _ENOUGH = 4, 100
_MARKS = {"password": "password", "secret": "secret", "key": "secret", "code": "pin"}


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A value behind a name.

    Attributes:
        link: `equals`, `colon`, `said` ("is"), `beside` (a space, a comma, a column).
        quoted: it stands in quotes.
        option: the name is an option of a command line.
        constant: the name is in capitals, like a variable of the environment.
        alone: nothing else stands on the line.
    """

    value: str
    link: str
    quoted: bool
    option: bool
    constant: bool
    alone: bool


def named(text: str, lower: str, at: int) -> Span | None:
    """The value of the name that begins at a literal; see `Finder`."""
    name = None if is_in_mark(lower, at) else NAME.match(lower, at)
    if name is None:
        return None
    kind = name.lastgroup or ""
    if kind == "key" and QUALIFIED.search(lower[max(0, at - _QUALIFIER) : at]):
        kind = "secret"
    of_digits = _PASS_CODE.fullmatch(name[0]) is not None
    for link in links(lower, name.end()):
        if ABOUT_IT.search(link.suffix) or (kind == "key" and link.kind == "beside"):
            return None
        span = _code(text, name[0], link) if of_digits or kind == "code" else None
        if span is None and kind != "code":
            span = _value(text, name, link, kind)
        if span is not None:
            return span
    return None


def _code(text: str, name: str, link: Link) -> Span | None:
    """Digits behind "PIN" and the like."""
    found, said = _CODE.match(text, link.end), text[link.start - len(name) : link.start]
    shortest = _SHORTEST - name.startswith("cv")
    if found is None or len(found[0]) < shortest:
        return None
    if link.kind == "beside" and not (said.isupper() or name.endswith(_CODE_ENDS)):
        return None
    return Span(*found.span(), _MARKS["code"])


def _value(text: str, name: re.Match[str], link: Link, kind: str) -> Span | None:
    start, end, quoted = extent(text, link.end)
    # Its beginning says what it is.
    value = text[start : min(end, start + _ENOUGH)]
    if len(value) < _SHORTEST or is_reference(value, quoted=quoted):
        return None
    before = text[max(0, name.start() - _LOOK_BACK) : name.start()]
    capitals = text.startswith("PASS", name.start())
    if name[0] == "pass" and _is_a_verb(before, link, value, capitals=capitals):
        return None
    if value.startswith("--") or (link.kind == "beside" and _ASSIGNMENT.match(value)):
        return None
    if link.kind == "element" and not (
        _ELEMENT_BEFORE.search(before) and text.startswith("</", end)
    ):
        return None
    found = _NAME_BEFORE.search(before)
    prefix = found[0] if found else ""
    candidate = _Candidate(
        value,
        _how(link),
        quoted,
        option=link.bare and _OPTION_BEFORE.search(before) is not None,
        constant=(prefix + text[name.start() : link.start]).isupper(),
        alone=before.rpartition("\n")[2].strip(" \t-*>") == prefix
        and text[end : end + 1] in ("", "\n", "\r"),
    )
    if not _JUDGES[kind](candidate):
        return None
    vendor = vendor_token(text, start, end)
    return Span(start, end, vendor[1] if vendor else _MARKS[kind])


def _how(link: Link) -> str:
    if link.kind == "element":
        return "equals"
    if link.kind == "colon" and "\n" in link.text:
        return "said"
    return link.kind


def _is_a_verb(before: str, link: Link, value: str, *, capitals: bool) -> bool:
    """Whether "pass" is what somebody does, or what a test runner says of a test."""
    if link.kind == "equals" or _WORD_BEFORE.search(before):
        return False
    if looks_strong(value) and (link.kind == "said" or _USER_BEFORE.search(before)):
        return False
    if link.kind != "colon" or "\n" in link.text:
        return True
    line = before.rpartition("\n")[2].strip(" \t(*>")
    told = line.endswith("--") or (capitals and not line)
    return told or value.isdigit()


def _is_password(c: _Candidate) -> bool:
    if NAME.fullmatch(c.value.lower()):
        return False
    if c.link == "equals" or (c.option and c.link != "said"):
        if c.quoted and " " in c.value:
            return not _speaks_of_one(c.value)
        if c.quoted:
            return not (is_code(c.value) and ("/" in c.value or c.value[0] in "#.@:"))
        return not c.value.startswith("-") and (c.constant or not is_code(c.value))
    if c.link == "colon":
        if has_digit_or_symbol(c.value):
            return True
        plain = " " not in c.value and not is_code(c.value)
        return plain and (c.quoted or (c.alone and len(c.value) > _SHORTEST))
    if c.quoted and " " not in c.value and not is_code(c.value):
        return c.link == "said" or c.constant or looks_chosen(c.value)
    if c.link == "said" and c.value.isdigit():
        return len(c.value) >= 6
    return looks_chosen(c.value)


def _is_secret(c: _Candidate) -> bool:
    if c.option and c.link != "said":
        return len(c.value) >= 6 and not (c.value.startswith("-") or c.value.isupper())
    if c.link == "equals" and c.constant and not is_code(c.value):
        return len(c.value) >= 8
    strong = looks_strong(c.value) and not is_in_words(c.value)
    if c.link not in ("equals", "colon"):
        if strong and (c.link == "said" or not (len(c.value) < 8 or _JOINED.search(c.value))):
            return True
        return len(c.value) >= 12 and looks_chosen(c.value) and looks_issued(c.value)
    if c.value.isdigit():
        return len(c.value) >= 20
    if len(c.value) < 10:
        return strong
    return looks_issued(c.value) or looks_strong(c.value) or (c.quoted and looks_chosen(c.value))


def _is_key(c: _Candidate) -> bool:
    # `Idempotency-Key: 0fb65bc7-c990-...` opens nothing.
    if len(c.value) < 16 or c.value.count("-") == 4:
        return False
    return looks_issued(c.value) and not is_in_words(c.value)


def _speaks_of_one(value: str) -> bool:
    """Whether a sentence in quotes names a password, as in "Enter your password"."""
    lower = value.lower()
    names = (NAME.match(lower, lower.find(literal)) for literal in LITERALS if literal in lower)
    return any(name is not None and name.lastgroup == "password" for name in names)


_JUDGES = {"password": _is_password, "secret": _is_secret, "key": _is_key}
