"""What is derived from more than rows, and from other derived tables: up to date at once."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from helpers import Pipeline, make_pipeline, write_session
from session_pipeline_dagster.contract.derivation import Changes, Derivation, DerivedTable, Inputs
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.contract.registry import Registry, check_contract
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.store import rolling

_PARTS = "SELECT part FROM parts"
SIZES = Rollup(
    name="sizes",
    columns="person VARCHAR, words BIGINT, worth BIGINT",
    part="person",
    changed="SELECT DISTINCT person FROM words SEMI JOIN batch USING (session_file)",
    refresh=f"""SELECT person, count(*), sum(factor)::BIGINT FROM words, factors
        WHERE person IN ({_PARTS}) GROUP BY ALL""",
    deps=("words", "factors"),
    feeds=("doubled",),
    numbers="SELECT sum(worth) AS worth, NULL AS nothing, 'text' AS text FROM sizes",
)
DOUBLED = Rollup(
    name="doubled",
    columns="person VARCHAR, twice BIGINT",
    part="person",
    changed="",
    refresh=f"SELECT person, 2 * worth FROM sizes WHERE person IN ({_PARTS})",
    deps=("sizes",),
)


class Weighed:
    """Words of people, weighed by a number in a file."""

    name = "words"
    version = 1
    cadence = timedelta(seconds=60)
    tables = {"words": "session_file VARCHAR, person VARCHAR"}
    rollups = (SIZES, DOUBLED)

    def __init__(self, file: Path) -> None:
        self._file = file
        self.computed = 0
        table = DerivedTable("factor BIGINT", "factor::VARCHAR")
        self.derivations = (
            Derivation(
                "factors",
                {"factors": table},
                {"stood": "FROM factors", "people": "SELECT DISTINCT person FROM sizes"},
                self.compute,
                first=True,
                basis=lambda: self._file.read_text("utf-8"),
            ),
        )

    def process(self, session: Session) -> ProcessorResult:
        texts = [text for _, record in session.transcript for text in record.texts()]
        return ProcessorResult({"words": [(session.key, session.user) for _ in texts]}, len(texts))

    def compute(self, inputs: Inputs) -> Changes:
        self.computed += 1
        stood = [str(factor) for (factor,) in inputs.rows["stood"]]
        people = [str(person) for (person,) in inputs.rows["people"]]
        factor = int(self._file.read_text("utf-8"))
        return Changes({"factors": stood}, {"factors": [(factor,)]}, {"sizes": people})


@pytest.fixture
def weighed(tmp_path: Path) -> Weighed:
    file = tmp_path / "factor"
    file.write_text("3", "utf-8")
    return Weighed(file)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    made = make_pipeline(tmp_path)
    write_session(made.root, "alice/1.jsonl", "one", "two")
    write_session(made.root, "bob/2.jsonl", "three")
    return made


def run(pipeline: Pipeline, processor: Weighed) -> None:
    run_all(processor, pipeline.source, pipeline.store, pipeline.settings, Options())


def test_what_comes_first_is_there_for_the_roll_up_and_that_one_feeds_the_next(
    pipeline: Pipeline, weighed: Weighed
) -> None:
    run(pipeline, weighed)
    assert pipeline.rows("sizes") == [("alice", 2, 6), ("bob", 1, 3)]
    assert pipeline.rows("doubled") == [("alice", 12), ("bob", 6)]


def test_another_basis_computes_again_without_any_file_and_then_no_more(
    pipeline: Pipeline, weighed: Weighed
) -> None:
    run(pipeline, weighed)
    run(pipeline, weighed)
    assert weighed.computed == 1
    weighed._file.write_text("5", "utf-8")
    stale = pipeline.store.known(weighed).stale_rollups
    assert stale == ["doubled", "factors", "sizes"]
    run(pipeline, weighed)
    assert pipeline.rows("doubled") == [("alice", 20), ("bob", 10)]
    assert pipeline.store.known(weighed).stale_rollups == []
    run(pipeline, weighed)
    assert weighed.computed == 2


def test_a_basis_that_changes_while_it_is_computed_is_another_one_next_time(
    pipeline: Pipeline, weighed: Weighed
) -> None:
    compute = weighed.compute

    def slowly(inputs: Inputs) -> Changes:
        changes = compute(inputs)
        weighed._file.write_text("7", "utf-8")
        return changes

    object.__setattr__(weighed.derivations[0], "compute", slowly)
    run(pipeline, weighed)
    object.__setattr__(weighed.derivations[0], "compute", compute)
    run(pipeline, weighed)
    assert pipeline.rows("doubled") == [("alice", 28), ("bob", 14)]


def test_a_roll_up_that_is_made_from_another_brings_that_one_up_to_date(
    pipeline: Pipeline, weighed: Weighed
) -> None:
    definitions = build_definitions(Registry((weighed,)), pipeline.settings)
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def("words_job")
        found = job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey("words"), dg.AssetKey("factors")]
        )
        assert found.success
        alone = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey("doubled")]
        )
        assert alone.success
        assert pipeline.rows("doubled") == [("alice", 12), ("bob", 6)]


def test_the_numbers_of_a_roll_up_are_shown_and_what_is_none_is_not(
    pipeline: Pipeline, weighed: Weighed
) -> None:
    definitions = build_definitions(Registry((weighed,)), pipeline.settings)
    with dg.DagsterInstance.ephemeral() as instance:
        found = definitions.resolve_job_def("words_job").execute_in_process(instance=instance)
        (made,) = found.asset_materializations_for_node("sizes")
    assert made.metadata["worth"].value == 9
    assert {"nothing", "text"}.isdisjoint(made.metadata)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"feeds": ("dubled",)}, "feeds of 'sizes': there is no 'dubled'; 'doubled' seems"),
        ({"deps": ("word",)}, "deps of 'sizes': there is no 'word'"),
    ],
)
def test_names_that_are_not_there_are_refused(weighed: Weighed, change, said: str) -> None:
    for name, value in change.items():
        weighed.rollups = (Rollup(**{**_fields(SIZES), name: value}), DOUBLED)
    with pytest.raises(ContractError, match=said):
        check_contract(weighed)


def _fields(rollup: Rollup) -> dict[str, object]:
    return {name: getattr(rollup, name) for name in Rollup.__dataclass_fields__}


def test_a_roll_up_of_many_rows_is_made_in_runs_of_parts(
    pipeline: Pipeline, weighed: Weighed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An INSERT holds all rows that it makes, whatever the memory of the database."""
    monkeypatch.setattr(rolling, "_ROWS_AT_ONCE", 1)
    for number in range(20):
        write_session(pipeline.root, f"user{number:02}/s.jsonl", "one", "two")
    run(pipeline, weighed)
    assert len(pipeline.rows("sizes")) == len(pipeline.rows("doubled")) == 22
    weighed._file.write_text("5", "utf-8")
    run(pipeline, weighed)
    found = dict(pipeline.rows("doubled"))
    assert {found[f"user{number:02}"] for number in range(20)} == {20}
    with pipeline.store.connect() as connection:
        assert rolling._parts_at_once(connection, SIZES, 22) == 1
    assert pipeline.store.known(weighed).stale_rollups == []
