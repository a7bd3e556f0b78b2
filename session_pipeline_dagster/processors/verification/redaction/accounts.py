"""Passwords in the words of somebody who hands out an account: "log in as admin with ..."."""

import re

from session_pipeline_dagster.processors.verification.redaction.finding import Span
from session_pipeline_dagster.processors.verification.redaction.forms import Form, form
from session_pipeline_dagster.processors.verification.redaction.values import (
    looks_chosen,
    looks_strong,
)

_USER = r"""["'`]?[\w.@-]{1,40}["'`]?"""
_LOOK_BACK = 120

ACCOUNTS: tuple[Form, ...] = (
    form(
        "password",
        "credential|creds|basic auth|login|log in|zugangsdaten|identifiants|credenciales"
        "|credenziali|údaje",
        rf"""
        (?:credentials?|creds|basic[ ]auth|log[ ]?in|zugangsdaten|identifiants|credenciales
        |credenziali|údaje)\s?(?:are|is|sind|sont|son|jsou|:|=|->)?\s{{0,2}}
        {_USER}\s?[/:]\s?["'`]?(?P<secret>[^\s"'`,;/]{{6,100}})
        """,
        looks_strong,
    ),
)

# "as admin with ...", "user admin and ...".
HANDED_OUT = ("with ", "using ", "and ", "mit ", "und ", "avec ", "con ", "com ")
_ACCOUNT = re.compile(
    rf"\b(?:as|user|account|als|jako|comme|como)\s(?:user\s)?{_USER}\s$", re.IGNORECASE
)
_HANDED = re.compile(
    r"""(?:with|using|and|mit|und|avec|con|com)\s["'`]?(?P<secret>[^\s"'`]{8,100})"""
)


def handed_out(text: str, lower: str, at: int) -> Span | None:
    """What follows "as admin with"; see `Finder`."""
    found = _HANDED.match(text, at)
    if found is None or not looks_strong(found["secret"]):
        return None
    if not _ACCOUNT.search(text[max(0, at - _LOOK_BACK) : at]):
        return None
    return Span(*found.span("secret"), "password")


# "use ... as the password".
PASSWORDS = ("password", "passwd", "passphrase", "passcode")
_SAID_BEFORE = re.compile(
    r"\s(?:as|is)\s(?:(?:the|my|our|your|a)\s)?(?:[a-z]{2,12}\s){0,2}$", re.IGNORECASE
)
_LONGEST_SAID = 40
_LAST = re.compile(r"""[^\s"'`(\[{]+$""")


def said_before(text: str, lower: str, at: int) -> Span | None:
    """What stands in front of "is the password"; see `Finder`."""
    said = _SAID_BEFORE.search(text, max(0, at - _LONGEST_SAID), at)
    if said is None:
        return None
    begin = max(0, at - _LOOK_BACK)
    found = _LAST.search(text[begin : said.start()].rstrip("\"'`"))
    if found is None or not looks_strong(found[0]):
        return None
    return Span(begin + found.start(), begin + found.end(), "password")


# "admin / ...", where somebody speaks of an account.
_OF_ACCOUNTS = re.compile(
    r"log(?:in|\sin|on)|\bssh\b|cred|account|access|zugang|anmeld|connect|user|entra|přihl|zalog|inlog",
    re.IGNORECASE,
)
_ADMIN = re.compile(
    r"""(?:^|[\s"'`(:])(?:admin\w{0,10}|root|sa|postgres|guest|demo)["'`]?$""", re.IGNORECASE
)
_GIVEN = re.compile(r"""["'`]?(?P<secret>[^\s"'`/]{6,100})""")


def after_slash(text: str, lower: str, at: int) -> Span | None:
    """The password of "admin / ..."; see `Finder`."""
    found = _GIVEN.match(text, at + len(" / "))
    if found is None or not looks_chosen(found["secret"]):
        return None
    line = text[max(0, at - _LOOK_BACK) : at].rpartition("\n")[2]
    after = text[found.end() : found.end() + _LOOK_BACK].partition("\n")[0]
    speaks = _OF_ACCOUNTS.search(line) or _OF_ACCOUNTS.search(after)
    if not speaks or not (looks_strong(found["secret"]) or _ADMIN.search(line)):
        return None
    return Span(*found.span("secret"), "password")


# user:password@host, without a scheme.
_PAIR = re.compile(r"""(?:^|[\s"'`(=,])[\w.-]{1,40}:(?P<secret>[^\s:@/'"\[\]]{4,60})$""")
_HOST = re.compile(r"[\w-]{1,60}\.(?:[a-z]{2,}|[\w-]{1,60}\.)")


def at_host(text: str, lower: str, at: int) -> Span | None:
    """The password in front of an `@`; see `Finder`."""
    if not _HOST.match(lower, at + 1):
        return None
    begin = max(0, at - _LOOK_BACK)
    found = _PAIR.search(text[begin:at])
    if found is None or not looks_chosen(found["secret"]):
        return None
    return Span(begin + found.start("secret"), at, "userinfo")
