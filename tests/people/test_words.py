"""Words that stand for people and files, and texts from which names are taken."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from session_pipeline_dagster.contract.quality import Measured
from session_pipeline_dagster.errors import SettingsError, StoreUnusable
from session_pipeline_dagster.health.alerts import Alert, enqueue
from session_pipeline_dagster.health.findings import Status
from session_pipeline_dagster.health.inspection import measured_shown
from session_pipeline_dagster.people.pseudonyms import Kind
from session_pipeline_dagster.people.veil import COLUMNS, Names, Veil, rows_shown
from session_pipeline_dagster.people.words import kind_of, led_back, meant
from session_pipeline_dagster.processors.usage.money.budgeting import money_rules
from session_pipeline_dagster.settings import MoneySettings, PeopleMode

HIDDEN = Veil(PeopleMode.PSEUDONYM, bytes(range(32)))
TEAM = Veil(PeopleMode.TEAM, HIDDEN.key)
OTHER = Veil(PeopleMode.PSEUDONYM, bytes(32))
PEOPLE = ["alice", "bob", "p-abcdefghij"]


def test_a_word_leads_back_to_the_name_that_has_it_under_this_key_alone() -> None:
    word, old = HIDDEN.person("alice"), OTHER.person("alice")
    found = led_back(HIDDEN, Kind.PERSON, [word, old, "alice"], PEOPLE)
    assert found == {word: ["alice"], old: [], "alice": ["alice"]}
    assert led_back(HIDDEN, Kind.FILE, [word], PEOPLE) == {word: []}


def test_a_name_that_looks_like_a_word_is_that_name() -> None:
    assert led_back(HIDDEN, Kind.PERSON, ["p-abcdefghij"], PEOPLE) == {
        "p-abcdefghij": ["p-abcdefghij"]
    }


def test_names_are_looked_at_only_where_somebody_gives_a_word() -> None:
    def nobody() -> Sequence[str]:
        raise AssertionError

    assert meant(HIDDEN, Kind.PERSON, ["alice", "f-abcdefghijklmn"], nobody) == [
        "alice",
        "f-abcdefghijklmn",
    ]
    assert meant(Veil(), Kind.PERSON, [HIDDEN.person("bob")], nobody) == [HIDDEN.person("bob")]
    words = [HIDDEN.person("bob"), "x", "p-zzzzzzzzzz"]
    assert meant(HIDDEN, Kind.PERSON, words, lambda: PEOPLE) == ["bob", "x", "p-zzzzzzzzzz"]


@pytest.mark.parametrize("word", ["alice", "p-abcdefghi", "p-abcdefghijk", "p-ABCDEFGHIJ", "f-"])
def test_what_has_another_form_is_no_word(word: str) -> None:
    assert kind_of(word) is None


USERS = ["ali.ce", "a+b*(c)[d]$", "o'brien", "Жук", "a%3Ab", "al", 'q"uote', "caf\u00e9", "x" * 300]


@pytest.mark.parametrize("user", USERS)
def test_a_text_keeps_no_spelling_of_a_name(user: str) -> None:
    key = f"{user}/-p-q/s e.jsonl"
    spellings = (key, repr(key), json.dumps(key), f"/srv/{key}", f"({user})", f"by {user}.")
    for spelled in (*spellings, "session 's e' of -p-q"):
        said = HIDDEN.said(f"line 3: {spelled} is odd", [key])
        assert "line 3: " in said
        assert " odd" in said
        for name in (user, user.replace("%3A", ":"), json.dumps(user)[1:-1], "s e", "-p-q"):
            assert name not in said.replace("line 3: ", "").replace("is odd", "")


def test_a_name_within_a_longer_word_stays_and_a_longer_name_goes_whole() -> None:
    said = HIDDEN.said("al and alabama by al", ["al/alabaster/s.jsonl"])
    assert said == f"{HIDDEN.person('al')} and alabama by {HIDDEN.person('al')}"


def test_paths_addresses_and_ids_go_whoever_they_are_of() -> None:
    said = HIDDEN.said(
        "in /home/x y/z, a\\b, on x/fix by <me@example.org>, 0b1c2d3e-0000-4000-8000-0123456789ab",
        [],
    )
    assert not any(part in said for part in ("home", "fix", "example", "0b1c"))


def test_an_error_about_a_file_of_settings_keeps_its_line_and_not_what_it_quotes() -> None:
    text = 'seats.toml:3: "zorb" has a seat; see `session-pipeline budget`, not `zorb`'
    shown = HIDDEN.error(SettingsError(text))
    assert shown == "seats.toml:3: … has a seat; see `session-pipeline budget`, not …"
    assert Veil().error(SettingsError(text)) == text
    assert HIDDEN.error(StoreUnusable("the file '/x' is odd")) == "the file '/x' is odd"


ROWS = [{"user": "al", "session": "s1", "cwd": "/x", "model": "m", "n": 1}]


def test_rows_show_names_by_what_their_columns_are_called() -> None:
    rows, instead = rows_shown(HIDDEN, ROWS)
    assert rows == [
        {
            "user": HIDDEN.person("al"),
            "session": HIDDEN.file("s1"),
            "cwd": "…",
            "model": "m",
            "n": 1,
        }
    ]
    assert instead.keys() == {"al", "s1", "/x"}
    assert {*COLUMNS.values()} == {*Names}


def test_what_a_rule_says_names_no_more_than_its_rows() -> None:
    found = Measured(
        1, {"n": 1, "dearest": 9.5}, ROWS, "al in s1", "info", {"2026 s1": "info"}, ("dearest",)
    )
    assert measured_shown(found, Veil()) is found
    hidden = measured_shown(found, HIDDEN)
    assert hidden.said == f"{HIDDEN.person('al')} in {HIDDEN.file('s1')}"
    assert hidden.occasions == {f"2026 {HIDDEN.file('s1')}": "info"}
    assert hidden.numbers == found.numbers
    team = measured_shown(found, TEAM)
    assert (team.listed, team.numbers, team.stands) == ((), {"n": 1}, "info")
    assert team.said == "1 row of single people or sessions, not shown here"


def test_a_budget_of_a_person_is_called_by_their_pseudonym_and_is_no_check_of_teams(
    tmp_path: Path,
) -> None:
    file = tmp_path / "budgets.toml"
    more = 'period = "month"\namount = 5\n'
    file.write_text(
        f'[[budget]]\nname = "all"\nscope = "org"\n{more}'
        f'[[budget]]\nname = "al monthly"\nscope = "person:al"\n{more}'
    )

    def checks(veil: Veil) -> dict[str, str]:
        rules = money_rules(MoneySettings(budgets=file), lambda: veil)
        return {r.name: r.description for r in rules if r.name.startswith("budget_")}

    assert [*checks(Veil())] == ["budget_all", "budget_al_monthly"]
    assert [*checks(TEAM)] == ["budget_all"]
    name, about = [*checks(HIDDEN).items()][1]
    assert name == f"budget_{HIDDEN.person('al monthly')}".replace("-", "_")
    assert f"of {HIDDEN.person('al')} is kept" in about
    assert "al monthly" not in about


def test_an_alert_that_waits_since_people_were_shown_otherwise_tells_no_detail() -> None:
    alert = Alert("usage", ("quarantine",), (Status.OK,), Status.INFO, "al/s1 was given up")
    waiting = enqueue({}, ["sink"], [alert])
    (same,) = enqueue(waiting, ["sink"], [])["sink"]
    assert same is alert or same == alert
    before, fresh = enqueue(waiting, ["sink"], [alert], HIDDEN.mark)["sink"]
    assert "al/s1" not in before.text
    assert fresh.detail == alert.detail
    assert enqueue({"sink": [before]}, ["sink"], [], HIDDEN.mark)["sink"] == [before]
    assert HIDDEN.mark not in ("", OTHER.mark, TEAM.mark)


def test_a_mark_says_nothing_of_the_key() -> None:
    assert HIDDEN.key.hex()[:8] not in HIDDEN.mark
