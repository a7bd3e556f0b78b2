"""`Store` is the one door to the database: no connection, no statement that writes outside it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_layers import MODULES, NAME, dotted

DOORS = {
    *("batch", "columns", "compare", "copying", "database", "declare", "leases", "retaining"),
    "states",
}
"""Modules of the store that others import: `Store`, what it takes and gives, what a plugin says."""
OUTSIDE = [path for path in MODULES if dotted(path).partition(".")[0] != "store"]
INSIDE = [path for path in MODULES if path not in OUTSIDE]
WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE|CREATE|ALTER|DROP|ATTACH|COPY)\s")
USERS_DOOR = "orchestration.resources"
"""`StoreResource.get_connection`, for assets of a user's own."""
OF_DAGSTER = "orchestration.retention"
"""Asks Dagster's own databases, which old runs are deleted from."""


def tree(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text("utf-8")))


def imported(path: Path) -> set[str]:
    """Whole names of everything that a module imports, also for types alone."""
    found: set[str] = set()
    for node in tree(path):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def rooms(path: Path) -> set[str]:
    """Modules and folders of the store that a module imports from."""
    return {n.split(".")[2] for n in imported(path) if n.startswith(f"{NAME}.store.")}


def called(path: Path) -> set[str]:
    """Names of the methods and functions of modules that a module calls."""
    calls = (node.func for node in tree(path) if isinstance(node, ast.Call))
    return {function.attr for function in calls if isinstance(function, ast.Attribute)}


@pytest.mark.parametrize("path", OUTSIDE, ids=dotted)
def test_the_store_is_entered_by_its_doors(path: Path) -> None:
    assert rooms(path) <= DOORS


def test_every_door_of_the_store_is_used() -> None:
    assert set().union(*map(rooms, OUTSIDE)) == DOORS


@pytest.mark.parametrize("name", ["connect", "transaction", "begin", "execute"])
def test_nobody_outside_the_store_has_a_connection(name: str) -> None:
    found = {dotted(path) for path in OUTSIDE if name in called(path)} - {OF_DAGSTER}
    assert found == ({USERS_DOOR} if name == "connect" else set())


def test_duckdb_is_not_even_a_type_outside_the_store() -> None:
    found = {dotted(path) for path in OUTSIDE if any("duckdb" in name for name in imported(path))}
    assert found == {USERS_DOOR}


@pytest.mark.parametrize("path", OUTSIDE, ids=dotted)
def test_statements_that_write_are_in_the_store_only(path: Path) -> None:
    texts = (node.value for node in tree(path) if isinstance(node, ast.Constant))
    assert not [text for text in texts if isinstance(text, str) and WRITES.match(text)]


@pytest.mark.parametrize("place", ["file", "lake"])
def test_nothing_but_its_own_folder_and_the_one_choice_knows_a_place(place: str) -> None:
    knowing = {dotted(path) for path in INSIDE if place in rooms(path)}
    outside = {name for name in knowing if not name.startswith(f"store.{place}.")}
    assert outside == {"store.opening"}
