"""Derivations: computed without a connection, written once, from what still holds."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from helpers import Pipeline, append, make_pipeline, write_session
from session_pipeline_dagster.contract.derivation import Changes, Derivation, DerivedTable, Inputs
from session_pipeline_dagster.contract.processor import ProcessorResult, Session
from session_pipeline_dagster.contract.registry import Registry, check_contract
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.errors import ContractError, StoreBusy
from session_pipeline_dagster.orchestration.sensors import processor_sensor
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all

READS = {"texts": "SELECT words FROM texts", "longest": "FROM longest"}
TOUCHED = "SELECT 'texts' FROM texts SEMI JOIN batch USING (session_file)"


class Longest:
    """The longest text of each initial, over all sessions. `hook` runs in every computation."""

    name = "texts"
    version = 1
    cadence = timedelta(seconds=60)

    def __init__(self, hook: Callable[[Inputs], object] | None = None) -> None:
        self.tables = {"texts": "session_file VARCHAR, words VARCHAR"}
        table = DerivedTable("initial VARCHAR, words VARCHAR", "initial")
        self.derivations = (
            Derivation("longest", {"longest": table}, READS, self.compute, TOUCHED, ("texts",)),
        )
        self.hook = hook
        self.computed = 0

    def process(self, session: Session) -> ProcessorResult:
        texts = [text for _, record in session.transcript for text in record.texts()]
        return ProcessorResult({"texts": [(session.key, text) for text in texts]}, len(texts))

    def compute(self, inputs: Inputs) -> Changes:
        self.computed += 1
        if self.hook:
            self.hook(inputs)
        wanted: dict[str, str] = {}
        for (words,) in inputs.rows["texts"]:
            known = wanted.get(words[0], "")
            wanted[words[0]] = max(known, words, key=lambda w: (len(w), w))
        there = dict(inputs.rows["longest"])
        stale = [k for k, v in there.items() if wanted.get(k) != v]
        fresh = [(k, v) for k, v in wanted.items() if there.get(k) != v]
        return Changes({"longest": stale}, {"longest": fresh}, numbers={"initials": len(wanted)})


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    made = make_pipeline(tmp_path)
    write_session(made.root, "alice/1.jsonl", "a short one", "a somewhat longer one")
    write_session(made.root, "bob/2.jsonl", "before")
    return made


def run(pipeline: Pipeline, processor: Longest) -> None:
    run_all(processor, pipeline.source, pipeline.store, pipeline.settings, Options())


def longest(pipeline: Pipeline) -> dict[object, object]:
    return dict(pipeline.rows("longest"))


FIRST = {"a": "a somewhat longer one", "b": "before"}


def test_it_is_computed_from_all_sessions_and_only_when_a_commit_touched_them(
    pipeline: Pipeline,
) -> None:
    processor = Longest()
    run(pipeline, processor)
    assert longest(pipeline) == FIRST
    run(pipeline, processor)
    assert processor.computed == 1
    append(pipeline.root / "bob" / "2.jsonl", "but now there is more")
    run(pipeline, processor)
    assert longest(pipeline) == {"a": FIRST["a"], "b": "but now there is more"}
    assert processor.computed == 2


def test_what_a_rewritten_file_no_longer_says_goes(pipeline: Pipeline) -> None:
    run(pipeline, Longest())
    write_session(pipeline.root, "alice/1.jsonl", "completely different")
    run(pipeline, Longest())
    assert longest(pipeline) == {"b": "before", "c": "completely different"}


def test_it_is_computed_again_if_what_it_read_has_changed_meanwhile(pipeline: Pipeline) -> None:
    def write_in_between(_inputs: Inputs) -> None:
        if processor.computed == 1:
            write_session(pipeline.root, "carol/3.jsonl", "at last the longest of them all")
            pipeline.run(Longest())

    processor = Longest(write_in_between)
    run(pipeline, processor)
    assert processor.computed == 2
    assert longest(pipeline)["a"] == "at last the longest of them all"
    assert not pipeline.store.known(processor).stale_rollups


def test_if_others_never_stop_writing_it_gives_up_and_stays_noted(pipeline: Pipeline) -> None:
    def write_in_between(_inputs: Inputs) -> None:
        write_session(pipeline.root, "carol/3.jsonl", f"d{processor.computed}")
        pipeline.run(Longest())

    processor = Longest(write_in_between)
    with pytest.raises(StoreBusy, match="'longest': others keep writing"):
        run(pipeline, processor)
    assert pipeline.store.known(processor).stale_rollups == ["longest"]
    assert pipeline.rows("longest") == []


def test_a_computation_that_dies_leaves_everything_to_be_done_again(pipeline: Pipeline) -> None:
    def die(_inputs: Inputs) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(pipeline, Longest(die))
    run(pipeline, Longest())
    assert longest(pipeline) == FIRST


def test_two_at_once_write_the_rows_once(pipeline: Pipeline) -> None:
    processor = Longest()
    pipeline.run(processor)
    with ThreadPoolExecutor(8) as pool:
        at_once = [pool.submit(pipeline.store.derive, processor.derivations[0]) for _ in range(8)]
        for done in at_once:
            done.result()
    assert pipeline.rows("longest") == sorted(FIRST.items())


def test_a_part_that_is_still_to_be_done_is_noted_again(pipeline: Pipeline) -> None:
    processor = Longest()
    run(pipeline, processor)
    later = Changes(notes={"longest": ["tomorrow"], "another": ["x"]})
    pipeline.store.derive(processor.derivations[0], lambda _inputs: later)
    assert pipeline.store.known(processor).stale_rollups == ["longest"]
    assert pipeline.rows("session_rollup_changes") == [("another", "x"), ("longest", "tomorrow")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (Changes(added={"texts": [("x", "y")]}), "'texts' is not one of its tables"),
        (Changes(removed={"texts": ["x"]}), "'texts' is not one of its tables"),
        (Changes(added={"longest": [("x", 7)]}), "values of int do not fit string"),
    ],
)
def test_changes_that_do_not_fit_write_nothing(
    pipeline: Pipeline, changes: Changes, message: str
) -> None:
    processor = Longest()
    run(pipeline, processor)
    with pytest.raises(ContractError, match=message):
        pipeline.store.derive(processor.derivations[0], lambda _inputs: changes)
    assert longest(pipeline) == FIRST
    assert len(pipeline.rows("texts")) == 3


def test_its_tables_and_name_must_be_free(pipeline: Pipeline) -> None:
    check_contract(Longest())
    other = Longest()
    other.name, other.tables = "other", {"other_rows": "session_file VARCHAR"}
    with pytest.raises(ContractError, match="table 'longest' belongs to another processor"):
        check_contract(other, [Longest()])
    table = other.derivations[0].tables["longest"]
    other.derivations = (Derivation("texts", {"mine": table}, {}, other.compute),)
    with pytest.raises(ContractError, match="'texts' cannot name what is derived"):
        check_contract(other, [Longest()])


def test_dagster_computes_it_after_the_tables_and_shows_its_numbers(pipeline: Pipeline) -> None:
    defs = build_definitions(Registry((Longest(),)), pipeline.settings)
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_job_def("texts_job")
        result = job.execute_in_process(instance=instance)
    (made,) = result.asset_materializations_for_node("longest")
    assert made.metadata["initials"].value == 2
    assert made.metadata["dagster/row_count"].value == 2
    assert longest(pipeline) == FIRST
    graph = defs.resolve_asset_graph()
    node = graph.get(dg.AssetKey("longest"))
    assert node.parent_keys == {dg.AssetKey("texts")}
    assert node.pools == {"session_processor_texts"}


def test_the_sensor_asks_for_it_alone_where_its_tables_were_made_alone(pipeline: Pipeline) -> None:
    processor = Longest()
    pipeline.run(processor)
    with dg.DagsterInstance.local_temp() as instance:
        context = dg.build_sensor_context(instance=instance)
        (request,) = processor_sensor(processor, pipeline.settings)(context).run_requests
    assert request.asset_selection == [dg.AssetKey("longest")]
