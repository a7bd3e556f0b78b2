"""`python -m benchmarks.report`: what the usage page of a company takes, in each privacy mode.

200 people in 30 teams write a session a day each for 90 days, of 20 responses. Each page is made by
a process of its own, in turn; its messages are checked.
"""

import argparse
import json
import random
import shutil
import statistics
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.measuring import Pass, measure

_MODES = ("named", "pseudonym", "team")
_TEAMS, _REPOSITORIES, _RESPONSES = 30, 60, 20
_MODELS = ("claude-opus-4-8", "claude-sonnet-4-6", "claude-haiku-4-5-20251001")
_TOOLS = ("Bash", "Read", "Edit", "Grep", "Skill", "mcp__github__search")
_START = datetime(2026, 7, 1, 9, tzinfo=UTC)


def main() -> None:
    """Make the sessions, process them once per mode, and print what the page takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    folder = Path("var/bench/report")
    shutil.rmtree(folder, ignore_errors=True)
    sessions = folder / "sessions"
    for person in range(asked.people):
        _write(sessions, person, asked.days)
    (folder / "directory.csv").write_text("\n".join(_directory(asked.people)))
    expected = asked.people * asked.days * _RESPONSES
    for mode in _MODES:
        run = _command(folder, mode, "run", "--processor", "usage")
        measure("run", run, folder / "run.json", 0, _environment(folder, mode))
        words = ("report", "--days", str(asked.days), "--output", str(folder / mode))
        report = _command(folder, mode, *words)
        pages = [_page(folder, mode, report, expected) for _ in range(asked.rounds)]
        size = (folder / mode / "usage.html").stat().st_size
        print(
            f"{mode:10} {statistics.median(page.wall for page in pages):5.2f} s wall, "
            f"{statistics.median(page.cpu for page in pages):5.2f} s CPU, "
            f"{max(page.peak_mb for page in pages):4.0f} MB, page {size / 1e6:.2f} MB"
        )


def _environment(folder: Path, mode: str) -> dict[str, str]:
    return {
        "SESSION_PIPELINE_PEOPLE": mode,
        "SESSION_PIPELINE_DIRECTORY": str(folder / "directory.csv"),
    }


def _command(folder: Path, mode: str, *words: str) -> list[str]:
    """A command over the sessions, with a database of the mode's own."""
    here = ["--sessions", str(folder / "sessions"), "--database", str(folder / f"{mode}.duckdb")]
    return [str(Path(sys.executable).with_name("session-pipeline")), *words, "--json", *here]


def _page(folder: Path, mode: str, command: list[str], expected: int) -> Pass:
    answer = folder / "report.json"
    made = measure("report", command, answer, 0, _environment(folder, mode))
    (page,) = json.loads(answer.read_text())["reports"]
    found = page["numbers"]["messages"]
    if found != expected:
        raise SystemExit(f"{mode}: {found} messages, {expected} were made")
    return made


def _directory(people: int) -> Iterator[str]:
    yield "folder,person,email,team,cost_center,from,to"
    for person in range(people):
        team = person * person % _TEAMS
        yield f"user{person:03},Person {person},,team{team:02},C{team % 5},,"


def _write(sessions: Path, person: int, days: int) -> None:
    source, folder = random.Random(person), sessions / f"user{person:03}"
    folder.mkdir(parents=True)
    for day in range(days):
        name = f"{person:08x}-0000-4000-8000-{day:012x}"
        text = "\n".join(_session(source, name, _START + timedelta(days=day), person))
        (folder / f"{name}.jsonl").write_text(f"{text}\n")


def _session(source: random.Random, name: str, begin: datetime, person: int) -> Iterator[str]:
    repository = f"/src/repository-{(person + source.randrange(4)) % _REPOSITORIES}"
    model, time = source.choice(_MODELS), begin
    for number in range(_RESPONSES):
        time += timedelta(minutes=source.randrange(1, 20))
        usage = {
            "input_tokens": source.randrange(1, 40),
            "cache_creation_input_tokens": source.randrange(6000),
            "cache_read_input_tokens": source.randrange(8000, 120_000),
            "output_tokens": source.randrange(20, 2500),
        }
        call = {"type": "tool_use", "id": f"toolu_{name}{number}", "name": source.choice(_TOOLS)}
        given = {"command": "ls", "skill": f"skill-{source.randrange(12)}"}
        message = {
            **{"id": f"msg_{name}{number}", "type": "message", "role": "assistant"},
            **{"model": model, "stop_reason": "end_turn", "usage": usage},
            "content": [{**call, "input": given}],
        }
        place = {"cwd": repository, "gitBranch": "main", "sessionId": name, "version": "2.1.40"}
        line = {
            **{"type": "assistant", "uuid": f"{name}-{number}", "parentUuid": None, **place},
            **{"requestId": f"req_{name}{number}", "message": message},
            "timestamp": f"{time:%FT%T.000Z}",
        }
        yield json.dumps(line, separators=(",", ":"))


if __name__ == "__main__":
    main()
