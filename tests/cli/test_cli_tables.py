"""Tables on a terminal of any width, and in a pipe: nothing of them is ever cut."""

import fcntl
import os
import re
import struct
import subprocess
import termios
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from test_cli import PROGRAM, Cli

from places import TESTS
from session_pipeline_dagster.cli.tables import show_table

USERS = ("alexandra.montgomery@research.example.com", "bob@example.org")
NUMBERS = ("12,345,528", "45,678,900", "1,234,567,884", "34,567,890,120")
SHORT = ("12.3 M", "45.7 M", "1.23 G", "34.6 G")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Over two users with names as long as they are, and billions of tokens."""
    session = (TESTS / "data" / "big_numbers" / "session.jsonl").read_text("utf-8")
    for number, user in enumerate(USERS):
        folder = tmp_path / "sessions" / user / "proj"
        folder.mkdir(parents=True)
        # Other responses for each, or they would be counted once.
        own = session.replace("msg_", f"msg{number}_").replace("req_", f"req{number}_")
        (folder / f"{number}.jsonl").write_text(own, "utf-8")
    return Cli(tmp_path)


def on_terminal(cli: Cli, columns: int, *words: str) -> str:
    """What the command shows on a terminal of that width."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    given = ["--sessions", cli.folder / "sessions", "--database", cli.database]
    with subprocess.Popen(
        [PROGRAM, *words, *given], cwd=cli.folder, env=cli.env, stdout=theirs, stderr=theirs
    ) as made:
        os.close(theirs)
        found = b""
        while part := _read(ours):
            found += part
    os.close(ours)
    assert made.returncode == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", found.decode().replace("\r\n", "\n"))


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # The other side is closed.
        return b""


def usage(text: str) -> str:
    """The table of the users."""
    return text[text.index("Usage") : text.index("Tools")]


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [30, 60, 80, 120, 200])
def test_numbers_and_names_are_whole_on_a_terminal_of_any_width(cli: Cli, columns: int) -> None:
    table = usage(on_terminal(cli, columns, "run"))
    assert "…" not in table
    assert "..." not in table
    for exact, short in zip(NUMBERS, SHORT, strict=True):
        assert exact in table or short in table
    # A name that is folded stands in its column: what is left of the numbers, put together.
    names = squeezed("".join(line[:-1].split("  ")[0] for line in table.splitlines()))
    whole = squeezed(table)
    assert all(user in names or user in whole for user in USERS)
    if columns >= 80:
        assert max(map(len, table.splitlines())) <= columns


@pytest.mark.slow
def test_in_a_pipe_a_table_is_as_wide_as_it_must_be(cli: Cli) -> None:
    cli.env.pop("COLUMNS", None)
    table = usage(cli.on(cli.folder / "sessions", "run").stdout)
    for user in USERS:
        (line,) = [line for line in table.splitlines() if user in line]
        assert all(number in line for number in NUMBERS)


@pytest.mark.slow
def test_every_table_of_the_command_line_shows_all_of_itself(cli: Cli) -> None:
    cli.on(cli.folder / "sessions", "run")
    for command in ("run", "status", "processors", "knowledge list"):
        for columns in (20, 60, 80):
            assert "…" not in on_terminal(cli, columns, *command.split()), command


@pytest.mark.parametrize("width", range(1, 140))
def test_no_width_loses_a_character(width: int) -> None:
    rows = [
        ("a-name-without-a-break@example.org", 34_567_890_123, 7, "some words that may fold", None),
        ("名前" * 9, 999_999_999, 1_000_000, "q" * 70, 0.25),
    ]
    console = Console(file=StringIO(), width=width, markup=False, highlight=False)
    show_table(console, "T", ("who", "cache read", "n", "text", "share"), rows)
    said = squeezed(console.file.getvalue())
    assert "…" not in said
    for exact, short in (("34,567,890,123", "34.6G"), ("999,999,999", "1G"), ("1,000,000", "1M")):
        assert exact in said or short in said
    # Folded texts are cut into lines, not short of a character.
    assert said.count("q") == 70
    assert (said.count("名"), said.count("前")) == (9, 9)


@pytest.mark.slow
def test_what_is_derived_is_named_while_it_goes_on_and_its_time_is_said(cli: Cli) -> None:
    shown = on_terminal(cli, 100, "run")
    for phase in ("usage: usage_slots, usage_daily", "verification: knowledge", "usage: summaries"):
        assert phase in shown, phase
    assert len(re.findall(r"\+ derived +\d+\.\d+", shown)) == 2
    cli.on(cli.folder / "sessions", "run", "--full-refresh")
    document = cli.json(cli.folder / "sessions", "run", "--full-refresh")["processors"]
    names = "usage_slots, usage_daily, usage_calls, usage_activity_daily"
    assert [*document["usage"]["derived_seconds"]] == [
        *("people", "usage_projects", "model_prices"),
        f"{names}, usage_tool_daily, usage_skill_window",
        *("usage_own_billed", "seats", "budget_status", "shown"),
    ]
    assert document["verification"]["derived_seconds"]["knowledge"] > 0
    assert "usage: usage_daily" not in cli.on(cli.folder / "sessions", "run").stderr
