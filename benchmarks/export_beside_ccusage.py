"""`python -m benchmarks.export_beside_ccusage TREE... --ccusage PROGRAM`: the files that we export
beside what ccusage prints itself, key by key and number by number.

A model without a price in ccusage is compared without its cost.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.beside_ccusage import configurations, read

_PROGRAM = str(Path(sys.executable).with_name("session-pipeline"))
_FILES = {"daily": "daily", "weekly": "weekly", "monthly": "monthly", "session": "session"}
_CLOSE = 5e-7
"""Half a micro-dollar: theirs are sums of floating point."""


def theirs(program: str, tree: Path, command: str) -> Any:
    """What ccusage prints of a tree."""
    with tempfile.TemporaryDirectory() as folder:
        there = configurations(tree.resolve(), Path(folder))
        words = [program, "claude", command, "--json", "--offline", "-z", "UTC", "-m", "calculate"]
        env = {**os.environ, "CLAUDE_CONFIG_DIR": ",".join(map(str, there))}
        done = subprocess.run(words, env=env, capture_output=True, check=True, text=True)
    return json.loads(done.stdout)


def differences(ours: Any, their: Any, where: str = "") -> Iterator[str]:
    """Where two documents differ, in words."""
    if isinstance(their, dict) and isinstance(ours, dict):
        if ours.keys() != their.keys():
            yield f"{where}: keys {sorted(ours)} and {sorted(their)}"
        for key in ours.keys() & their.keys():
            yield from differences(ours[key], their[key], f"{where}.{key}")
    elif isinstance(their, list) and isinstance(ours, list):
        if len(ours) != len(their):
            yield f"{where}: {len(ours)} and {len(their)} entries"
        for number, (one, other) in enumerate(zip(ours, their, strict=False)):
            yield from differences(one, other, f"{where}[{number}]")
    elif isinstance(their, float | int) and isinstance(ours, float | int):
        if abs(ours - their) > _CLOSE:
            yield f"{where}: {ours} and {their}"
    elif ours != their:
        yield f"{where}: {ours!r} and {their!r}"


def plain(document: Any, unpriced: set[str]) -> Any:
    """A document to be compared: sorted, costs without those of models that ccusage cannot price,
    and without what only ours has."""
    if not isinstance(document, dict):
        return {}
    found = {key: value for key, value in document.items() if key != "projects"}
    found.get("totals", {}).pop("unpricedModels", None)
    found.get("totals", {}).pop("totalCost", None)
    for rows in found.values():
        for row in rows if isinstance(rows, list) else ():
            row["modelsUsed"].sort()
            for one in row["modelBreakdowns"]:
                if one.pop("missingPricing", False) or one["modelName"] in unpriced:
                    row["totalCost"] -= one["cost"]
                    one["cost"] = 0.0
            row["modelBreakdowns"].sort(key=lambda one: one["modelName"])
    if "sessions" in found:
        found["sessions"].sort(key=lambda row: (row["sessionId"], row["projectPath"]))
    return found


def main() -> None:
    """Every tree, every file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trees", nargs="+", type=Path)
    parser.add_argument("--ccusage", default=shutil.which("ccusage"), help="its program")
    given = parser.parse_args()
    if given.ccusage is None:
        raise SystemExit("ccusage is not installed: npm install ccusage, or name it in --ccusage")
    for tree in given.trees:
        with tempfile.TemporaryDirectory() as folder:
            database, into = Path(folder) / "usage.duckdb", Path(folder) / "out"
            read(tree, database)
            words = [_PROGRAM, "export", str(into), "--format", "ccusage"]
            env = {**os.environ, "SESSION_PIPELINE_DATABASE": str(database)}
            subprocess.run(words, env=env, capture_output=True, check=True)
            for command, name in _FILES.items():
                their = theirs(given.ccusage, tree, command)
                totals = their["totals"] if isinstance(their, dict) else {}
                unpriced = {*totals.get("unpricedModels", ())}
                ours = json.loads((into / f"{name}.json").read_text("utf-8"))
                found = [*differences(plain(ours, unpriced), plain(their, unpriced))]
                print(f"{tree.name:34}{command:9}{'same' if not found else len(found)}")
                for line in found[:6]:
                    print(f"    {line}")


if __name__ == "__main__":
    main()
