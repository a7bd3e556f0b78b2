"""The shape of the package, read from its source: who may import what, and how long a module is."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import session_pipeline_dagster

PACKAGE = Path(session_pipeline_dagster.__file__).parent
NAME = PACKAGE.name
OLD_PATHS = {"derivation", "processor", "quality", "records", "reporting", "transcript"}
"""What plugins may still import; gone in 0.3."""
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.stem not in OLD_PATHS or path.parent != PACKAGE
)
LAYERS = [
    {"errors"},
    {"setting_values"},
    {"settings"},
    {"transcripts"},
    {"sources"},
    {"contract"},
    {"store", "processors.usage", "processors.verification"},
    {"passes"},
    {"health", "testing"},
    {"orchestration", "cli"},
    {"definitions"},
]
"""Lowest first. A module imports from lower layers."""


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def group(module: str) -> str:
    """The layer's name for a module: packages count as one."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "processors" else parts[0]


def only_for_types(tree: ast.AST) -> set[ast.AST]:
    """Everything under `if TYPE_CHECKING:`."""
    blocks = (n for n in ast.walk(tree) if isinstance(n, ast.If))
    typed = (b for b in blocks if isinstance(b.test, ast.Name) and b.test.id == "TYPE_CHECKING")
    return {node for block in typed for statement in block.body for node in ast.walk(statement)}


def imports(path: Path) -> Iterator[str]:
    """Names of modules that really are imported, at the top or inside a function."""
    tree = ast.parse(path.read_text("utf-8"))
    ignored = only_for_types(tree)
    for node in ast.walk(tree):
        if node in ignored:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            yield node.module or ""
            if node.module == NAME:
                yield from (f"{NAME}.{alias.name}" for alias in node.names)


def importers(library: str) -> set[str]:
    return {
        dotted(path)
        for path in MODULES
        if any(name.partition(".")[0] == library for name in imports(path))
    }


def each_module(**options: object):
    return pytest.mark.parametrize("path", MODULES, ids=dotted, **options)


@pytest.mark.parametrize(
    "module",
    ["passes.runner", "cli.run", "cli.output", "store.database", "processors.usage", "testing"],
)
def test_the_core_runs_without_dagster(module: str) -> None:
    code = (
        f"import sys, {NAME}.{module}; "
        "print([m for m in sys.modules if m.partition('.')[0].startswith('dagster')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("library", ["duckdb", "dagster", "pyarrow", "apprise"])
def test_asking_the_command_line_for_help_imports_nothing_heavy(library: str) -> None:
    code = f"import sys, {NAME}.cli; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_testing_helpers_need_no_pytest() -> None:
    code = f"import sys, {NAME}.testing; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert not importers("pytest")


def test_only_the_store_imports_duckdb() -> None:
    assert {name.partition(".")[0] for name in importers("duckdb")} == {"store"}


def test_only_the_sinks_of_alerts_import_what_sends_them() -> None:
    assert importers("apprise") == {"health.sinks"}


@pytest.mark.parametrize("library", ["altair", "vl_convert"])
def test_what_draws_charts_is_imported_when_a_report_is_made(library: str) -> None:
    assert importers(library) == {"processors.usage.charts"}
    both = f"{NAME}.definitions, {NAME}.passes.runner"
    code = f"import sys, {both}; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("library", ["dagster", "dagster_duckdb"])
def test_dagster_stays_on_the_edge(library: str) -> None:
    found = importers(library)
    assert found
    assert {name.partition(".")[0] for name in found} <= {"orchestration", "definitions"}


def test_only_settings_reads_the_environment() -> None:
    readers = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            used = isinstance(node, ast.Attribute) and node.attr in (
                "environ",
                "getenv",
                "environb",
            )
            named = isinstance(node, ast.alias) and node.name in ("environ", "getenv", "environb")
            if used or named:
                readers.add(dotted(path))
    assert readers == {"settings"}


def test_every_module_has_a_place_among_the_layers() -> None:
    groups = {group(dotted(path)) for path in MODULES} - {"", "processors"}
    assert groups == set().union(*LAYERS)


@each_module()
def test_imports_go_down_only(path: Path) -> None:
    height = {name: level for level, layer in enumerate(LAYERS) for name in layer}
    own = group(dotted(path))
    for name in imports(path):
        if not name.startswith(f"{NAME}."):
            continue
        other = group(name.removeprefix(f"{NAME}."))
        if other != own:
            assert height[other] < height[own], f"{own} imports {other}"


@each_module()
def test_no_module_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 400


@each_module()
def test_every_module_says_what_belongs_in_it(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


@each_module()
def test_there_are_no_postponed_annotations_where_dagster_reads_them(path: Path) -> None:
    if dotted(path).partition(".")[0] in ("orchestration", "definitions"):
        assert "__future__" not in set(imports(path))


def test_at_most_two_broad_excepts_swallow() -> None:
    """One isolates files, one isolates plugins; cleaning up and raising again is another matter."""
    found = [
        dotted(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _raises_again(node)
    ]
    assert "errors" in found
    assert len(found) <= 2, found


def _is_broad(kind: ast.expr | None) -> bool:
    names = {n.id for n in ast.walk(kind) if isinstance(n, ast.Name)} if kind else {"Exception"}
    return bool(names & {"Exception", "BaseException"})


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None
