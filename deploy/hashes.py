"""Writes deploy/requirements: what production installs, each package with the hashes of its wheels.

For who changes a pin: `python deploy/hashes.py`, with uv on the PATH. `run.txt` is what all
need, a file of an extra what it adds to that, `build.txt` what makes the package itself.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = Path(__file__).parent / "requirements"
EXTRAS = ("postgres", "lake", "objects", "anthropic", "openai", "kubernetes")
HEAD = "# Made by deploy/hashes.py from pyproject.toml and constraints.txt: not to be edited.\n"


def compiled(source: str, *more: str) -> str:
    """What uv chooses, for every system and each Python from the oldest one on."""
    how = "--universal --python-version 3.11 --generate-hashes --only-binary :all:"
    quiet = "--quiet --no-annotate --no-header --no-strip-extras -c constraints.txt"
    command = ["uv", "pip", "compile", *how.split(), *quiet.split(), *more, source]
    done = subprocess.run(  # noqa: S603  our own words, no shell
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"uv could not: {done.stderr}")
    return done.stdout


def entries(text: str) -> dict[str, str]:
    """Package -> its lines."""
    found = re.findall(r"^(([\w.-]+)(?:\[[\w,-]+\])?==.*(?:\n    .*)*)\n?", text, re.MULTILINE)
    return {name: lines for lines, name in found}


def write(name: str, packages: dict[str, str]) -> None:
    text = HEAD + "".join(f"{lines}\n" for lines in packages.values())
    (FOLDER / f"{name}.txt").write_text(text, "utf-8")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    run = entries(compiled("pyproject.toml"))
    write("run", run)
    for extra in EXTRAS:
        added = entries(compiled("pyproject.toml", "--extra", extra))
        write(extra, {name: lines for name, lines in added.items() if run.get(name) != lines})
    with tempfile.NamedTemporaryFile("w", suffix=".in") as tools:
        tools.write("setuptools>=77\n")
        tools.flush()
        write("build", entries(compiled(tools.name)))


if __name__ == "__main__":
    main()
