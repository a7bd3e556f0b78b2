"""Docs are code: what they say is held against what is there."""

import re
from functools import cache
from pathlib import Path

import pytest
from test_layers import FLOORS, OLD_PATHS

from places import ROOT
from session_pipeline_dagster.cli import main
from session_pipeline_dagster.cli.knowledge.keys import KEYS

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "deploy/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


def page(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


@cache
def modules() -> list[str]:
    """Every Python file of the clone; its environments have a hundred times as many."""
    folders = (p for p in ROOT.iterdir() if p.is_dir() and p.name not in {".venv", "var"})
    return [path.as_posix() for folder in folders for path in folder.rglob("*.py")]


def test_every_setting_is_documented_once_and_nothing_else() -> None:
    source = (ROOT / "session_pipeline_dagster" / "settings.py").read_text("utf-8")
    read = set(re.findall(r'env, "([A-Z_]+)"', source)) - {"DATA_DIR"}
    rows = re.findall(r"^\| `([A-Z_]+)` \|", page("docs/operations.md"), re.MULTILINE)
    assert len(read) > 12
    assert sorted(rows) == sorted(read), "each once"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_make_target_and_module_named_exists(path: Path) -> None:
    text = path.read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", page("Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", text, re.MULTILINE)) <= targets
    for name in re.findall(r"`([\w/]+\.py)`", text):
        assert any(module.endswith(name) for module in modules()), name


def test_every_module_has_its_line_in_the_architecture() -> None:
    """On the ground by its name; in a wing in the table of that wing."""
    package, text = ROOT / "session_pipeline_dagster", page("docs/architecture.md")
    ground = {p.name for p in package.glob("*.py") if p.stem not in {"__init__", *OLD_PATHS}}
    assert {name for name in ground if f"{name}`" not in text and name not in text} == set()
    for wing in ("transcripts", "sources", "contract", "store", "passes", "health", "collect"):
        (table,) = re.findall(rf"\*\*`{wing}/`: .*?\n\n(.*?)\n\n", text, re.DOTALL)
        named = set(re.findall(r"([\w]+\.(?:py|sql))`", table))
        modules = {p.name for p in (package / wing).rglob("*.py")} - {"__init__.py"}
        assert modules - named == set(), wing


def test_the_floors_of_the_architecture_are_those_that_are_tested() -> None:
    (line,) = re.findall(r"^`(definitions → .*)`$", page("docs/architecture.md"), re.MULTILINE)
    assert line == " → ".join(floor.replace(" ", ", ") for floor in FLOORS)


def test_every_decision_has_a_number_of_its_own() -> None:
    paths = sorted((ROOT / "docs" / "decisions").iterdir())
    heads = [int(re.match(r"# (\d+)\. \S", path.read_text("utf-8"))[1]) for path in paths]
    assert heads == [int(path.name[:4]) for path in paths] == [*range(1, len(paths) + 1)]


def test_every_command_of_the_readme_exists() -> None:
    named = set(re.findall(r"session-pipeline ([a-z-]+)", page("README.md")))
    assert named == set(main.list_commands(None))


def test_the_readme_can_be_read_at_once() -> None:
    assert len(page("README.md").splitlines()) < 150


def test_every_module_that_a_docstring_names_is_there() -> None:
    """By its name in the same folder, else by its path in the package."""
    package = ROOT / "session_pipeline_dagster"
    for path in package.rglob("*.py"):
        for name in re.findall(r"`([\w/]+\.py)`", path.read_text("utf-8")):
            near = path.parent / name
            assert near.exists() or (package / name).exists(), f"{path.name} names {name}"


def test_the_keys_of_a_review_are_those_of_the_page() -> None:
    section = page("docs/knowledge.md").partition("## Review")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(.)` \| `(\w+)` \| (.+) \|$", section, re.MULTILINE)
    assert rows == [(key.letter, key.word, key.does) for key in KEYS]
