"""How much memory the records of one file may take; what would take more is refused in time.

A megabyte of transcript usually holds some thousand records and blocks, but can hold half a
million: a record costs its fields, and every processor makes something of it. Put here what counts
as how much. How many bytes a file may have is the setting's that `sources/snapshot.py` keeps.
"""

import re
from collections.abc import Sequence
from itertools import islice

from session_pipeline_dagster.errors import Permanent
from session_pipeline_dagster.transcripts.records import Record

LONG = 1 << 20
"""Bytes of a line that is looked at before it is decoded, and of lines that are decoded at once."""
_ROOM = 480 << 20
"""Bytes, for a file's content and its records."""
_PART = 1750
"""Bytes that a record or a block costs with what processors make of it, at most; as measured."""
_SMALLEST = 3
"""Bytes of a record or a block: `{}` and what parts it from the next."""
_MOST_OBJECTS, _MOST_TEXTS = 100_000, 1_000_000
_OBJECT = re.compile(rb'[\[{]\s*["\[\]{}]')
_BETWEEN_TEXTS = b'","'


class Room:
    """The records and blocks that a file may have."""

    def __init__(self, size: int) -> None:
        # Whoever raises the limit on bytes has the memory for as much again.
        self._most = self._left = max(_ROOM - size, size) // _PART
        # So few bytes cannot hold too many, so most files are not counted.
        self._is_counted = size // _SMALLEST >= self._most

    def take(self, records: Sequence[Record]) -> None:
        """Note what was read.

        Raises:
            Permanent: there is no room for it.
        """
        if not self._is_counted:
            return
        parts = len(records)
        for record in records:
            message = record.message
            if message is not None:
                if type(message.content) is list:
                    parts += len(message.content)
                if message.usage is not None and message.usage.iterations:
                    parts += len(message.usage.iterations)
        self._left -= parts
        if self._left < 0:
            raise Permanent(
                f"holds more than {self._most:,} records and blocks, which take more memory than a "
                "file may; split it"
            )


def is_dense(content: bytes, start: int = 0, end: int | None = None) -> bool:
    """Whether a long line would be hundreds of thousands of objects or texts."""
    end = len(content) if end is None else end
    if end - start <= LONG:
        return False
    if content.count(_BETWEEN_TEXTS, start, end) > _MOST_TEXTS:
        return True
    objects = _OBJECT.finditer(content, start, end)
    return next(islice(objects, _MOST_OBJECTS, None), None) is not None
