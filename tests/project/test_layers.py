"""The shape of the package, read from its source: who may import what, and how long a module is."""

import ast
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import session_pipeline_dagster

PACKAGE = Path(session_pipeline_dagster.__file__).parent
NAME = PACKAGE.name
NAMES = {
    ".".join((NAME, *path.relative_to(PACKAGE).with_suffix("").parts))
    for path in PACKAGE.rglob("*.py")
}
OLD_PATHS = {"derivation", "processor", "quality", "records", "reporting", "transcript"}
"""What plugins may still import; gone in 0.3."""
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.stem not in OLD_PATHS or path.parent != PACKAGE
)
FLOORS = (
    "definitions",
    "defs",
    "orchestration cli",
    "health testing",
    "passes",
    "store processors collect",
    "contract",
    "sources",
    "transcripts",
    "people",
    "settings",
    "setting_places",
    "setting_records setting_values plugins",
    "guests",
    "errors names given_files",
)
"""Highest first. A module imports from its own wing, without a circle, and from lower floors."""


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def wing(module: str) -> str:
    """The package itself hands on what is asked for, as `definitions` does."""
    return module.partition(".")[0] or "definitions"


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def only_for_types(tree: ast.AST) -> set[ast.AST]:
    """Everything under `if TYPE_CHECKING:`."""
    blocks = (n for n in ast.walk(tree) if isinstance(n, ast.If))
    typed = (b for b in blocks if isinstance(b.test, ast.Name) and b.test.id == "TYPE_CHECKING")
    return {node for block in typed for statement in block.body for node in ast.walk(statement)}


@cache
def imports(path: Path) -> frozenset[str]:
    """Names of modules that really are imported, at the top or inside a function."""
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    tree = parsed(path)
    ignored = only_for_types(tree)
    for node in ast.walk(tree):
        if node in ignored:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            # What is taken from a package is a module of it, or a name of the package itself.
            yield from full & NAMES
            if full - NAMES:
                yield node.module or ""


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


def test_the_package_names_its_component_and_imports_dagster_only_when_it_is_asked_for() -> None:
    code = (
        f"import sys, {NAME} as p; assert 'SessionPipelineComponent' in dir(p); "
        "assert 'dagster' not in sys.modules; component = p.SessionPipelineComponent; "
        "assert 'dagster' in sys.modules; print(component.__module__); assert not hasattr(p, 'x')"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == f"{NAME}.orchestration.component"


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
    assert {name.partition(".")[0] for name in found} <= {"orchestration", "defs", "definitions"}


def test_only_settings_reads_the_environment() -> None:
    readers = set()
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            used = isinstance(node, ast.Attribute) and node.attr in (
                "environ",
                "getenv",
                "environb",
            )
            named = isinstance(node, ast.alias) and node.name in ("environ", "getenv", "environb")
            if used or named:
                readers.add(dotted(path))
    assert readers == {"settings"}


def arrows() -> dict[str, set[str]]:
    """Module -> the modules of the package that it imports."""
    modules = {dotted(path): path for path in MODULES}
    found = {
        name: {other.removeprefix(f"{NAME}.") for other in imports(path)} & modules.keys()
        for name, path in modules.items()
    }
    return {name: others - {name} for name, others in found.items()}


def circle(graph: Mapping[str, Collection[str]]) -> list[str]:
    """The modules of a circle in the order in which they import each other; [] = there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def uphill(graph: Mapping[str, Collection[str]]) -> list[str]:
    """Imports that do not go down."""
    floors = {name: level for level, floor in enumerate(FLOORS) for name in floor.split()}
    return [
        f"{name} imports {other}"
        for name, others in graph.items()
        for other in others
        if wing(name) != wing(other) and floors[wing(other)] <= floors[wing(name)]
    ]


def test_every_wing_has_a_floor() -> None:
    assert {wing(name) for name in arrows()} == {n for f in FLOORS for n in f.split()}


def test_imports_go_down_only() -> None:
    assert uphill(arrows()) == []


def test_there_is_no_circle() -> None:
    assert circle(arrows()) == []


def test_a_circle_and_an_import_up_are_seen() -> None:
    graph = arrows()
    graph["store.columns"] = graph["store.columns"] | {"passes.plan"}
    assert uphill(graph) == ["store.columns imports passes.plan"]
    graph = arrows()
    graph["passes.plan"] = graph["passes.plan"] | {"passes.runner"}
    assert {"passes.plan", "passes.runner"} <= {*circle(graph)}


def test_a_wing_says_its_question_in_a_line() -> None:
    for path in PACKAGE.glob("*/__init__.py"):
        doc = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        assert path.parent.name in ("processors", "testing") or "?" in doc, path.parent.name


@pytest.mark.parametrize("name", sorted(OLD_PATHS))
def test_an_old_path_only_hands_on_and_warns(name: str) -> None:
    _, *body = ast.parse((PACKAGE / f"{name}.py").read_text("utf-8")).body
    assert {type(node) for node in body} == {ast.Import, ast.ImportFrom, ast.Assign, ast.Expr}
    assert "warnings.warn" in ast.unparse(body[-1])


@each_module()
def test_no_module_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 400


@each_module()
def test_every_module_says_what_belongs_in_it(path: Path) -> None:
    assert ast.get_docstring(parsed(path))


@each_module()
def test_there_are_no_postponed_annotations_where_dagster_reads_them(path: Path) -> None:
    if dotted(path).partition(".")[0] in ("orchestration", "defs", "definitions"):
        assert "__future__" not in imports(path)


def test_at_most_four_broad_excepts_swallow() -> None:
    """One isolates files, one plugins, one an error that cannot say what it is, one shows a bug's
    trace where the program ends; raising again, as it is or in our words, swallows nothing."""
    found = [
        dotted(path)
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _raises_again(node)
    ]
    assert "errors" in found
    assert len(found) <= 4, found


def _is_broad(kind: ast.expr | None) -> bool:
    names = {n.id for n in ast.walk(kind) if isinstance(n, ast.Name)} if kind else {"Exception"}
    return bool(names & {"Exception", "BaseException"})


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise)


def _is_safe(argument: ast.expr) -> bool:
    """A text of ours, or one that is made printable."""
    if isinstance(argument, ast.Call) and isinstance(argument.func, ast.Name):
        return argument.func.id == "printable"
    return isinstance(argument, ast.Constant)


def test_what_dagster_is_given_to_show_is_made_printable() -> None:
    """Words of a log and the reason of a skipped tick reach a terminal and a page."""
    unsafe = []
    for path in (PACKAGE / "orchestration").glob("*.py"):
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.Call):
                continue
            logs = ast.unparse(node.func) in {
                f"{log}.{level}"
                for log in ("context.log", "_log")
                for level in ("debug", "info", "warning", "error")
            }
            reasons = [k.value for k in node.keywords if k.arg == "skip_reason"]
            if not all(map(_is_safe, [*(node.args if logs else ()), *reasons])):
                unsafe.append(f"{path.name}:{node.lineno}")
    assert unsafe == []
