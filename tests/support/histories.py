"""Random histories of session files against an oracle: real files, a real database, fast.

A batch plays many histories side by side: each has a folder of its own, does its own things to its
files, and all meet the same ticks. A tick is a pass of one of two processors over everything,
undisturbed or killed at a random step. After each the tables are held against the oracle:

- undisturbed: rows and state are those of every file as it was when the tick began, and just the
  states of files that are not there are marked;
- killed: each file has its rows and state of before or of now, and never one without the other;
- while the root is not mounted, or mounted and empty: nothing changes;
- what is forgotten while a pass has it in work is nowhere after that pass.

Every third history is of Claude Code, of Codex and of Copilot CLI: each with lines of its own.

Users are renamed, their folders unmounted and mounted again, clocks set forward and back: as the
database sees it, all that was written before is then older, or still to come.
"""

import json
import os
import random
import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import xxhash
from duckdb import DuckDBPyConnection

from helpers import OLD, EchoProcessor, session_line
from session_pipeline_dagster.contract.processor import Processor, ProcessorResult, Session
from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.passes import pool
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.settings import OnDelete, Root, Settings
from session_pipeline_dagster.sources.files import Content, SessionFile
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.file.place import DuckDBFile
from session_pipeline_dagster.store.place import Place

ROUNDS = 8
NAMES = ("a.jsonl", "b.jsonl", "sub/c.jsonl")
USERS = "haz"
"""What the names of a history's user begin with, each followed by the history's number."""
Rows = tuple[tuple[int, int], ...]


class Killed(KeyboardInterrupt):
    """A kill, as far as one process can play it: nothing after it runs, and nothing keeps it."""


class Violation(AssertionError):
    """The tables are not what the oracle says. `history` is its number in the batch."""

    def __init__(self, history: int, message: str) -> None:
        super().__init__(message)
        self.history = history


class Killer:
    """Counts steps and kills at one of them."""

    def __init__(self) -> None:
        self.left = 0

    def step(self) -> None:
        if self.left:
            self.left -= 1
            if not self.left:
                raise Killed


class KillableStore(Store):
    """A store that may be killed before, in and after each of its transactions."""

    killer: Killer

    @contextmanager
    def transaction(self) -> Generator[DuckDBPyConnection]:
        self.killer.step()
        with super().transaction() as connection:
            yield connection
            self.killer.step()
        self.killer.step()


class BusySource(LocalSource):
    """A source whose files may be appended to while they are processed."""

    armed: dict[str, bytes]
    forgetting: dict[str, Callable[[], None]]
    killer: Killer

    def read(self, file: SessionFile) -> Content:
        self.killer.step()
        content = super().read(file)
        self.append(file)
        if forget := self.forgetting.pop(file.key, None):
            forget()
        return content

    def append(self, file: SessionFile) -> None:
        more = self.armed.pop(file.key, None)
        if more:
            with open(file.path, "ab") as handle:  # noqa: PTH123
                handle.write(more)


class KillableEcho(EchoProcessor):
    """EchoProcessor, killable at each file."""

    def __init__(self, name: str, killer: Killer) -> None:
        super().__init__(name=name)
        self.killer = killer

    def process(self, session: Session) -> ProcessorResult:
        self.killer.step()
        return super().process(session)


def _in_a_file(folder: Path) -> Place:
    return DuckDBFile(folder / "histories.duckdb")


@dataclass(frozen=True)
class Subject:
    """What is tested; a planted bug replaces a part."""

    store: type[KillableStore] = KillableStore
    place: Callable[[Path], Place] = _in_a_file
    source: type[BusySource] = BusySource


@dataclass(frozen=True)
class Seen:
    """One content of a file: the rows it must give, and the hash of what is complete of it."""

    rows: Rows = ()
    file_hash: str | None = None


NOTHING = Seen()
_BEGINS = session_line("").encode()[:10]


def oracle(content: bytes, cache: dict[bytes, Seen]) -> Seen:
    """What a file of this content must give, by a reader of its own."""
    if content not in cache:
        end = content.rfind(b"\n") + 1
        complete = content if _size(content[end:]) is not None else content[:end]
        lines = enumerate(complete.split(b"\n"), start=1)
        # Sorted as the database's are: two can stand on one line.
        rows = sorted((number, size) for number, line in lines for size in _sizes(line))
        cache[content] = Seen(tuple(rows), xxhash.xxh3_128_hexdigest(complete))
    return cache[content]


def _sizes(line: bytes) -> list[int]:
    """The lengths of the texts of a line: of several where it has grown together of them."""
    if (size := _size(line)) is not None:
        return [size]
    parts = [_BEGINS + part for part in line.split(_BEGINS)[1:]]
    return [size for part in parts if (size := _size(part)) is not None]


def _size(line: bytes) -> int | None:
    """The length of a line's text; None where it is cut, or grown together of two."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    places = (("message", "content"), ("payload", "message"), ("data", "content"))
    return next(len(found[outer][inner]) for outer, inner in places if outer in found)


def _of_codex(text: str, number: int) -> str:
    payload = {"type": "user_message", "message": text, "images": []}
    return _compact({"timestamp": _AT, "type": "event_msg", "payload": payload})


def _of_copilot(text: str, number: int) -> str:
    named = {"id": f"e{number}", "timestamp": _AT}
    return _compact({"type": "user.message", "data": {"content": text}, **named})


def _compact(line: Mapping[str, object]) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"


_AT = "2025-03-01T12:00:00.000Z"
LINES: tuple[Callable[[str, int], str], ...] = (
    lambda text, number: session_line(text),
    _of_codex,
    _of_copilot,
)
"""Of each agent: what a person wrote, and a number of its own -> a line."""


@dataclass
class Batch:
    """Histories that are played side by side over one database."""

    folder: Path
    seed: int
    histories: int
    subject: Subject = field(default_factory=Subject)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311  to be played again
        self.root = self.folder / "sessions"
        self.root.mkdir(parents=True)
        self.killer, self.armed, self.clock, self.made = Killer(), {}, 0, 0
        self.forgetting: dict[str, Callable[[], None]] = {}
        self.forgotten: set[str] = set()
        self.user = [f"h{history:04}" for history in range(self.histories)]
        self.away = self.folder / "away"
        self.away.mkdir()
        self.log: list[list[str]] = [[] for _ in range(self.histories)]
        self.cache: dict[bytes, Seen] = {}
        self.on_delete = self.random.choice(list(OnDelete))
        size = 100 * self.histories
        # Whatever was missed by one look may be purged by the next.
        self.settings = Settings(
            batch_bytes=size, workers=1, on_delete=self.on_delete, purge_after=timedelta(0)
        )
        self.store = self.subject.store(self.subject.place(self.folder))
        self.source = self.subject.source((Root(self.root),))
        for part in (self.store, self.source):
            object.__setattr__(part, "killer", self.killer)
        object.__setattr__(self.source, "armed", self.armed)
        object.__setattr__(self.source, "forgetting", self.forgetting)
        self.processors = [KillableEcho(name, self.killer) for name in ("one", "two")]
        self.last: dict[str, dict[str, Seen]] = {p.name: {} for p in self.processors}
        self.missed: dict[str, dict[str, bool | None]] = {p.name: {} for p in self.processors}
        # A root without a file counts as not mounted.
        self.write(self.root / "zz" / "always.jsonl", session_line("x").encode())

    # --- what happens to files ---

    def write(self, path: Path, content: bytes, mtime_ns: int | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.stamp(path, mtime_ns)

    def stamp(self, path: Path, mtime_ns: int | None = None) -> None:
        """A clock of its own: what is written now would only ever be re-hashed as too fresh."""
        self.clock += 1
        ns = mtime_ns or (int(OLD.timestamp()) + self.clock) * 10**9
        os.utime(path, ns=(ns, ns))

    def line(self, path: Path) -> bytes:
        """A line of the agent whose history it is; no text comes twice."""
        self.made += 1
        of_agent = LINES[int(path.relative_to(self.root).parts[0][1:]) % len(LINES)]
        text = "y" * self.random.randint(1, 9) + str(self.made)
        return of_agent(text, self.made).encode()

    def act(self, history: int) -> None:
        folder, draw = self.root / self.user[history], self.random
        if (self.away / folder.name).exists():
            if draw.random() < MOUNTED:
                self.mount(history)
            return
        there = [folder / name for name in NAMES if (folder / name).exists()]
        path = draw.choice(there) if there else folder / draw.choice(NAMES)
        other = folder / draw.choice(NAMES)
        what = draw.choice(ACTIONS) if there else "append"
        if what in OF_USERS:
            self.log[history].append(what)
            getattr(self, what)(history)
            return
        self.log[history].append(f"{what} {path.name} {other.name}")
        content = path.read_bytes() if path.exists() else b""
        mtime_ns = path.stat().st_mtime_ns if path.exists() else None
        getattr(self, what)(path, other, content, mtime_ns)

    def append(self, path: Path, _other: Path, content: bytes, _mtime: int | None) -> None:
        if content and not content.endswith(b"\n"):
            content = content[: content.rfind(b"\n") + 1]
        self.write(
            path, content + b"".join(self.line(path) for _ in range(self.random.randint(1, 3)))
        )

    def partial(self, path: Path, _other: Path, content: bytes, _mtime: int | None) -> None:
        if content.endswith(b"\n"):
            line = self.line(path)
            self.write(path, content + line[: self.random.randint(1, len(line) - 2)])

    def complete(self, path: Path, _other: Path, content: bytes, _mtime: int | None) -> None:
        end = content.rfind(b"\n") + 1
        if content[end:]:
            whole = self.line(path)[:-1] + self.random.choice([b"", b"\n"])
            self.write(path, content[:end] + whole)

    def append_keeping_mtime(self, path: Path, other: Path, content: bytes, mtime: int) -> None:
        self.append(path, other, content, mtime)
        self.stamp(path, mtime)

    def append_while_read(self, path: Path, _other: Path, content: bytes, _mtime: int) -> None:
        line = self.line(path)
        # What grows together on the first line says whose it is with Claude Code's alone.
        if content.endswith(b"\n") and line.startswith(_BEGINS):
            self.armed[path.relative_to(self.root).as_posix()] = line
            self.stamp(path)

    def truncate(self, path: Path, _other: Path, content: bytes, _mtime: int) -> None:
        lines = content.splitlines(keepends=True)
        self.write(path, b"".join(lines[: self.random.randint(0, len(lines))])[: len(content)])

    def cut(self, path: Path, _other: Path, content: bytes, _mtime: int) -> None:
        self.write(path, content[: self.random.randint(0, len(content))])

    def rewrite_same_size(self, path: Path, _other: Path, content: bytes, _mtime: int) -> None:
        self.write(path, _shifted(content))

    def rewrite_same_size_and_mtime(self, path: Path, _o: Path, content: bytes, mtime: int) -> None:
        self.write(path, _shifted(content), mtime)

    def rename(self, path: Path, other: Path, _content: bytes, _mtime: int) -> None:
        other.parent.mkdir(exist_ok=True)
        path.rename(other)

    def copy(self, path: Path, other: Path, content: bytes, _mtime: int) -> None:
        if path != other:
            self.write(other, content)

    def copy_with_mtime(self, path: Path, other: Path, content: bytes, mtime: int) -> None:
        if path != other:
            self.write(other, content, mtime)

    def delete(self, path: Path, _other: Path, _content: bytes, _mtime: int) -> None:
        path.unlink()

    def touch(self, path: Path, _other: Path, _content: bytes, _mtime: int) -> None:
        self.stamp(path)

    def mtime_back(self, path: Path, _other: Path, _content: bytes, mtime: int) -> None:
        self.stamp(path, mtime - self.random.randint(1, 10**6) * 10**9)

    def forget_while_read(self, path: Path, _other: Path, _content: bytes, _mtime: int) -> None:
        key, goes = path.relative_to(self.root).as_posix(), self.random.random() < 0.5

        def forget() -> None:
            # Whoever forgets is another process, and is not killed with this one.
            left, self.killer.left = self.killer.left, 0
            if goes:
                path.unlink()
            self.store.forget(self.processors, [key])
            self.killer.left = left
            self.forgotten.add(key)

        self.forgetting[key] = forget
        self.stamp(path)

    # --- what happens to users, and to clocks ---

    def rename_user(self, history: int) -> None:
        free = [f"{letter}{history:04}" for letter in USERS]
        free = [name for name in free if not (self.root / name).exists()]
        name = self.random.choice(free)
        (self.root / self.user[history]).rename(self.root / name)
        self.user[history] = name

    def unmount(self, history: int) -> None:
        folder = self.root / self.user[history]
        folder.rename(self.away / folder.name)
        if self.random.random() < 0.5:
            folder.mkdir()

    def mount(self, history: int) -> None:
        self.log[history].append("mount")
        folder = self.root / self.user[history]
        if folder.exists():
            folder.rmdir()
        (self.away / folder.name).rename(folder)

    def step_clock(self) -> None:
        """Forward: what is written is older by so much. Back: it is still to come."""
        seconds = self.random.choice([1, -1]) * self.random.randint(120, 400 * 86_400)
        for log in self.log:
            log.append(f"clock {seconds} s")
        with KillableStore.transaction(self.store) as connection:
            for table, columns in TIMES.items():
                moved = ", ".join(f"{name} = {name} - to_seconds({seconds})" for name in columns)
                connection.execute(f"UPDATE {table} SET {moved}")
        if seconds < 0:
            # A mark that is still to come purges nothing and becomes now.
            for missed in self.missed.values():
                missed |= {key: None for key, value in missed.items() if value}

    # --- ticks ---

    def contents(self) -> dict[str, Seen]:
        return {
            path.relative_to(self.root).as_posix(): oracle(path.read_bytes(), self.cache)
            for path in self.root.rglob("*.jsonl")
        }

    def play(self) -> None:
        """Every round something may happen in every history, then a tick."""
        for _ in range(ROUNDS):
            for history in range(self.histories):
                for _ in range(self.random.randint(0, 3)):
                    self.act(history)
            if self.random.random() < STEPPED:
                self.step_clock()
            processor = self.random.choice(self.processors)
            if self.random.random() < UNMOUNTED:
                self.tick_without_root(processor)
            self.tick(processor, kill=self.random.random() < KILLED)
        for processor in self.processors:
            self.tick(processor, kill=False)

    def tick(self, processor: Processor, *, kill: bool) -> None:
        now = self.contents()
        self.killer.left = self.random.randint(1, 2 * self.histories) if kill else 0
        for log in self.log:
            log.append(f"tick {processor.name}{' with a kill' if kill else ''}")
        try:
            report = run_batch(processor, self.source, self.store, self.settings, Options())
        except Killed:
            self.killer.left = 0
            self.check(processor, now, killed=True)
        else:
            assert report.errors == 0
            if report.capped > len(self.forgotten):
                left = f"{report.capped} files were left, {len(self.forgotten)} forgotten"
                raise self.violation("", left)
            # A kill that was meant for a later step did not happen.
            self.killer.left = 0
            self.check(processor, now, killed=False)
        self.armed.clear()
        self.forgetting.clear()
        self.forgotten.clear()

    def tick_without_root(self, processor: Processor) -> None:
        """The root is not mounted, or what is there is the empty folder to mount it to."""
        before, away, empty = self.everything(), self.folder / "root", self.random.random() < 0.5
        self.root.rename(away)
        for log in self.log:
            log.append(f"tick {processor.name} without root{' (empty)' if empty else ''}")
        if empty:
            self.root.mkdir()
        with suppress(SourceUnavailable):
            run_batch(processor, self.source, self.store, self.settings, Options())
        if empty:
            self.root.rmdir()
        away.rename(self.root)
        after = self.everything()
        for key in sorted({key for key, *_ in before ^ after}):
            raise self.violation(key, "changed while the root was not mounted")

    def everything(self) -> set[tuple[object, ...]]:
        """All states and rows, as far as they speak of files."""
        found: set[tuple[object, ...]] = set()
        for name in (p.name for p in self.processors):
            found |= {(*row, name) for row in self.rows(name)}
        if self.last["one"] or self.last["two"]:
            sql = "SELECT session_file, processor_name, file_hash, gone_at IS NULL"
            found |= {*self.store.query(f"{sql} FROM session_processor_state")[0][1]}
        return found

    def rows(self, name: str) -> list[tuple[object, ...]]:
        """The rows of a processor; none where a kill came before its table was made."""
        if not self.store.row_counts([f"{name}_rows"])[f"{name}_rows"]:
            return []
        return self.store.query(f"FROM {name}_rows ORDER BY ALL")[0][1]

    def violation(self, key: str, message: str) -> Violation:
        history = int(key[1:5]) if key[1:5].isdigit() else 0
        log = "\n".join(self.log[history])
        return Violation(history, f"seed {self.seed}: {key}: {message}\n{log}")

    def check(self, processor: Processor, now: Mapping[str, Seen], *, killed: bool) -> None:
        for key in self.forgotten:
            for name in self.last:
                self.last[name][key], self.missed[name][key] = NOTHING, False
        before = self.last[processor.name]
        found = self.found(processor)
        purging = self.on_delete is OnDelete.PURGE
        for key in {*before, *now, *found}:
            was = before.get(key, NOTHING)
            here = now.get(key)
            missed = self.missed[processor.name].get(key, False)
            may_be = {here} if here else {was}
            if not here and purging and missed is not False:
                may_be = {NOTHING} if missed else {NOTHING, was}
            if key in self.forgotten:
                may_be, here = {NOTHING}, NOTHING
            seen = found.get(key, NOTHING)
            if seen in may_be or (killed and seen == was):
                before[key] = seen
                self.note(processor, key, here=here is not None, killed=killed)
                continue
            raise self.violation(key, f"{seen}, not {may_be} ({was} before)")
        if not killed:
            self.check_marks(processor, now)

    def check_marks(self, processor: Processor, now: Mapping[str, Seen]) -> None:
        """Just the states of files that are not there are marked: of several copies of a line the
        one that is still there wins, whatever it is called."""
        sql = f"""SELECT session_file, gone_at IS NOT NULL FROM session_processor_state
        WHERE processor_name = '{processor.name}' ORDER BY 1"""
        for key, is_marked in self.store.query(sql)[0][1]:
            if is_marked is (key in now):
                raise self.violation(str(key), f"{'' if is_marked else 'not '}marked as gone")

    def note(self, processor: Processor, key: str, *, here: bool, killed: bool) -> None:
        """What the database knows of a missing file: None where a kill leaves it open."""
        missed = self.missed[processor.name]
        if not killed:
            missed[key] = not here
        elif missed.get(key, False) is here:
            missed[key] = None

    def found(self, processor: Processor) -> dict[str, Seen]:
        """What the tables say, rows and state together; doubled rows and states show as such."""
        sql = f"""SELECT session_file, string_agg(file_hash, ' ') FROM session_processor_state
        WHERE processor_name = '{processor.name}' GROUP BY 1"""
        states, rows = self.store.query(sql)[0][1], self.rows(processor.name)
        lists: dict[Any, list[Any]] = {}
        for key, line, size in rows:
            lists.setdefault(key, []).append((line, size))
        hashes: dict[Any, Any] = dict(states)
        keys = {*lists, *hashes}
        return {key: Seen(tuple(lists.get(key, ())), hashes.get(key)) for key in keys}


KILLED = 0.3
UNMOUNTED, MOUNTED, STEPPED = 0.1, 0.3, 0.15
TIMES = {
    "session_processor_state": ("processed_at", "signature_at", "gone_at"),
    "session_forgotten": ("forgotten_at",),
}
ACTIONS = (
    *("append", "partial", "complete", "append_keeping_mtime", "append_while_read", "truncate"),
    *("cut", "rewrite_same_size", "rewrite_same_size_and_mtime", "rename", "copy"),
    *("copy_with_mtime", "delete", "touch", "mtime_back", "forget_while_read"),
    *("rename_user", "unmount"),
)
OF_USERS = ("rename_user", "unmount")
_SHIFTS = (
    (b'"content": "yy', b'"content":  "y'),
    (b'"content":"yy', b'"content": "y'),
    (b'"message":"yy', b'"message": "y'),
)


def _shifted(content: bytes) -> bytes:
    """Other content of the same size: the first line of a text gets one letter less."""
    first, newline, rest = content.partition(b"\n")
    for was, will in _SHIFTS:
        first = first.replace(was, will, 1)
    return first + newline + rest


def play(
    folder: Path, histories: int, subject: Subject | None = None, batch: int = 100, seed: int = 0
) -> int:
    """Play so many histories, a batch after the other; how many it were.

    Raises:
        Violation: with the history's number over all batches.
    """
    played, chunk, pool.CHUNK_BYTES = 0, pool.CHUNK_BYTES, 3000
    try:
        while played < histories:
            folder_of_batch = folder / f"b{played}"
            try:
                Batch(folder_of_batch, seed + played, batch, subject or Subject()).play()
            except Violation as violation:
                raise Violation(played + violation.history + 1, str(violation)) from None
            played += batch
            shutil.rmtree(folder_of_batch)
    finally:
        pool.CHUNK_BYTES = chunk
    return played
