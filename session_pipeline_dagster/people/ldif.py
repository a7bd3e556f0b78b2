"""LDIF (RFC 2849), as far as entries of people need it: folded lines, base64, comments.

A value that is a URL, or is no text (a photo), is left out: nothing is fetched.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from session_pipeline_dagster.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: attributes by their names in small letters, without options."""

    dn: str
    values: Mapping[str, Sequence[str]]

    def all(self, name: str) -> Sequence[str]:
        """Every value of an attribute."""
        return self.values.get(name, ())

    def first(self, *names: str) -> str:
        """The first value of the first attribute that has one; else nothing."""
        return next((value for name in names for value in self.all(name) if value), "")


def entries(file: str, content: bytes) -> Iterator[Entry]:
    """The entries of a file, in its order.

    Raises:
        SettingsError: a line is not LDIF; names file and line.
    """
    values: dict[str, list[str]] = {}
    for number, line in (*_unfolded(content.removeprefix(b"\xef\xbb\xbf")), (0, b"")):
        if not line:
            if "dn" in values:
                yield Entry(values["dn"][0], values)
            values = {}
            continue
        # Between the changes of one entry.
        if line == b"-":
            continue
        name, colon, rest = line.partition(b":")
        if not colon:
            raise SettingsError(f"{file}:{number}: this is not LDIF; it takes `name: value`")
        value = _value(file, number, rest)
        key = name.partition(b";")[0].strip().decode("utf-8", "replace").lower()
        if not values and key not in ("dn", "version"):
            raise SettingsError(f"{file}:{number}: this is not LDIF; an entry begins with `dn:`")
        if value is not None:
            values.setdefault(key, []).append(value)


_FIRST = re.compile(r"[^=,+]*=\s*((?:\\.|[^,+;\\])*)", re.DOTALL)
_ESCAPED = re.compile(r"((?:\\[0-9a-fA-F]{2})+)|\\(.)", re.DOTALL)


def first_of(dn: str) -> str:
    """The value that a distinguished name (RFC 4514) begins with: of a group's, what it is called.
    Nothing where this is none."""
    found = _FIRST.match(dn)
    if not found:
        return ""

    def plain(escape: re.Match[str]) -> str:
        octets, sign = escape.groups()
        return bytes.fromhex(octets.replace("\\", "")).decode(errors="replace") if octets else sign

    return _ESCAPED.sub(plain, found[1]).strip()


def _value(file: str, number: int, rest: bytes) -> str | None:
    if rest.startswith(b"<"):
        return None
    try:
        raw = base64.b64decode(rest[1:].strip()) if rest.startswith(b":") else rest.strip()
    except binascii.Error:
        raise SettingsError(f"{file}:{number}: this is not base64") from None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None


def _unfolded(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Number of the first line and the whole line; comments are left out."""
    first, parts = 1, list[bytes]()
    for number, line in enumerate(content.split(b"\n"), start=1):
        line = line.removesuffix(b"\r")
        if line.startswith(b" ") and parts:
            parts.append(line[1:])
            continue
        if parts and not parts[0].startswith(b"#"):
            yield first, b"".join(parts)
        first, parts = number, [line]
    if parts and not parts[0].startswith(b"#"):
        yield first, b"".join(parts)
