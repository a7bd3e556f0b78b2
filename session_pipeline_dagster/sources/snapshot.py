"""One look at one file: opened once, read once, and the very bytes that are parsed are hashed.

Bounded by the size that was seen at opening, by the longest line and by what a packed file may
hold, so that no file costs more memory than is set. Which files there are is `local.py`.
"""

import io
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import msgspec
import xxhash

from session_pipeline_dagster.errors import Permanent
from session_pipeline_dagster.settings import Limits
from session_pipeline_dagster.sources.files import Content, Fingerprint, Signature
from session_pipeline_dagster.sources.packed import (
    COMPRESSED,
    head_of,
    packed_size,
    too_much,
    unpacked,
)
from session_pipeline_dagster.transcripts.head import BOM, HEAD_BYTES
from session_pipeline_dagster.transcripts.records import DECODE_ERRORS, read_json
from session_pipeline_dagster.transcripts.room import is_dense

_BLOCK = 1 << 20
_MOST_NS = 2**63 - 1
_TOO_LONG = b"?"
"""Stands for a line that is not kept: no JSON, so it counts as one unreadable line."""


def read_snapshot(path: str, limits: Limits, top: str | None = None) -> Content:
    """The file as it is now; bytes appended while it is read wait for the next look.

    Args:
        top: see `open_regular`.

    Raises:
        OSError: gone (FileNotFoundError), not readable or not a regular file.
        Permanent: it holds too much, or is packed and damaged.
        Retryable: it is packed and not all there.
    """
    with open_regular(path, top) as handle:
        signature = signature_of(os.fstat(handle.fileno()))
        blocks = _blocks(handle, signature.size, limits.line)
        return snapshot_of(blocks, signature, limits, packed=path.endswith(COMPRESSED))


def snapshot_of(
    blocks: Iterable[bytes], signature: Signature, limits: Limits, *, packed: bool
) -> Content:
    """The content of which these are all bytes; no further block is asked for where it is too much.

    Args:
        signature: of these very bytes.
        packed: they are packed.

    Raises:
        Permanent, Retryable: as `read_snapshot`, and what the blocks raise.
    """
    if signature.size > limits.unpacked:
        raise Permanent(too_much(limits.unpacked))
    if packed:
        return _cut(unpacked(blocks, limits.unpacked), signature, limits)
    if signature.size > limits.line:
        return _cut(blocks, signature, limits)
    complete = complete_part(b"".join(blocks))
    return Content(complete, content_hash(complete), signature)


def fingerprint(path: str, limits: Limits, top: str | None = None) -> Fingerprint:
    """What `read_snapshot` says of the file; never more than a block and a line of it in memory.

    Raises:
        OSError, Permanent, Retryable: as `read_snapshot`.
    """
    with open_regular(path, top) as handle:
        signature = signature_of(os.fstat(handle.fileno()))
        blocks = _blocks(handle, signature.size, min(_BLOCK, limits.line))
        return fingerprint_of(blocks, signature, limits, packed=path.endswith(COMPRESSED))


def fingerprint_of(
    blocks: Iterable[bytes], signature: Signature, limits: Limits, *, packed: bool
) -> Fingerprint:
    """What `snapshot_of` says of these blocks; raises as it does."""
    if signature.size > limits.unpacked:
        raise Permanent(too_much(limits.unpacked))
    if packed:
        blocks = unpacked(blocks, limits.unpacked)
    elif signature.size <= min(_BLOCK, limits.line):
        complete = complete_part(b"".join(blocks))
        return Fingerprint(len(complete), content_hash(complete), signature)
    lines = _Lines(limits.line, kept=None)
    for block in blocks:
        lines.add(block)
    file_hash = lines.finish()
    return Fingerprint(lines.size, file_hash, signature)


def read_head(path: str, size: int, top: str | None = None) -> bytes:
    """The first bytes of what a file holds; fewer where it is packed and damaged.

    Raises:
        OSError: as `read_snapshot`.
    """
    with open_regular(path, top) as handle:
        if not path.endswith(COMPRESSED):
            return handle.read(size)
        return head_of(handle.read(packed_size(size)), size)


def signature_of(found: os.stat_result) -> Signature:
    """The part of a stat result that tells contents apart.

    Within int64, as the columns are: `touch -d 2300-01-01` gives nanoseconds beyond it.
    """
    mtime, ctime = found.st_mtime_ns, found.st_ctime_ns
    if not (-_MOST_NS < mtime < _MOST_NS and -_MOST_NS < ctime < _MOST_NS):
        mtime, ctime = _bounded(mtime), _bounded(ctime)
    return Signature(found.st_size, mtime, ctime)


def _bounded(ns: int) -> int:
    return min(max(ns, -_MOST_NS - 1), _MOST_NS)


def open_regular(path: str, top: str | None = None) -> BinaryIO:
    """Open a regular file for reading.

    Args:
        top: a folder above it. From there on no link is followed in any part of the path: a folder
            that was swapped for a link since it was listed leads nowhere.

    Raises:
        OSError: it is none, it is a link, or it cannot be opened.
    """
    # Not through a link, and never waiting for the other end of a FIFO that took the file's place.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if top is None:
        descriptor = os.open(path, flags)
    else:
        descriptor = _open_below(top, path[len(top) :].strip("/").split("/"), flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "not a regular file")
    return os.fdopen(descriptor, "rb")


def _open_below(top: str, parts: Sequence[str], flags: int) -> int:
    *folders, name = parts
    # Only to look things up in: a folder that may be passed through need not be readable.
    look_up = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
    at = os.open(top, look_up)
    try:
        for folder in folders:
            below = os.open(folder, look_up | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = below
        return os.open(name, flags, dir_fd=at)
    finally:
        os.close(at)


def complete_part(data: bytes) -> bytes:
    """The bytes of all complete lines: up to the last newline, and a last line that is whole.

    A half-written last line is left for the next time.
    """
    end = data.rfind(b"\n") + 1
    return data if _is_whole(data[end:], first=not end) else data[:end]


def content_hash(complete: bytes) -> str:
    """xxh3-128 in hex: it finds changes, it is no protection against a forger."""
    return xxhash.xxh3_128_hexdigest(complete)


def _is_whole(tail: bytes, *, first: bool) -> bool:
    """Whether a last line without newline is all there."""
    tail = tail.removeprefix(BOM) if first else tail
    if not tail.strip():
        return False
    try:
        # Looked at, not built: a line can be millions of objects.
        msgspec.json.decode(tail, type=msgspec.Raw)
    except DECODE_ERRORS:
        return not is_dense(tail) and isinstance(read_json(tail), dict)
    return tail.lstrip().startswith(b"{")


def _blocks(handle: BinaryIO, size: int, at_once: int) -> Iterator[bytes]:
    """So many bytes of a file; all in one block where they are no more than `at_once`."""
    most = size if size <= at_once else _BLOCK
    while size and (block := handle.read(min(size, most))):
        size -= len(block)
        yield block


def _cut(blocks: Iterable[bytes], signature: Signature, limits: Limits) -> Content:
    """The complete lines of a content that comes in blocks."""
    kept, head = io.BytesIO(), bytearray()
    lines = _Lines(limits.line, kept)
    for block in blocks:
        if len(head) <= HEAD_BYTES:
            head += block[: HEAD_BYTES + 1]
        lines.add(block)
    file_hash = lines.finish()
    return Content(kept.getvalue(), file_hash, signature, bytes(head))


class _Lines:
    """Hashes complete lines and keeps them; a too long one passes by without being kept.

    Attributes:
        kept: where, growing in place and handed over without a copy; None = nowhere.
        size: bytes of what is kept, or would be.
    """

    def __init__(self, longest: int, kept: io.BytesIO | None) -> None:
        self.longest, self.kept, self.size = longest, kept, 0
        self._tail = bytearray()
        self._passing = False
        self._hash = xxhash.xxh3_128()

    def add(self, block: bytes) -> None:
        if self._passing:
            end = block.find(b"\n") + 1
            self._hash.update(block[: end or None])
            if not end:
                return
            self._passing = False
            self._keep(_TOO_LONG + b"\n")
            block = block[end:]
        self._tail += block
        end = self._tail.rfind(b"\n") + 1
        if end:
            whole = bytes(self._tail[:end])
            del self._tail[:end]
            self._hash.update(whole)
            self._keep(whole if end <= self.longest else self._short(whole))
        if len(self._tail) > self.longest:
            self._hash.update(self._tail)
            self._tail.clear()
            self._passing = True

    def _short(self, whole: bytes) -> bytes:
        lines = whole.split(b"\n")
        return b"\n".join([line if len(line) <= self.longest else _TOO_LONG for line in lines])

    def _keep(self, lines: bytes) -> None:
        self.size += len(lines)
        if self.kept is not None:
            self.kept.write(lines)

    def finish(self) -> str:
        """The hash of the lines. A too long line counts at once: no end makes it readable."""
        tail = bytes(self._tail)
        if self._passing:
            self._keep(_TOO_LONG)
        elif _is_whole(tail, first=not self.size):
            self._hash.update(tail)
            self._keep(tail)
        return self._hash.hexdigest()
