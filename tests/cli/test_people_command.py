"""`session-pipeline people`, and words that were shown given back to commands and runs."""

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from helpers import EchoProcessor, Pipeline, make_pipeline, write_session
from session_pipeline_dagster.cli import main
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.errors import Permanent
from session_pipeline_dagster.people.veil import Veil, veil_of
from session_pipeline_dagster.settings import PeopleMode, PeopleSettings

ALICE, BOB = "alice/-app/5e55.jsonl", "bob/x.jsonl"
Cli = Callable[..., Result]


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    made = make_pipeline(tmp_path).having(people=PeopleSettings(mode=PeopleMode.PSEUDONYM))
    for key in (ALICE, BOB):
        write_session(made.root, key, "hello")
    return made


@pytest.fixture
def veil(pipeline: Pipeline) -> Veil:
    return veil_of(pipeline.settings)


@pytest.fixture
def cli(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    pipeline.run(EchoProcessor())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SESSION_PIPELINE_DATABASE", str(pipeline.settings.database))
    monkeypatch.setenv("SESSION_DATA_DIR", str(pipeline.root))
    monkeypatch.setenv("SESSION_PIPELINE_PEOPLE", "pseudonym")
    return lambda *words: CliRunner().invoke(main, words)


def test_words_lead_back_to_people_files_and_sessions(cli: Cli, veil: Veil) -> None:
    person, file, session = veil.person("alice"), veil.file(ALICE), veil.file("5e55")
    said = cli("people", "show", person, file, session)
    assert said.exit_code == 0
    assert said.output.splitlines() == [
        f"{person}  person  alice",
        f"{file}  file  {ALICE}",
        f"{session}  file  5e55",
    ]


def test_a_word_of_an_older_key_leads_nowhere_and_is_said_to_be_one(cli: Cli, veil: Veil) -> None:
    word = veil.person("alice")
    rotated = cli("people", "rotate")
    assert rotated.exit_code == 0
    assert "made again" in rotated.output
    said = cli("people", "show", word)
    assert (said.exit_code, "alice" in said.output) == (1, False)
    assert "of an older key" in said.output
    document = json.loads(cli("people", "show", word, "--json").stdout)
    assert document["words"] == [{"word": word, "kind": "person", "names": []}]


def test_what_is_no_word_and_a_key_that_is_not_there_are_errors(cli: Cli, tmp_path: Path) -> None:
    assert cli("people", "show", "alice").exit_code == 2
    (tmp_path / "test.duckdb.people-key").unlink(missing_ok=True)
    said = cli("people", "show", "p-abcdefghij")
    assert said.exit_code == 2
    assert "there is no key" in said.output


def test_people_who_are_only_in_the_directory_are_found(
    cli: Cli, pipeline: Pipeline, veil: Veil
) -> None:
    with pipeline.store.connect() as connection:
        connection.execute("CREATE TABLE people (folder VARCHAR, person VARCHAR, email VARCHAR)")
        connection.execute("INSERT INTO people VALUES ('laptop', 'Carol C', NULL)")
    said = cli("people", "show", veil.person("Carol C"))
    assert said.output.split("  ")[2:] == ["Carol C\n"]


def test_forget_takes_the_word_of_a_person(cli: Cli, pipeline: Pipeline, veil: Veil) -> None:
    said = cli("forget", "--user", veil.person("alice"), "--yes")
    assert said.exit_code == 0
    assert "alice" not in said.output
    assert veil.file(ALICE) in said.output
    assert [row[0] for row in pipeline.rows()] == [BOB]


@pytest.mark.slow
def test_a_run_takes_words_of_people_and_of_files_that_failed(
    pipeline: Pipeline, veil: Veil
) -> None:
    def refuse(session: Session) -> None:
        if not mended:
            raise Permanent("odd")

    mended: list[bool] = []
    processor = EchoProcessor(refuse)
    job = build_definitions([processor], pipeline.settings).resolve_job_def("echo_job")
    with dg.DagsterInstance.ephemeral() as instance:

        def run(**config: list[str]) -> list[str]:
            processor.calls.clear()
            ops = {"ops": {"echo": {"config": config}}}
            job.execute_in_process(run_config=ops, instance=instance, raise_on_error=False)
            return processor.calls.copy()

        assert run(users=[veil.person("alice")]) == [ALICE]
        assert run(users=["bob"]) == [BOB]
        mended.append(True)
        assert run() == []
        assert run(retry=[veil.file(BOB)]) == [BOB]
        assert run(retry=[ALICE]) == [ALICE]


def test_forget_takes_a_person_of_the_directory_and_what_stands_in_their_place(
    cli: Cli, pipeline: Pipeline, veil: Veil
) -> None:
    with pipeline.store.connect() as connection:
        connection.execute("CREATE TABLE people (folder VARCHAR, person VARCHAR, email VARCHAR)")
        connection.execute("INSERT INTO people VALUES ('alice', 'Alice A', NULL)")
        connection.execute("INSERT INTO people VALUES ('x', 'Bo', NULL), ('y', 'Bo', NULL)")
    plain = cli("forget", "--user", "alice", "--dry-run")
    for word in ("Alice A", veil.person("Alice A")):
        assert cli("forget", "--user", word, "--dry-run").output == plain.output
    several = cli("forget", "--user", "Bo", "--dry-run")
    assert several.exit_code == 2
    assert f"{veil.person('x')}, {veil.person('y')}" in several.output


@pytest.mark.slow
def test_a_mode_that_is_forgotten_stops_everything_until_somebody_says_what_is_meant(
    cli: Cli, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is named because a variable was lost."""
    assert cli("run").exit_code == 0
    shared = pipeline.settings.shared_file
    assert shared.exists()
    monkeypatch.delenv("SESSION_PIPELINE_PEOPLE")
    for words in ("run", "usage", "status", "health", "report"):
        said = cli(words)
        assert said.exit_code == 2, words
        assert "SESSION_PIPELINE_PEOPLE is not set now" in said.output, words
        assert "alice" not in said.output, words
    assert shared.exists()

    monkeypatch.setenv("SESSION_PIPELINE_PEOPLE", "named")
    assert cli("status").exit_code == 0
    assert cli("run").exit_code == 0
    assert not shared.exists()
    monkeypatch.delenv("SESSION_PIPELINE_PEOPLE")
    assert cli("status").exit_code == 0


@pytest.mark.parametrize("mode", ["named", "pseudonym"])
def test_a_group_size_that_is_forgotten_stops_everything_until_somebody_says_what_is_meant(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    setting = "SESSION_PIPELINE_MIN_GROUP"
    monkeypatch.setenv("SESSION_PIPELINE_PEOPLE", mode)
    monkeypatch.setenv(setting, "7")
    assert cli("run").exit_code == 0
    monkeypatch.delenv(setting)
    for words in ("run", "usage", "status", "export"):
        said = cli(words, *["out"] * (words == "export"))
        assert said.exit_code == 2, words
        assert f"fewer than 7 people were hidden here, and {setting} is not set" in said.output
    # A smaller one that somebody sets is an answer, and the one that is remembered from then on.
    monkeypatch.setenv(setting, "3")
    assert cli("run").exit_code == 0
    monkeypatch.delenv(setting)
    assert "fewer than 3 people were hidden" in cli("status").output
    # The mode's own size is larger.
    monkeypatch.setenv("SESSION_PIPELINE_PEOPLE", "team")
    assert cli("status").exit_code == 0
    monkeypatch.setenv("SESSION_PIPELINE_PEOPLE", mode)
    monkeypatch.setenv(setting, "1")
    assert cli("run").exit_code == 0
    monkeypatch.delenv(setting)
    assert cli("status").exit_code == 0


def test_a_sensor_and_a_run_of_dagster_name_nobody_because_a_variable_was_lost(
    pipeline: Pipeline,
) -> None:
    pipeline.settings.shared_file.touch()
    named = pipeline.having(people=PeopleSettings())
    processor = EchoProcessor()
    definitions = build_definitions([processor], named.settings)
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def("echo_job")
        done = job.execute_in_process(instance=instance, raise_on_error=False)
        assert not done.success
        messages = [str(event.event_specific_data) for event in done.all_events if event.is_failure]
        assert any("SESSION_PIPELINE_PEOPLE is not set now" in said for said in messages)
    assert pipeline.settings.shared_file.exists()
