"""What a processor declares: new versions of its tables, views and roll-ups, and what fails."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from helpers import Pipeline, append, make_pipeline, session_line
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.contract.registry import Registry
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.errors import ContractError, Permanent
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all

CANARY = "canary-in-the-transcript"


class Texts:
    """One row per text, with declarations that a test can change."""

    name = "texts"
    cadence = timedelta(seconds=60)

    def __init__(
        self,
        version: int = 1,
        columns: str = "session_file VARCHAR, words VARCHAR",
        views: Mapping[str, str] | None = None,
        rollup: Rollup | None = None,
        refuses: bool = False,
    ) -> None:
        self.version, self.refuses = version, refuses
        self.tables = {"texts": columns}
        self.views = views or {}
        self.rollups = (rollup,) if rollup else ()

    def process(self, session: Session) -> ProcessorResult:
        if self.refuses:
            raise Permanent("not yet known how")
        width = self.tables["texts"].count(",") + 1
        texts = [text for _, record in session.transcript for text in record.texts()]
        rows = [(session.key, text, "new")[:width] for text in texts]
        return ProcessorResult({"texts": rows}, len(rows))


def words(part: str = "words", refresh: str = "words, count(*)") -> Rollup:
    """A roll-up of texts by their words."""
    return Rollup(
        "words",
        "words VARCHAR, n BIGINT",
        "words",
        f"SELECT DISTINCT {part} FROM texts SEMI JOIN batch USING (session_file)",
        f"SELECT {refresh} FROM texts WHERE words IN (SELECT part FROM parts) GROUP BY words",
    )


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    made = make_pipeline(tmp_path)
    for number in (1, 2):
        path = made.root / "alice" / f"{number}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(session_line(f"{CANARY} {number}"))
    return made


def run(pipeline: Pipeline, processor: Texts, **options: object):
    given = Options(**options)
    return run_all(processor, pipeline.source, pipeline.store, pipeline.settings, given)


def rows(pipeline: Pipeline, sql: str) -> list[tuple[object, ...]]:
    return pipeline.store.query(sql)[0][1]


def test_a_column_at_the_end_is_added_by_the_next_version(pipeline: Pipeline) -> None:
    run(pipeline, Texts())
    wider = "session_file VARCHAR, words VARCHAR, more VARCHAR"
    assert run(pipeline, Texts(version=2, columns=wider)).errors == 0
    assert rows(pipeline, "SELECT DISTINCT more FROM texts") == [("new",)]


@pytest.mark.parametrize(
    "columns",
    [
        "session_file VARCHAR",
        "session_file VARCHAR, words BIGINT",
        "session_file VARCHAR, more VARCHAR, words VARCHAR",
    ],
)
def test_a_table_that_changed_otherwise_stops_the_pass_and_costs_no_file(
    pipeline: Pipeline, columns: str
) -> None:
    run(pipeline, Texts())
    with pytest.raises(ContractError, match="'texts' has other columns"):
        run(pipeline, Texts(version=2, columns=columns))
    assert not pipeline.store.known(Texts()).failures
    assert len(rows(pipeline, "FROM texts")) == 2


def test_a_changed_view_is_installed_although_no_file_is_due(pipeline: Pipeline) -> None:
    run(pipeline, Texts(views={"seen": "SELECT 1 AS n"}))
    assert run(pipeline, Texts(views={"seen": "SELECT 2 AS n"})).processed == 0
    assert rows(pipeline, "FROM seen") == [(2,)]


def test_a_changed_rollup_is_made_again_although_no_file_is_due(pipeline: Pipeline) -> None:
    run(pipeline, Texts(rollup=words()))
    changed = Texts(rollup=words(refresh="words, 7"))
    assert run(pipeline, changed).processed == 0
    assert rows(pipeline, "SELECT DISTINCT n FROM words") == [(7,)]


def test_a_part_that_is_null_holds_up_no_other(pipeline: Pipeline) -> None:
    half = "CASE WHEN words LIKE '% 1' THEN NULL ELSE words END"
    processor = Texts(rollup=words(part=half))
    run(pipeline, processor)
    append(pipeline.root / "alice" / "2.jsonl", f"{CANARY} 3")
    run(pipeline, processor)
    assert rows(pipeline, "SELECT words FROM words ORDER BY 1") == [
        (f"{CANARY} 2",),
        (f"{CANARY} 3",),
    ]


def test_a_rollup_that_fails_names_itself_and_quotes_nothing(pipeline: Pipeline) -> None:
    processor = Texts(rollup=words(refresh="words, words::INTEGER"))
    with pytest.raises(ContractError, match="roll-up 'words' cannot be refreshed") as caught:
        run(pipeline, processor)
    assert CANARY not in str(caught.value)
    defs = build_definitions(Registry((processor,)), pipeline.settings)
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_job_def("texts_job")
        result = job.execute_in_process(instance=instance, raise_on_error=False)
        log = "".join(str(entry) for entry in instance.all_logs(result.run_id))
    assert not result.success
    assert "cannot be refreshed" in log
    assert CANARY not in log


@pytest.mark.parametrize(
    ("rollup", "said"),
    [
        (words(part="wrods"), "`changed` failed: Binder Error: .*wrods"),
        (words(refresh="words, nix"), "'words' cannot be refreshed: Binder Error: .*nix"),
    ],
)
def test_wrong_sql_of_a_rollup_is_said_in_the_databases_words(
    pipeline: Pipeline, rollup: Rollup, said: str
) -> None:
    with pytest.raises(ContractError, match=said):
        run(pipeline, Texts(rollup=rollup))


@pytest.mark.parametrize(
    ("version", "options"), [(2, {}), (1, {"full_refresh": True})], ids=["version", "refresh"]
)
def test_a_new_version_and_a_full_refresh_try_what_was_given_up(
    pipeline: Pipeline, version: int, options: dict[str, bool]
) -> None:
    assert run(pipeline, Texts(refuses=True)).errors == 2
    assert run(pipeline, Texts()).quarantined == 2
    assert run(pipeline, Texts(version=version), **options).processed == 2
