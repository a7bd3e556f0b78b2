"""Tokens: long runs of letters and digits that nobody made up of words.

A run of 24 characters or more goes if at least 20 of them are random, unless it is a path, a UUID,
an identifier, a hash that the text around it names as one, a public key or a picture. Tokens of
known vendors go however they look (`vendors.py`).
"""

import re

from session_pipeline_dagster.processors.verification.redaction.finding import mark
from session_pipeline_dagster.processors.verification.redaction.vendors import vendor_token
from session_pipeline_dagster.processors.verification.redaction.words import (
    letters_in_words,
    random_stretch,
)

SHORTEST_TOKEN = 24
_RANDOM_IN_IT = 20

# A run; and where it fills a line of base64, the lines after it.
_BREAK = r"(?:\r?\n[ \t]{0,16}|\\r?\\n)"
_FULL_LINE = r"(?<=[A-Za-z0-9+/]{60})"
_RUN = re.compile(
    r"(?<![A-Za-z0-9_+/.~%-])[A-Za-z0-9_+/.~%-]{16,}={0,2}"
    rf"(?:{_FULL_LINE}{_BREAK}[A-Za-z0-9+/]{{20,}}={{0,2}})*"
    rf"(?:{_FULL_LINE}{_BREAK}[A-Za-z0-9+/]{{2,}}={{0,2}}(?=[ \t]*(?:[\r\n\"'`\\]|-----|$)))?"
)
_EDGE = "._-/~%+"
_SHORTEST_RUN = 16
_LONGEST_SEGMENT = 8
_LONGEST_OF_BASE64 = 10
_SEPARATOR = re.compile(r"[+/_-]")
_SERIAL = re.compile(r"(?=(?:[^-]*-){3})(?=(?:\D*\d){3})(?:[A-Z0-9]{2,8}-){3,}[A-Z0-9]{4,8}")
_MIXED = re.compile(r"(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=\D*\d)[A-Za-z0-9]{20,}$")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_COMMITS = re.compile(r"(?:0x)?[0-9a-fA-F]{40}|[0-9a-f]{7,40}\.{2,3}[0-9a-f]{7,40}")
# What tools print all day: ids of messages, calls and payments, symbols of compilers, ULIDs.
_ID = re.compile(
    r"(?:msg|(?:srv)?toolu|req|call|resp|run|thread|asst|file|batch|sess(?:ion)?|step|fc|rs|cus|pi|pm|ch"
    r"|sub|price|prod|evt|acct|txn)_(?:\d\d_)?[A-Za-z0-9]{8,}$|(?:chatcmpl|file)-[A-Za-z0-9]{8,}$"
    r"|[a-z]{2,5}_1[A-Za-z0-9]{23}$|__?Z|01[0-9A-HJKMNP-TV-Z]{24}$"
)
_PUBLIC = re.compile(
    r"AAAA(?:[BCE]3Nza|E2Vj)|sha\d{1,3}[-_]"  # SSH keys, hashes
    r"|iVBORw0KGgo|/9j/|R0lGOD|UklGR|PHN2Zy|AAABAA|JVBERi|d09GM|AGFzbQ|T2dnUw"  # pictures, fonts
    r"|LS0tLS1CRUdJTiB(?:DRVJU|QVUJM)"  # -----BEGIN CERT, -----BEGIN PUBL
)
_PUBLIC_BEFORE = re.compile(
    r"(?:data:(?:image|font|audio|video)/[\w.+-]{1,40};(?:[\w=-]{1,40};)?base64,(?:\s|\\n)*"
    r"|-----BEGIN [A-Z0-9 ]{0,20}(?:CERTIFICATE|PUBLIC KEY|SIGNATURE|MESSAGE)[A-Z ]{0,8}-----[^-]*"
    r"|\bsha\d{1,3}[-:=]|\bh1:)$",
    re.IGNORECASE,
)
# Of the names in front of a run on its line, the last one says what it is. What is named as a thing
# is one if it is hexadecimal.
_NAME = re.compile(
    r"(?P<hash>\bsha|sha-?\d|md5|hash|digest|checksum|integrity|etag|print\b|public[\s_-]?key|\bpub\b)"
    r"|(?P<thing>commit|revision|\brev\b|\btree\b|\bparent|\bblob\b|merge|cherry-pick|revert|bisect"
    r"|checkout|\bhead\b|snapshot|trace|\bspan|blake|\bcrc|nonce|\blayer|\bimage|container|artifact"
    r"|block|\btx|transaction|address)"
    r"|(?P<secret>key|token|secret|passw|credential|\bauth|bearer|\bapi|\bpat\b)",
    re.IGNORECASE,
)
_NAMED_SECRET = re.compile(
    r"(?:private_key_id|key|token|secret|passw\w{0,10}|credential|auth|pat)s?[\"'`]?\s{0,3}"
    r"(?:is|[:=]|->|=>)?\s{0,3}[\"'`]?$",
    re.IGNORECASE,
)
_HEX = re.compile(r"(?:0x)?[0-9A-Fa-f-]+")
_ID_BEFORE = re.compile(
    r"(?<!key)(?<!key[_ -])(?:\b|_|(?<=[a-z])(?=I))(?:uu|gu)?[Ii][dD]"
    r"[\"'`]?\s{0,2}[:=]?\s{0,12}[\"'`(#]{0,2}$"
)
_QUERY_BEFORE = re.compile(
    r"[?&](?:v|gid|list|fbclid|gclid|utm_\w{1,20}|ref|rev|hash|etag|sha|commit|version)=$|[\w/]#$"
)
_BEFORE, _LINE_BEFORE = 400, 60
_FILE_AFTER = re.compile(r" [ *][\w./-]{1,200}\.\w{1,8}\b")
_FILE_NAME = re.compile(
    r"\w\.(?:[cm]?[jt]sx?|css|map|json[lc]?|png|jpe?g|gif|svg|webp|ico|woff2?|ttf|html?|txt|md|py|gz"
    r"|zip|tar|tgz|whl|jar|log|parquet|csv|pdf|lock|so|wasm|ya?ml|toml|xml|sql|sh|rs|go|java|rb)$"
)


def redact_tokens(text: str) -> str:
    """The text without tokens."""
    return _RUN.sub(_judged, text)


def _judged(match: re.Match[str]) -> str:
    run, text, start = match[0], match.string, match.start()
    if text[start - 1 : start] == "\\" and run[0] in "nrt":
        run, start = run[1:], start + 1
    cut = text[match.start() : start]
    at = start
    for piece in run.split("/"):
        if len(piece) >= _SHORTEST_RUN:
            begin = at + len(piece) - len(piece.lstrip(_EDGE))
            if found := vendor_token(text, begin, match.end()):
                end, kind = found
                return text[match.start() : begin] + mark(kind) + text[end : match.end()]
        at += len(piece) + 1
    body = run.rstrip(_EDGE)
    if len(body) < SHORTEST_TOKEN or not _is_token(body) or _is_public(text, start, body):
        return match[0]
    return cut + mark(_kind(body)) + run[len(body) :]


def _is_token(body: str) -> bool:
    """Whether it is random enough, and no path, UUID, commit or id."""
    if not _is_random(body):
        return False
    if _ID.match(body) or _FILE_NAME.search(body) or _is_path(body):
        return False
    rest = _UUID.sub("-", body)
    return rest == body or _is_random(rest)


def _is_random(body: str) -> bool:
    characters, longest = random_stretch(body)
    if characters >= _RANDOM_IN_IT and longest >= _LONGEST_SEGMENT:
        return True
    if _SERIAL.fullmatch(body):
        return letters_in_words(body) * 2 < len(body)
    # Base64 is cut into segments by its own characters, and one of them may look like a word.
    plain = _SEPARATOR.sub("", body.rstrip("="))
    if len(plain) == len(body) or not _MIXED.match(plain):
        return False
    share = 2 if "+" in body or "/" in body else 4
    segments = _SEPARATOR.split(body)
    return max(map(len, segments)) >= _LONGEST_OF_BASE64 and letters_in_words(
        body, 4
    ) * share < len(plain)


def _is_path(body: str) -> bool:
    pieces = [piece for piece in body.split("/") if len(piece) > 2]
    if "/" not in body or not pieces or "+" in body.replace("++", ""):
        return False
    words = sum(map(_is_name, pieces))
    return words * (3 if body[0] in "/.~" else 2) >= len(pieces)


def _is_name(piece: str) -> bool:
    """Whether it may be the name of a folder."""
    if piece.islower() and piece.isalpha() and len(piece) <= 5:
        return True
    return letters_in_words(piece, 4) * 2 >= sum(map(str.isalpha, piece)) > 0


def _is_public(text: str, start: int, body: str) -> bool:
    """Whether the run itself or what stands in front of it says that it is no secret."""
    before = text[max(0, start - _BEFORE) : start]
    if _PUBLIC.match(body) or _PUBLIC_BEFORE.search(before):
        return True
    line = before[-_LINE_BEFORE:].rpartition("\n")[2]
    if _ID_BEFORE.search(line) or _QUERY_BEFORE.search(line):
        return True
    if body.startswith("//") and line.endswith(":"):
        return True
    if _COMMITS.fullmatch(body):
        return not _NAMED_SECRET.search(line)
    is_hex = _HEX.fullmatch(body) is not None
    names = [found.lastgroup for found in _NAME.finditer(line)]
    if names:
        return names[-1] == "hash" or (names[-1] == "thing" and is_hex)
    # As md5sum and its kind print it.
    return is_hex and _FILE_AFTER.match(text, start + len(body)) is not None


def _kind(body: str) -> str:
    return "private-key" if body.startswith(("LS0tLS1CRUdJTi", "MII", "b3BlbnNzaC1r")) else "token"
