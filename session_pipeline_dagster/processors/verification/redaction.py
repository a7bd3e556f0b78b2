"""Secrets out of a text, before anything else happens to it.

Every rule hangs on a literal, so that a text without it costs one search; runs are bounded or
start at a literal, so that the time is linear in the text. What is taken out leaves
`[REDACTED:kind]`, and no rule matches inside of that: redacting twice is redacting once.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_OPEN = "[REDACTED:"
_MOST_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class _Rule:
    """One kind of secret.

    Attributes:
        anchors: lower case; without any of them in the text the rule is not tried.
        keep: the number of groups in front of and behind the secret that stay: `(before)`.
    """

    kind: str
    anchors: Sequence[str]
    pattern: re.Pattern[str]
    keep: bool = False


def _rule(kind: str, anchors: str, pattern: str, *, keep: bool = False, flags: int = 0) -> _Rule:
    return _Rule(kind, anchors.split(), re.compile(pattern, flags), keep)


_KEY = "PRIVATE KEY(?: BLOCK)?-----"
# In front of a value: what names it, up to 40 more characters of the name, quotes, = or :.
_NAME_END = r"""[\w.-]{0,40}(?:["'`]\]?)?\s{0,3}(?:=>|:=|=|:)\s{0,3}["'`]?"""
# A value that only points at a secret, or is no secret, stays.
_NOT_ONE = (
    r"(?!\[REDACTED:|\$|%|<|\{\{|os\.|process\.|env[.(\[]|getenv|config[.(\[]|settings[.(\[]|\*{3}"
    r"|\.{3}|(?:none|null|true|false|undefined|str|string|optional|required|secret|token)\b)"
)

_RULES = (
    _rule(
        "private-key",
        "-----begin",
        rf"-----BEGIN [A-Z0-9 ]{{0,40}}{_KEY}.*?(?:-----END [A-Z0-9 ]{{0,40}}{_KEY}|\Z)",
        flags=re.DOTALL,
    ),
    _rule("age-key", "age-secret-key-", r"AGE-SECRET-KEY-1[A-Z0-9]{20,}", flags=re.IGNORECASE),
    _rule("anthropic-key", "sk-ant-", r"sk-ant-[\w-]{16,}"),
    _rule("api-key", "sk-", r"(?<![A-Za-z0-9])sk-[A-Za-z0-9_-]{20,}"),
    _rule(
        "aws-key-id",
        "akia asia abia acca aroa aida",
        r"(?:A(?:KIA|SIA|BIA|CCA|ROA|IDA))[A-Z0-9]{16}",
    ),
    _rule("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{20,}"),
    _rule("github-token", "github_pat_", r"github_pat_\w{22,}"),
    _rule("gitlab-token", "gl", r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent|oas|ffct)-[\w-]{16,}"),
    _rule("slack-token", "xox xapp-", r"(?:xox[abceoprs]|xapp)-[\w-]{10,}"),
    _rule(
        "slack-webhook",
        "hooks.slack.com",
        r"(hooks\.slack\.com/(?:services|workflows)/)[\w/]{20,}",
        keep=True,
    ),
    _rule("google-key", "aiza", r"AIza[\w-]{30,}"),
    _rule("google-token", "ya29. gocspx-", r"(?:ya29\.|GOCSPX-)[\w.-]{20,}"),
    _rule("jwt", "eyj", r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){0,3}"),
    _rule(
        "stripe-key",
        "k_live_ k_test_ whsec_",
        r"(?:[srp]k_(?:live|test)_|whsec_)[A-Za-z0-9+/=]{10,}",
    ),
    _rule("sendgrid-key", "sg.", r"(?<![\w.-])SG\.[\w-]{16,}\.[\w-]{16,}"),
    _rule("twilio-key", "ac sk", r"(?<![A-Za-z0-9])(?:AC|SK)[0-9a-f]{32}(?![A-Za-z0-9])"),
    _rule("telegram-token", ":aa", r"(?<!\d)\d{8,10}:AA[\w-]{32,}"),
    _rule("discord-token", ".", r"(?<![\w.-])[MNO][\w-]{22,28}\.[\w-]{6,7}\.[\w-]{27,}"),
    _rule("discord-webhook", "/api/webhooks/", r"(/api/webhooks/)\d{5,}/[\w-]{20,}", keep=True),
    _rule(
        "vendor-token",
        "npm_ pypi- hf_ dop_v1_ doo_v1_ dor_v1_ hvs. hvb. glsa_ glc_ lin_api_ ntn_ secret_ shp "
        "nrak- pmak- atatt3 atbb dp. pul- pscale_ sbp_ gsk_ xai- r8_ pplx- figd_ dapi key- sl. "
        "tskey- cfpat- ops_ rubygems_ phc_ phx_ sntrys_ fo1_",
        r"(?<![A-Za-z0-9])(?:npm_|pypi-|hf_|do[opr]_v1_|hv[sb]\.|glsa_|glc_|lin_api_|ntn_|secret_"
        r"|shp(?:at|ca|pa|ss)_|NRAK-|PMAK-|ATATT3|ATBB|dp\.(?:pt|st|ct|sa)\.|pul-|pscale_\w{1,6}_"
        r"|sbp_|gsk_|xai-|r8_|pplx-|figd_|dapi(?=[0-9a-f]{16})|key-(?=[0-9a-f]{32})|sl\.(?=[\w-]{40})"
        r"|tskey-|cfpat-|ops_(?=eyJ)|rubygems_|ph[cx]_|sntrys_|fo1_)[\w.=-]{20,}",
    ),
    _rule("terraform-token", ".atlasv1.", r"(?<![\w.])\w{10,20}\.atlasv1\.[\w-]{20,}"),
    _rule("keboola-token", "-", r"(?<![\w-])\d{1,6}-\d{1,9}-[A-Za-z0-9]{30,}"),
    _rule(
        "signature",
        "sig= signature=",
        r"((?:[?&]|X-Amz-|X-Goog-)(?:sig|signature)=)[\w%+/=-]{20,}",
        keep=True,
        flags=re.IGNORECASE,
    ),
    _rule(
        "authorization",
        "bearer basic",
        r"(\b(?:bearer|basic)\s{1,3})[\w.~+/=-]{16,}",
        keep=True,
        flags=re.IGNORECASE,
    ),
    _rule(
        "userinfo",
        "://",
        rf"(://)(?!{re.escape(_OPEN)})[^\s/:@'\"]{{0,200}}:[^\s/@'\"]{{1,200}}(?=@)",
        keep=True,
    ),
    _rule(
        "password",
        "passw pwd passphrase",
        rf"((?:password|passwd|passwort|pwd|passphrase){_NAME_END})"
        rf"{_NOT_ONE}(?:(?<=[=\"'`])|(?=[^\s\"'`]{{0,60}}[\d!@#$%^&*+=/~-]))[^\s\"'`,;]{{4,}}",
        keep=True,
        flags=re.IGNORECASE,
    ),
    _rule(
        "secret",
        "secret token key credential auth",
        rf"((?:secret|token|credential|auth(?!or)|(?:api|access|private|account|encryption|signing|master)"
        rf"[\s_.-]?key){_NAME_END}){_NOT_ONE}"
        r"(?=[^\s\"'`]{0,80}\d)(?=[^\s\"'`]{0,80}[A-Za-z])(?![\w.]{1,80}\()[\w.~+/=!@#$%^&*-]{10,}",
        keep=True,
        flags=re.IGNORECASE,
    ),
    _rule(
        "option",
        "--pass --token --api --secret --auth",
        rf"(--(?:password|passwd|pass|token|api-?key|secret|auth(?:-token)?)[ =]{{1,3}}[\"']?)"
        rf"{_NOT_ONE}(?!--)[^\s\"']{{6,}}",
        keep=True,
    ),
    _rule(
        "userpass",
        "-u --user",
        rf"((?:\s-u|--user)[ =]{{1,3}}[\"']?)(?!{re.escape(_OPEN)})"
        r"[^\s:\"'/]{1,100}:[^\s\"']{4,}",
        keep=True,
    ),
)


def redact(text: str) -> str:
    """The text with every secret replaced that a rule knows."""
    # What one rule takes out can lay bare another secret; a text without any is read once.
    for _ in range(_MOST_ROUNDS):
        before, text = text, _redact_once(text)
        if text == before:
            break
    return text


def _redact_once(text: str) -> str:
    folded = text.lower()
    for rule in _RULES:
        if any(anchor in folded for anchor in rule.anchors):
            text = rule.pattern.sub(_replacement(rule), text)
    return text


def _replacement(rule: _Rule) -> Callable[[re.Match[str]], str]:
    mark = f"{_OPEN}{rule.kind}]"
    return lambda match: (match[1] if rule.keep else "") + mark
