"""A root that is laid out otherwise than it is said to be is refused before anything is stored."""

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest
from test_cli import Cli, assert_one_clear_line

from helpers import write_session
from session_pipeline_dagster.contract.registry import load_processors
from session_pipeline_dagster.errors import WrongLayout
from session_pipeline_dagster.orchestration.sensors import processor_sensor, session_files_sensor
from session_pipeline_dagster.settings import Layout, Root, Settings
from session_pipeline_dagster.sources.opening import open_checked

PROJECTS = ("-home-me-app/a.jsonl", "-home-me-app/a/subagents/agent-1.jsonl", "-srv-b/c.jsonl.gz")
CODEX = ("sessions/2026/11/20/rollout-a.jsonl", "archived_sessions/rollout-b.jsonl")
GEMINI = ("tmp/shop/chats/session-a.jsonl", "tmp/shop/chats/5f0c/b.jsonl")
COPILOT = ("session-state/0a1b/events.jsonl", "session-state/2c3d/events.jsonl.gz")
WRONG: Sequence[tuple[str, Sequence[str], str, str]] = [
    # layout, keys, the right layout, and the right root from there
    ("users", PROJECTS, "projects", "."),
    ("users", ("C--Users-me-app/a.jsonl", "-home-me-x/b.jsonl"), "projects", "."),
    ("users", ("a.jsonl", "b.jsonl.gz"), "users", ".."),
    ("users", ("a.jsonl", "a/subagents/agent-1.jsonl"), "users", ".."),
    ("projects", ("a.jsonl", "a/subagents/agent-1.jsonl"), "projects", ".."),
    ("users", ("projects/-home-me-app/a.jsonl",), "projects", "projects"),
    ("projects", ("projects/-home-me-app/a.jsonl",), "projects", "projects"),
    ("users", CODEX, "codex", "."),
    ("projects", CODEX[:1], "codex", "."),
    ("users", GEMINI, "gemini", "."),
    ("projects", GEMINI[:1], "gemini", "."),
    ("users", COPILOT, "copilot", "."),
    ("projects", COPILOT, "copilot", "."),
]
RIGHT = [
    ("projects", PROJECTS),
    ("users", ("alice/a.jsonl", "stray.jsonl")),
    ("users", ("alice/a.jsonl", "-odd/b.jsonl")),
    ("users", ("alice/-home-me-app/a.jsonl", "projects/b.jsonl")),
    ("users", ("projects/mine/a.jsonl",)),
    ("projects", ("alice/a.jsonl",)),
    ("users", ()),
    ("codex", (*CODEX, "history.jsonl", "worktrees/a/x.jsonl")),
    ("codex", ("history.jsonl",)),
    ("gemini", (*GEMINI, "antigravity/x.jsonl", "y.jsonl")),
    ("users", ("alice/.gemini/tmp/shop/chats/session-a.jsonl",)),
    ("copilot", (*COPILOT, "logs/a/x.jsonl")),
    ("users", ("alice/.copilot/session-state/0a1b/events.jsonl", "bob/session-state/2c/e.jsonl")),
    ("users", ("sessions/mine/a.jsonl", "alice/.codex/sessions/2026/11/20/rollout-a.jsonl")),
]


def tree(folder: Path, keys: Sequence[str]) -> Path:
    """Session files of these keys, in a folder whose name a shell would take apart."""
    root = folder / "some one's" / "root"
    root.mkdir(parents=True)
    for key in keys:
        path = write_session(root, key.removesuffix(".gz"), "hello")
        if key.endswith(".gz"):
            path.rename(root / key)
    return root


def scan(root: Path, layout: str, **more: object) -> int:
    settings = Settings(roots=(Root(root, "r"),), layout=Layout(layout), **more)  # type: ignore
    return len(open_checked(settings).scan().files)


@pytest.mark.parametrize(("layout", "keys", "right", "place"), WRONG)
def test_a_wrong_layout_is_refused_with_the_command_that_is_right(
    tmp_path: Path, layout: str, keys: Sequence[str], right: str, place: str
) -> None:
    root = tree(tmp_path, keys)
    with pytest.raises(WrongLayout) as refused:
        scan(root, layout)
    (command,) = re.findall(r"`session-pipeline (.*?)` is right", str(refused.value))
    assert shlex.split(command)[:3] == ["run", "--layout", right]
    there = Path(shlex.split(command)[-1])
    assert there.resolve() == (root / place).resolve()
    assert scan(there, right), "what is said to be right is taken"
    scan(root, layout, force_layout=True)


@pytest.mark.parametrize(("layout", "keys"), RIGHT)
def test_what_may_be_right_is_taken(tmp_path: Path, layout: str, keys: Sequence[str]) -> None:
    scan(tree(tmp_path, keys), layout)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "status", "run --json"])
def test_nothing_is_stored_of_a_wrong_layout_unless_it_is_forced(
    tmp_path: Path, command: str
) -> None:
    cli, root = Cli(tmp_path), tree(tmp_path, PROJECTS)
    answer = cli.on(root, *command.split())
    if "--json" in command:
        assert json.loads(answer.stdout)["error"]["type"] == "WrongLayout"
    else:
        assert_one_clear_line(answer, 2, "--layout projects", "--force-layout")
    assert answer.returncode == 2
    health = cli.on(root, "health")
    assert (health.returncode, "--layout projects" in health.stdout) == (2, True)
    assert not cli.database.exists()
    assert cli.on(root, *command.split(), "--force-layout").returncode in (0, 1)
    forced = cli.on(root, *command.split(), SESSION_PIPELINE_FORCE_LAYOUT=1)
    assert forced.returncode in (0, 1)
    assert_one_clear_line(cli.on(root, "status", SESSION_PIPELINE_FORCE_LAYOUT="yes"), 2, "FORCE")


def test_a_tick_over_a_wrong_layout_fails_with_these_words_and_stores_nothing(
    tmp_path: Path,
) -> None:
    settings = Settings(roots=(Root(tree(tmp_path, PROJECTS)),), database=tmp_path / "none.duckdb")
    registry = load_processors()
    sensors = [processor_sensor(registry.get("usage"), settings)]
    with dg.DagsterInstance.local_temp() as instance:
        for sensor in (*sensors, session_files_sensor(registry, settings)):
            with pytest.raises(Exception, match="SESSION_LAYOUT=projects"):
                sensor(dg.build_sensor_context(instance=instance))
    assert not settings.database.exists()
