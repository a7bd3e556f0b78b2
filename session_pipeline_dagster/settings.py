"""Every knob, its default, unit and environment variable. The only reader of the environment."""

import getpass
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from pathlib import Path

from session_pipeline_dagster.errors import SettingsError

_DIGITS = 16
_ROOT_NAME = re.compile(r"[A-Za-z0-9_.-]+")


class Layout(Enum):
    """What the first folder below a root says.

    USERS: the user (`<root>/<user>/**/*.jsonl`). PROJECTS: the project, as in `~/.claude/projects`.
    """

    USERS = "users"
    PROJECTS = "projects"


class OnDelete(Enum):
    """What becomes of the rows of a deleted file.

    KEEP: they stay, and its state says since when it is gone. PURGE: they go, everywhere.
    """

    KEEP = "keep"
    PURGE = "purge"


@dataclass(frozen=True, slots=True)
class Root:
    """One place with session files; a name, if any, prefixes its keys (`name:alice/x.jsonl`)."""

    path: Path
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one file is taken into memory, in bytes.

    Attributes:
        line: the longest line that is read; a longer one counts as unreadable.
        unpacked: the most that a `.jsonl.gz` may hold.
    """

    line: int = 16 << 20  # SESSION_PIPELINE_LINE_MB
    unpacked: int = 256 << 20  # SESSION_PIPELINE_UNPACKED_MB


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. Each attribute's comment names its variable.

    Durations are timedeltas, sizes are bytes. `docs/operations.md` lists them for users.
    """

    roots: tuple[Root, ...] = (Root(Path("var/user_sessions")),)  # SESSION_DATA_DIR
    layout: Layout = Layout.USERS  # SESSION_LAYOUT
    user: str = "me"  # SESSION_USER
    database: Path = Path("var/session_pipeline.duckdb")  # SESSION_PIPELINE_DATABASE
    create_database_folder: bool = True
    start_date: date = date(2025, 2, 1)  # SESSION_PIPELINE_START_DATE
    cadences: Mapping[str, timedelta] = field(default_factory=dict)  # SCHEDULER_*_INTERVAL
    max_files: Mapping[str, int] = field(default_factory=dict)  # SESSION_PROCESSOR_MAX_PER_RUN
    max_files_per_run: int = 2000  # SESSION_PIPELINE_MAX_FILES_PER_RUN
    time_budget: timedelta = timedelta(seconds=150)  # SESSION_PIPELINE_TIME_BUDGET_SECONDS
    lock_timeout: timedelta = timedelta(seconds=120)  # SESSION_PIPELINE_LOCK_TIMEOUT_SECONDS
    batch_bytes: int = 48 << 20  # SESSION_PIPELINE_BATCH_MB
    on_delete: OnDelete = OnDelete.KEEP  # SESSION_PIPELINE_ON_DELETE
    limits: Limits = Limits()
    workers: int = 0  # SESSION_PIPELINE_WORKERS; 0 = by the size of the backlog
    database_memory_mb: int = 512  # SESSION_PIPELINE_DATABASE_MEMORY_MB
    database_threads: int = 1  # SESSION_PIPELINE_DATABASE_THREADS

    def cadence(self, processor: str, default: timedelta) -> timedelta:
        """How often the processor's sensor looks: the setting, else its own default."""
        return self.cadences.get(processor, default)

    def cap(self, processor: str) -> int:
        """How many files one run of the processor takes."""
        return self.max_files.get(processor, self.max_files_per_run)


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment, defaults where a variable is not set.

    Raises:
        SettingsError: a value cannot be used; the message names the variable and what it takes.
    """
    env = os.environ if environ is None else environ
    usage = _seconds(env, "SCHEDULER_USAGE_PROCESSOR_INTERVAL")
    verification = _seconds(env, "SCHEDULER_VERIFICATION_DETECTOR_INTERVAL")
    given = {"usage": usage, "verification": verification}
    own_cap = _whole(env, "SESSION_PROCESSOR_MAX_PER_RUN", 50)
    default = Settings()
    return Settings(
        roots=parse_roots(_roots_text(env)),
        layout=parse_layout(_text(env, "SESSION_LAYOUT") or Layout.USERS.value),
        user=_text(env, "SESSION_USER") or _os_user(env),
        database=_path(
            _text(env, "SESSION_PIPELINE_DATABASE") or str(default.database),
            "SESSION_PIPELINE_DATABASE",
        ),
        create_database_folder="SESSION_PIPELINE_DATABASE" not in env,
        start_date=_date(env, "SESSION_PIPELINE_START_DATE", default.start_date),
        cadences={name: value for name, value in given.items() if value is not None},
        max_files={"verification": own_cap},
        max_files_per_run=_whole(
            env, "SESSION_PIPELINE_MAX_FILES_PER_RUN", default.max_files_per_run
        ),
        time_budget=_seconds(env, "SESSION_PIPELINE_TIME_BUDGET_SECONDS") or default.time_budget,
        lock_timeout=_seconds(env, "SESSION_PIPELINE_LOCK_TIMEOUT_SECONDS") or default.lock_timeout,
        batch_bytes=_whole(env, "SESSION_PIPELINE_BATCH_MB", 48) << 20,
        on_delete=_on_delete(_text(env, "SESSION_PIPELINE_ON_DELETE") or default.on_delete.value),
        limits=Limits(
            _whole(env, "SESSION_PIPELINE_LINE_MB", default.limits.line >> 20) << 20,
            _whole(env, "SESSION_PIPELINE_UNPACKED_MB", default.limits.unpacked >> 20) << 20,
        ),
        workers=_whole(env, "SESSION_PIPELINE_WORKERS", default.workers),
        database_memory_mb=_whole(
            env, "SESSION_PIPELINE_DATABASE_MEMORY_MB", default.database_memory_mb
        ),
        database_threads=_whole(env, "SESSION_PIPELINE_DATABASE_THREADS", default.database_threads),
    )


def parse_roots(text: str) -> tuple[Root, ...]:
    """Roots from `path`, `name=path`, or several of them separated by `:`.

    Raises:
        SettingsError: an empty path, two roots without a name, or one name twice.
    """
    return check_roots(parse_root(part) for part in text.split(":"))


def check_roots(given: Iterable[Root]) -> tuple[Root, ...]:
    """The roots, if their names tell them apart.

    Raises:
        SettingsError: two roots without a name, or one name twice.
    """
    roots = tuple(given)
    names = [root.name for root in roots]
    for name in names:
        if names.count(name) > 1:
            what = f"the name {name!r} twice" if name else "two roots without a name"
            raise SettingsError(f"SESSION_DATA_DIR or --sessions has {what}; write name=path")
    return roots


def parse_root(part: str) -> Root:
    """A root from `path` or `name=path`.

    Raises:
        SettingsError: an empty path.
    """
    name, equals, path = part.partition("=")
    if equals and _ROOT_NAME.fullmatch(name):
        part = path
    else:
        name = ""
    if not part.strip():
        raise SettingsError("SESSION_DATA_DIR or --sessions is empty; write path or name=path")
    return Root(_path(part, "SESSION_DATA_DIR or --sessions"), name or None)


def _path(text: str, name: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise SettingsError(f"{name} is {text!r}, but there is no such user") from None


def parse_layout(text: str) -> Layout:
    """A layout by its name.

    Raises:
        SettingsError: any other text.
    """
    try:
        return Layout(text)
    except ValueError:
        raise SettingsError(f"SESSION_LAYOUT is {text!r}; it takes users or projects") from None


def _on_delete(text: str) -> OnDelete:
    try:
        return OnDelete(text)
    except ValueError:
        message = f"SESSION_PIPELINE_ON_DELETE is {text!r}; it takes keep or purge"
        raise SettingsError(message) from None


def _roots_text(env: Mapping[str, str]) -> str:
    explicit = _text(env, "SESSION_DATA_DIR")
    if explicit is not None:
        return explicit
    data_dir = _text(env, "DATA_DIR")
    return str(Path(data_dir) / "user_sessions") if data_dir else "var/user_sessions"


def _os_user(env: Mapping[str, str]) -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return env.get("USER", "me")


def _text(env: Mapping[str, str], name: str) -> str | None:
    value = env.get(name)
    if value is not None and not value.strip():
        raise SettingsError(f"{name} is empty; give it a value or unset it")
    return value


def _whole(env: Mapping[str, str], name: str, default: int) -> int:
    value = _text(env, name)
    if value is None:
        return default
    digits = value.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < _DIGITS and int(digits) > 0):
        raise SettingsError(f"{name} is {value!r}; it takes a whole number of at least 1")
    return int(value)


def _seconds(env: Mapping[str, str], name: str) -> timedelta | None:
    value = _text(env, name)
    if value is None:
        return None
    try:
        duration = timedelta(seconds=float(value))
    except (ValueError, OverflowError):
        duration = timedelta(0)
    # Less than a microsecond is none.
    if duration <= timedelta(0):
        raise SettingsError(f"{name} is {value!r}; it takes a number of seconds above 0")
    return duration


def _date(env: Mapping[str, str], name: str, default: date) -> date:
    value = _text(env, name)
    if value is None:
        return default
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise SettingsError(f"{name} is {value!r}; it takes a date like 2025-02-01") from None
    if day > datetime.now(UTC).date():
        raise SettingsError(f"{name} is {value!r}; it takes a date that is not in the future")
    return day
