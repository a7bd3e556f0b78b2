"""What can be odd about a session file: variants of one, each odd in one way.

Real files hold all of this sooner or later: the format changes, disks fill up, and other programs
write into the same folder.
"""

import json
from collections.abc import Callable, Iterator

from session_pipeline_dagster.sources.snapshot import content_hash

_GONE = object()
_LONGEST = 100_000
_SURROGATE = "\ud800"
_VALUES: dict[str, object] = {
    "missing": _GONE,
    "null": None,
    "true": True,
    "an empty text": "",
    "a text of other characters": "Ünï\u2028\u0000\U0001f600",
    "a lone surrogate": _SURROGATE,
    "a long text": "x" * 70_000,
    "a negative number": -1,
    "a huge number": 10**30,
    "a fraction": 0.5,
    "infinite": float("inf"),
    "an empty list": [],
    "a list": ["x", 1, None],
    "an empty object": {},
    "an object": {"x": {"x": []}},
}
_LINES: dict[str, bytes] = {
    "not JSON": b"{not json",
    "half a line": b'{"type":"user","message":{"role":"us',
    "blank": b"   ",
    "not UTF-8": b'{"type":"user","message":{"content":"\xff\xfe"}}',
    "zero bytes": b"\x00" * 200,
    "a number": b"17",
    "a list": b'[{"type":"user"}]',
    "null": b"null",
    "an empty object": b"{}",
    "deeply nested": b'{"type":"user","message":{"content":' + b"[" * 3000 + b"]" * 3000 + b"}}",
    "of an unknown type": b'{"type":"from-tomorrow","timestamp":"2026-03-10T12:00:00Z","x":1}',
    "two objects": b'{"type":"user"}{"type":"user"}',
    "without anything but a type": b'{"type":"assistant"}',
    "a user line without content": b'{"type":"user","message":{"role":"user","content":[]}}',
    "of a time that is none": b'{"type":"user","timestamp":"yesterday","message":{"content":"x"}}',
    "of a far time": b'{"type":"user","timestamp":"9999-12-31T23:59:59-23:59","message":{}}',
}

Path = tuple[str, ...]


def odd_lines(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The file with one more line, before its own lines and after them: (what is odd, bytes)."""
    for what, line in _LINES.items():
        yield f"a line is {what}", line + b"\n" + content
        yield f"the last line is {what}", content + line + b"\n"


def odd_files(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The file as a whole in odd forms."""
    lines = content.splitlines(keepends=True)
    yield "the file is empty", b""
    yield "the file holds nothing but a newline", b"\n"
    yield "nothing in the file can be read", b"\x89PNG\r\n\x1a\n" * 40
    yield "the file begins with a byte order mark", b"\xef\xbb\xbf" + content
    yield "lines end with CRLF", content.replace(b"\n", b"\r\n")
    yield "the last line is only half written", content[:-20]
    yield "every line is there twice", b"".join(line * 2 for line in lines)
    yield "the whole file is there twice", content * 2
    yield "the lines stand in reverse", b"".join(reversed(lines))


def odd_fields(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The file with one field, wherever it stands, missing or of an odd value.

    Of a long file its beginning: there are hundreds of variants, and each is a file. Lines that
    are no JSON are left out.
    """
    values = [value for line in _beginning(content) if (value := _value(line)) is not _GONE]
    paths = sorted({path for value in values for path in _paths(value)})
    seen = {content_hash(content)}
    for path in paths:
        for what, odd in _VALUES.items():
            changed = [_replaced(value, path, odd) for value in values]
            made = b"".join(json.dumps(value).encode() + b"\n" for value in changed)
            if (name := content_hash(made)) not in seen:
                seen.add(name)
                yield f"`{'.'.join(path).replace('.[]', '[]')}` is {what}", made


def _beginning(content: bytes) -> Iterator[bytes]:
    """The first lines, up to _LONGEST bytes."""
    size = 0
    for line in content.splitlines():
        size += len(line)
        if size > _LONGEST:
            return
        yield line


def _value(line: bytes) -> object:
    try:
        return json.loads(line)
    except ValueError:
        return _GONE


def _paths(value: object) -> Iterator[Path]:
    """Where something stands in a value: keys, and `[]` for the members of a list."""
    members: list[tuple[str, object]] = []
    if isinstance(value, dict):
        members = list(value.items())
    elif isinstance(value, list):
        members = [("[]", member) for member in value]
    for key, member in members:
        yield (key,)
        for path in _paths(member):
            yield (key, *path)


def _replaced(value: object, path: Path, odd: object) -> object:
    """A copy of the value with what stands at the path replaced, or gone."""
    if not path:
        return odd
    key, rest = path[0], path[1:]
    replace: Callable[[object], object] = lambda member: _replaced(member, rest, odd)  # noqa: E731
    if isinstance(value, list) and key == "[]":
        return [made for made in map(replace, value) if made is not _GONE]
    if isinstance(value, dict) and key in value:
        made = {name: replace(x) if name == key else x for name, x in value.items()}
        return {name: x for name, x in made.items() if x is not _GONE}
    return value
