"""One variable -> its value, or a SettingsError that names it and says what it takes."""

import getpass
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import TypeVar

from session_pipeline_dagster.errors import SettingsError

E = TypeVar("E", bound=Enum)

_DIGITS = 16
_ALL = 100
_FEWEST_DAYS = 30
"""What is read later than that many days after it was said is in no sum."""
_AMOUNT = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s]|[A-Za-z][A-Za-z0-9+.-]*:///")

CLONE = Path(__file__).parents[1] / "pyproject.toml"
"""There in a clone, and in no wheel."""
_OURS = ("SESSION_PIPELINE_", "SESSION_PROCESSOR_", "SCHEDULER_")


class Asked(Mapping[str, str]):
    """Variables that know which of them were asked for, so that no list of all is kept."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env, self._asked = env, set[str]()

    def __getitem__(self, name: str) -> str:
        self._asked.add(name)
        return self._env[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._env)

    def __len__(self) -> int:
        return len(self._env)

    def check_names(self) -> None:
        """Once all settings were asked for: a name that is nearly one of theirs is a mistake, and
        left alone it would be one in silence. What is called otherwise may be a plugin's.

        Raises:
            SettingsError: there is one.
        """
        for prefix in _OURS:
            known = {name.removeprefix(prefix) for name in self._asked if name.startswith(prefix)}
            others = {name for name in self._env if name.startswith(prefix)} - self._asked
            for name in sorted(others):
                if near := get_close_matches(name.removeprefix(prefix), known, 1):
                    said = f"{name} is no setting; {prefix}{near[0]} is."
                    raise SettingsError(f"{said} docs/operations.md lists all")


def path(text: str, name: str) -> Path:
    """A path, `~` resolved."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise SettingsError(f"{name} is {text!r}, but there is no such user") from None


def place(env: Mapping[str, str], name: str) -> Path | None:
    """The path that a variable holds; None where it is not set."""
    given = text(env, name)
    return None if given is None else path(given, name)


def in_clone() -> bool:
    """Whether this is the source itself, not an installed copy of it."""
    return CLONE.is_file()


def home(env: Mapping[str, str], name: str, otherwise: str) -> Path:
    """Where what is made lies: in a clone `var` of the working folder, so that all of it stays
    there; of an installed program where its user keeps such things (XDG base directories)."""
    if in_clone():
        return Path("var")
    # By the specification what is empty is not set, and a relative path is to be ignored.
    given = Path(env.get(name) or "")
    return (given if given.is_absolute() else path(f"~/{otherwise}", name)) / "session-pipeline"


def absolute(given: Path) -> Path:
    """The path from the root; as it is where this process is in a folder that is gone."""
    try:
        return given.absolute()
    except FileNotFoundError:
        return given


def text(env: Mapping[str, str], name: str) -> str | None:
    """The text of a variable; None where it is not set."""
    value = env.get(name)
    if value is not None and not value.strip():
        raise SettingsError(f"{name} is empty; give it a value or unset it")
    return value


def one_of(kind: type[E], given: str, name: str) -> E:
    """A member by its value."""
    try:
        return kind(given.strip())
    except ValueError:
        *most, last = [str(member.value) for member in kind]
        takes = f"{', '.join(most)} or {last}"
        raise SettingsError(f"{name} is {given!r}; it takes {takes}") from None


def some_of(
    kind: type[E], env: Mapping[str, str], name: str, default: frozenset[E]
) -> frozenset[E]:
    """Members by their values, separated by commas or spaces; `none` for no one."""
    given = text(env, name)
    if given is None:
        return default
    names = given.replace(",", " ").split()
    try:
        return frozenset() if names == ["none"] else frozenset(map(kind, names))
    except ValueError:
        takes = ", ".join(str(member.value) for member in kind)
        raise SettingsError(f"{name} is {given!r}; it takes some of {takes}, or none") from None


def remembered(file: Path) -> dict[str, str]:
    """The variables in a file of `NAME=value` lines; none where there is no such file."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be read ({error}); delete it") from None
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {name.strip(): value for name, equals, value in pairs if equals and value}


def shared(env: Mapping[str, str], name: str) -> str | None:
    """A variable of other programs too; empty is as good as not set."""
    return env.get(name) or None


def whole(
    env: Mapping[str, str], name: str, default: int, most: int | None = None, least: int = 1
) -> int:
    """A whole number of at least 1, or so many."""
    value = text(env, name)
    if value is None:
        return default
    digits = value.strip()
    written = digits.isascii() and digits.isdigit()
    # So many as tell that it is too much.
    digits = digits[:_DIGITS]
    fits = most is not None or len(digits) < _DIGITS
    if not (written and fits and int(digits) >= least):
        raise SettingsError(f"{name} is {value!r}; it takes a whole number of at least {least}")
    if most is not None and int(digits) > most:
        raise SettingsError(f"{name} is {value!r}; it takes a whole number of at most {most}")
    return int(value)


def detail_days(env: Mapping[str, str], name: str, most: int) -> dict[str, int]:
    """`kind=days` for each kind, or one number for all of them, which is that of the kind ''."""
    given = (text(env, name) or "").split()
    alone = len(given) == 1 and "=" not in given[0]
    pairs = [("", given[0])] if alone else [pair.partition("=")[::2] for pair in given]
    kinds = {kind: int(days) for kind, days in pairs if re.fullmatch("[0-9]{1,6}", days)}
    fits = all(_FEWEST_DAYS <= days <= most for days in kinds.values())
    if len(kinds) < len(pairs) or not fits or ("" in kinds and not alone):
        raise SettingsError(
            f"{name} is {env[name]!r}; it takes a number of days from {_FEWEST_DAYS} to {most}, or "
            "one for each kind, like events=400 messages=800 evidence=800"
        )
    return kinds


def flag(env: Mapping[str, str], name: str) -> bool:
    """1 or 0."""
    value = text(env, name)
    if value not in (None, "0", "1"):
        raise SettingsError(f"{name} is {value!r}; it takes 1 or 0")
    return value == "1"


def percent(env: Mapping[str, str], name: str, default: float) -> float:
    """A number from 0 to 100."""
    value = text(env, name)
    if value is None:
        return default
    try:
        percent = float(value)
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= _ALL:
        raise SettingsError(f"{name} is {value!r}; it takes a number of percent from 0 to 100")
    return percent


def share(env: Mapping[str, str], name: str) -> float | None:
    """A number from 0 to 1; None where nothing is set."""
    value = text(env, name)
    if value is None:
        return None
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingsError(f"{name} is {value!r}; it takes a number from 0 to 1")
    return share


def word(env: Mapping[str, str], name: str, default: str) -> str:
    """A name of small letters, digits, `-` and `_`."""
    value = text(env, name)
    if value is not None and not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", value.strip()):
        raise SettingsError(f"{name} is {value!r}; it takes a name like anthropic, aws or google")
    return default if value is None else value.strip()


def amount(env: Mapping[str, str], name: str, default: Decimal) -> Decimal:
    """An amount of money of at least 0, in USD."""
    value = text(env, name)
    if value is None:
        return default
    if not _AMOUNT.fullmatch(value.strip()):
        raise SettingsError(f"{name} is {value!r}; it takes an amount like 20 or 0.5")
    return Decimal(value.strip())


def urls(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """URLs of alert sinks; the error names the place of a wrong one, because they hold tokens."""
    urls = tuple((text(env, name) or "").split())
    for place, url in enumerate(urls, start=1):
        if not _URL.match(url):
            raise SettingsError(
                f"{name}: number {place} is no URL like slack://...; separate them by spaces"
            )
    return urls


def words(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Words with commas between them; a name may hold spaces."""
    given = (text(env, name) or "").split(",")
    return tuple(word for part in given if (word := part.strip()))


def web_address(env: Mapping[str, str], name: str) -> str | None:
    """An address of a web server, without a slash at its end."""
    value = text(env, name)
    if value is not None and not re.match(r"https?://[^/]", value.strip()):
        raise SettingsError(f"{name} is {value!r}; it takes an address like http://127.0.0.1:3000")
    return None if value is None else value.strip().rstrip("/")


def seconds(env: Mapping[str, str], name: str) -> timedelta | None:
    """A duration above 0, given in seconds; None where it is not set."""
    value = text(env, name)
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


def day(env: Mapping[str, str], name: str) -> date | None:
    """A day that is not in the future; None where it is not set."""
    value = text(env, name)
    if value is None:
        return None
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise SettingsError(f"{name} is {value!r}; it takes a date like 2025-02-01") from None
    if day > datetime.now(UTC).date():
        raise SettingsError(f"{name} is {value!r}; it takes a date that is not in the future")
    return day


def os_user(env: Mapping[str, str]) -> str:
    """Who runs this, by the operating system."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return env.get("USER", "me")
