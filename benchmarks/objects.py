"""`python -m benchmarks.objects`: what listing a bucket costs, and a first pass over one.

The bucket is of the object server of the tests, in a process of its own whose time is nobody's. A
pass over a folder and one over the bucket with the same files take turns; read their ratio.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import corpus
from benchmarks.measuring import Pass, measure, peak_mb
from session_pipeline_dagster.setting_places import Bucket, S3Settings
from session_pipeline_dagster.sources.bucket import Patience, client
from session_pipeline_dagster.sources.objects import ObjectSource

_SUPPORT = Path(__file__).parent.parent / "tests" / "support"
_PROGRAM = str(Path(sys.executable).with_name("session-pipeline"))
_SERVER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from object_server import ObjectServer
with ObjectServer() as server:
    for number in range(int(sys.argv[3])):
        server.put(f"list/user{number % 50:02}/-home-app/{number:08x}.jsonl", b"{}")
    root = Path(sys.argv[2])
    for path in root.rglob("*.jsonl"):
        server.put("files/" + path.relative_to(root).as_posix(), path.read_bytes())
    print(server.url, flush=True)
    sys.stdin.read()
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--mb", type=float, default=50.0)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = folder / "sessions"
        root.mkdir()
        truth = corpus.make(root, given.files, given.mb)
        command = [sys.executable, "-c", _SERVER, _SUPPORT, root, str(given.objects)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            assert server.stdout  # noqa: S101  they are pipes
            assert server.stdin  # noqa: S101
            url = server.stdout.readline().strip()
            try:
                _listings(url, given.objects, given.rounds)
                _passes(url, folder, truth.bytes / 1e6, given.rounds)
            finally:
                server.stdin.close()


def _listings(url: str, objects: int, rounds: int) -> None:
    s3 = S3Settings("bench", "no-secret", None, "us-east-1", url)
    bucket, patience = Bucket("s3://sessions/list"), Patience()
    for name, look in {
        "listed": lambda: len(client(bucket, s3, patience).listed()),
        "as session files": lambda: len(ObjectSource(bucket, s3=s3).scan().files),
    }.items():
        took = []
        for _ in range(rounds):
            begun = time.process_time()
            if look() != objects:
                raise SystemExit(f"{name}: not all objects were found")
            took.append((time.process_time() - begun) / objects * 1e6)
        print(f"{name}: {statistics.median(took):.1f} µs CPU an object, {peak_mb()} MB at most")


def _passes(url: str, folder: Path, megabytes: float, rounds: int) -> None:
    places = {"folder": str(folder / "sessions"), "bucket": "s3://sessions/files"}
    keys = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "no-secret"}
    environment = {**keys, "AWS_ENDPOINT_URL": url, "SESSION_PIPELINE_WORKERS": "1"}
    found: dict[str, list[Pass]] = {place: [] for place in places}
    counts = set()
    for number in range(rounds):
        for place, where in places.items():
            answer = folder / "answer.json"
            database = folder / f"{place}{number}.duckdb"
            command = [_PROGRAM, "run", "--processor", "usage", "--json", "--sessions", where]
            command += ["--database", str(database)]
            found[place].append(measure(place, command, answer, megabytes, environment))
            report = json.loads(answer.read_text("utf-8"))["processors"]["usage"]
            counts.add((report["processed"], report["items_extracted"]))
            os.unlink(database)  # noqa: PTH108
    if len(counts) != 1:
        raise SystemExit(f"the bucket and the folder hold different things: {counts}")
    for place, passes in found.items():
        cpu, wall = (
            statistics.median(getattr(p, part) for p in passes) for part in ("cpu", "wall")
        )
        peak = max(p.peak_mb for p in passes)
        print(f"{place}: {cpu:.2f} CPU s, {wall:.2f} s, {peak:.0f} MB at most")
    ratios = [b.cpu / f.cpu for f, b in zip(found["folder"], found["bucket"], strict=True)]
    print(f"CPU of the bucket / of the folder: {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
