"""Pseudonyms and the veil, on real key files."""

import os
import re
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.people.pseudonyms import Kind, key_file, pseudonym, read_key, rotate
from session_pipeline_dagster.people.veil import SOMEBODY, Veil, veil_of
from session_pipeline_dagster.settings import PeopleMode, PeopleSettings, Settings

NAMES = ["alice", "bob", "Alice", "ali", "", "p-abcdefghij", "\udc80x", "алиса", "a" * 5000]


def settings(folder: Path, mode: PeopleMode = PeopleMode.PSEUDONYM) -> Settings:
    return Settings(database=folder / "x.duckdb", people=PeopleSettings(mode=mode))


def test_a_key_is_made_on_first_use_for_its_owner_alone(tmp_path: Path) -> None:
    file = key_file(settings(tmp_path))
    assert file == tmp_path / "x.duckdb.people-key"
    key = read_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(key) == 32
    assert read_key(file) == key
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_many_who_come_first_at_once_have_one_key(tmp_path: Path) -> None:
    found: list[bytes] = []
    ready = threading.Barrier(16)

    def first() -> None:
        ready.wait()
        found.append(read_key(tmp_path / "key"))

    threads = [threading.Thread(target=first) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len({*found}) == 1


def test_pseudonyms_are_stable_under_a_key_and_unrelated_after_a_rotation(tmp_path: Path) -> None:
    file = tmp_path / "key"
    before = {name: pseudonym(read_key(file), Kind.PERSON, name) for name in NAMES}
    assert before == {name: pseudonym(read_key(file), Kind.PERSON, name) for name in NAMES}
    assert len({*before.values()}) == len(NAMES)
    assert all(re.fullmatch("p-[a-z]{10}", one) for one in before.values())
    rotate(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    after = {pseudonym(read_key(file), Kind.PERSON, name) for name in NAMES}
    assert not after & {*before.values()}


def test_a_file_has_another_pseudonym_than_a_person_of_that_name() -> None:
    key = bytes(32)
    assert pseudonym(key, Kind.FILE, "alice")[2:12] != pseudonym(key, Kind.PERSON, "alice")[2:]


@pytest.mark.parametrize("text", ["", "no hex", "00", "0" * 66])
def test_what_is_no_key_is_refused_and_stays(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(SettingsError, match="is no key of pseudonyms"):
        read_key(file)
    assert file.read_text() == text


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    read_key(file)
    file.chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_key(file)


@pytest.mark.skipif(os.name != "posix", reason="folders without write permission")
def test_a_key_that_cannot_be_made_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="key of pseudonyms"):
        read_key(tmp_path / "file" / "key")


def test_the_veil_of_each_mode(tmp_path: Path) -> None:
    named = veil_of(settings(tmp_path, PeopleMode.NAMED))
    assert not [*tmp_path.iterdir()]
    assert (named.person("alice"), named.file("alice/a.jsonl")) == ("alice", "alice/a.jsonl")
    assert named.said("alice/a.jsonl is odd", ["alice/a.jsonl"]) == "alice/a.jsonl is odd"
    hidden = veil_of(settings(tmp_path))
    assert re.fullmatch("p-[a-z]{10}", hidden.person("alice"))
    assert re.fullmatch("f-[a-z]{14}", hidden.file("alice/a.jsonl"))
    team = Veil(PeopleMode.TEAM, hidden.key)
    assert team.person("alice") == SOMEBODY
    assert team.file("alice/a.jsonl") == hidden.file("alice/a.jsonl")
    assert hidden.key.hex() not in repr(hidden)


@pytest.mark.parametrize("mode", [PeopleMode.PSEUDONYM, PeopleMode.TEAM])
def test_a_text_about_a_file_keeps_no_part_of_its_key(mode: PeopleMode) -> None:
    veil = Veil(mode, bytes(range(32)))
    key = "eu:alice/-home-alice-secret/5e55.jsonl"
    text = f"/srv/{key[3:]} ({key}): line 3 of 5e55 by alice is odd; malice is no name"
    said = veil.said(text, [key])
    assert not re.search(r"\balice\b|secret|5e55", said)
    assert "malice is no name" in said
    assert said.count(veil.file(key)) == 1


def test_keys_are_looked_for_where_they_are_set_and_beside_a_lakes_work(tmp_path: Path) -> None:
    given = replace(settings(tmp_path), people=PeopleSettings(key=tmp_path / "k"))
    assert key_file(given) == tmp_path / "k"
