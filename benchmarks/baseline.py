"""What one writes first: json for every line, a row for every line, executemany for every file.

`python -m benchmarks.baseline SESSIONS DATABASE EVERY`: every so many files of the tree. Stands in
for the program that this project replaces; it counts lines, not responses, so its totals are wrong.
"""

import hashlib
import json
import sys
from pathlib import Path

import duckdb

_EVENTS = """CREATE TABLE events (id VARCHAR PRIMARY KEY, file VARCHAR, kind VARCHAR, tool VARCHAR,
    model VARCHAR, sent VARCHAR, input BIGINT, output BIGINT)"""
_STATE = "CREATE TABLE state (file VARCHAR PRIMARY KEY, hash VARCHAR)"


def main(sessions: Path, database: Path, every: int) -> None:
    """Fill a new database from some of the files."""
    connection = duckdb.connect(str(database))
    connection.execute(_EVENTS)
    connection.execute(_STATE)
    for path in sorted(sessions.rglob("*.jsonl"))[::every]:
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        rows = [row for number, line in enumerate(path.open()) for row in _rows(path, number, line)]
        connection.execute("DELETE FROM events WHERE file = ?", [str(path)])
        if rows:
            marks = ", ".join("?" * 8)
            connection.executemany(f"INSERT OR REPLACE INTO events VALUES ({marks})", rows)
        connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", [str(path), digest])


def _rows(path: Path, number: int, line: str) -> list[tuple[object, ...]]:
    try:
        record = json.loads(line)
    except ValueError:
        return []
    if not isinstance(record, dict) or record.get("type") != "assistant":
        return []
    message = record["message"]
    usage, found = message.get("usage") or {}, []
    blocks = [block for block in message["content"] if isinstance(block, dict)]
    for index, block in enumerate(blocks):
        key = hashlib.sha256(f"{path}:{number}:{index}".encode()).hexdigest()
        tokens = (usage.get("input_tokens"), usage.get("output_tokens"))
        head = (key, str(path), block.get("type"), block.get("name"), message.get("model"))
        found.append((*head, record.get("timestamp"), *tokens))
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
