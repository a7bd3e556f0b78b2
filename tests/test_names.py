"""How a name that strangers chose is shown."""

import sys
import unicodedata

import pytest

from hostile import NAME, shows
from session_pipeline_dagster.health.alerts import Alert
from session_pipeline_dagster.health.findings import Status
from session_pipeline_dagster.names import LONGEST, printable, short

ORDINARY = (
    "alice",
    "-home-alice-shop",
    "mcp__server__tool [x] {y}",
    "José 名前 мир",
    "علی\u200cرضا",
    "👩\u200d💻 ☂️",
    "日本　太郎\u00a0x",
    "",
)


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_name_is_shown_as_it_is(name: str) -> None:
    assert printable(name) == name


CONTROLS = ("\x00", "\x1b", "\n", "\r", "\t", "\x7f", "\x9b", "\u2028", "\u2029")
FORMATS = ("\u00ad", "\u200b", "\u200e", "\u202e", "\u2066", "\ufeff", "\U000e0041")
NOTHING = ("\ud800", "\udc80", "\uffff")


@pytest.mark.parametrize("character", [*CONTROLS, *FORMATS, *NOTHING], ids=ascii)
def test_a_character_that_acts_is_shown_as_one_that_does_not(character: str) -> None:
    assert printable(f"a{character}b") == "a\ufffdb"


def test_nothing_that_comes_out_controls_turns_or_breaks_a_line() -> None:
    shown = printable("".join(map(chr, range(sys.maxunicode + 1))))
    categories = {unicodedata.category(c) for c in shown if c not in "\u200c\u200d"}
    assert not categories & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert shown.splitlines() == [shown]


def test_an_alert_keeps_its_lines_and_no_name_in_them_acts() -> None:
    alert = Alert(NAME, ("run",), (Status.OK,), Status.WARNING, f"one {printable(NAME)}\ntwo")
    assert shows(alert.title)
    first, *lines = alert.text.split("\n")
    assert shows(f"{first} {lines[-2]}")
    assert lines[-1] == "two"


@pytest.mark.parametrize("name", [*ORDINARY, "n" * LONGEST])
def test_a_name_of_ordinary_length_is_stored_whole(name: str) -> None:
    assert short(name) == name


def test_a_longer_name_keeps_its_beginning_and_stays_another_than_its_neighbours() -> None:
    names = ["\ud800" + "n" * 10**6 + end for end in ("", "a", "b")]
    stored = [short(name) for name in names]
    assert [len(name) for name in stored] == [LONGEST] * 3
    assert len(set(stored)) == 3
    assert all(name.startswith("\ud800" + "n" * 180) for name in stored)
    assert [short(name) for name in stored] == stored
