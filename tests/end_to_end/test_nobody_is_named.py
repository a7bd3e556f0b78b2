"""Everything people look at, in each mode, searched byte by byte for the names of people."""

import json
import logging
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner

from session_pipeline_dagster.cli import context, main
from session_pipeline_dagster.cli.ending import ended
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.people.pseudonyms import key_file
from session_pipeline_dagster.processors.usage.money.breakdown import KEYS
from session_pipeline_dagster.settings import ExportFormat, read_settings
from strangers import EMAIL, LOST, USER, WORDS, WRONG, Tree, found_in, registry
from webhook import Webhook

pytestmark = pytest.mark.slow(seconds=20)
PSEUDONYM = re.compile(rb"\bp-[a-z]{10}\b")
FILE = re.compile(r"\bf-[a-z]{14}\b")


@dataclass(slots=True)
class Walk:
    """What was shown, by where it was."""

    mode: str
    instance: dg.DagsterInstance
    shown: dict[str, bytes] = field(default_factory=dict)
    cursors: dict[str, str | None] = field(default_factory=dict)

    def show(self, where: str, content: str | bytes) -> str:
        text = content if isinstance(content, str) else content.decode("utf-8", "replace")
        self.shown[where] = self.shown.get(where, b"") + text.encode("utf-8", "replace") + b"\n"
        return text

    def cli(self, *words: str, stdin: str | None = None) -> str:
        """What a command prints on both streams."""
        result = CliRunner().invoke(main, words, input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), words
        self.show(f"cli {' '.join(words[:2])}", result.stderr)
        return self.show(f"cli {' '.join(words[:2])}", result.stdout)

    def job(self, defs: dg.Definitions, name: str, config: dict[str, Any] | None = None) -> bool:
        """Run a job as it is run: what it leaves is in the instance."""
        job = defs.resolve_job_def(name)
        ops = {"ops": {name.removesuffix("_job"): {"config": config}}} if config else None
        result = job.execute_in_process(
            run_config=ops, instance=self.instance, raise_on_error=False
        )
        return result.success

    def tick(self, defs: dg.Definitions, name: str) -> None:
        """A tick of a sensor, with what the daemon makes of it."""
        sensor = defs.resolve_sensor_def(name)
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(name),
            repository_def=defs.get_repository_def(),
            sensor_name=name,
        ) as given:
            data = sensor.evaluate_tick(given)
        self.cursors[name] = data.cursor
        for event in data.asset_events:
            self.instance.report_runless_asset_event(event)
        asked = [(r.run_config, r.tags) for r in data.run_requests or ()]
        self.show(f"sensor {name}", f"{data.skip_message} {data.cursor} {asked}")

    def search(self) -> dict[str, bytes]:
        """All that was shown, and every byte that Dagster keeps."""
        root = Path(self.instance.root_directory)
        kept = {
            f"dagster {path.relative_to(root)}": path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }
        return self.shown | kept


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("strangers")).make()


@pytest.fixture
def walk(
    tree: Tree,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
) -> Iterator[Walk]:
    """A walk through everything, in the mode of the test."""
    here = Tree(tmp_path / "here")
    shutil.copytree(tree.folder, here.folder, symlinks=True)
    caplog.set_level(logging.INFO)
    with Webhook() as webhook, dg.DagsterInstance.local_temp() as instance:
        given = here.environment(request.param, tmp_path / "data.duckdb")
        for name, value in {**given, "SESSION_PIPELINE_ALERT_URLS": webhook.url}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(context, "load_processors", registry)
        monkeypatch.chdir(tmp_path)
        made = Walk(request.param, instance)
        _walk(made, here)
        made.show("webhook", json.dumps(webhook.taken, ensure_ascii=False))
        assert webhook.taken
        for record in caplog.records:
            made.show("log", f"{record.getMessage()} {record.exc_text}")
        yield made


def _walk(walk: Walk, tree: Tree) -> None:
    walk.cli("run", "--json")
    shutil.rmtree(tree.root / LOST)
    walk.cli("run", "--processor", "nosy", "--debug")
    stuck = _look(walk, tree)
    _numbers(walk, tree.folder.parent / "handed-on")
    _knowledge(walk)
    _dagster(walk, stuck)
    _endings(walk, tree)


def _look(walk: Walk, tree: Tree) -> str:
    """The commands that look, and those that take back a word that was shown."""
    document = json.loads(walk.cli("health", "--json"))
    stuck: str = document["services"]["session_pipeline"]["stuck_file"]
    for words in (["health"], ["status"], ["status", "--json"], ["people"]):
        walk.cli(*words)
    if walk.mode != "named":
        walk.cli(*(["processors"] if walk.mode == "team" else ["processors", "--json"]))
    assert "will be tried again" in walk.cli("retry", stuck, "--processor", "nosy")
    walk.cli("retry", "f-abcdefghijklmn")
    walk.cli("retry", "--all-quarantined")
    walk.cli("run", "--processor", "nosy")
    walk.cli("forget", "--session", stuck, "--dry-run")
    walk.cli("forget", "--user", USER, "--dry-run")
    walk.cli("upkeep")
    walk.cli("prices", "explain", "claude-opus-4-5")
    walk.cli("status", "--sessions", str(tree.folder / WRONG))
    return stuck


def _numbers(walk: Walk, folder: Path) -> None:
    """What is added up, printed and written for others."""
    walk.cli("run", "--processor", "usage")
    for key in KEYS:
        walk.cli("usage", "--by", key, "--json")
    for words in (["usage"], ["usage", "--csv"], ["budget"], ["budget", "--json"]):
        walk.cli(*words)
    walk.cli("report", "--output", str(folder))
    walk.cli("report", "--digest")
    for kind in ExportFormat:
        walk.cli("export", str(folder), "--format", kind.value)
    for path in [*folder.rglob("*"), *folder.parent.glob("*_shared.duckdb")]:
        if path.is_file():
            walk.show(f"file {path.suffix}", path.read_bytes())
        # What is packed is not found as bytes.
        if path.suffix == ".parquet":
            walk.show("file .parquet", str(duckdb.sql(f"FROM '{path}'").fetchall()))
        if path.suffix == ".duckdb":
            with duckdb.connect(str(path), read_only=True) as connection:
                for (table,) in connection.execute("SHOW TABLES").fetchall():
                    rows = connection.execute(f"FROM {table}").fetchall()
                    walk.show("file .duckdb", f"{table} {rows}")


def _knowledge(walk: Walk) -> None:
    items = json.loads(walk.cli("knowledge", "list", "--json"))["items"]
    walk.cli("knowledge", "list")
    walk.cli("knowledge", "review", "--json", "--items")
    walk.cli("knowledge", "review", "--items", stdin="v\ns\nq\n")
    walk.cli("knowledge", "approve", items[0]["id"])
    for words in (["show", items[0]["id"]], ["export", "--print"], ["labels"]):
        walk.cli("knowledge", *words)
    for words in (["show", items[0]["id"], "--json"], ["export", "--json"], ["labels", "--json"]):
        walk.cli("knowledge", *words)
    walk.cli("knowledge", "labels", "--export", "-")


def _dagster(walk: Walk, stuck: str) -> None:
    settings = read_settings()
    checks = dg.AssetSelection.checks_for_assets("usage_daily", "usage_messages")
    looking = dg.define_asset_job("looking_job", checks, executor_def=dg.in_process_executor)
    defs = dg.Definitions.merge(
        build_definitions(registry(), settings), dg.Definitions(jobs=[looking])
    )
    # Once with all tables, which is most of what a walk costs; else what names people.
    assert walk.job(defs, "usage_job" if walk.mode == "pseudonym" else "looking_job")
    walk.job(defs, "nosy_job")
    walk.job(defs, "nosy_job", {"retry": [stuck]})
    if walk.mode != "named":
        assert not walk.job(defs, "nosy_job", {"retry": ["f-abcdefghijklmn"]})
        assert not walk.job(defs, "nosy_job", {"users": ["p-abcdefghij"]})
    assert walk.job(defs, "nosy_health_job")
    names = [sensor.name for sensor in defs.get_repository_def().sensor_defs]
    for name in sorted(names, key=lambda name: name == "alert_sensor"):
        walk.tick(defs, name)
    walk.tick(defs, "alert_sensor")


def _endings(walk: Walk, tree: Tree) -> None:
    """A command that meets a file it cannot open, and one with a bug."""

    def bug() -> None:
        raise KeyError(f"{USER} <{EMAIL}>")

    for as_json in (False, True):
        for work in ((tree.root / USER / "gone").read_text, bug):
            result = CliRunner().invoke(_Ended(work, as_json), [])
            walk.show("ending", result.output)


class _Ended:
    """A program that does this work and ends as ours does."""

    def __init__(self, work: Any, as_json: bool) -> None:
        self.work, self.as_json, self.name = work, as_json, "broken"

    def main(self, *_: object, **__: object) -> None:
        raise SystemExit(ended(self.work, as_json=self.as_json))


@pytest.mark.parametrize("walk", ["named"], indirect=True)
def test_where_people_are_named_their_names_stand_everywhere(walk: Walk) -> None:
    places = {where for where, content in walk.search().items() if found_in(content)}
    assert places >= {
        "file .html",
        "file .parquet",
        "file .csv",
        "cli usage --by",
        "cli run --json",
    }
    assert places >= {"webhook", "ending", "cli health", "cli status --json", "cli knowledge show"}
    assert any(where.startswith("dagster") for where in places)
    everything = b"\n".join(walk.search().values())
    assert found_in(everything) == {*WORDS}
    assert not key_file(read_settings()).exists()


@pytest.mark.parametrize("walk", ["pseudonym", "team"], indirect=True)
def test_where_people_are_hidden_no_name_stands_anywhere(walk: Walk) -> None:
    found = {where: found_in(content) for where, content in walk.search().items()}
    assert {where: words for where, words in found.items() if words} == {}
    shown = b"\n".join(walk.search().values())
    assert FILE.search(shown.decode("utf-8", "replace"))
    assert {"file .html", "file .duckdb", "file .parquet"} <= {*found}
    assert bool(PSEUDONYM.search(shown.replace(b"p-abcdefghij", b""))) == (walk.mode != "team")
