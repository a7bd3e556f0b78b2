"""A new version of a processor: its files are processed again, by themselves or on request."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from conversations import FACT, add, conversation, pipeline_asking, write
from fake_llm import FakeLLM
from helpers import (
    OLD,
    EchoProcessor,
    Pipeline,
    append,
    echo_rows,
    expected_rows,
    make_pipeline,
    numbers,
    set_mtime,
    write_many,
)
from session_pipeline_dagster.cli import main
from session_pipeline_dagster.contract.processor import (
    Processor,
    ProcessorResult,
    Session,
    extras,
)
from session_pipeline_dagster.contract.registry import Registry, check_contract
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.health.checkup import examine
from session_pipeline_dagster.health.findings import Status
from session_pipeline_dagster.passes.plan import MAX_ATTEMPTS, look
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.settings import Extractor, ModelSettings, Settings

FIRST = "alice/s00.jsonl"


class Costly(EchoProcessor):
    """Reprocesses on request; its rows say which version made them, its memo what it was given."""

    reprocess = "on_request"

    def __init__(self, version: int = 1) -> None:
        super().__init__(name="costly", version=version)
        self.memos: list[str | None] = []

    def process(self, session: Session) -> ProcessorResult:
        self.calls.append(session.key)
        self.memos.append(session.memo)
        row = (session.key, self.version, session.transcript.lines)
        return ProcessorResult({"costly_rows": [row]}, 1, memo=json.dumps(self.version))


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 5)
    pipeline.run(Costly())
    return pipeline


def versions(pipeline: Pipeline) -> list[object]:
    rows = [row[1] for row in pipeline.rows("costly_rows")]
    states = pipeline.select("SELECT processor_version FROM session_processor_state ORDER BY ALL")
    assert sorted(rows) == [row[0] for row in states]
    return rows


def outdated(pipeline: Pipeline, processor: Processor) -> int:
    known = pipeline.store.known(processor)
    files = pipeline.source.scan().files
    return look(files, known.states, known.failures, processor.version, datetime.now(UTC)).outdated


def test_a_new_version_is_caught_up_with_by_itself_a_cap_at_a_time(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 5)
    pipeline.run(EchoProcessor())
    new, found = EchoProcessor(version=2), []
    for _ in range(4):
        found.append((outdated(pipeline, new), pipeline.run(new, max_files=2).processed))
    assert found == [(5, 2), (3, 2), (1, 1), (0, 0)]


def test_a_costly_processor_keeps_the_rows_of_an_older_version(pipeline: Pipeline) -> None:
    new = Costly(2)
    report = pipeline.run(new)
    assert numbers(report) == (0, 0, 0, 0, 0)
    assert (new.calls, versions(pipeline), outdated(pipeline, new)) == ([], [1] * 5, 5)
    assert report.oldest_pending_seconds == 0


def test_what_changes_is_processed_by_the_new_version_as_a_whole(pipeline: Pipeline) -> None:
    """Its memo is the older version's, and no ground to build on."""
    append(pipeline.root / FIRST, "more")
    new = Costly(2)
    assert numbers(pipeline.run(new)) == (1, 1, 0, 0, 0)
    assert (new.calls, new.memos, versions(pipeline)) == ([FIRST], [None], [2, 1, 1, 1, 1])
    assert outdated(pipeline, new) == 4


def test_a_touch_or_a_verify_is_no_request(pipeline: Pipeline) -> None:
    set_mtime(pipeline.root / FIRST, OLD + timedelta(days=1))
    new = Costly(2)
    assert pipeline.run(new).skipped == 1
    assert pipeline.run(new, verify=True).skipped == 5
    assert (new.calls, versions(pipeline)) == ([], [1] * 5)


@pytest.mark.parametrize("request_", ["outdated", "full_refresh"])
def test_a_request_is_kept_until_all_of_it_is_done(pipeline: Pipeline, request_: str) -> None:
    new = Costly(2)
    assert pipeline.run(new, max_files=2, **{request_: True}).processed == 2
    # Asked for once; what the cap left over is pending for a plain pass.
    assert pipeline.run(new).processed == 3
    assert (versions(pipeline), outdated(pipeline, new)) == ([2] * 5, 0)
    assert pipeline.run(new, outdated=True).scanned == 0


def test_outdated_asks_for_nothing_that_is_up_to_date(pipeline: Pipeline) -> None:
    append(pipeline.root / FIRST, "more")
    new = Costly(2)
    pipeline.run(new)
    new.calls.clear()
    pipeline.run(new, outdated=True)
    assert FIRST not in new.calls
    assert len(new.calls) == 4


def test_an_older_version_that_comes_back_finds_nothing_outdated(pipeline: Pipeline) -> None:
    pipeline.run(Costly(2), outdated=True)
    old = Costly(1)
    assert (pipeline.run(old).scanned, outdated(pipeline, old)) == (0, 0)
    assert pipeline.run(old, outdated=True).scanned == 0
    assert newer(pipeline, old) == 5


class Wordy(EchoProcessor):
    """A later version declares another view."""

    def __init__(self, version: int, hook: Callable[[Session], object] | None = None) -> None:
        super().__init__(hook, version=version)
        self.views = {"echo_view": f"SELECT {version} AS version"}
        table = "day BIGINT"
        changed = "SELECT 'x' FROM batch LIMIT 1"
        self.rollups = (Rollup("echo_days", table, "day", changed, f"SELECT {version}"),)


def newer(pipeline: Pipeline, processor: Processor) -> int:
    known = pipeline.store.known(processor)
    files = pipeline.source.scan().files
    return look(files, known.states, known.failures, processor.version, datetime.now(UTC)).newer


def test_two_versions_over_one_database_read_nothing_again_and_again(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    paths = write_many(pipeline.root, 3)
    old, new = Wordy(1), Wordy(2)
    for one in (old, new, old, new, old):
        pipeline.run(one)
    assert (len(old.calls), len(new.calls)) == (3, 3)
    assert (newer(pipeline, old), outdated(pipeline, old)) == (3, 0)
    assert (newer(pipeline, new), outdated(pipeline, new)) == (0, 0)
    append(paths[0], "more")
    for one in (old, new, old, new, old):
        pipeline.run(one)
    assert (len(old.calls), len(new.calls)) == (4, 4)
    assert pipeline.rows() == expected_rows(pipeline.root)
    # What is made from the tables stays the newer one's too.
    assert pipeline.select("FROM echo_view") == [(2,)]
    pipeline.store.refresh(*new.rollups)
    pipeline.run(old)
    assert pipeline.store.known(old).stale_rollups == []
    assert pipeline.store.known(new).stale_rollups == []


def test_two_versions_give_up_a_file_once(tmp_path: Path) -> None:
    def fail(_session: Session) -> None:
        raise ValueError

    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 1)
    old, new = Wordy(1, fail), Wordy(2, fail)
    for _ in range(12):
        pipeline.run(old)
        pipeline.run(new)
    assert (len(old.calls), len(new.calls)) == (1, 1)
    for _ in range(12):
        pipeline.let_back_off_pass()
        pipeline.run(old)
        pipeline.let_back_off_pass()
        pipeline.run(new)
    assert len(old.calls) + len(new.calls) == 1 + MAX_ATTEMPTS
    assert pipeline.failures(new)[FIRST].quarantined_at


def test_an_older_version_meets_tables_of_more_columns_and_says_so(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    paths = write_many(pipeline.root, 2)
    old, new = Wordy(1), Wordy(2)
    new.tables = {"echo_rows": f"{old.tables['echo_rows']}, more BIGINT"}
    wide = EchoProcessor().process
    new.process = lambda session: replace(
        wide(session), rows={"echo_rows": [(*r, 1) for r in echo_rows(session)]}
    )
    pipeline.run(old)
    pipeline.run(new)
    assert numbers(pipeline.run(old)) == (0, 0, 0, 0, 0)
    append(paths[0], "more")
    report = pipeline.run(old)
    assert report.errors == 1
    assert "it takes 4" in report.errors_detail[0][1]
    assert numbers(pipeline.run(new)) == (1, 1, 0, 0, 0)


def test_a_check_warns_of_rows_of_a_newer_version(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 2)
    pipeline.run(Wordy(2))
    now, places = datetime.now(UTC), (pipeline.source, pipeline.store, pipeline.settings)
    (found, *_) = examine([Wordy(1)], *places, now).findings["echo"]
    assert (found.check, found.status) == ("freshness", Status.WARNING)
    assert "2 of all have rows of a newer version of `echo`" in found.detail
    (found, *_) = examine([Wordy(2)], *places, now).findings["echo"]
    assert found.status is Status.OK


def test_a_new_version_of_verification_asks_no_model_until_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeLLM(Extractor.OPENAI) as llm:
        pipeline = pipeline_asking(tmp_path, llm.settings())
        paths = [write(pipeline, f"alice/p/{n}.jsonl", conversation(FACT)) for n in range(3)]
        assert pipeline.run(VerificationProcessor()).processed == len(llm.bodies) == 3
        monkeypatch.setattr(VerificationProcessor, "version", VerificationProcessor.version + 1)
        report = pipeline.run(VerificationProcessor())
        assert (report.scanned, len(llm.bodies)) == (0, 3)
        assert outdated(pipeline, VerificationProcessor()) == 3
        add(paths[0], conversation(FACT, first=9))
        assert pipeline.run(VerificationProcessor()).processed == 1
        # The other version's turns were never shown to this one.
        assert len(llm.turns()) == 2
        assert (len(llm.bodies), outdated(pipeline, VerificationProcessor())) == (4, 2)
        assert pipeline.run(VerificationProcessor(), outdated=True).processed == 2
        assert (len(llm.bodies), outdated(pipeline, VerificationProcessor())) == (6, 0)


class Half(Costly):
    """Pays for the first two files only."""

    reprocess = "unpaid"

    def process(self, session: Session) -> ProcessorResult:
        made = super().process(session)
        return made if session.key in (FIRST, "alice/s01.jsonl") else replace(made, memo=None)


def test_what_was_not_paid_for_is_caught_up_with_by_itself(tmp_path: Path) -> None:
    pipeline = make_pipeline(tmp_path)
    write_many(pipeline.root, 5)
    pipeline.run(Half())
    new = Half(2)
    assert pipeline.run(new).processed == 3
    assert (versions(pipeline), outdated(pipeline, new)) == ([1, 1, 2, 2, 2], 2)
    assert pipeline.run(new, outdated=True).processed == 2
    assert versions(pipeline) == [2] * 5


def test_rules_read_again_what_rules_have_read_and_nothing_that_a_model_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = VerificationProcessor().under(Settings())
    model = Settings(model=ModelSettings(extractor=Extractor.ANTHROPIC))
    assert extras(rules).reprocess == "unpaid"
    assert extras(VerificationProcessor().under(model)).reprocess == "on_request"
    assert extras(VerificationProcessor()).reprocess == "on_request"
    with FakeLLM(Extractor.OPENAI) as llm:
        asking = pipeline_asking(tmp_path, llm.settings())
        write(asking, "alice/p/0.jsonl", conversation(FACT))
        assert asking.run(VerificationProcessor()).processed == 1
        pipeline = Pipeline(asking.root, replace(asking.settings, model=ModelSettings()))
        write(pipeline, "alice/p/1.jsonl", conversation(FACT))
        assert pipeline.run(rules).processed == 1
        monkeypatch.setattr(VerificationProcessor, "version", VerificationProcessor.version + 1)
        newer = VerificationProcessor().under(Settings())
        assert pipeline.run(newer).processed == 1
        assert pipeline.run(newer).scanned == 0
        assert outdated(pipeline, newer) == 1
        assert len(llm.bodies) == 1


def test_a_processor_may_hang_on_settings_and_one_that_fails_at_it_costs_itself() -> None:
    class Strict(EchoProcessor):
        def under(self, settings: Settings) -> Processor:
            if settings.user == "bad":
                raise RuntimeError("no")
            return EchoProcessor(version=7)

    class Other(EchoProcessor):
        def under(self, settings: Settings) -> Processor:
            return EchoProcessor(name="somebody_else")

    registry = Registry((Strict(), EchoProcessor(name="calm")))
    fine, bad = registry.under(Settings()), registry.under(Settings(user="bad"))
    assert [processor.version for processor in fine.processors] == [7, 1]
    assert [processor.name for processor in bad.processors] == ["calm"]
    assert "RuntimeError" in bad.failed[0].error

    class Hollow(EchoProcessor):
        def under(self, settings: Settings) -> Processor:
            return SimpleNamespace(name="echo")

    (wrong,) = Registry((Hollow(),)).under(Settings()).failed
    assert "version must be an int" in wrong.error
    (wrong,) = Registry((Other(),)).under(Settings()).failed
    assert "under returned another one" in wrong.error


@pytest.mark.parametrize("value", ["never", None, True])
def test_reprocess_takes_three_words(value: object) -> None:
    costly = Costly()
    costly.reprocess = value
    with pytest.raises(ContractError, match="reprocess is 'automatic', 'on_request' or 'unpaid'"):
        check_contract(costly)


def test_status_says_how_many_are_outdated_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline(tmp_path)
    paths = write_many(pipeline.root, 5)
    where = ["--sessions", str(pipeline.root), "--database", str(pipeline.settings.database)]
    assert CliRunner().invoke(main, ["run", *where]).exit_code == 0
    paths[4].unlink()
    assert CliRunner().invoke(main, ["run", *where]).exit_code == 0
    monkeypatch.setattr(UsageProcessor, "version", UsageProcessor.version + 1)
    found = json.loads(CliRunner().invoke(main, ["status", "--json", *where]).stdout)
    usage = found["processors"]["usage"]
    assert (usage["outdated"], usage["pending"], usage["deleted"]) == (4, 4, 1)
    text = CliRunner().invoke(main, ["status", *where]).stdout
    assert "usage: 4 files have rows of another version" in text
    assert "usage: rows are kept of 1 deleted files" in text
    assert CliRunner().invoke(main, ["run", "--outdated", *where]).exit_code == 0
    found = json.loads(CliRunner().invoke(main, ["status", "--json", *where]).stdout)
    assert found["processors"]["usage"]["outdated"] == 0
