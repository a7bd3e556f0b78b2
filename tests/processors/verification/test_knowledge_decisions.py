"""What people decide about what was found: kept when files are read again, and measured."""

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from doubter import REASON, Doubter, claim, doubt, fact, turn, write_session
from helpers import Pipeline, make_pipeline
from session_pipeline_dagster.cli import main
from session_pipeline_dagster.cli.knowledge import deciding
from session_pipeline_dagster.contract.quality import Measured
from session_pipeline_dagster.health.inspection import inspect
from session_pipeline_dagster.processors.verification.knowledge.candidates import Detected
from session_pipeline_dagster.processors.verification.knowledge.candidates import (
    waiting as waiting_of,
)
from session_pipeline_dagster.processors.verification.knowledge.catalog import QUALITY
from session_pipeline_dagster.processors.verification.knowledge.decisions import Choice, Reviewer
from session_pipeline_dagster.processors.verification.knowledge.heard import Exchange, Heard, Line
from session_pipeline_dagster.processors.verification.knowledge.items import Observation
from session_pipeline_dagster.processors.verification.knowledge.labels import (
    Label,
    Settled,
    precision,
)
from training.turns import read

pytestmark = pytest.mark.slow

Cli = Callable[..., Result]
(PRECISION,) = (rule for rule in QUALITY if rule.name == "knowledge_precision")


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    made = make_pipeline(tmp_path)
    for number in range(4):
        write_session(made.root, number)
    doubt(made)
    return made


@pytest.fixture
def cli(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("SESSION_PIPELINE_DATABASE", str(pipeline.settings.database))
    monkeypatch.setenv("SESSION_DATA_DIR", str(pipeline.root))
    monkeypatch.setenv("SESSION_USER", "carol")

    def command(*words: object, says: str = "") -> Result:
        answer = CliRunner().invoke(main, ["knowledge", *map(str, words)], input=says)
        assert answer.exit_code == 0, answer.output
        return answer

    return command


def items(pipeline: Pipeline) -> dict[object, object]:
    return {
        row[0]: row[1] for row in pipeline.select("SELECT content, status FROM knowledge_items")
    }


def waiting(cli: Cli) -> list[str]:
    document = json.loads(cli("review", "--json").output)
    return [candidate["content"] for candidate in document["candidates"]]


def test_a_candidate_is_no_item_before_somebody_says_so(pipeline: Pipeline, cli: Cli) -> None:
    assert items(pipeline) == {}
    assert waiting(cli) == [fact(n) for n in range(4)]


@pytest.mark.parametrize("accepted", [False, True])
def test_decisions_stay_when_everything_is_read_again_by_another_version(
    pipeline: Pipeline, cli: Cli, accepted: bool
) -> None:
    cli("review", says="a\nr\ne Sales close late\n")
    decided = pipeline.rows("knowledge_labels")
    known = {fact(0): "approved", "Sales close late": "approved"}
    assert items(pipeline) == known
    report = doubt(pipeline, Doubter(accepted=accepted, version=9), full_refresh=True)
    assert report.processed == 4
    assert pipeline.select("SELECT DISTINCT extractor_version FROM verifications") == [(9,)]
    assert pipeline.rows("knowledge_labels") == decided
    # What nobody has decided is an item as soon as its finder is sure of it.
    assert items(pipeline) == known | ({fact(3): "pending"} if accepted else {})
    assert waiting(cli) == ([] if accepted else [fact(3)])


def test_a_copy_of_a_line_is_decided_with_it(pipeline: Pipeline, cli: Cli) -> None:
    cli("review", says="r\na\n")
    for number in range(2):
        copy = (pipeline.root / f"alice/p/{number}.jsonl").read_bytes()
        (pipeline.root / f"alice/p/copy{number}.jsonl").write_bytes(copy)
    doubt(pipeline, Doubter(accepted=True))
    assert fact(0) not in items(pipeline)
    assert items(pipeline)[fact(1)] == "approved"
    assert waiting(cli) == [fact(2), fact(3)]


def test_a_reviewed_item_keeps_the_words_of_the_person(pipeline: Pipeline, cli: Cli) -> None:
    doubt(pipeline, Doubter(accepted=True), full_refresh=True)
    (item,) = (
        row[0]
        for row in pipeline.select(f"SELECT id FROM knowledge_items WHERE content = '{fact(0)}'")
    )
    cli("edit", item, "Cash closes on the third")
    doubt(pipeline, Doubter(accepted=True, version=9), full_refresh=True)
    assert items(pipeline)["Cash closes on the third"] == "approved"
    assert fact(0) not in items(pipeline)
    evidence = pipeline.select(
        f"SELECT user_quote FROM verification_evidence WHERE item_id='{item}'"
    )
    assert [str(row[0]).casefold() for row in evidence] == [fact(0).casefold()]


def test_the_later_decision_counts_though_a_clock_is_behind(pipeline: Pipeline, cli: Cli) -> None:
    (key,) = pipeline.select("SELECT min(detection_key) FROM verifications")[0]
    for decision, now in (("rejected", 2_000), ("approved", 1_000)):
        choice = Choice(str(key), decision)
        deciding.decide(pipeline.store, [choice], Reviewer("carol", now))
    doubt(pipeline, full_refresh=True)
    assert list(items(pipeline).values()) == ["approved"]
    assert len(pipeline.rows("verification_evidence")) == 1


def test_decisions_go_with_the_file_that_they_are_about(pipeline: Pipeline, cli: Cli) -> None:
    cli("review", says="a\nr\na\na\n")
    answer = CliRunner().invoke(main, ["forget", "--session", "alice/p/0.jsonl", "--yes"])
    assert answer.exit_code == 0, answer.output
    assert fact(0) not in items(pipeline)
    files = "SELECT session_file FROM knowledge_labels ORDER BY 1"
    assert pipeline.select(files) == [(f"alice/p/{n}.jsonl",) for n in (1, 2, 3)]


def test_what_was_refused_is_refused_in_another_spelling_too(pipeline: Pipeline, cli: Cli) -> None:
    cli("review", says="r\n")
    path = pipeline.root / "bob/p/9.jsonl"
    write_session(pipeline.root, 9, "bob")
    respelt = turn(0).replace("each month", "every month")
    assert turn(9) in path.read_text("utf-8")
    path.write_text(path.read_text("utf-8").replace(turn(9), respelt), "utf-8")
    doubt(pipeline)
    assert fact(0) not in items(pipeline)
    assert len(waiting(cli)) == 3
    doubt(pipeline, Doubter(accepted=True), full_refresh=True)
    assert sorted(items(pipeline)) == [fact(n) for n in sorted((1, 2, 3), key=fact)]


def test_a_decision_holds_though_its_words_are_cut_in_another_way() -> None:
    label = Label(
        *("kl_1", "vd_1", "alice/p/0.jsonl", 3, "words@1", "Ask bob@example.com. He counts."),
        *("rejected", "correction", "He counts", None, 0.5, False, "rules", 3, "carol", 1),
    )
    settled = Settled([label])
    for quote in ("Ask bob@example.com.", "Ask [REDACTED:mail]. He counts.", "ask bob@example.com"):
        assert settled.of("vd_2", "words@2", quote) is label, quote
    for quote in ("He counts.", "Nobody counts on fridays."):
        assert settled.of("vd_2", "words@2", quote) is None, quote
    assert settled.of("vd_2", "other@1", "Ask bob@example.com.") is None


def test_a_session_that_grows_keeps_what_was_decided_about(pipeline: Pipeline, cli: Cli) -> None:
    path = pipeline.root / "alice/p/0.jsonl"
    cli("review", says="s\ns\ns\na\n")
    (before,) = pipeline.select("SELECT session_file FROM verification_evidence")
    lines = path.read_bytes()
    path.write_bytes(lines + lines.replace(b"5e550000", b"5e550000"))
    doubt(pipeline)
    assert pipeline.select("SELECT session_file FROM verification_evidence") == [before]


def test_what_is_no_id_is_named(pipeline: Pipeline, cli: Cli) -> None:
    answer = CliRunner().invoke(main, ["knowledge", "approve", "vd_\udc80x"])
    assert answer.exit_code == 2
    assert "no candidate or item vd_" in answer.output


# --- labels ---


def test_a_label_is_one_line_whatever_ends_a_line_elsewhere(
    pipeline: Pipeline, cli: Cli, tmp_path: Path
) -> None:
    path = pipeline.root / "alice/p/0.jsonl"
    odd = turn(0).replace("Please", "\u2028\u2029\x85Please")
    path.write_text(path.read_text("utf-8").replace(turn(0), odd), "utf-8")
    doubt(pipeline)
    cli("review", says="a\nr\nr\nr\n")
    target = tmp_path / "labels.jsonl"
    cli("labels", "--export", target)
    turns = read(target)
    assert len(turns) == 4
    assert [len(turn.facts) for turn in turns].count(1) == 1


def test_a_secret_that_is_one_now_is_not_in_the_labels(
    pipeline: Pipeline, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pipeline.root / "alice/p/0.jsonl"
    named = turn(0).replace(" report is", " bob@example.com report is")
    path.write_text(path.read_text("utf-8").replace(turn(0), named), "utf-8")
    doubt(pipeline)
    cli("review", says="a\nr\nr\nr\n")
    target = tmp_path / "labels.jsonl"
    cli("labels", "--export", target)
    assert "bob@example.com" in target.read_text()
    monkeypatch.setenv("SESSION_PIPELINE_REDACT_PERSONAL", "mail")
    cli("labels", "--export", target)
    assert "bob@example.com" not in target.read_text()
    assert sum(len(turn.facts) for turn in read(target)) == 1


def labelled(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_labels_go_round(pipeline: Pipeline, cli: Cli, tmp_path: Path) -> None:
    cli("review", says="t\na\nr\ne Sales close late\ns\ns\n")
    target = tmp_path / "labels.jsonl"
    target.write_text("of before")
    target.chmod(0o644)
    summary = json.loads(cli("labels", "--export", target, "--json").output)
    assert summary == {
        "decisions": 3,
        **{"approved": 1, "edited": 1, "rejected": 1, "precision": None},
        **{"turns": 3, "whole_turns": 3},
    }
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".labels")] == []
    made = labelled(target)
    assert [list(line) for line in made] == [
        ["id", "topic", "voice", "assistant", "user", "facts", "why"]
    ] * 3
    assert len({line["id"] for line in made}) == 3
    assert [line["user"] for line in made] == [turn(n) for n in range(3)]
    assert [line["assistant"] for line in made] == [claim(n) for n in range(3)]
    kinds = [[fact["type"] for fact in line["facts"]] for line in made]
    assert kinds == [["confirmation"], [], ["correction"]]
    assert all(fact["quote"] in line["user"] for line in made for fact in line["facts"])
    assert cli("labels", "--export", "-").output.splitlines() == [json.dumps(m) for m in made]


def test_labels_of_a_session_that_is_gone_are_its_quotes(
    pipeline: Pipeline, cli: Cli, tmp_path: Path
) -> None:
    cli("review", says="a\nr\n")
    (pipeline.root / "alice/p/0.jsonl").unlink()
    # A file that holds something else in that line by now.
    write_session(pipeline.root, 5)
    (pipeline.root / "alice/p/5.jsonl").rename(pipeline.root / "alice/p/1.jsonl")
    target = tmp_path / "labels.jsonl"
    cli("labels", "--export", target)
    made = labelled(target)
    quotes = [f"{fact(n)[0].lower()}{fact(n)[1:]}" for n in range(2)]
    assert [(line["assistant"], line["user"]) for line in made] == [(None, q) for q in quotes]
    assert [line["facts"] for line in made] == [[{"type": "correction", "quote": quotes[0]}], []]


def test_a_line_is_taken_for_the_one_that_was_decided_only_with_its_words(
    pipeline: Pipeline, cli: Cli, tmp_path: Path
) -> None:
    cli("review", says="a\n")
    path, target = pipeline.root / "alice/p/0.jsonl", tmp_path / "labels.jsonl"
    heard = Heard(lambda: pipeline.source, ())
    assert heard.around(Line("alice/p/0.jsonl", 3, None, fact(0))) == Exchange(claim(0), turn(0))
    assert heard.around(Line("alice/p/0.jsonl", 3, None, fact(1))) is None
    path.write_text(path.read_text("utf-8").replace("No, it is later", "Is it so"), "utf-8")
    cli("labels", "--export", target)
    assert [line["assistant"] for line in labelled(target)] == [None]


def test_a_turn_in_which_something_waits_is_not_said_to_hold_nothing_else(
    pipeline: Pipeline, cli: Cli, tmp_path: Path
) -> None:
    path = pipeline.root / "alice/p/0.jsonl"
    both = f"{turn(0)} And {fact(1)[0].lower()}{fact(1)[1:]}."
    path.write_text(path.read_text("utf-8").replace(turn(0), both), "utf-8")
    doubt(pipeline)
    cli("review", says="a\n")
    target = tmp_path / "labels.jsonl"
    cli("labels", "--export", target)
    assert [line["user"] for line in labelled(target)] == [fact(0)[0].lower() + fact(0)[1:]]
    cli("review", says="r\nr\nr\nr\n")
    cli("labels", "--export", target)
    (whole,) = (line for line in labelled(target) if line["user"] == both)
    assert len(whole["facts"]) == 1


def test_a_file_that_cannot_be_written_is_said(pipeline: Pipeline, cli: Cli) -> None:
    cli("review", says="a\n")
    words = ["knowledge", "labels", "--export", str(pipeline.root / "no" / "x.jsonl")]
    answer = CliRunner().invoke(main, words)
    assert (answer.exit_code, "cannot be written" in answer.output) == (2, True)


# --- precision ---


def measured(pipeline: Pipeline) -> Measured:
    return inspect(Doubter(), PRECISION, pipeline.source, pipeline.store)


def test_precision_of_items_fails_when_it_is_low_and_recovers(pipeline: Pipeline, cli: Cli) -> None:
    for number in range(4, 32):
        write_session(pipeline.root, number)
    sure = Doubter(accepted=True)
    doubt(pipeline, sure, full_refresh=True)
    cli("review", "--items", says="a\n" * 14 + "r\n" * 5)
    assert measured(pipeline).violations == 0
    said = "19 decisions about items yet; judged from 20 on (candidates: 0 of 0)"
    assert measured(pipeline).said == said
    cli("review", "--items", says="r\n")
    low = measured(pipeline)
    assert (low.violations, low.numbers["precision"], low.numbers["decisions"]) == (6, 0.7, 20)
    health = CliRunner().invoke(main, ["health"]).output
    said = (
        "warning  verification/knowledge_precision: 14 of the last 20 decisions about items: right"
    )
    assert said in health
    cli("review", "--items", says="a\n" * 12)
    fine = measured(pipeline)
    assert (fine.violations, fine.numbers["decisions"]) == (0, 32)
    assert fine.numbers["precision"] == 0.812
    report = doubt(pipeline, sure, full_refresh=True)
    assert report.counts["knowledge_precision"] == 0.812


def test_refused_candidates_are_counted_and_warn_nobody(pipeline: Pipeline, cli: Cli) -> None:
    for number in range(4, 30):
        write_session(pipeline.root, number)
    doubt(pipeline)
    cli("review", says="a\n" + "r\n" * 24)
    found = measured(pipeline)
    assert (found.violations, found.numbers["decisions_of_candidates"]) == (0, 25)
    said = "0 decisions about items yet; judged from 20 on (candidates: 1 of 25)"
    assert found.said == said


def test_an_item_is_shown_with_how_sure_its_finder_was_and_why(
    pipeline: Pipeline, cli: Cli
) -> None:
    cli("review", says="a\n")
    (item,) = pipeline.select("SELECT id FROM knowledge_items")[0]
    shown = " ".join(cli("show", item).output.split())
    assert f"score 0.90: {REASON}" in shown
    (evidence,) = json.loads(cli("show", item, "--json").output)["evidence"]
    assert (evidence["score"], evidence["reasons"]) == (0.9, [REASON])


def test_an_item_with_candidates_behind_it_is_one_decision_about_an_item() -> None:
    of_both = [
        Label(
            *(f"kl_{n}{accepted}", f"vd_{n}{accepted}", "a/s.jsonl", n, f"w{n}@1", "said"),
            *("approved", "correction", "fact", f"kv_{n}", 0.5, accepted, "rules", 3, "carol", 5),
        )
        for n in range(6)
        for accepted in (False, True)
    ]
    found = precision(of_both)
    assert (found.decisions, found.right, found.candidates) == (6, 6, 0)


def test_what_is_rejected_as_an_item_waits_in_no_other_spelling() -> None:
    said = Observation(
        "a",
        "k",
        "u",
        "correction",
        "t",
        "Backups are kept for 24 hours.",
        "q",
        None,
        (),
        "l",
        1,
        1,
        "d",
    )
    candidate = Detected(said, accepted=False)
    respelt = replace(said, content="Backups are kept for a day")
    other = replace(said, content="Backups are kept for a week")
    assert list(waiting_of([candidate], Settled([]), [respelt])) == []  # ty: ignore[invalid-argument-type]  what has a statement
    assert list(waiting_of([candidate], Settled([]), [other])) == [candidate]  # ty: ignore[invalid-argument-type]  see above
    assert list(waiting_of([candidate], Settled([]))) == [candidate]
