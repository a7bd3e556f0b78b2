"""Several workers over one lake and one place of sessions, killed as it comes, Postgres with them.

What they leave is compared with a run that nobody disturbed, over a DuckDB file. As a script it
takes longer and says what it took: `python tests/support/several.py --help`. With `--shards` each
worker has its shard, nobody is killed, and it is the time that counts.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random

from kill_sweep import LEFT_OUT_COLUMNS
from lakes import Lakes, lakes
from places import ROOT
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import recompute, run_all
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.setting_places import Bucket, S3Settings
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.opening import open_source
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.testing.pipeline import table_names
from sharded import PROGRAM, passed
from weed import REGION, S3Server, s3_server

EXAMPLES = ROOT / "examples" / "sessions"
_LONGEST = 600.0
_STEP = 0.05
_PARTS = 3
Tables = dict[str, list[tuple[object, ...]]]


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        passes: how many ended by themselves. seconds: until all was processed.
        cpu: of the workers, in seconds. different: tables that are not as undisturbed.
    """

    workers: int
    files: int
    kills: int = 0
    crashes: int = 0
    passes: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    endings: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)


@dataclass
class Sessions:
    """Session files that grow to their whole length in three steps, in a folder or a bucket."""

    folder: Path
    s3: S3Server | None
    texts: Mapping[str, Sequence[bytes]]
    bucket: str = ""

    def write(self, key: str, part: int) -> None:
        lines = self.texts[key]
        body = b"".join(lines[: len(lines) * part // _PARTS])
        if self.s3 is not None:
            self.s3.client(self.bucket).put(f"s/{key}", body)
        else:
            path = self.folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

    @property
    def root(self) -> Root | Bucket:
        return Bucket(f"s3://{self.bucket}/s") if self.s3 else Root(self.folder)


def made_up(users: int) -> dict[str, list[bytes]]:
    """The example sessions, of so many users each."""
    texts = {
        path.relative_to(EXAMPLES): path.read_bytes().splitlines(keepends=True)
        for path in sorted(EXAMPLES.rglob("*.jsonl"))
    }
    return {
        f"{path.parts[0]}{n}/{'/'.join(path.parts[1:])}": [
            line.replace(b'"sessionId":"', b'"sessionId":"%d-' % n) for line in lines
        ]
        for n in range(users)
        for path, lines in texts.items()
    }


def tables(store: Store) -> Tables:
    """What is kept, but for what depends on when and by whom it was made.

    Not failures: one of a content that another worker has overtaken may stay, and holds up nothing.
    """
    usage, found = UsageProcessor(), {}
    for name in (*table_names(usage), "session_processor_state"):
        columns, _ = store.query(f"FROM {name} LIMIT 0")[0]
        left_out = LEFT_OUT_COLUMNS | {"mtime_ns", "ctime_ns"}
        kept = ", ".join(column for column in columns if column not in left_out)
        found[str(name)] = store.query(f"SELECT {kept} FROM {name} ORDER BY ALL")[0][1]
    return found


def several(
    folder: Path,
    at: Lakes,
    *,
    workers: int = 4,
    users: int = 2,
    kills: int = 4,
    crashes: int = 1,
    seed: int = 1,
    s3: S3Server | None = None,
) -> Outcome:
    """Let workers process what grows meanwhile, killed `kills` times, and Postgres `crashes` times.

    Args:
        s3: sessions and rows are in buckets of it; else in folders.
    """
    random = Random(seed)  # noqa: S311  nothing secret
    sessions = Sessions(folder / "sessions", s3, made_up(users), s3.bucket() if s3 else "")
    settings = at.settings(folder / "lake", Settings(roots=(sessions.root,), workers=1))
    if s3:
        keys = S3Settings(s3.key, s3.secret, None, REGION, s3.url)
        there = f"s3://{s3.bucket()}/lake/"
        settings = Settings(
            roots=settings.roots, database=settings.database, lake_data=there, s3=keys,
            work_dir=settings.work_dir, lock_timeout=timedelta(seconds=60), workers=1,
        )  # fmt: skip
    outcome = Outcome(workers, len(sessions.texts))
    for key in sessions.texts:
        sessions.write(key, 1)
    team = _Team(sessions, settings, outcome, random, dict.fromkeys(sessions.texts, 1))
    _work(team, at, kills, crashes)
    store, usage = open_store(settings), UsageProcessor()
    run_all(usage, open_source(settings), store, settings, Options())
    alone = Settings(
        roots=settings.roots, database=folder / "alone.duckdb", s3=settings.s3, workers=1
    )
    undisturbed = open_store(alone)
    run_all(usage, open_source(alone), undisturbed, alone, Options())
    recompute(usage, undisturbed, alone)
    expected, found = tables(undisturbed), tables(store)
    outcome.different = [name for name in expected if expected[name] != found[name]]
    assert len(expected["session_processor_state"]) == len(sessions.texts)
    return outcome


@dataclass
class _Team:
    """The workers, what disturbs them, and the files that grow meanwhile."""

    sessions: Sessions
    settings: Settings
    outcome: Outcome
    random: Random
    grown: dict[str, int]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def begin(self) -> subprocess.Popen[bytes]:
        settings, s3 = self.settings, self.sessions.s3
        root = self.sessions.root.label
        return subprocess.Popen(
            [str(PROGRAM), "run", "--processor", "usage", "--json", "--sessions", root],
            env={
                **os.environ,
                **(s3.env() if s3 else {}),
                "SESSION_PIPELINE_DATABASE": str(settings.database),
                "SESSION_PIPELINE_LAKE_DATA": str(settings.lake_data),
                "SESSION_PIPELINE_WORK_DIR": str(settings.work_dir),
                "SESSION_PIPELINE_WORKERS": "1",
                "SESSION_PIPELINE_LOCK_TIMEOUT_SECONDS": "60",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def grow(self) -> bool:
        """A little more of two files; whether there is still more to come."""
        growing = [key for key, part in self.grown.items() if part < _PARTS]
        for key in self.random.sample(growing, min(len(growing), 2)):
            self.grown[key] += 1
            self.sessions.write(key, self.grown[key])
        return bool(growing)

    def kill_one(self) -> None:
        os.killpg(self.random.choice(self.running).pid, signal.SIGKILL)
        self.outcome.kills += 1

    def again(self) -> int:
        """Start anew who has ended; how many of them ended well."""
        well = 0
        for place, worker in enumerate(self.running):
            if worker.poll() is None:
                continue
            _, said = worker.communicate()
            well += worker.returncode == 0
            self.outcome.passes += worker.returncode != -signal.SIGKILL
            if worker.returncode not in (0, -signal.SIGKILL):
                self.outcome.endings.append(f"{worker.returncode}: {said.decode()[:300]}")
            self.running[place] = self.begin()
        return well

    def end(self) -> None:
        for worker in self.running:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.communicate()


def _work(team: _Team, at: Lakes, kills: int, crashes: int) -> None:
    """Until each worker could have had a pass over all that there is, and nothing disturbs it."""
    outcome, random = team.outcome, team.random
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    kill_at, crash_at = begun + random.uniform(1, 4), begun + random.uniform(4, 8)
    team.running = [team.begin() for _ in range(outcome.workers)]
    well = 0
    while well < outcome.workers:
        assert time.monotonic() < begun + _LONGEST, outcome
        time.sleep(_STEP)
        busy = team.grow()
        if outcome.kills < kills and time.monotonic() > kill_at:
            team.kill_one()
            kill_at = time.monotonic() + random.uniform(0.5, 3)
        if outcome.crashes < crashes and time.monotonic() > crash_at:
            at.server.stop(signal.SIGQUIT)
            at.server.start()
            outcome.crashes += 1
            crash_at = time.monotonic() + random.uniform(4, 8)
        busy |= outcome.kills < kills or outcome.crashes < crashes
        ended = team.again()
        well += 0 if busy else ended
    team.end()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    outcome.seconds = time.monotonic() - begun
    outcome.cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def in_shards(
    folder: Path, at: Lakes, workers: Sequence[int], users: int, corpus: Path | None, s3: bool
) -> None:
    """Print what one pass takes: over a folder into a file, and of workers into a lake."""
    if corpus is None:
        local = Sessions(folder / "sessions", None, made_up(users))
        for key in local.texts:
            local.write(key, _PARTS)
        corpus = local.folder
    paths = [path for path in sorted(corpus.rglob("*")) if path.is_file()]
    megabytes = sum(path.stat().st_size for path in paths) / 1e6
    with s3_server() if s3 else nullcontext() as server:
        root, env = str(corpus), {"SESSION_PIPELINE_WORK_DIR": str(folder / "work")}
        file = {**env, "SESSION_PIPELINE_DATABASE": str(folder / "alone.duckdb")}
        print(passed(file, root, 0, megabytes, at.server).said, flush=True)  # noqa: T201  a script
        if server:
            bucket = server.bucket()
            for path in paths:
                server.client(bucket).put(f"s/{path.relative_to(corpus)}", path.read_bytes())
            root, env = f"s3://{bucket}/s", {**env, **server.env()}
        for many in workers:
            data = f"s3://{server.bucket()}/lake/" if server else str(folder / f"lake{many}")
            env["SESSION_PIPELINE_LAKE_DATA"] = data
            env["SESSION_PIPELINE_DATABASE"] = f"ducklake:postgres:{at.server.catalog()}"
            print(passed(env, root, many, megabytes, at.server).said, flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[4])
    parser.add_argument("--users", type=int, default=6)
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--crashes", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--s3", action="store_true", help="rows and sessions in buckets")
    parser.add_argument("--shards", action="store_true", help="each its shard, nobody is killed")
    parser.add_argument("--corpus", type=Path, help="with --shards: sessions in place of examples")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, lakes() as at:
        if asked.shards:
            in_shards(Path(folder), at, asked.workers, asked.users, asked.corpus, asked.s3)
            return
        for workers in asked.workers:
            given = {"workers": workers, "users": asked.users, "kills": asked.kills}
            given |= {"crashes": asked.crashes, "seed": asked.seed}
            place = Path(folder) / str(workers)
            if asked.s3:
                with s3_server() as server:
                    outcome = several(place, at, **given, s3=server)
            else:
                outcome = several(place, at, **given)
            print(json.dumps(outcome.__dict__))  # noqa: T201  a script


if __name__ == "__main__":
    main()
