"""Lines beside the conversation, as bytes: found by their type wherever they stand."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lines import assistant, encode, other, user
from session_pipeline_dagster.transcripts.claude_code import KNOWN_TYPES, parse
from session_pipeline_dagster.transcripts.records import ASIDES

COST = b'{"type": "cost-state", "totalCostUSD": 0.5}'


def test_every_type_that_is_kept_is_a_known_one() -> None:
    assert {*ASIDES} <= KNOWN_TYPES


@pytest.mark.parametrize("kind", ASIDES)
def test_a_line_of_such_a_type_is_kept_as_it_stands(kind: str) -> None:
    line = json.dumps({"a": [1, "\u2028"], "type": kind}).encode()
    found = parse(encode(user("hi"), line, assistant("msg_1"), line))
    assert [(aside.number, aside.line) for aside in found.asides[kind]] == [(2, line), (4, line)]
    assert [found.records[aside.at].type for aside in found.asides[kind]] == [kind, kind]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\n\n", b"not json\n"])
def test_it_may_stand_first_and_last_and_behind_anything(before: bytes, end: bytes) -> None:
    (aside,) = parse(before + COST + end).asides["cost-state"]
    assert json.loads(aside.line)["totalCostUSD"] == 0.5


def test_whoever_speaks_of_such_a_line_writes_none() -> None:
    said = user('look at "type":"cost-state" and pr-link')
    assert parse(encode(said, other("system", content="cost-state"))).asides == {}


def test_a_type_spelt_with_escapes_costs_its_line_only() -> None:
    escaped = b'{"type": "cost\\u002dstate"}'
    found = parse(b"\n".join([escaped, COST, escaped, COST]))
    assert [aside.number for aside in found.asides["cost-state"]] == [2, 4]
    assert len(found.records) == 4


@given(st.lists(st.sampled_from(["talk", "cost", "blank", "broken", "mention"]), max_size=30))
def test_all_of_them_are_found_and_nothing_else(kinds: list[str]) -> None:
    shapes = {
        "talk": encode(user("hi")).rstrip(),
        "cost": COST,
        "blank": b"",
        "broken": b'{"type":"cost-state"',
        "mention": encode(user("cost-state cost-state")).rstrip(),
    }
    found = parse(b"".join(shapes[kind] + b"\n" for kind in kinds))
    there = [number for number, kind in enumerate(kinds, start=1) if kind == "cost"]
    assert [aside.number for aside in found.asides.get("cost-state", ())] == there
