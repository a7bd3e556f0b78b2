"""A program: kill a pass of a processor at its every step, and see what the next pass makes of it.

It holds no database itself and has one thread, so it can fork a child for every kill, which is
twenty times faster than a process of its own. A step is any call that the package's own code makes
on the way from the scan to the last commit; each is taken where it happens first and last.

What a killed process leaves is what it had written to files. `states` therefore kills nobody: it
keeps a copy of the files at every single step, and tries each copy that differs from the others.

Over a lake its upkeep then deletes what the killed left, and changes no row.

Usage: kill_sweep.py FOLDER PROCESSOR steps MOST     at most so many of the steps, evenly spread
       kill_sweep.py FOLDER PROCESSOR commits MOST   the same of those before and after a commit
       kill_sweep.py FOLDER PROCESSOR states MOST    every step; at most so many of what they left
       kill_sweep.py FOLDER PROCESSOR kills COUNT    at random moments, while files grow
       and `lake` at its end: over a lake, not over a DuckDB file (not for states)
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from types import FrameType

import xxhash

import session_pipeline_dagster
from kept import InFile, InLake, Kept
from lakes import lakes
from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.contract.registry import load_processors
from session_pipeline_dagster.passes.breadcrumbs import leased
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_all
from session_pipeline_dagster.settings import OnDelete, Root, Settings
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.lake.place import LakePlace
from session_pipeline_dagster.store.lake.upkeep import tidy

PACKAGE = str(Path(session_pipeline_dagster.__file__).parent)
# What a line of a transcript becomes is no step of a batch, and there are thousands of them.
INSIDE = (f"transcripts{os.sep}", f"processors{os.sep}", f"passes{os.sep}plan.py")
LEFT_OUT_COLUMNS = set(
    """processed_at signature_at run_id gone_at created_at updated_at checked_at
    next_attempt_at""".split()
)
AROUND = ("commit", "symlink_to")
"""What is called right before and right after a lake's catalog has a commit."""
TABLES = """SELECT table_name FROM duckdb_tables() WHERE database_name = current_catalog()
    AND table_name <> 'session_pipeline_fence' ORDER BY 1"""
TICK_NS = 20_000_000
"""Longer than any system's clock of file times stands still."""

Tables = dict[str, list[list[str]]]


class Watch:
    """Counts the steps of the package's code; kills the process at one of them."""

    def __init__(self, fatal: int = -1) -> None:
        self.fatal, self.seen, self.sites = fatal, 0, {}

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if event not in ("call", "c_call"):
            return
        name = frame.f_code.co_filename
        if not name.startswith(PACKAGE) or name[len(PACKAGE) + 1 :].startswith(INSIDE):
            return
        self.at_step()
        what = argument.__name__ if event == "c_call" else frame.f_code.co_name
        self.sites.setdefault((name, frame.f_lineno, what), []).append(self.seen)
        self.seen += 1

    def at_step(self) -> None:
        if self.seen == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)


class Camera(Watch):
    """Keeps what a kill would leave of a database and the files beside it, at every step."""

    def __init__(self, database: Path, folder: Path) -> None:
        super().__init__()
        self.database, self.folder = database, folder
        self.kept: dict[str, int] = {}
        self.settled: list[tuple[str, int, int]] | None = None

    def at_step(self) -> None:
        beside = sorted(self.database.parent.glob(f"{self.database.name}*"))
        stats = [(path.name, path.stat()) for path in beside]
        seen = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
        if seen == self.settled:
            return
        # A write in the same tick of the clock as this look would not show in a file's time.
        quiet = time.time_ns() - max((changed for *_, changed in seen), default=0) > TICK_NS
        self.settled = seen if quiet else None
        found = [(path.name, path.read_bytes()) for path in beside]
        digest = xxhash.xxh3_128_hexdigest(b"".join(f"{n}:".encode() + b for n, b in found))
        if digest in self.kept:
            return
        self.kept[digest] = self.seen
        place = self.folder / str(self.seen)
        place.mkdir(parents=True)
        for name, content in found:
            (place / name).write_bytes(content)


def settings_of(root: Path, kept: Kept) -> Settings:
    """Commits after every few files, and deleted files are purged."""
    return kept.settings(
        Settings(
            roots=(Root(root),),
            batch_bytes=40_000,
            workers=1,
            on_delete=OnDelete.PURGE,
            purge_after=timedelta(0),
        )
    )


def one_pass(processor: Processor, root: Path, kept: Kept, watch: Watch | None = None) -> Store:
    settings = settings_of(root, kept)
    source, plain = LocalSource(settings.roots), open_store(settings)
    with leased(plain) as store:
        if watch:
            sys.setprofile(watch)
        run_all(processor, source, store, settings, Options())
        sys.setprofile(None)
    return plain


def dump(kept: Kept) -> str:
    """Every table, its columns first, without the times of the passes."""
    return dumped(open_store(settings_of(Path(), kept)))


def dumped(store: Store) -> str:
    found = {}
    with store.held():
        names = store.query(TABLES)[0][1]
        for (name,) in names:
            columns, _ = store.query(f"FROM {name} LIMIT 0")[0]
            kept = [c for c in columns if c not in LEFT_OUT_COLUMNS]
            rows = store.query(f"SELECT {', '.join(kept)} FROM {name} ORDER BY ALL")[0][1]
            found[str(name)] = [kept, *([str(value) for value in row] for row in rows)]
    return json.dumps(found)


def forked(act: Callable[[], str]) -> tuple[int, str]:
    """What a child made of it: how it ended, and its answer."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        try:
            answer = act().encode()
            while answer:
                answer = answer[os.write(writing, answer) :]
        except BaseException as error:  # noqa: BLE001  it must not return into the parent's code
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer_of_child:
        answer = answer_of_child.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), answer


def counted(processor: Processor, root: Path, kept: Kept, commits: bool) -> str:
    watch = Watch()
    one_pass(processor, root, kept, watch)
    if commits:
        found = {i for (_, _, what), seen in watch.sites.items() if what in AROUND for i in seen}
    else:
        found = {seen[i] for seen in watch.sites.values() for i in (0, -1)}
    return json.dumps([sorted(found), len(watch.sites)])


def torn(processor: Processor, before: str, after: str, now: str) -> list[str]:
    """Files whose rows and state are neither those of before nor those of after."""
    was, will, here = (_by_file(processor, json.loads(text)) for text in (before, after, now))
    keys = {*was, *will, *here}
    return [key for key in keys if here.get(key) not in (was.get(key), will.get(key))]


def _by_file(processor: Processor, tables: Tables) -> dict[str, list[list[str]]]:
    """Every row of the processor's own tables and of the state, by its file."""
    found: dict[str, list[list[str]]] = {}
    for name in (*processor.tables, "session_processor_state"):
        columns, *rows = tables[name]
        file = columns.index("session_file")
        for row in rows:
            found.setdefault(row[file], []).append([name, *row])
    return found


def recovered(processor: Processor, root: Path, kept: Kept) -> str:
    """What the next pass makes of it, and what a lake's upkeep makes of that as if a day had
    passed: what is held, files that nothing knows of, how many the upkeep has found, and left."""
    store = one_pass(processor, root, kept)
    now, unknown, deleted = [dumped(store)], kept.unknown(), 0
    if isinstance(store.place, LakePlace) and unknown:
        week, nothing = timedelta(days=7), timedelta(0)
        deleted = tidy(store.place, store.place.catalog, week, running=nothing).orphans
        now.append(dumped(store))
    return json.dumps([now, len(unknown), deleted, len(kept.unknown())])


def sweep(
    folder: Path, base: Kept, processor: Processor, most: int, commits: bool
) -> dict[str, object]:
    """Kill at every step; what was found wrong."""
    root, whole = folder / "sessions", base.copy("counted")
    code, answer = forked(lambda: counted(processor, root, whole, commits))
    assert code == 0
    positions, sites = json.loads(answer)
    before = forked(lambda: dump(base))[1]
    after = forked(lambda: dump(whole))[1]
    step = max(1, -(-len(positions) // most))
    chosen, wrong, killed, orphans, left = positions[step // 2 :: step], [], 0, 0, []
    for position in chosen:
        kept = base.copy("killed")

        def die(position: int = position, kept: Kept = kept) -> str:
            one_pass(processor, root, kept, Watch(position))
            return ""

        def recover(kept: Kept = kept) -> str:
            return recovered(processor, root, kept)

        killed += forked(die)[0] == -signal.SIGKILL
        halfway = forked(lambda kept=kept: dump(kept))[1]
        files = torn(processor, before, after, halfway)
        code, answer = forked(recover)
        now, unknown, deleted, still = json.loads(answer) if not code else ([], 0, 0, 0)
        orphans += unknown
        if files or code or {*now} != {after} or deleted < unknown or still:
            same = [one == after for one in now]
            wrong.append([position, files, code, same, unknown, deleted, still])
        left += kept.left()
    counts = {"sites": sites, "steps": len(chosen), "killed": killed, "orphans": orphans}
    return {**counts, "wrong": wrong, "left": left}


def photographed(processor: Processor, root: Path, kept: InFile, folder: Path) -> str:
    camera = Camera(kept.database, folder)
    one_pass(processor, root, kept, camera)
    return json.dumps([camera.seen, len(camera.sites)])


def sweep_states(folder: Path, base: InFile, processor: Processor, most: int) -> dict[str, object]:
    """Go on from what a kill at any step would leave; what was found wrong."""
    root, states = folder / "sessions", folder / "states"
    (folder / "watched").mkdir()
    watched = InFile(Path(shutil.copy(base.database, folder / "watched" / "killed.duckdb")))
    code, answer = forked(lambda: photographed(processor, root, watched, states))
    assert code == 0
    steps, sites = json.loads(answer)
    before = forked(lambda: dump(base))[1]
    after = forked(lambda: dump(watched))[1]
    found = sorted(states.iterdir(), key=lambda place: int(place.name))
    chosen, wrong, left = found[:: max(1, -(-len(found) // most))], [], []
    for place in chosen:
        kept = InFile(place / "killed.duckdb")
        # Opening a database may change its files, so the look is at a copy of them.
        shutil.copytree(place, folder / "looked")
        halfway = forked(lambda: dump(InFile(folder / "looked" / "killed.duckdb")))[1]
        files = torn(processor, before, after, halfway)

        def recover(kept: InFile = kept) -> str:
            one_pass(processor, root, kept)
            return dump(kept)

        code, now = forked(recover)
        if files or code or now != after:
            wrong.append([place.name, files, code, now == after])
        left += kept.left()
        shutil.rmtree(folder / "looked")
        shutil.rmtree(place)
    counts = {"sites": sites, "steps": steps, "states": len(found), "tried": len(chosen)}
    return {**counts, "wrong": wrong, "left": left}


def prepare(folder: Path, base: Kept, processor: Processor) -> None:
    """A database of before: some files were shorter then, some not there, some are touched since,
    one is gone."""
    root, held = folder / "sessions", folder / "held"
    keys = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.jsonl"))
    changed, new, touched = keys[0::4], keys[1::4], keys[2::4]
    gone = root / "zoe" / "p" / "gone.jsonl"
    gone.parent.mkdir(parents=True)
    shutil.copy(root / changed[0], gone)
    for key in changed:
        (held / key).parent.mkdir(parents=True, exist_ok=True)
        content = (root / key).read_bytes()
        shutil.move(root / key, held / key)
        lines = content.splitlines(keepends=True)
        (root / key).write_bytes(b"".join(lines[: len(lines) // 2]))
    for key in new:
        (held / key).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(root / key, held / key)
    code, _ = forked(lambda: str(one_pass(processor, root, base)))
    assert code == 0
    gone.unlink()

    def miss() -> str:
        # It was missed once, so the pass that is killed purges it.
        with open_store(settings_of(root, base)).transaction() as connection:
            connection.execute(
                "UPDATE session_processor_state SET gone_at = now() WHERE session_file LIKE 'zoe/%'"
            )
        return ""

    assert forked(miss)[0] == 0
    for key in [*changed, *new]:
        shutil.move(held / key, root / key)
    for key in touched:
        os.utime(root / key)


def random_kills(
    folder: Path, disturbed: Kept, processor: Processor, count: int
) -> dict[str, object]:
    """Kill passes at random moments; whether the last one ends where an undisturbed one over a file
    does."""
    root, draw = folder / "sessions", random.Random(count)  # noqa: S311  to be played again
    paths, killed = sorted(root.rglob("*.jsonl")), 0
    undisturbed = InFile(folder / "undisturbed.duckdb")
    begun = time.monotonic()
    assert forked(lambda: str(one_pass(processor, root, disturbed)))[0] == 0
    whole = time.monotonic() - begun
    for _ in range(count):
        for path in draw.sample(paths, len(paths) // 2):
            lines = path.read_bytes().splitlines(keepends=True)
            with path.open("ab") as handle:
                handle.write(draw.choice(lines))
        for path in draw.sample(paths, len(paths) // 4):
            os.utime(path)
        pid = os.fork()
        if not pid:
            one_pass(processor, root, disturbed)
            os._exit(0)
        time.sleep(draw.uniform(0, whole))
        os.kill(pid, signal.SIGKILL)
        killed += os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    dumps, kepts = [], (disturbed, undisturbed)
    for kept in kepts:
        assert forked(lambda kept=kept: str(one_pass(processor, root, kept)))[0] == 0
        dumps.append(forked(lambda kept=kept: dump(kept))[1])
    left = [name for kept in kepts for name in kept.left()]
    rows = sum(map(len, json.loads(dumps[0]).values()))
    return {"killed": killed, "same": dumps[0] == dumps[1], "rows": rows, "left": left}


def main() -> None:
    folder, name, how, count = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    processor = load_processors().get(name)
    with ExitStack() as stack:
        base: Kept = InFile(folder / "before.duckdb")
        if sys.argv[5:] == ["lake"]:
            base = InLake.new(stack.enter_context(lakes()), folder / "before")
        if how == "kills":
            found = random_kills(folder, base, processor, count)
        else:
            prepare(folder, base, processor)
            if how == "states":
                assert isinstance(base, InFile)
                found = sweep_states(folder, base, processor, count)
            else:
                found = sweep(folder, base, processor, count, how == "commits")
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    # What a pass imports late is imported here once, not in every child.
    import pyarrow  # noqa: F401

    import session_pipeline_dagster.store.columns

    main()
