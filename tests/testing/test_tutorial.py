"""`docs/processors.md` walked through as a stranger does: each block of its tutorial, in order.

The environment is a fresh one: this project and the plugin are installed into it from wheels. Only
third-party packages are those of the environment that runs the tests, because installing them again
takes a minute.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dagster_dev import DagsterDev
from places import ROOT
from session_pipeline_dagster.contract.registry import Registry, check_contract
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile
from session_pipeline_dagster.testing import Pipeline

PAGE = (ROOT / "docs" / "processors.md").read_text("utf-8")
TUTORIAL = PAGE.partition("## A processor in ten minutes")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TUTORIAL, re.DOTALL | re.MULTILINE)
FILES = {name[1]: text for _, text in BLOCKS if (name := re.match(r"# (\S+\.(?:toml|py))\n", text))}
COMMANDS = [text for kind, text in BLOCKS if kind == "sh"]
SETTING, INSTALL, TEST, RUN, QUERY, DEV, HAND_ON = COMMANDS
CLONE = "session-pipeline-dagster"
"""What a clone has beside the package; the package itself is not there, but in the wheel."""
BESIDE = ("Makefile", "workspace.yaml", "dagster.yaml", "pyproject.toml", "constraints.txt")
NAMES = """{ repositoriesOrError { ... on RepositoryConnection { nodes {
    jobs { name } sensors { name } assetNodes { assetKey { path } groupName
        assetChecksOrError { ... on AssetChecks { checks { name } } } } } } } }"""


@dataclass
class Walk:
    """A stranger's home with a clone and an empty folder, and how long each step took."""

    home: Path
    env: dict[str, str]
    wheel: Path
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def clone(self) -> Path:
        return self.home / CLONE

    @property
    def folder(self) -> Path:
        return self.home / "edited-files"

    def timed(self, step: str, do: Callable[[], object]) -> object:
        begun = time.monotonic()
        try:
            return do()
        finally:
            self.seconds[step] = time.monotonic() - begun

    def paste(self, block: str) -> str:
        """What a block of commands says, pasted into a shell in the plugin's folder."""
        return sh(f"{SETTING}\n{block}", self.folder, self.env)


def sh(script: str, folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        ["/bin/sh", "-euc", script],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """A clone whose environment has this project as a wheel, made of its own sdist."""
    home = tmp_path_factory.mktemp("home")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SESSION_", "DAGSTER_"))}
    real = Path.home()
    env = {
        **kept,
        "HOME": str(home),
        # The pytest of the walk clears away at its end what others have left in the common one.
        "TMPDIR": str(home / "tmp"),
        # Another home, but the machine's own way to packages.
        "XDG_CONFIG_HOME": kept.get("XDG_CONFIG_HOME", str(real / ".config")),
        "XDG_CACHE_HOME": kept.get("XDG_CACHE_HOME", str(real / ".cache")),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "COLUMNS": "120",
    }
    env.pop("PYTHONPATH", None)
    made = Walk(home, env, home / "none")
    clone = made.clone
    clone.mkdir()
    made.folder.mkdir()
    (home / "tmp").mkdir()
    for name in BESIDE:
        shutil.copy(ROOT / name, clone / name)
    shutil.copytree(ROOT / "examples", clone / "examples")
    made.timed("venv", lambda: sh(f"{shlex.quote(sys.executable)} -m venv .venv", clone, env))
    made.wheel = made.timed("wheel of the project", lambda: build(made, home / "source"))
    third_party(clone / ".venv")
    install = f".venv/bin/pip install --no-deps {made.wheel}"
    made.timed("install the project", lambda: sh(install, clone, env))
    for stamp in (".runs", ".installed"):
        (clone / ".venv" / stamp).touch()
    for name, text in FILES.items():
        (made.folder / name).write_text(text)
    yield made
    print(*(f"{seconds:6.1f} s  {step}" for step, seconds in made.seconds.items()), sep="\n")  # noqa: T201


def build(walk: Walk, source: Path) -> Path:
    """The project's wheel, built from its sdist."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(
        ROOT / "session_pipeline_dagster", source / "session_pipeline_dagster", ignore=ignored
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    python = walk.clone / ".venv" / "bin" / "python"
    sdist = "from setuptools import build_meta; build_meta.build_sdist('dist')"
    sh(f"{python} -m pip install 'setuptools>=77' wheel", source, walk.env)
    sh(f'{python} -c "{sdist}"', source, walk.env)
    sh(f"{python} -m pip wheel --no-deps --no-build-isolation dist/*.tar.gz", source, walk.env)
    (wheel,) = source.glob("*.whl")
    return wheel


def third_party(venv: Path) -> None:
    """Let the environment see the packages of ours, and its own ones first."""
    (packages,) = venv.glob("lib/python*/site-packages")
    (packages / "third_party.pth").write_text(sysconfig.get_path("purelib") + "\n")
    program = venv / "bin" / "dagster"
    program.write_text(f"#!{venv}/bin/python\nfrom dagster._cli import main\nmain()\n")
    program.chmod(0o755)


# --- the page itself ---


def test_the_processor_of_the_page_is_short_and_finds_what_the_examples_hold(
    tmp_path: Path,
) -> None:
    code = FILES["edited_files.py"]
    assert len([line for line in code.splitlines() if line.strip()]) <= 40
    space: dict[str, object] = {"__name__": "edited_files"}
    exec(compile(code, "edited_files.py", "exec"), space)  # noqa: S102  it is what is tested
    kind = space["EditedFilesProcessor"]
    assert callable(kind)
    processor = kind()
    check_contract(processor)
    pipeline = Pipeline(tmp_path)
    for path in (ROOT / "examples" / "sessions").rglob("*.jsonl"):
        key = path.relative_to(ROOT / "examples" / "sessions").as_posix()
        pipeline.write(key, path.read_bytes())
    found = pipeline.run(processor)
    assert found.report.errors == 0
    # The examples hold a forked session: one edit more in the table than there were.
    (unique,) = pipeline.query("SELECT sum(edits) FROM edited_files")
    assert 10 < int(str(unique[0])) < len(found.rows["file_edits"])
    jobs = build_definitions(Registry((processor,)), pipeline.settings).get_repository_def()
    assert "edited_files_job" in {job.name for job in jobs.get_all_jobs()}


def test_every_rule_that_is_tried_is_on_the_page() -> None:
    from session_pipeline_dagster.testing.contract import RULES  # noqa: PLC0415

    listed = re.findall(r"^\d\. ", PAGE, re.MULTILINE)
    assert len(listed) == len(RULES) + 1, "the declarations come first"


# --- the walk; in this order ---


@pytest.mark.slow(seconds=40)
def test_the_wheel_holds_what_is_needed(walk: Walk) -> None:
    with zipfile.ZipFile(walk.wheel) as wheel:
        names = set(wheel.namelist())
    expected = {
        path.relative_to(ROOT).as_posix()
        for pattern in ("*.py", "*.sql", "*.html", "*.yaml")
        for path in (ROOT / "session_pipeline_dagster").rglob(pattern)
    }
    assert expected >= {
        f"session_pipeline_dagster/{name}"
        for name in ("store/schema.sql", "testing/odd.py", "defs/session_pipeline/defs.yaml")
    }
    assert expected <= names
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_the_location_loads_from_the_wheel_far_from_any_pyproject(walk: Walk) -> None:
    load = "from session_pipeline_dagster.definitions import defs; print(defs().jobs)"
    answer = walk.paste(f"cd / && python -c '{load}'")
    assert "'usage_job'" in answer
    assert "'verification_job'" in answer


@pytest.mark.slow
def test_step_2_installs_it_beside_the_built_in_ones(walk: Walk) -> None:
    answer = str(walk.timed("2 install", lambda: walk.paste(INSTALL)))
    for word in ("usage", "verification", "edited_files", "file_edits"):
        assert word in answer
    where = walk.paste("python -c 'import session_pipeline_dagster as p; print(p.__file__)'")
    assert where.startswith(str(walk.clone / ".venv")), "it is the wheel that runs, not the source"


@pytest.mark.slow
def test_step_3_tests_it_and_the_advice_is_true(walk: Walk) -> None:
    answer = str(walk.timed("3 test", lambda: walk.paste(TEST)))
    assert "3 passed" in answer
    module = walk.folder / "edited_files.py"
    module.write_text(FILES["edited_files.py"].replace(" and isinstance(path, str)", ""))
    try:
        answer = walk.paste("python -m pytest -q test_edited_files.py || true")
    finally:
        module.write_text(FILES["edited_files.py"])
    assert "odd files failed" in answer
    assert "`message.content[].input.file_path` is true" in answer


@pytest.mark.slow
def test_step_4_runs_it_prints_its_summary_and_has_rows(walk: Walk) -> None:
    answer = str(walk.timed("4 run", lambda: walk.paste(RUN)))
    assert "Edited most" in answer
    assert "finance.yml" in answer
    assert "edited_files" in answer.rpartition("Edited most")[2], "status lists it"
    assert "finance.yml" in str(walk.timed("4 query", lambda: walk.paste(QUERY)))
    first = RUN.splitlines()[0]
    assert '"processed": 0' in walk.paste(f"{first} --json").replace(
        '"processed":0', '"processed": 0'
    )


class MadeDev(DagsterDev):
    """`make dev` as the page says it, on a free port."""

    def command(self) -> list[str]:
        return ["/bin/sh", "-euc", f"{SETTING}\nexport PORT={self.port}\n{DEV}"]

    def __exit__(self, *error: object) -> None:
        # As Ctrl-C does: make hands nothing on.
        os.killpg(self._process.pid, signal.SIGINT)
        super().__exit__(None, None, None)


@pytest.mark.slow
def test_step_5_shows_in_dagster_what_the_page_lists(walk: Walk) -> None:
    begun = time.monotonic()
    with MadeDev(walk.folder, walk.env, "session_pipeline") as dev:
        walk.seconds["5 Dagster answers"] = time.monotonic() - begun
        (found,) = dev.graphql(NAMES)["repositoriesOrError"]["nodes"]
        runs = dev.wait(lambda: dev.ended(at_least=1, processor="edited_files"), "run")
        walk.seconds["5 its rows are there"] = time.monotonic() - begun
        assert [run["status"] for run in runs] == ["SUCCESS"]
        dev.wait(lambda: dev.check("file_edits", "freshness"), "evaluated check")
    (asset,) = [a for a in found["assetNodes"] if a["groupName"] == "edited_files"]
    checks = {check["name"] for check in asset["assetChecksOrError"]["checks"]}
    names = {"asset": set(asset["assetKey"]["path"])}
    names |= {
        "job": {j["name"] for j in found["jobs"]},
        "sensor": {s["name"] for s in found["sensors"]},
    }
    table = TUTORIAL.partition("| name | what it is |")[2]
    first = "".join(re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE))
    listed = set(re.findall(r"`(\w+)`", first))
    assert listed <= checks | names["asset"] | names["job"] | names["sensor"]
    assert listed >= checks | {"file_edits", "edited_files_job", "edited_files_sensor"}
    # The project is installed here as a wheel, so its data is not in the clone.
    data = Path(walk.env.get("XDG_DATA_HOME", walk.home / ".local" / "share"))
    file = DuckDBFile(data / "session-pipeline" / "session_pipeline.duckdb")
    rows = Store(file).query("FROM file_edits")[0][1]
    assert len(rows) > 10


@pytest.mark.slow
def test_step_6_hands_on_a_wheel_that_works_without_the_source(walk: Walk) -> None:
    answer = str(walk.timed("6 hand it on", lambda: walk.paste(HAND_ON)))
    assert "edited_files" in answer.rpartition("Successfully installed")[2]
    where = walk.paste("cd / && python -c 'import edited_files; print(edited_files.__file__)'")
    assert where.startswith(str(walk.clone / ".venv"))
    assert sum(walk.seconds.values()) < 600, walk.seconds
