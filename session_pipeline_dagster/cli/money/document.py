"""JSON documents with amounts of money in them: a number that is printed with all its digits."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

import msgspec

from session_pipeline_dagster.processors.usage.money.amounts import exact

_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def document(value: Mapping[str, object]) -> str:
    """The value as JSON in ASCII; a Decimal is a number without an exponent."""
    made = msgspec.json.format(msgspec.json.encode(_plain(value)), indent=1).decode()
    # Only strings have other characters, and a terminal or a pipe may not know them.
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], made)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return msgspec.Raw(exact(value).encode())
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(one) for one in value]
    return value
