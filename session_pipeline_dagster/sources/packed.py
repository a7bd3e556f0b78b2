"""What a packed file holds, in blocks, and never more than is asked for: gzip and zstd.

Which one it is say its first bytes, whatever it is called. Zstd is unpacked by pyarrow, which is
here anyway (docs/decisions/0050); it is imported when there is one.
"""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO, cast

from session_pipeline_dagster.errors import Permanent, Retryable

COMPRESSED = (".gz", ".zst")
"""How the names of packed files end."""
_BLOCK = 1 << 20
_STEP, _MORE = 4 << 10, 256 << 10
_ZSTD = b"\x28\xb5\x2f\xfd"


def plain_name(name: str) -> str:
    """A name without the ending that says how it is packed."""
    for ending in COMPRESSED:
        if name.endswith(ending):
            return name[: -len(ending)]
    return name


def too_much(most: int) -> str:
    """Why a file is not read that holds more than so many bytes."""
    return f"holds more than {most >> 20} MB; split it, or raise SESSION_PIPELINE_UNPACKED_MB"


def unpacked(packed: Iterable[bytes], most: int) -> Iterator[bytes]:
    """What packed data hold, in blocks; stops with an error before it is more than `most`.

    Raises:
        Permanent: it is more, or damaged.
        Retryable: it is not all there.
    """
    left, blocks = most, iter(packed)
    first = next(blocks, b"")
    while len(first) < len(_ZSTD) and (more := next(blocks, None)) is not None:
        first += more
    try:
        with _opened(first, _Reader(chain((first,), blocks))) as stream:
            while block := stream.read(_BLOCK):
                left -= len(block)
                if left < 0:
                    raise Permanent(too_much(most))
                yield block
    except EOFError as error:
        raise _not_all_there() from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _damaged() from error
    except OSError as error:
        if error.errno is not None:
            raise
        # Arrow's errors have no number.
        raise (_not_all_there() if "Truncated" in str(error) else _damaged()) from error


def packed_size(size: int) -> int:
    """Of how many packed bytes so many can be had: a block of zstd is had whole or not at all."""
    return size + _MORE


def head_of(packed: bytes, size: int) -> bytes:
    """The first bytes of what packed data hold, which may break off or be damaged somewhere."""
    head, stream = b"", _opened(packed, io.BytesIO(packed))
    try:
        while len(head) < size and (more := _some(stream, size - len(head))):
            head += more
    except (EOFError, zlib.error, OSError):
        return head
    return head


def _some(stream: BinaryIO, most: int) -> bytes:
    """What can be had at once: an error takes nothing away that came before it."""
    if isinstance(stream, gzip.GzipFile):
        return stream.read1(most)
    return stream.read(min(_STEP, most))


def _opened(first: bytes, packed: "io.BytesIO | _Reader") -> BinaryIO:
    if first.startswith(_ZSTD):
        import pyarrow as pa  # noqa: PLC0415  few files need it

        return pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), "zstd")
    return cast(BinaryIO, gzip.GzipFile(fileobj=cast(BinaryIO, packed)))


def _not_all_there() -> Retryable:
    return Retryable("packed data ends early; read again when all of it is there")


def _damaged() -> Permanent:
    return Permanent("neither gzip nor zstd data, or damaged; replace it, or unpack it")


class _Reader:
    """Blocks as a file to read from, for what unpacks them: one block of them in memory."""

    closed = False

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks, self._left = iter(blocks), memoryview(b"")

    def read(self, size: int) -> bytes:
        """So many bytes; fewer at the end only, since a header is asked for once."""
        found = bytes(self._left[:size])
        self._left = self._left[size:]
        while len(found) < size and (block := next(self._blocks, None)) is not None:
            more = size - len(found)
            found, self._left = found + block[:more], memoryview(block)[more:]
        return found

    def close(self) -> None:
        """Nothing is held open."""
