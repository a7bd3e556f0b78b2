"""Quality rules: measured on real rows and files, and shown as asset checks."""

from pathlib import Path

import dagster as dg
import pytest

from conversations import FACT, add, conversation, said, write
from helpers import EchoProcessor, Pipeline, make_pipeline, write_many
from session_pipeline_dagster.contract.quality import Data, Measured, Quality, counted
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.health.inspection import inspect
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.settings import Personal
from session_pipeline_dagster.testing.pipeline import Placing

VERBATIM, REJECTED = VerificationProcessor.quality[:2]


@pytest.fixture
def pipeline(tmp_path: Path, place: Placing) -> Pipeline:
    return make_pipeline(tmp_path, place)


@pytest.fixture
def taught(pipeline: Pipeline) -> Pipeline:
    write(pipeline, "alice/p/a.jsonl", conversation("hi", "By order date?", FACT))
    write(pipeline, "bob/p/b.jsonl", conversation("x", "By order date?", FACT, first=50))
    pipeline.run(VerificationProcessor())
    return pipeline


def measured(pipeline: Pipeline, rule: Quality) -> Measured:
    return inspect(VerificationProcessor(), rule, pipeline.source, pipeline.store)


def change(pipeline: Pipeline, sql: str) -> None:
    with pipeline.store.transaction() as connection:
        connection.execute(sql)


def test_quotes_as_people_wrote_them_pass(taught: Pipeline) -> None:
    found = measured(taught, VERBATIM)
    assert found == Measured(0, {"quotes_checked": 2, "files_read": 2})


def test_quotes_hold_whichever_rules_took_secrets_out(pipeline: Pipeline) -> None:
    fact = FACT.replace("invoice date:", "invoice date of jana@example.org, not 4111111111111111:")
    write(pipeline, "alice/p/a.jsonl", conversation("hi", "By order date?", fact))
    one = Measured(0, {"quotes_checked": 1, "files_read": 1})
    for personal in ([Personal.MAIL], []):
        set_so = pipeline.having(personal=frozenset(personal))
        set_so.run(VerificationProcessor(), full_refresh=True)
        ((quote,),) = pipeline.select("SELECT user_quote FROM verifications")
        assert ("[REDACTED:mail]" in quote) == bool(personal)
        assert measured(pipeline, VERBATIM) == one
    # What other rules had taken out, and a quote that was cut inside of a mark.
    change(pipeline, "UPDATE verifications SET user_quote = '[REDACTED:x], it''s actual[REDACTED:'")
    assert measured(pipeline, VERBATIM) == one
    change(pipeline, "UPDATE verifications SET user_quote = 'No, [REDACTED:mail] never said'")
    assert measured(pipeline, VERBATIM).violations == 1


@pytest.mark.everywhere
def test_a_changed_quote_and_one_on_the_wrong_line_are_found(taught: Pipeline) -> None:
    change(taught, "UPDATE verifications SET user_quote = 'never said' WHERE username = 'bob'")
    assert measured(taught, VERBATIM).violations == 1
    change(taught, "UPDATE verifications SET line_number = 1")
    assert measured(taught, VERBATIM).violations == 2


def test_a_file_that_changed_or_went_is_not_held_against_its_rows(taught: Pipeline) -> None:
    (taught.root / "bob/p/b.jsonl").unlink()
    add(taught.root / "alice/p/a.jsonl", [said("user", "more", 9)])
    assert measured(taught, VERBATIM) == Measured(0, {"quotes_checked": 0, "files_read": 0})


def test_a_model_that_makes_things_up_is_found(taught: Pipeline) -> None:
    assert measured(taught, REJECTED).violations == 0
    change(taught, "UPDATE verification_readings SET quotes = 50, rejected_quotes = 9")
    assert measured(taught, REJECTED).violations == 0
    change(taught, "UPDATE verification_readings SET rejected_quotes = 11")
    found = measured(taught, REJECTED)
    assert found.violations == 22
    assert found.numbers == {"quotes": 100, "rejected_quotes": 22, "share": 0.22}


def test_rules_hold_before_anything_was_processed(pipeline: Pipeline) -> None:
    assert [measured(pipeline, rule).violations for rule in (VERBATIM, REJECTED)] == [0, 0]


def test_a_select_makes_a_measure() -> None:
    data = Data(lambda _sql: [(2, 10, 0.2)], lambda _key: None)
    assert counted("SELECT", "rows", "share")(data) == Measured(2, {"rows": 10, "share": 0.2})


class Strict(EchoProcessor):
    """No session may have more than two lines."""

    quality = (
        Quality(
            "short_sessions",
            "echo_rows",
            "Sessions are short.",
            counted("SELECT count(*) FROM echo_rows WHERE line > 2"),
        ),
    )


def of_rules(result: dg.ExecuteInProcessResult) -> list[dg.AssetCheckEvaluation]:
    """What the job's rules said; that no file was given up is said by the run itself."""
    found = result.get_asset_check_evaluations()
    return [one for one in found if one.check_name != "files_given_up"]


@pytest.mark.parametrize(("lines", "passed"), [(2, True), (3, False)])
def test_a_rule_is_an_asset_check_that_the_job_runs(
    pipeline: Pipeline, lines: int, passed: bool
) -> None:
    write_many(pipeline.root, 2, lines=lines)
    defs = build_definitions([Strict()], pipeline.settings)
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.get_repository_def().get_job("echo_job")
        result = job.execute_in_process(instance=instance)
        (evaluation,) = of_rules(result)
        assert result.success
    assert (evaluation.check_name, evaluation.passed) == ("short_sessions", passed)
    assert evaluation.severity is dg.AssetCheckSeverity.WARN
    assert evaluation.metadata["violations"].value == (0 if passed else 2)
    assert evaluation.metadata["status"].value == ("ok" if passed else "warning")


def test_a_rule_that_cannot_be_measured_has_not_passed(pipeline: Pipeline) -> None:
    class Broken(EchoProcessor):
        quality = (Quality("broken", "echo_rows", "x", counted("SELECT nothing FROM nowhere")),)

    defs = build_definitions([Broken()], pipeline.settings)
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.get_repository_def().get_job("echo_job").execute_in_process(instance=instance)
    (evaluation,) = of_rules(result)
    assert not evaluation.passed
    assert evaluation.metadata["status"].value == "unknown"
