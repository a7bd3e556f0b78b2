"""Whether what stands behind a name is a secret, or only speaks of one."""

import re

from session_pipeline_dagster.processors.verification.redaction.finding import OPEN
from session_pipeline_dagster.processors.verification.redaction.words import (
    is_random,
    letters_in_words,
)

# A place where a secret is put in, or is kept.
_PLACEHOLDER = re.compile(
    rf"""
    {re.escape(OPEN)} | \\*\$(?:\{{|\(|_|env:|[a-z_]\w*[)"';,.]*$)
    | (?-i:\\*\$[A-Z_][A-Z0-9_]{{2,}})(?!\w)
    | %(?:\(|[a-z]?$|\w+%$) | < | &lt; | \#?\{{ | \*{{3}} | \.{{3}} | … | x{{4,}}\W*$
    | (?:basic|bearer|token)\s+[{{<$%] | [\w+.-]*:?=?\w+:// | arn: | vault: | ref\+ | op:// | ssm:
    | file: | id= | type= | env= | [@:][a-z_]+$ | (?:\.{{0,2}}|~)/[\w.@/-]+$ | [a-z]:\\
    | !(?:ref|sub|getatt|env\w*|secret|include\w*|importvalue|join|reference|vault)(?!\w)
    | [\w./-]+\.[a-z]{{1,5}}(?::\d+){{0,2}}$
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Code that gets it from somewhere.
_EXPRESSION = re.compile(
    r"\(|\[|[a-z_][\w.]*(?:\(|\[|\s*=>)|&?[a-z_]+(?:\.[a-z_]+)+$", re.IGNORECASE
)
_SAID_OF_IT = frozenset(
    """
    none null nil true false yes no undefined str string text varchar char bytes number integer bool
    boolean any unknown object optional required hidden enabled disabled todo tbd empty blank
    missing invalid incorrect wrong expired secret secrets token tokens password passwords passwd
    passphrase key keys auth credential credentials username user email login value name input
    prompt stdin here below above same see ask default sensitive encrypted hashed plain plaintext
    bearer basic digest redacted masked changed rotated reset revoked leaked generated random stored
    saved needed correct unchanged protected based only and the for with from that this not was are
    has have been must should will can may your our my its their file policy
    """.split()
)
# What has letters and digits and is said of passwords all the same.
_TECHNICAL = re.compile(
    r"""
    (?:sha-?\d|md\d|aes|rsa|des3?\b|utf-?\d|base-?\d\d|argon\d|pbkdf\d|bcrypt|scrypt|oauth|saml|ldap
    |totp|hotp|x\.?50\d|tls|ssl|http/?\d|ipv\d|ec2|s3\b|v\d+\b|auth0|web3|k8s|i18n|python\d|pg\d|gpt
    |claude|varchar|rfc-?\d|iso-?\d|cve-|\d+-?(?:char|bit|byte|digit|day|hour|min|sec|ms|px|kb|mb|gb)
    |(?:mysql|postgres|redis|node|java|php|es|ubuntu)-?\d+\b)
    | v?\d+(?:[.:/-]\d+)*[a-z]{0,3}%?$ | \d[\d.,:]*(?:[a-z]{1,3}|%)?$
    """,
    re.VERBOSE | re.IGNORECASE,
)
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*(?:[.:/#-]+[\w$]+)*\W*$")
_OF_CODE = re.compile(
    r"""pass|pwd|secret|token|key|auth|cred|input|user|value|param|arg|opt|conf|env|form|field|text
    |data|str|var|name|hash|get|set|new|old|raw|plain|self|this|req|body|file|path|/|\.
    |(?-i:[a-z][A-Z])""",
    re.VERBOSE | re.IGNORECASE,
)
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_PARTS = re.compile(r"[A-Za-z0-9][_.:/-][A-Za-z0-9]|[a-z][A-Z]")
_WORD_AND_NUMBER = re.compile(r"[A-Z]?[a-z]+[-_.]?\d{1,4}[.,;:!?]*$|[\w.-]*[/(\[]")
_WORDS_AND_NUMBER = re.compile(r"(?:[A-Z][a-z]+\d{0,4}[._-]?){1,5}[,;:!?]*$")
_SYMBOL_INSIDE = re.compile(r"[^\W_][!@#$%^&*+=?~]+[^\W_]")
_SYMBOL = re.compile(r"[!@#$%^&*+=?~]")
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")
_SHORTEST_WORD = 4
_SHORTEST_CHOSEN = 6
_LONG_ISSUED = 16
_ENOUGH = 40
"""Characters that say whether a value is made of words."""


def is_reference(value: str, *, quoted: bool = False) -> bool:
    """Whether it stands for a secret that is elsewhere, or is a word said of one."""
    value = value.lstrip("'\"")
    if _PLACEHOLDER.match(value) or value.rstrip(".:!?)").lower() in _SAID_OF_IT:
        return True
    return not quoted and _EXPRESSION.match(value) is not None


def is_code(value: str) -> bool:
    """Whether it is the name of a variable that holds a secret, or what somebody typed."""
    value = value.lstrip("#.@")
    if _DIGIT.search(value) or not _IDENTIFIER.match(value):
        return False
    return _PARTS.search(value) is not None and _OF_CODE.search(value) is not None


def has_digit_or_symbol(value: str) -> bool:
    """Whether there is anything in it but letters and what joins words."""
    return bool(_DIGIT.search(value) or _SYMBOL.search(value))


def is_in_words(value: str) -> bool:
    """Whether half of its letters or more stand in words."""
    value = value[:_ENOUGH]
    letters = sum(map(str.isalpha, value))
    return letters_in_words(value, _SHORTEST_WORD) * 2 >= letters > 0


def looks_chosen(value: str) -> bool:
    """Whether it looks like a password where there is nothing else that says so."""
    if len(value) < _SHORTEST_CHOSEN or _TECHNICAL.match(value):
        return False
    if _SYMBOL_INSIDE.search(value):
        return True
    return _LETTER.search(value) is not None and _DIGIT.search(value) is not None


def looks_strong(value: str) -> bool:
    """Whether it looks like a password and like nothing else: three kinds of characters."""
    value = value.rstrip(".,;:?)]}")
    if not looks_chosen(value) or is_reference(value) or _WORD_AND_NUMBER.match(value):
        return False
    if is_in_words(value) and not (_SYMBOL.search(value) or _WORDS_AND_NUMBER.match(value)):
        return False
    small, capital = value.upper() != value, value.lower() != value
    return sum((small, capital, bool(_DIGIT.search(value)), bool(_SYMBOL.search(value)))) >= 3


def looks_issued(value: str) -> bool:
    """Whether it looks like what a program gives out: letters and digits, and no name in words."""
    value = value[:_ENOUGH]
    if _UUID.fullmatch(value):
        return True
    if len(value) >= _LONG_ISSUED and value.isalnum() and is_random(value):
        return True
    if not (_LETTER.search(value) and _DIGIT.search(value)) or _TECHNICAL.match(value):
        return False
    return bool(_SYMBOL_INSIDE.search(value)) or not (is_in_words(value) and _PARTS.search(value))
