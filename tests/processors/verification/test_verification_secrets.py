"""Canary secrets in transcripts: they reach no request, no log, no event, no row and no screen."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from test_verification_redaction import SECRETS

from conversations import pipeline_asking, said, sent_turns, write
from fake_llm import FORMATS, FakeLLM, Step, answer, detection
from helpers import Pipeline
from lines import tool
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.settings import Extractor, ModelSettings, Personal

pytestmark = pytest.mark.slow

CANARIES = [part for secret, _ in SECRETS for part in secret.split("\n")]


def plant(pipeline: Pipeline) -> None:
    """Every secret in a fact that will be found, in what the assistant says, and where tools and
    commands leave them."""
    for number, (secret, around) in enumerate(SECRETS):
        text = around.format(secret)
        output = {"type": "tool_result", "tool_use_id": "toolu_1", "content": text}
        write(
            pipeline,
            f"alice/p/{number:02}.jsonl",
            [
                said("user", f"here is what I use:\n{text}", 10 * number),
                said("assistant", f"So the export runs with {text} then.", 10 * number + 1),
                said("user", f"No, the export never runs with {text} at all.", 10 * number + 2),
                said("user", f"FYI our convention is that {text} is old.", 10 * number + 3),
                said("assistant", [tool("Bash", command=f"echo {text}")], 10 * number + 4),
                said("user", [output], 10 * number + 5) | {"toolUseResult": {"stdout": text}},
                said("user", f"<bash-stdout>{text}</bash-stdout>", 10 * number + 6),
                said("user", f"<local-command-stdout>{text}</local-command-stdout>"),
                {"type": "attachment", "attachment": {"content": text}},
            ],
        )


def repeat_everything(request: dict[str, object]) -> Step:
    """A model that quotes all it was sent, and says it in its own words too."""
    turns = [t for t in sent_turns(request) if isinstance(t, dict) and t.get("role") == "human"]
    quotes = (detection(t["index"], t["text"], content=t["text"], title=t["text"]) for t in turns)
    return answer(*quotes)


@pytest.fixture(params=FORMATS, ids=lambda wire: wire.value)
def llm(request: pytest.FixtureRequest) -> Iterator[FakeLLM]:
    with FakeLLM(request.param, repeat_everything) as fake:
        yield fake


def everything_in(pipeline: Pipeline) -> str:
    """Every value of every table, as text."""
    tables = pipeline.select("SELECT table_name FROM information_schema.tables")
    return "\n".join(str(row) for (name,) in tables for row in pipeline.select(f"FROM {name}"))


def found_in(text: str | bytes) -> list[str]:
    if isinstance(text, str):
        return [canary for canary in CANARIES if canary in text]
    return [canary for canary in CANARIES if canary.encode() in text]


@pytest.mark.slow
def test_a_run_with_a_model_leaves_no_secret_anywhere(
    tmp_path: Path, llm: FakeLLM, capfd: pytest.CaptureFixture[str]
) -> None:
    pipeline = pipeline_asking(tmp_path, llm.settings())
    plant(pipeline)
    home = tmp_path / "dagster"
    home.mkdir()
    defs = build_definitions([VerificationProcessor()], pipeline.settings)
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        job = defs.get_repository_def().get_job("verification_job")
        assert job.execute_in_process(instance=instance).success
    # One request a session, and the questions of the contradiction check.
    assert len(llm.bodies) > len(SECRETS)
    for body in llm.bodies:
        assert found_in(body) == []
    rows = everything_in(pipeline)
    assert "[REDACTED:" in rows
    assert pipeline.select("SELECT count(*) FROM verifications")[0][0] > len(SECRETS)
    assert found_in(rows) == []
    written = [path for path in home.rglob("*") if path.is_file()]
    assert written
    assert [path.name for path in written if found_in(path.read_bytes())] == []
    assert found_in(pipeline.settings.database.read_bytes()) == []
    assert found_in("".join(capfd.readouterr())) == []


def test_a_run_that_fails_leaves_no_secret_anywhere(tmp_path: Path, llm: FakeLLM) -> None:
    pipeline = pipeline_asking(tmp_path, llm.settings())
    plant(pipeline)
    llm.script = [Step("not of the shape")]
    report = pipeline.run(VerificationProcessor())
    assert report.errors
    assert found_in(str(report)) == []
    assert found_in(everything_in(pipeline)) == []


def test_the_command_line_shows_no_secret(tmp_path: Path) -> None:
    pipeline = pipeline_asking(tmp_path, ModelSettings(Extractor.RULES))
    plant(pipeline)
    program = str(Path(sys.executable).with_name("session-pipeline"))
    where = ["--sessions", str(pipeline.root), "--database", str(pipeline.settings.database)]
    for options in (["run"], ["run", "--full-refresh", "--json"], ["status", "--json"]):
        found = subprocess.run(
            [program, *options, *where], capture_output=True, text=True, check=True
        )
        assert found_in(found.stdout + found.stderr) == []
    assert pipeline.select("SELECT count(*) FROM verifications")[0][0] > len(SECRETS)
    assert found_in(everything_in(pipeline)) == []


def test_a_mail_address_goes_if_it_is_to_go_and_stays_by_default(
    tmp_path: Path, llm: FakeLLM
) -> None:
    address, sent = "jana.novakova@example.org", 0
    for folder, model in (("rules", ModelSettings(Extractor.RULES)), ("model", llm.settings())):
        (tmp_path / folder).mkdir()
        pipeline = pipeline_asking(tmp_path / folder, model)
        said_so = f"FYI our convention is that {address} pays."
        write(pipeline, "alice/p/s.jsonl", [said("user", said_so)])
        pipeline.run(VerificationProcessor())
        assert address in everything_in(pipeline)
        sent = len(llm.bodies)
        set_so = pipeline.having(personal=frozenset({Personal.MAIL}))
        set_so.run(VerificationProcessor(), full_refresh=True)
        assert address not in everything_in(pipeline)
        assert all(address.encode() not in body for body in llm.bodies[sent:])
    assert len(llm.bodies) > sent > 0
