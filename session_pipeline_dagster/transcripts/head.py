"""What the first bytes of a session file say before anyone reads the rest: its day."""

from datetime import date, datetime, timedelta

import msgspec

from session_pipeline_dagster.transcripts.odd_lines import read_record
from session_pipeline_dagster.transcripts.records import DECODE_ERRORS, EPOCH, epoch_us

BOM = b"\xef\xbb\xbf"
HEAD_BYTES = 1 << 20


class _Timed(msgspec.Struct):
    timestamp: datetime | None = None


_timed_decoder = msgspec.json.Decoder(_Timed)


def first_day(head: bytes, *, whole: bool) -> date | None:
    """UTC day of the first top-level timestamp in line order; None where the head has none.

    Args:
        head: the first bytes of a file. Only the first HEAD_BYTES count, so that everyone who
            asks gets the same answer.
        whole: the head is all there is; else its last line may be cut and is left alone.
    """
    whole = whole and len(head) <= HEAD_BYTES
    start, end = (len(BOM) if head.startswith(BOM) else 0), min(len(head), HEAD_BYTES)
    while start < end:
        stop = head.find(b"\n", start, end)
        if stop < 0:
            if not whole:
                return None
            stop = end
        line = head[start:stop]
        start = stop + 1
        if b'"timestamp"' not in line:
            continue
        try:
            time = _timed_decoder.decode(line).timestamp
        except DECODE_ERRORS:
            record = read_record(line)
            time = record.timestamp if record else None
        if time is not None:
            return (EPOCH + timedelta(microseconds=epoch_us(time))).date()
    return None
