"""docs/guarantees.md names tests; each exists, and each line has one."""

import ast
import re

from places import ROOT, TESTS

PAGE = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
ROWS = [line for line in PAGE.splitlines() if re.match(r"\| (?!fault|way|---)", line)]


def existing() -> set[str]:
    """The names of all tests."""
    trees = [ast.parse(path.read_text("utf-8")) for path in TESTS.rglob("test_*.py")]
    functions = (n for tree in trees for n in tree.body if isinstance(n, ast.FunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def test_every_guarantee_names_tests_and_they_exist() -> None:
    known = existing()
    assert len(ROWS) > 50
    for row in ROWS:
        named = re.findall(r"`(test_\w+)`", row.rstrip("| ").rpartition("|")[2])
        assert named, row
        assert set(named) <= known, set(named) - known
