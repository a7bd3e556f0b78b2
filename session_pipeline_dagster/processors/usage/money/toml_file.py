"""A TOML file of the user, with the line of each section and key, so that an error can name it.

Put nothing here that knows what a price, a budget or a seat is.
"""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.given_files import content_of, why_not

_DIGEST = 8
_SHOWN = 40
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_AT = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class FileError(SettingsError):
    """A file of the user cannot be used; the text begins with its name and the line."""

    hint = "Change the line that the message names."

    def __init__(self, file: str, line: int, what: str) -> None:
        super().__init__(file, line, what)
        self.file = file
        self.line = line
        self.what = what

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the file: its values, the line of its header, the lines of its keys.

    Every reader raises FileError with the line of the key, or of the header where the key is not
    there or stands in an inline table.
    """

    values: Mapping[str, object]
    file: str
    line: int
    lines: Mapping[str, int]

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def line_of(self, key: str | None) -> int:
        """The line of a key; of the header for None."""
        return self.line if key is None else self.lines.get(key, self.line)

    def fail(self, what: str, key: str | None = None) -> FileError:
        """The error to raise, at the line of `key`: say what is wrong and what it takes."""
        return FileError(self.file, self.line_of(key), what)

    def text(self, key: str) -> str:
        """Text that is not blank. It must be there: ask `key in section` before, if it need not."""
        value = self._given(key)
        if not isinstance(value, str):
            raise self.fail(f"{key} is {shown(value)}; it takes text in quotes", key)
        if not value.strip() or not value.isprintable():
            raise self.fail(f"{key} is {shown(value)}; it takes one line of text", key)
        return value

    def number(self, key: str) -> Decimal:
        """A number from 0, exactly as written. It must be there."""
        return self._number(key, self._given(key))

    def numbers(self, key: str) -> tuple[Decimal, ...]:
        """A list of numbers from 0, as they stand. It must be there; it may be empty."""
        value = self._given(key)
        if not isinstance(value, list):
            raise self.fail(f"{key} is {shown(value)}; it takes a list of numbers", key)
        return tuple(self._number(key, one) for one in value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts that are not blank, as they stand. It must be there; it may be empty."""
        value = self._given(key)
        if isinstance(value, list) and all(isinstance(x, str) and x.strip() for x in value):
            return tuple(value)
        raise self.fail(f"{key} is {shown(value)}; it takes a list of texts in quotes", key)

    def day(self, key: str) -> date | None:
        """A day, as a TOML date or as text "2026-10-31"; None where the key is not there."""
        if key not in self.values:
            return None
        value = self.values[key]
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        if isinstance(value, str) and _DAY.fullmatch(value):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        raise self.fail(f"{key} is {shown(value)}; it takes a day such as 2026-10-31", key)

    def one_of(self, key: str, names: Collection[str]) -> str:
        """One of these names. It must be there."""
        value = self._given(key)
        if isinstance(value, str) and value in names:
            return value
        raise self.fail(f"{key} is {shown(value)}; it takes {_either(names)}", key)

    def only(self, *names: str) -> None:
        """Refuse a key that is none of these, with the one that was likely meant."""
        for key in self.values:
            if key not in names:
                known = _meant(key, names) or f"it takes {_either(names)}"
                raise self.fail(f"{shown(key)} is not known here; {known}", key)

    def _given(self, key: str) -> object:
        if key not in self.values:
            raise self.fail(f"{key} is missing")
        return self.values[key]

    def _number(self, key: str, value: object) -> Decimal:
        if isinstance(value, int | Decimal) and not isinstance(value, bool):
            number = Decimal(value)
            if number.is_finite() and number >= 0:
                return abs(number)
        raise self.fail(f"{key} is {shown(value)}; it takes a number from 0", key)


@dataclass(frozen=True, slots=True)
class Document:
    """A file that could be read.

    `digest` is 8 hex digits of the sha256 of its bytes; `arrays` holds `[[name]]`, `tables`
    `[name]`, `top` every name of the file; `text` is all of it, as it stands there.
    """

    name: str
    digest: str
    arrays: Mapping[str, Sequence[Section]]
    tables: Mapping[str, Section]
    top: Section
    text: str

    def only(self, *, arrays: Collection[str] = (), tables: Collection[str] = ()) -> None:
        """Refuse a section that is none of these, or is written the other way."""
        self.top.only(*arrays, *tables)
        for key in self.top.values:
            if key in arrays and key not in self.arrays:
                raise self.top.fail(f"write [[{key}]] in two brackets, once for each", key)
            if key in tables and key not in self.tables:
                raise self.top.fail(f"write [{key}] in one bracket, once", key)


def read(path: Path) -> Document:
    """Read a TOML file; numbers with a point are Decimal.

    Raises:
        FileError: there is no such file, it cannot be read, is not UTF-8 or not TOML.
    """
    name = str(path)
    try:
        content = content_of(path)
    except (OSError, ValueError) as error:
        what = f"the file {why_not(error)}; name a TOML file that can be read"
        raise FileError(name, 1, what) from None
    return parse(name, content)


def parse(name: str, content: bytes) -> Document:
    """The document of these bytes; `name` is what its errors begin with."""
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise FileError(name, line, "the file is not UTF-8; save it as UTF-8") from None
    try:
        values = tomllib.loads(text, parse_float=_decimal)
    except (ValueError, RecursionError) as error:
        raise _not_toml(name, text, error) from None
    places = _Places()
    _Scan(text, places).run()
    return Document(
        name,
        sha256(content).hexdigest()[:_DIGEST],
        {
            key: tuple(
                _section(one, name, places.place(key, place)) for place, one in enumerate(value)
            )
            for key, value in values.items()
            if isinstance(value, list) and all(isinstance(one, dict) for one in value)
        },
        {
            key: _section(value, name, places.place(key, 0))
            for key, value in values.items()
            if isinstance(value, dict)
        },
        Section(values, name, 1, {key: places.place(key, 0).line for key in values}),
        content.decode("utf-8"),
    )


def nearest(name: str, names: Collection[str]) -> str:
    """What is said of a name that nobody knows: which of those that are known is most like it."""
    close = get_close_matches(name, sorted(names), 1)
    return f"; nearest is {shown(close[0])}" if close else ""


def shown(value: object) -> str:
    """A value as an error may say it: at most 40 characters of it."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 4 * _SHOWN:
        return "a number of more than 40 digits"
    text = str(value)
    text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    if isinstance(value, str):
        return '"' + "".join(one if one.isprintable() else "?" for one in text) + '"'
    return text


@dataclass(slots=True)
class _Place:
    """Where a section begins and its keys stand."""

    line: int
    lines: dict[str, int] = field(default_factory=dict)


class _Places:
    """Places by the name at the top of the file; one for each `[[name]]`."""

    def __init__(self) -> None:
        self._places: dict[str, list[_Place]] = {}

    def header(self, path: Sequence[str], line: int, *, is_array: bool) -> None:
        places = self._places.setdefault(path[0], [])
        if not places or (is_array and len(path) == 1):
            places.append(_Place(line))
        self._note(places[-1], path[1:], line)

    def key(self, header: Sequence[str], path: Sequence[str], line: int) -> None:
        whole = [*header, *path]
        places = self._places.setdefault(whole[0], [])
        if not places:
            places.append(_Place(line))
        self._note(places[-1], whole[1:], line)

    def place(self, name: str, index: int) -> _Place:
        """The place of the n-th section; of the first where they stand in one inline array."""
        places = self._places[name]
        return places[index] if index < len(places) else places[0]

    def _note(self, place: _Place, path: Sequence[str], line: int) -> None:
        if path:
            place.lines.setdefault(path[0], line)


class _Scan:
    """Walks over text that `tomllib` has taken: headers and keys, never what values mean."""

    def __init__(self, text: str, places: _Places) -> None:
        self._text = text
        self._at = 0
        self._places = places
        self._ends = [end.start() for end in re.finditer("\n", text)]

    def run(self) -> None:
        header: Sequence[str] = ()
        while self._skip(" \t\n"):
            line = bisect_left(self._ends, self._at) + 1
            if self._text[self._at] == "#":
                self._to_end_of_line()
            elif self._text[self._at] == "[":
                is_array = self._text.startswith("[[", self._at)
                self._at += 2 if is_array else 1
                header = self._path()
                self._to_end_of_line()
                self._places.header(header, line, is_array=is_array)
            else:
                path = self._path()
                self._value()
                self._places.key(header, path, line)

    def _skip(self, blanks: str) -> bool:
        while self._at < len(self._text) and self._text[self._at] in blanks:
            self._at += 1
        return self._at < len(self._text)

    def _to_end_of_line(self) -> None:
        end = self._text.find("\n", self._at)
        self._at = len(self._text) if end < 0 else end

    def _path(self) -> list[str]:
        """The parts of a key, up to its `=` or `]`."""
        parts = []
        while self._skip(" \t.") and self._text[self._at] not in "=]":
            begin = self._at
            if self._text[begin] in "\"'":
                self._string()
                parts.extend(tomllib.loads(f"{self._text[begin : self._at]} = 0"))
            else:
                while self._text[self._at] not in " \t.=]":
                    self._at += 1
                parts.append(self._text[begin : self._at])
        return parts

    def _value(self) -> None:
        """Past a value: to the end of the first line on which no bracket is open."""
        depth = 0
        while self._at < len(self._text):
            sign = self._text[self._at]
            if sign in "\"'":
                self._string()
            elif sign == "#":
                self._to_end_of_line()
            elif sign == "\n" and depth == 0:
                return
            else:
                depth += (sign in "[{") - (sign in "]}")
                self._at += 1

    def _string(self) -> None:
        """Past a string of any of the four kinds."""
        sign = self._text[self._at]
        is_long = self._text.startswith(sign * 3, self._at)
        close = sign * 3 if is_long else sign
        self._at += len(close)
        while not self._text.startswith(close, self._at):
            self._at += 2 if sign == '"' and self._text[self._at] == "\\" else 1
        self._at += len(close)
        # Up to two quotes may stand before the three that close: '''it is 'so'''''.
        while is_long and self._text.startswith(sign, self._at):
            self._at += 1


def _section(values: Mapping[str, object], name: str, place: _Place) -> Section:
    return Section(values, name, place.line, place.lines)


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        # An exponent that no Decimal has: refused as a number, where the key is known.
        return Decimal("NaN")


def _not_toml(name: str, text: str, error: Exception) -> FileError:
    said = str(error)
    found = _AT.search(said)
    last = text.rstrip("\n").count("\n") + 1
    line = int(found[1]) if found and found[1] else last
    what = said[: found.start()] if found else "it cannot be parsed"
    return FileError(name, line, f"this is not TOML: {what[:100]}")


def _meant(key: str, names: Collection[str]) -> str | None:
    close = next(iter(get_close_matches(key.lower(), names, 1, 0.6)), None)
    return close and f"is {close} meant?"


def _either(names: Collection[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
