"""`session-pipeline knowledge review`, by a person at a terminal and by a script."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from rich.cells import cell_len
from test_cli import PROGRAM, Cli

from doubter import REASON, Doubter, claim, doubt, fact, turn, write_session
from helpers import Pipeline
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.testing.builder import SessionBuilder
from sitting import Sitting

pytestmark = pytest.mark.slow

Sit = Callable[..., Sitting]


class Reviewed(Cli):
    """The program over sessions with things to decide."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.sessions = folder / "sessions"
        self.env |= {"SESSION_USER": "carol", "HOME": str(folder)}

    @property
    def given(self) -> list[object]:
        return ["--sessions", self.sessions, "--database", self.database]

    def knowledge(self, *words: object, **env: object) -> subprocess.CompletedProcess[str]:
        return self("knowledge", *words, *self.given, **env)

    def piped(self, text: str, *words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, "knowledge", "review", *map(str, [*words, *self.given])],
            cwd=self.folder,
            env=self.env,
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @property
    def pipeline(self) -> Pipeline:
        settings = Settings(roots=(Root(self.sessions),), database=self.database)
        return Pipeline(self.sessions, settings)

    def doubt(self, *, accepted: bool = False) -> None:
        """A pass over the sessions."""
        doubt(self.pipeline, Doubter(accepted=accepted))

    def select(self, sql: str) -> list[tuple[object, ...]]:
        return self.pipeline.select(sql)

    def waiting(self) -> list[str]:
        """The facts of the candidates that wait, in their order."""
        document = json.loads(self.knowledge("review", "--json").stdout)
        return [candidate["content"] for candidate in document["candidates"]]

    def items(self) -> dict[object, object]:
        return dict(self.select("SELECT content, status FROM knowledge_items"))  # ty: ignore[no-matching-overload]  pairs

    def labels(self) -> list[tuple[object, ...]]:
        return self.select("SELECT decision, content FROM knowledge_labels ORDER BY decided_at")


def reviewed(folder: Path, many: int) -> Reviewed:
    """So many candidates, the first fact the surest."""
    made = Reviewed(folder)
    for number in range(many):
        write_session(made.sessions, number)
    made.doubt()
    return made


@pytest.fixture
def cli(tmp_path: Path) -> Reviewed:
    return reviewed(tmp_path, 4)


@pytest.fixture
def sit(cli: Reviewed) -> Generator[Sit]:
    """People who sit down to review."""
    there: list[Sitting] = []

    def sit_down(*words: object, columns: int = 80, user: str = "carol") -> Sitting:
        command = [PROGRAM, "knowledge", "review", *words, *cli.given]
        env = cli.env | {"SESSION_USER": user}
        there.append(Sitting(command, cli.folder, env, columns))
        return there[-1]

    yield sit_down
    for sitting in there:
        sitting.close()


# --- at a terminal ---


def test_a_card_shows_the_turn_before_the_quote_the_reasons_and_the_score(sit: Sit) -> None:
    sitting = sit()
    card = " ".join(sitting.expect("approve").split())
    for part in ("1 of 4", "correction", "score 0.90", claim(0), turn(0), fact(0)):
        assert part in card
    assert REASON in card
    assert "alice said on 2026-03-10" in card
    assert "alice/p/0.jsonl:3" in card
    sitting.press("q")
    assert sitting.end() == 0


def test_one_key_decides_without_enter_and_the_best_come_first(cli: Reviewed, sit: Sit) -> None:
    sitting = sit()
    sitting.press("a")
    sitting.expect("approved")
    sitting.press("r")
    sitting.expect("rejected")
    sitting.press("s")
    sitting.press("q")
    assert sitting.end() == 0
    assert "1 approved, 1 rejected, 1 skipped" in sitting.shown
    assert cli.labels() == [("approved", fact(0)), ("rejected", fact(1)), ("skipped", fact(2))]
    assert cli.items() == {fact(0): "approved"}
    assert cli.waiting() == [fact(3), fact(2)], "what was skipped comes last"
    evidence = cli.select("SELECT source_ref FROM verification_evidence")
    assert evidence == [("alice/p/0.jsonl:3",)]


def test_an_edited_candidate_becomes_an_item_in_the_words_of_the_person(
    cli: Reviewed, sit: Sit
) -> None:
    sitting = sit()
    sitting.press("e")
    sitting.expect(fact(0))
    # What stands there is taken away, and other words are written.
    sitting.write("\x15Cash closes on the third\n")
    sitting.expect("edited")
    sitting.press("q")
    assert sitting.end() == 0
    assert cli.items() == {"Cash closes on the third": "approved"}
    assert cli.waiting() == [fact(1), fact(2), fact(3)]


def test_an_edit_that_is_left_empty_decides_nothing(cli: Reviewed, sit: Sit) -> None:
    sitting = sit()
    sitting.press("e")
    sitting.expect(fact(0))
    sitting.write("\x15\n")
    sitting.press("q")
    assert sitting.end() == 0
    assert cli.labels() == []


def test_what_is_the_same_supports_the_item_that_is_there(cli: Reviewed, sit: Sit) -> None:
    sitting = sit()
    sitting.press("a")
    (item,) = cli_items(cli, sitting)
    sitting.press("=")
    sitting.expect("look for")
    sitting.write(f"{item}\n")
    sitting.expect("same")
    sitting.press("=")
    sitting.expect("look for")
    sitting.write("cash report closed\n")
    sitting.expect("No item is like that")
    sitting.press("q")
    assert sitting.end() == 0
    assert cli.items() == {fact(0): "approved"}
    found = cli.select("SELECT source_ref FROM verification_evidence ORDER BY 1")
    assert found == [("alice/p/0.jsonl:3",), ("alice/p/1.jsonl:3",)]
    again = sit()
    again.press("1")
    again.expect("same")
    again.press("q")
    assert again.end() == 0
    assert cli.select("SELECT count(*) FROM verification_evidence") == [(3,)]


def cli_items(cli: Reviewed, sitting: Sitting) -> list[str]:
    """Ids of the items, once one is there."""
    sitting.expect("approved: ")
    return [str(row[0]) for row in cli.select("SELECT id FROM knowledge_items")]


def test_a_decision_is_taken_back(cli: Reviewed, sit: Sit) -> None:
    sitting = sit()
    sitting.press("a")
    sitting.expect("2 of 4")
    sitting.press("u")
    sitting.expect("taken back")
    assert fact(0) in sitting.expect("approve")
    sitting.press("u")
    sitting.expect("nothing to take back")
    sitting.press("r")
    sitting.press("q")
    assert sitting.end() == 0
    assert cli.labels() == [("rejected", fact(0))]
    assert cli.items() == {}


def test_a_type_is_changed_before_it_is_decided(cli: Reviewed, sit: Sit) -> None:
    sitting = sit()
    sitting.press("t")
    sitting.expect("As a confirmation")
    sitting.press("t")
    sitting.expect("As a definition")
    sitting.press("a")
    sitting.press("q")
    assert sitting.end() == 0
    kinds = cli.select("SELECT detection_type FROM knowledge_labels")
    assert kinds == [("unprompted_definition",)]


def test_items_are_asked_about_after_the_candidates(cli: Reviewed, sit: Sit) -> None:
    write_session(cli.sessions, 6)
    cli.doubt(accepted=True)
    sitting = sit("--items")
    for _ in range(4):
        sitting.press("r")
        sitting.expect("rejected")
    assert fact(6) in sitting.expect("approve")
    sitting.press("a")
    assert sitting.end() == 0
    assert cli.items() == {fact(6): "approved"}
    assert "to be looked at: 0 candidates, 0 items" in sitting.shown


def test_keys_that_were_pressed_before_the_card_decide_nothing(cli: Reviewed, sit: Sit) -> None:
    sitting = sit()
    sitting.write("r")
    sitting.press("q")
    assert sitting.end() == 0
    assert cli.labels() == []


def test_arrows_pastes_and_other_keys_decide_nothing(cli: Reviewed, sit: Sit) -> None:
    sitting = sit()
    for keys in ("\x1b[A", "aaaa", "x", "9", "\n", " "):
        sitting.press(keys)
    sitting.press("q")
    assert sitting.end() == 0
    assert cli.labels() == []


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_nothing_is_wider_than_the_terminal(sit: Sit, columns: int) -> None:
    sitting = sit(columns=columns)
    for key in ("v", "?", "a", "q"):
        sitting.press(key)
    assert sitting.end() == 0
    widths = [cell_len(line) for line in sitting.cards.splitlines()]
    assert min(columns, 80) <= max(widths) <= columns


def test_an_interrupt_ends_it_and_keeps_what_was_decided(cli: Reviewed, sit: Sit) -> None:
    sitting = sit()
    sitting.press("a")
    sitting.expect("2 of 4")
    sitting.press("\x03")
    assert sitting.end(again="\x03") == 130
    assert sitting.shown.splitlines()[-1] == "1 approved"
    assert "Traceback" not in sitting.shown
    assert sitting.is_as_before
    assert cli.labels() == [("approved", fact(0))]


def test_the_end_of_a_terminals_input_ends_it(cli: Reviewed, sit: Sit) -> None:
    sitting = sit()
    sitting.press("\x04")
    assert sitting.end() == 0
    assert sitting.is_as_before
    assert cli.labels() == []


def test_a_kill_between_two_decisions_loses_none_and_the_next_run_merges(
    cli: Reviewed, sit: Sit
) -> None:
    sitting = sit()
    sitting.press("a")
    sitting.expect("2 of 4")
    sitting.press("r")
    sitting.expect("3 of 4")
    os.kill(sitting.process.pid, signal.SIGKILL)
    assert sitting.end() == -signal.SIGKILL
    assert cli.labels() == [("approved", fact(0)), ("rejected", fact(1))]
    assert cli.waiting() == [fact(2), fact(3)]
    assert cli("run", *cli.given, "--processor", "verification").returncode == 0
    assert cli.items() == {fact(0): "approved"}
    assert cli.select("SELECT source_ref FROM verification_evidence") == [("alice/p/0.jsonl:3",)]


def test_two_reviewers_at_once_decide_nothing_twice(cli: Reviewed, sit: Sit) -> None:
    carol, dan = sit(), sit(user="dan")
    carol.expect("1 of 4")
    dan.expect("1 of 4")
    carol.press("a")
    carol.expect("2 of 4")
    dan.press("r")
    dan.expect("approved by carol meanwhile")
    dan.expect("2 of 4")
    dan.press("r")
    dan.expect("rejected")
    carol.press("a")
    carol.expect("rejected by dan meanwhile")
    carol.press("q")
    dan.press("q")
    assert (carol.end(), dan.end()) == (0, 0)
    found = cli.select("SELECT decided_by, decision, content FROM knowledge_labels ORDER BY 1")
    assert found == [("carol", "approved", fact(0)), ("dan", "rejected", fact(1))]


def test_what_somebody_else_has_decided_is_not_asked_any_more(cli: Reviewed, sit: Sit) -> None:
    sitting = sit()
    sitting.expect("1 of 4")
    keys = {
        c["content"]: c["id"]
        for c in json.loads(cli.knowledge("review", "--json").stdout)["candidates"]
    }
    assert cli.knowledge("reject", keys[fact(1)]).returncode == 0
    sitting.press("r")
    assert fact(2) in sitting.expect("approve")
    sitting.press("q")
    assert sitting.end() == 0


def test_nothing_that_people_wrote_acts_on_the_terminal(cli: Reviewed, sit: Sit) -> None:
    evil = "\x1b[2J\x1b]0;owned\x07 \u202etxet\u202c \x9b31m \u2066hidden\u2069"
    made = SessionBuilder("5e55eeee").prompt("Hello").response(f"{claim(6)} {evil} [bold]x[/bold]")
    made.prompt(
        f"No, it's actually later: the energy{evil} report is closed on day 9 of each month."
    )
    made.write(cli.sessions, "eve\x1b[2J/p/6.jsonl")
    cli.doubt()
    sitting = sit()
    for key in "ssss":
        sitting.press("v")
        sitting.press(key)
    sitting.press("v")
    sitting.press("q")
    assert sitting.end() == 0
    assert "[bold]x[/bold]" in sitting.shown
    assert "owned" in sitting.shown
    for act in ("\x1b", "\x07", "\x9b", "\u202e", "\u202c", "\u2066", "\u2069"):
        assert act not in sitting.cards


def test_secrets_of_the_turn_before_are_taken_out(cli: Reviewed, sit: Sit) -> None:
    secret = "ghp_" + "a8Kd93jfLqpZ72mXcV0bN5tRy1WsE4uHgT6o"
    made = SessionBuilder("5e55bbbb").prompt("Hello").response(f"{claim(6)} The token is {secret}")
    made.prompt(f"{turn(6)} Use {secret} for it.").write(cli.sessions, "bob/p/6.jsonl")
    cli.doubt()
    sitting = sit()
    for _ in range(4):
        sitting.press("r")
    assert claim(6) in " ".join(sitting.expect("approve").split())
    sitting.press("v")
    sitting.press("a")
    sitting.end()
    assert "REDACTED" in sitting.shown
    assert secret not in sitting.shown
    target = cli.folder / "out.jsonl"
    cli.knowledge("labels", "--export", target)
    assert "REDACTED" in target.read_text("utf-8")
    assert secret not in target.read_text("utf-8")


# --- by a script ---


def test_a_pipe_answers_line_by_line_with_keys_or_words(cli: Reviewed) -> None:
    answer = cli.piped("approve\n\nnonsense\nr\ne Sales close on day five\nsame\n")
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    assert "\x1b" not in answer.stdout
    found = [decision for decision, _ in cli.labels()]
    assert found == ["approved", "rejected", "edited"]
    assert cli.items() == {fact(0): "approved", "Sales close on day five": "approved"}
    again = cli.piped("")
    assert again.returncode == 0
    assert "1 of 1" in again.stdout
    assert fact(3) in again.stdout


def test_a_reader_that_goes_away_is_no_error(cli: Reviewed) -> None:
    words = [PROGRAM, "knowledge", "review", *map(str, cli.given)]
    made = subprocess.Popen(
        words,
        cwd=cli.folder,
        env=cli.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert made.stdin
    assert made.stdout
    assert made.stderr
    made.stdout.close()
    made.stdin.write(b"s\n" * 9)
    made.stdin.close()
    said = made.stderr.read()
    made.stderr.close()
    assert (made.wait(60), said) == (0, b"")


def test_candidates_are_listed_and_decided_without_a_terminal(cli: Reviewed) -> None:
    document = json.loads(cli.knowledge("review", "--json").stdout)
    ids = [candidate["id"] for candidate in document["candidates"]]
    first = document["candidates"][0]
    assert (first["content"], first["score"], first["type"]) == (fact(0), 0.9, "correction")
    assert (first["user"], first["source"]) == ("alice", "alice/p/0.jsonl:3")
    assert cli.knowledge("approve", ids[0]).returncode == 0
    assert cli.knowledge("reject", ids[1]).returncode == 0
    item = str(cli.select("SELECT id FROM knowledge_items")[0][0])
    assert cli.knowledge("same", ids[2], item).stdout == f"{ids[2]} same: {item}\n"
    assert cli.knowledge("edit", ids[3], "Claims close late").returncode == 0
    assert cli.waiting() == []
    assert cli.items() == {fact(0): "approved", "Claims close late": "approved"}
    again = cli.knowledge("reject", ids[0])
    assert (again.returncode, item in again.stderr) == (2, True)
    missing = cli.knowledge("approve", "vd_nothing")
    assert (missing.returncode, "vd_nothing" in missing.stderr) == (2, True)


def test_without_anything_to_decide_it_says_so(tmp_path: Path) -> None:
    cli = Reviewed(tmp_path)
    cli.sessions.mkdir()
    assert "No knowledge yet" in cli.piped("a\n").stdout
    assert json.loads(cli.knowledge("review", "--json").stdout)["candidates"] == []
    assert not cli.database.exists()
