"""Secrets that the form around them gives away: key blocks, addresses, headers, stored hashes."""

from session_pipeline_dagster.processors.verification.redaction.forms import Form, form
from session_pipeline_dagster.processors.verification.redaction.values import (
    is_in_words,
    looks_issued,
)
from session_pipeline_dagster.processors.verification.redaction.words import random_stretch

_KEY = r"private[ ]key(?:[ ]block)?-----"
# Between the lines of a key: white space, escaped or not; the quotes and signs of a literal.
_BREAK = r"""(?:\s|\\+[rnt]|[\\"'+,>#|])*+"""
_HEADER = r"(?:proc-type|dek-info|version|comment|hash):[ ][^\n\\]{1,80}"
_PAIR = r"""[\w.%!$^|~-]{1,80}=[^\s;"',\\]{1,4000}"""
# Not into a query, nor into a second address.
_UP_TO_HOST = r"""(?:(?!://|[?&][\w-]{1,40}=)[^\s@'"<>])"""
_HOST = r"""
    (?=(?:[\w-]{1,60}\.){1,8}[a-z][a-z-]{1,20}(?![\w@-])|(?:\d{1,3}\.){3}\d|\[[\da-f:]{2,45}\]
    |[a-z][\w-]{0,60}:\d{1,5}(?!\w)|localhost(?!\w))
"""
_SCHEME = r"(?!bearer|basic)[\w-]{2,30}\s{1,3}"


def _is_given(value: str) -> bool:
    """Whether it is a value, and not where one would be put."""
    return not value.startswith(("$", "{", "<", "*", "%s", "%(", "["))


def _is_user_and_password(value: str) -> bool:
    return _is_given(value.partition(":")[2])


def _is_issued(value: str) -> bool:
    return looks_issued(value) and not is_in_words(value)


def _is_credential(value: str) -> bool:
    return any(map(str.isdigit, value)) or not is_in_words(value)


def _is_no_word(value: str) -> bool:
    return any(map(str.isdigit, value)) or value not in (value.lower(), value.title())


def _is_address(value: str) -> bool:
    """Whether a part of the path is drawn at random, as in an address that lets anybody in."""
    return random_stretch(value)[0] >= 12


def _is_session(value: str) -> bool:
    return looks_issued(value) and value.count("-") != 4


SHAPES: tuple[Form, ...] = (
    form(
        "private-key",
        "-----begin",
        rf"""
        (?P<secret>-----begin[ ][a-z0-9 ]{{0,40}}{_KEY}
        (?:{_BREAK}(?:[a-z0-9+/=]{{16,}}|{_HEADER}))+(?:{_BREAK}[a-z0-9+/=]{{1,15}}(?![a-z0-9+/=]))?
        (?:{_BREAK}-----end[ ][a-z0-9 ]{{0,40}}{_KEY})?)
        """,
    ),
    # A slash and an at sign in it: to the last one that has a host behind it.
    form(
        "userinfo",
        "://",
        rf"""
        ://(?P<secret>[^\s/:@?\#'"<>\[]{{0,200}}(?:@[^\s/:@?\#'"<>\[]{{1,100}})?
        :(?!\d{{1,5}}(?:[/?\#]|$)){_UP_TO_HOST}{{1,200}}(?:@{_UP_TO_HOST}{{0,100}}){{1,6}})@{_HOST}
        """,
        _is_user_and_password,
    ),
    # Other than pages': a host may be one word, and digits and a slash in front of it are no port.
    form(
        "userinfo",
        "://",
        rf"""
        (?<!http)(?<!https)://(?P<secret>[^\s/:@?\#'"<>\[]{{0,200}}(?:@[^\s/:@?\#'"<>\[]{{1,100}})?
        :(?!\d{{1,5}}(?:[/?\#][^\s@]{{0,200}},|$)){_UP_TO_HOST}{{1,200}}(?:@{_UP_TO_HOST}{{0,100}}){{0,6}})
        @(?=[a-z][\w.-]{{0,100}}(?![\w@]))
        """,
        _is_user_and_password,
    ),
    form(
        "userinfo",
        "://",
        r"""
        ://(?P<secret>[^\s/:@?\#'"<>\[]{0,200}(?:@[^\s/:@?\#'"<>\[]{1,100})?:(?!\d{1,5}(?:[/?\#]|$))[^\s@'"<>][^\s@'"<>]{0,200}
        (?:@[^\s@/?\#'"<>]{1,100}){0,4})@(?=[\w.%$\[{-])
        """,
        _is_user_and_password,
    ),
    form("userinfo", "://", r"://(?P<secret>[\w-]{16,100})@(?=[\w.-])", _is_issued),
    form(
        "webhook",
        "hooks.slack.com/|/hook/|/hooks/|/webhook/|/webhooks/|/webhookb2/|/with/key/|.infura.io/v3/"
        "|.alchemy.com/v2/|pagerduty.com/integration/",
        r"""
        (?:hooks\.slack\.com/(?:services|workflows|triggers)|/(?:web)?hooks?(?:b2)?(?:/catch)?
        |/with/key|\.infura\.io/v3|\.alchemy\.com/v2|pagerduty\.com/integration)/
        (?P<secret>[\w/@.-]{20,400})
        """,
        _is_address,
    ),
    # The rest of a token that is broken over lines, once its beginning is taken out.
    form(
        "token",
        "token]|key]",
        r"(?:token|key)\][=\\]?\r?\n[ \t>]{0,12}(?P<secret>[a-z0-9_-]{8,})(?![a-z0-9])",
        _is_no_word,
    ),
    form("telegram-token", ":aa", r"(?<=\d):(?P<secret>aa[\w-]{32,})"),
    form(
        "signature",
        "sig=|signature=|code=",
        r"(?<=[?&, -])(?:sig|signature|code)=(?P<secret>[\w%+/=-]{20,})",
    ),
    form(
        "authorization",
        "bearer|basic",
        r"(?<![a-z])(?:bearer|basic)\s{1,3}(?P<secret>[\w.~+/=-]{16,})",
        _is_credential,
    ),
    form(
        "authorization",
        "authorization",
        rf"""authorization["']?\s{{0,3}}[:=]\s{{0,3}}["']?{_SCHEME}(?P<secret>[^\s"',]{{8,}})""",
        looks_issued,
    ),
    form(
        "cookie",
        "cookie|-b ",
        rf"""
        (?:cookie["']?\s{{0,3}}[:=]\s{{0,3}}|(?<=--)cookie[ ]|(?<=\s)-b[ ])["']?
        (?P<secret>{_PAIR}(?:;\s?{_PAIR}|;\s?[\w-]{{1,40}}){{0,200}})
        """,
        _is_given,
    ),
    form(
        "cookie",
        "sess|sid=|.aspnet|_logged_in",
        r"""
        (?:sess(?:ion)?_?(?:id|token)?|sid|\.aspnet[\w.-]{0,40}|_logged_in_\w{1,40})=
        (?P<secret>[\w%.+/|~-]{16,})
        """,
        _is_session,
    ),
    form(
        "password-hash",
        "$1$|$2|$5$|$6$|$7$|$y$|$gy$|$apr1$|$md5|$sha1$|$scrypt$|$argon2|$pbkdf2",
        r"""
        (?P<secret>\$(?:1|2[abxy]?|5|6|7|y|gy|apr1|md5|sha1|scrypt|argon2(?:id|i|d)|pbkdf2[\w-]{0,12})
        \$[\w./$=,+-]{8,})
        """,
    ),
    form(
        "password-hash",
        "pbkdf2_|pbkdf2:|bcrypt|scrypt:|{ssha|{sha|{smd5|{md5|{crypt",
        r"""
        (?P<secret>(?:pbkdf2|scrypt|bcrypt)[\w:]{0,40}\$[\w./+=$-]{16,}
        |\{(?:s?sha\d{0,3}|s?md5|crypt)\}[\w./+=$-]{12,})
        """,
    ),
    form(
        "seed-phrase",
        "seed|recovery|mnemonic|backup|secret",
        r"""
        (?:(?:seed|recovery|mnemonic|backup|secret)[ _-]?(?:phrase|words?)["']?\s{0,2}(?:is|are|:|=)
        |(?:seed|mnemonic)["']?\s{0,2}[:=])\s{0,3}["'`]?
        (?P<secret>(?:[a-z]{3,8}[ ,\n]{1,2}){11,23}[a-z]{3,8})(?![a-z])
        """,
    ),
    form(
        "seed-phrase",
        "passphrase|pass phrase",
        r"""
        pass[ ]?phrase["']?\s{0,2}[:=]\s{0,3}["'`]?
        (?!must|should|the[ ]|an?[ ]|at[ ]|can|may|use|your|no)
        (?P<secret>(?:[a-z]{2,12}[ -]){2,11}[a-z]{2,12})
        """,
    ),
    form(
        "recovery-code",
        "recovery|backup|scratch|rescue|emergency|2fa|mfa",
        r"""
        (?:recovery|backup|scratch|rescue|emergency|2fa|mfa)[ _-]codes?["'*]{0,3}\s{0,2}
        (?:are|is|:|=)?[\s"'\[-]{0,8}(?P<secret>(?=[\w-]{0,24}\d)[\w-]{6,24}
        (?:[\s,;"']{1,6}(?:-[ ])?(?=[\w-]{0,24}\d)[\w-]{6,24}){0,30})
        """,
    ),
)
