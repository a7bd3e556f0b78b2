"""Sessions that are counted and never read for knowledge: by mark, by setting, on real files."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import dagster as dg
import pytest

from conversations import FACT, conversation, write
from helpers import OLD, EchoProcessor, Pipeline, make_pipeline, set_mtime
from session_pipeline_dagster.orchestration.sensors import processor_sensor
from session_pipeline_dagster.passes.consent import private
from session_pipeline_dagster.passes.options import BatchReport, Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.settings import PeopleSettings
from session_pipeline_dagster.sources.files import Content, SessionFile, Signature
from session_pipeline_dagster.sources.keys import owner_of
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store import compare

APP, SECRET, BOB = "alice/-app/one.jsonl", "alice/-secret/two.jsonl", "bob/-app/three.jsonl"


def file(key: str) -> SessionFile:
    return SessionFile(key, *owner_of(key.rpartition(":")[2]), "", Signature(1, 1, 1))


@pytest.mark.parametrize(
    ("marks", "words", "found"),
    [
        ([], [], ""),
        (["alice/"], [], "abe"),
        (["alice/-app/"], [], "ae"),
        (["alice/-app/one/"], [], "e"),
        ([""], [], "abce"),
        (["eu:"], [], "d"),
        (["eu:alice/"], [], "d"),
        (["ali/", "alice/-ap/"], [], ""),
        ([], ["alice"], "abde"),
        ([], ["ali", "LICE"], ""),
        ([], ["a*"], "abde"),
        ([], ["-app"], "acde"),
        ([], ["*-secret"], "b"),
        ([], ["bob", "*/two.jsonl"], "bc"),
        ([], ["[x]*"], "f"),
        ([], ["eu:*"], "d"),
    ],
)
def test_what_a_mark_and_what_a_word_of_the_setting_keeps_private(
    marks: Sequence[str], words: Sequence[str], found: str
) -> None:
    files = {
        "a": APP,
        "b": SECRET,
        "c": BOB,
        "d": "eu:alice/-app/x.jsonl",
        "e": "alice/-app/one/subagents/agent-1.jsonl",
        "f": "[x]*/s.jsonl",
    }
    if marks == [""]:
        files.pop("f")
    keys = private(map(file, files.values()), marks, words)
    assert keys == {files[letter] for letter in found}


def test_a_name_that_looks_like_a_glob_is_taken_as_it_is() -> None:
    assert private([file("[x]/s.jsonl"), file("x/s.jsonl")], [], ["[x]"]) == {
        "[x]/s.jsonl",
        "x/s.jsonl",
    }


@dataclass(frozen=True, slots=True)
class Watched(LocalSource):
    """Says which files were read."""

    opened: list[str] = field(default_factory=list)

    def read(self, file: SessionFile) -> Content:
        self.opened.append(file.key)
        return LocalSource.read(self, file)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    made = make_pipeline(tmp_path)
    for key in (APP, SECRET, BOB):
        fact = FACT.replace("invoice", key[:3] + key[7:11].strip("-/"))
        path = write(made, key, conversation("Hello", "The rate is that of today.", fact))
        set_mtime(path, OLD)
    return made


def look(pipeline: Pipeline, **options: object) -> tuple[BatchReport, list[str]]:
    """One pass of verification; and which files it has read."""
    source, given = Watched(pipeline.settings.roots), Options(**options)
    processor = VerificationProcessor()
    report = run_all(processor, source, pipeline.store, pipeline.settings, given)
    return report, sorted(source.opened)


def left(pipeline: Pipeline, table: str = "verifications") -> set[object]:
    return {key for (key,) in pipeline.select(f"SELECT DISTINCT session_file FROM {table}")}


@pytest.mark.slow(seconds=2)
@pytest.mark.parametrize("many", [50_000, 0])
def test_a_private_session_is_never_read_and_what_was_found_before_goes_at_the_next_pass(
    pipeline: Pipeline, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "MANY", many)
    mark = pipeline.root / "alice/-secret/.private"
    mark.touch()
    assert look(pipeline)[1] == [APP, BOB]
    assert left(pipeline) == {APP, BOB}
    # Asked again for everything, it is not there all the same.
    report, opened = look(pipeline, full_refresh=True, verify=True)
    assert (opened, report.left_out) == ([APP, BOB], 1)

    everyone = pipeline.root / "bob/.no-knowledge"
    everyone.touch()
    with pipeline.store.connect() as connection:
        connection.execute("UPDATE knowledge_items SET status = 'approved', reviewed_by = 'eve'")
    report, opened = look(pipeline)
    assert (report.purged, opened) == (1, [])
    assert left(pipeline) == left(pipeline, "verification_evidence") == {APP}
    assert pipeline.select("SELECT DISTINCT source_user FROM knowledge_items") == [("alice",)]
    assert left(pipeline, "session_processor_state") == {APP}

    mark.unlink()
    everyone.unlink()
    assert look(pipeline)[1] == [SECRET, BOB]
    assert left(pipeline) == {APP, SECRET, BOB}
    for words, purged, stays in ((("alice",), 2, {BOB}), (("*",), 1, set())):
        named = replace(pipeline.settings, people=PeopleSettings(opt_out=words))
        report, opened = look(Pipeline(pipeline.root, named))
        assert (report.purged, opened, left(pipeline)) == (purged, [], stays)


def test_what_needs_no_consent_counts_private_sessions_as_any_other(pipeline: Pipeline) -> None:
    (pipeline.root / "alice/.private").touch()
    report = pipeline.run(EchoProcessor())
    assert (report.processed, report.left_out) == (3, 0)


def test_a_folder_that_is_called_like_a_mark_is_none(pipeline: Pipeline) -> None:
    (pipeline.root / "alice/.private").mkdir()
    assert pipeline.source.scan().marks == []


@pytest.mark.slow
def test_a_sensor_asks_for_a_pass_when_somebody_has_marked_sessions(pipeline: Pipeline) -> None:
    processor = VerificationProcessor()
    with dg.DagsterInstance.local_temp() as instance:
        tags = {"session_pipeline/processor": "verification"}
        run = dg.DagsterRun("verification_job", "0" * 32, status=dg.DagsterRunStatus.SUCCESS)
        instance.add_run(run.with_tags(tags))
        sensor, cursor = processor_sensor(processor, pipeline.settings), None
        look(pipeline)
        # Written long ago, so that the sensor sees for certain that nobody has written since.
        set_mtime(pipeline.settings.database, OLD)
        asked = []
        for marked in (False, True):
            if marked:
                (pipeline.root / "alice/.no-knowledge").touch()
            context = dg.build_sensor_context(instance=instance, cursor=cursor)
            result = sensor(context)
            cursor = result.cursor
            asked.append(len(result.run_requests or ()))
    assert asked == [0, 1]
