"""What a command costs before it does anything: what it imports, how often it opens the database.

No times: a module that is imported where nobody needs it is a few milliseconds of every start.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import OURS, Cli

from helpers import EXAMPLES
from openings import Openings
from session_pipeline_dagster.cli import main

pytestmark = pytest.mark.slow

OUR = "session_pipeline_dagster."
HEAVY = ("pyarrow", "genai_prices", "pydantic", "apprise", "rapidfuzz", "dagster", "altair")
"""Libraries that no command needs that finds nothing to do."""
WORK = (
    *("processors.usage.core", "processors.usage.counting", "processors.usage.page"),
    *("processors.usage.money.listed", "processors.usage.money.own_prices"),
    *("processors.usage.money.toml_file", "processors.usage.money.budgets"),
    *("processors.verification.redaction", "processors.verification.detection.reading"),
    *("processors.verification.knowledge.derive", "processors.verification.knowledge.rows"),
    *("store.columns", "cli.debug", "cli.knowledge.deciding"),
)
"""Modules of ours that only a file that is due, a file of settings or a decision needs."""
DRAWS, POOL = "rich", "concurrent.futures.process"
LOOKS = (
    *("status --json", "health --json", "usage --json", "budget --json"),
    *("prices list --json", "knowledge list --json"),
)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    made = Cli(tmp_path_factory.mktemp("examples"))
    assert made.on(EXAMPLES, "run", "--json").returncode == 0
    return made


def imported(cli: Cli, *words: str) -> set[str]:
    """Every module that a process has imported when the command ends."""
    code = (
        "import sys; from session_pipeline_dagster.cli import main\n"
        f"sys.argv = ['session-pipeline', *{words!r}]\n"
        "try: main()\nexcept SystemExit as end: print(end.code, *sys.modules, file=sys.stderr)"
    )
    env = {k: v for k, v in cli.env.items() if not k.startswith(OURS)}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False
    )
    exit_code, *modules = ran.stderr.splitlines()[-1].split()
    assert exit_code in ("0", "1"), ran.stderr
    return {name.removeprefix(OUR) for name in modules}


def given(cli: Cli, words: str, database: Path | None = None) -> list[str]:
    return [
        *words.split(),
        "--sessions",
        str(EXAMPLES),
        "--database",
        str(database or cli.database),
    ]


@pytest.mark.parametrize("words", ["run --json", *LOOKS])
def test_a_command_that_finds_nothing_to_do_imports_nothing_to_do_it_with(
    examples: Cli, words: str
) -> None:
    assert imported(examples, *given(examples, words)) & {*HEAVY, *WORK, DRAWS} == set()


@pytest.mark.parametrize("words", LOOKS)
def test_looking_imports_no_worker_processes(examples: Cli, words: str) -> None:
    assert imported(examples, *given(examples, words)) & {POOL, "passes.pool"} == set()


def test_help_imports_no_command(examples: Cli) -> None:
    modules = imported(examples, "--help")
    assert modules & {*HEAVY, *WORK, DRAWS, POOL, "duckdb", "settings", "cli.run"} == set()


def test_what_is_not_imported_before_is_imported_when_it_is_needed(
    examples: Cli, tmp_path: Path
) -> None:
    modules = imported(examples, *given(examples, "run", tmp_path / "new.duckdb"))
    needed = {"processors.usage.counting", "processors.verification.redaction", "store.columns"}
    assert modules >= {*needed, "pyarrow", "genai_prices", DRAWS}


@pytest.mark.parametrize("words", [*LOOKS, "status", "health", "usage"])
def test_looking_opens_the_database_once(
    examples: Cli, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    openings = Openings(monkeypatch)
    with pytest.raises(SystemExit):
        main.main(given(examples, words), standalone_mode=False)
    assert capsys.readouterr().out
    assert (openings.opened, openings.inside) == (1, 0)
