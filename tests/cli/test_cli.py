"""The command line as a user meets it: output, exit codes and error lines."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from example_numbers import FILES
from helpers import EXAMPLES, session_line, write_session

PROGRAM = Path(sys.executable).with_name("session-pipeline")
OURS = ("SESSION_", "SCHEDULER_", "DATA_DIR", "DAGSTER_")


class Cli:
    """Runs the program in a folder of its own, with none of our variables set."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.database = folder, folder / "test.duckdb"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}

    def __call__(self, *arguments: object, **env: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *map(str, arguments)],
            cwd=self.folder,
            env=self.env | {name: str(value) for name, value in env.items()},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def on(
        self, sessions: Path, *arguments: object, **env: object
    ) -> subprocess.CompletedProcess[str]:
        """With these sessions and the test's database."""
        return self(*arguments, "--sessions", sessions, "--database", self.database, **env)

    def json(self, sessions: Path, *arguments: object, **env: object) -> dict:
        return json.loads(self.on(sessions, *arguments, "--json", **env).stdout)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    """A root with one session."""
    write_session(tmp_path / "sessions", "alice/x.jsonl", "hello")
    return tmp_path / "sessions"


def assert_one_clear_line(answer: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert answer.returncode == code, answer
    assert answer.stdout == ""
    (line,) = answer.stderr.splitlines()
    assert line.startswith("session-pipeline: ")
    for word in words:
        assert word in line


# --- run ---


def test_a_run_over_the_examples_shows_files_messages_tokens_and_tools(cli: Cli) -> None:
    answer = cli.on(EXAMPLES, "run")
    assert answer.returncode == 0
    assert answer.stderr == ""
    words = set(answer.stdout.split())
    assert words >= {"files", "processed", "sessions", "messages", "input", "output"}
    assert words >= {str(FILES), "alice", "bob", "usage", "Bash", "tool_use", "calls"}


def test_json_is_one_document_and_its_numbers_are_the_examples(cli: Cli) -> None:
    answer = cli.on(EXAMPLES, "run", "--json")
    document = json.loads(answer.stdout)
    assert (answer.returncode, answer.stderr) == (0, "")
    report = document["processors"]["usage"]
    assert (report["session_files"], report["scanned"], report["processed"]) == (FILES,) * 3
    assert (report["errors"], report["errors_detail"], report["unreadable_lines"]) == (0, [], 1)
    assert {row["user"] for row in document["summaries"]["Usage"]} == {"alice", "bob"}
    assert sum(row["messages"] for row in document["summaries"]["Usage"]) > FILES
    assert cli.json(EXAMPLES, "run")["processors"]["usage"]["scanned"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 120])
def test_names_and_ids_are_whole_and_texts_readable_in_a_terminal(cli: Cli, columns: int) -> None:
    """The widest content is what people said; it must not be squeezed by what is short."""
    texts = {
        command: cli.on(EXAMPLES, *command.split(), COLUMNS=columns).stdout
        for command in ("run", "status", "knowledge list", "processors")
    }
    for command, text in texts.items():
        assert "…" not in text, command
        # Paths are never broken: who copies one from a terminal would get half of it.
        lines = [t for t in text.splitlines() if not t.startswith(("Sessions: ", "Database: "))]
        assert max(map(len, lines)) <= columns
    for command in ("run", "status", "processors"):
        assert "verification " in texts[command]
    fewest = {80: 3, 120: 6}[columns]
    (line,) = [t for t in texts["knowledge list"].splitlines() if "We define an active" in t]
    assert len(line.split()[4:]) >= fewest


@pytest.mark.slow
def test_full_refresh_and_verify_are_passed_on(cli: Cli) -> None:
    cli.on(EXAMPLES, "run")
    assert cli.json(EXAMPLES, "run", "--full-refresh")["processors"]["usage"]["processed"] == FILES
    assert cli.json(EXAMPLES, "run", "--verify")["processors"]["usage"]["skipped"] == FILES


def test_a_folder_name_with_brackets_is_printed_as_it_is(cli: Cli, tmp_path: Path) -> None:
    """Rich reads [red] and [/x] as markup; file names and transcripts are not ours to trust."""
    root = tmp_path / "[red]sessions"
    path = root / "al[/b]ice" / "x[/red].jsonl"
    path.parent.mkdir(parents=True)
    call = {"type": "tool_use", "id": "t1", "name": "Tool[/x]", "input": {}}
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "m1", "model": "claude", "content": [call], "usage": usage}
    line = {"type": "assistant", "requestId": "r", "sessionId": "s", "message": message}
    path.write_text(json.dumps(line | {"timestamp": "2025-03-01T12:00:00Z"}) + "\n")
    (path.parent / "link.jsonl").symlink_to(path)
    for command in ("run", "status"):
        answer = cli.on(root, command)
        assert (answer.returncode, answer.stderr) == (0, "")
        assert "[red]sessions" in answer.stdout
    assert "al[/b]ice/x[/link.jsonl" in answer.stdout


def test_several_roots_are_scanned_together(cli: Cli, tmp_path: Path) -> None:
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        write_session(root, "alice/x.jsonl", root.name)
    given = ["--sessions", roots[0], "--sessions", roots[1], "--database", cli.database]
    assert json.loads(cli("run", "--json", *given).stdout)["processors"]["usage"]["processed"] == 2
    document = json.loads(cli("status", "--json", *given).stdout)
    assert document["sessions"] == [str(root) for root in roots]
    assert (document["files"], document["processors"]["usage"]["pending"]) == (2, 0)


@pytest.mark.slow
def test_two_roots_of_the_same_folder_name_never_share_a_key(cli: Cli, tmp_path: Path) -> None:
    """Either a clear refusal, or two names; never two files under one key."""
    roots = [tmp_path / "one" / "sessions", tmp_path / "two" / "sessions"]
    for root in roots:
        write_session(root, "alice/x.jsonl", str(root))
    given = ["--sessions", roots[0], "--sessions", roots[1], "--database", cli.database]
    answer = cli("run", "--json", *given)
    if answer.returncode == 2:
        assert_one_clear_line(answer, 2, "sessions")
        return
    assert json.loads(answer.stdout)["processors"]["usage"]["processed"] == 2
    again = json.loads(cli("run", "--json", "--full-refresh", *given).stdout)
    assert again["processors"]["usage"]["processed"] == 2
    found = json.loads(cli("status", "--json", *given).stdout)["processors"]
    assert {name: p["files"] for name, p in found.items()} == {"usage": 2, "verification": 2}
    keys = cli_keys(cli)
    assert len(keys) == 2 * len(set(keys)) == 4


def cli_keys(cli: Cli) -> list[str]:
    code = """
import sys, duckdb
for row in duckdb.connect(sys.argv[1]).execute(
    "SELECT session_file FROM session_processor_state").fetchall():
    print(row[0])
"""
    answer = subprocess.run(
        [sys.executable, "-c", code, cli.database], capture_output=True, text=True, check=True
    )
    return answer.stdout.splitlines()


def test_the_projects_layout_takes_the_first_folder_as_project(cli: Cli) -> None:
    document = cli.json(EXAMPLES, "run", "--layout", "projects", SESSION_USER="carol")
    assert {row["user"] for row in document["summaries"]["Usage"]} == {"carol"}


# --- wrong usage and settings ---


def test_an_unknown_processor_is_answered_with_the_known_ones(cli: Cli, sessions: Path) -> None:
    answer = cli.on(sessions, "run", "--processor", "usgae")
    assert_one_clear_line(answer, 2, "usgae", "known: usage")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCHEDULER_USAGE_PROCESSOR_INTERVAL", ""),
        ("SCHEDULER_USAGE_PROCESSOR_INTERVAL", "0"),
        ("SCHEDULER_VERIFICATION_DETECTOR_INTERVAL", "-5"),
        ("SCHEDULER_VERIFICATION_DETECTOR_INTERVAL", "soon"),
        ("SESSION_PROCESSOR_MAX_PER_RUN", "-1"),
        ("SESSION_PIPELINE_MAX_FILES_PER_RUN", "0"),
        ("SESSION_PIPELINE_START_DATE", "yesterday"),
        ("SESSION_LAYOUT", "flat"),
        ("SESSION_DATA_DIR", ""),
        ("SESSION_PIPELINE_DATABASE", " "),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(cli: Cli, name: str, value: str) -> None:
    assert_one_clear_line(cli("status", **{name: value}), 2, name)


@pytest.mark.parametrize("option", ["--sessions", "--database"])
def test_an_empty_option_is_refused_not_guessed(cli: Cli, sessions: Path, option: str) -> None:
    """`--sessions "$UNSET"` must not scan the current folder."""
    given = {"--sessions": sessions, "--database": cli.database} | {option: ""}
    answer = cli("run", *(word for pair in given.items() for word in pair))
    assert_one_clear_line(answer, 2, "empty")
    assert sorted(path.name for path in cli.folder.iterdir()) == ["sessions"]


def test_click_says_which_option_is_wrong(cli: Cli) -> None:
    answer = cli("run", "--no-such-option")
    assert answer.returncode == 2
    assert "--no-such-option" in answer.stderr


@pytest.mark.parametrize("command", ["run", "status"])
def test_a_missing_root_is_an_error_and_an_empty_one_is_not(
    cli: Cli, tmp_path: Path, command: str
) -> None:
    root = tmp_path / "sessions"
    assert_one_clear_line(cli.on(root, command), 2, str(root), "SESSION_DATA_DIR")
    root.mkdir()
    answer = cli.on(root, command, "--json")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert json.loads(answer.stdout)["processors"]["usage"]


@pytest.mark.parametrize("command", ["run", "status"])
def test_a_database_that_is_none_is_refused(cli: Cli, sessions: Path, command: str) -> None:
    cli.database.write_text("my notes\n" * 1000)
    answer = cli.on(sessions, command)
    assert_one_clear_line(answer, 2, str(cli.database), "SESSION_PIPELINE_DATABASE")


def test_a_database_that_was_cut_off_is_refused(cli: Cli, sessions: Path) -> None:
    cli.on(sessions, "run")
    whole = cli.database.read_bytes()
    cli.database.write_bytes(whole[: len(whole) // 2])
    assert_one_clear_line(cli.on(sessions, "run"), 2, str(cli.database))


def test_a_missing_database_folder_is_refused_unless_it_is_the_default(
    cli: Cli, sessions: Path
) -> None:
    missing = cli.folder / "gone" / "x.duckdb"
    answer = cli("run", "--sessions", sessions, "--database", missing)
    assert_one_clear_line(answer, 2, str(missing), "does not exist")
    assert cli("run", "--sessions", sessions).returncode == 0
    assert (cli.folder / "var" / "session_pipeline.duckdb").is_file()


def test_a_file_in_the_place_of_the_default_folder_is_refused(cli: Cli, sessions: Path) -> None:
    (cli.folder / "var").write_text("a file")
    assert_one_clear_line(cli("run", "--sessions", sessions), 2, "var")


def test_a_busy_database_is_named_with_its_holder(cli: Cli, sessions: Path) -> None:
    cli.on(sessions, "run")
    hold = "import sys, duckdb; c = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, cli.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        answer = cli.on(sessions, "run", SESSION_PIPELINE_LOCK_TIMEOUT_SECONDS="0.2")
        holder.communicate(b"\n")
    assert_one_clear_line(answer, 2, f"process {holder.pid}")


# --- status; retry and plugins are in test_cli_plugins.py ---


@pytest.mark.slow
def test_status_counts_what_is_pending_and_says_what_is_left_out(cli: Cli, sessions: Path) -> None:
    before = cli.json(sessions, "status")["processors"]["usage"]
    assert (before["files"], before["pending"]) == (1, 1)
    assert before["oldest_pending_seconds"] > 3600
    cli.on(sessions, "run")
    (sessions / "stray.jsonl").write_text(session_line("x"))
    os.mkfifo(sessions / "alice" / "pipe.jsonl")
    document = cli.json(sessions, "status")
    assert document["processors"]["usage"]["pending"] == 0
    assert {left["key"] for left in document["left_out"]} == {"stray.jsonl", "alice/pipe.jsonl"}
    answer = cli.on(sessions, "status")
    assert answer.returncode == 0
    assert "stray.jsonl" in answer.stdout
    assert str(cli.database) in answer.stdout.replace("\n", "")


def test_a_shard_takes_its_part_and_the_document_says_which(cli: Cli, sessions: Path) -> None:
    write_session(sessions, "bob/y.jsonl", "hello")
    write_session(sessions, "carol/z.jsonl", "hello")
    found = [
        cli.json(sessions, "run", "--processor", "usage", "--shard", shard)["processors"]["usage"]
        for shard in ("1/2", "2/2")
    ]
    assert [report["shard"] for report in found] == ["1/2", "2/2"]
    assert sum(report["processed"] for report in found) == 3
    whole = cli.on(sessions, "run", "--processor", "usage")
    assert "Shard" not in whole.stdout
    assert "Shard: 1/2" in cli.on(sessions, "run", "--shard", "1/2").stdout


def test_what_is_no_shard_is_one_line_and_makes_no_database(cli: Cli, sessions: Path) -> None:
    answer = cli.on(sessions, "run", "--shard", "3/2")
    assert_one_clear_line(answer, 2, "'3/2'", "1/4")
    assert not cli.database.exists()
