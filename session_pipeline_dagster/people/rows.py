"""The rows of a directory file, CSV or YAML, with the line of each value; what they mean says
`directory.py`.

Nothing is guessed: a value is the text that stands there, so a YAML `no` stays "no" and `0123`
keeps its 0.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.given_files import content_of, why_not

_SHOWN = 40
_SPELT: Mapping[str, str] = {"e_mail": "email"}
_NULLS = ("", "~", "null", "Null", "NULL")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_YAML = (".yaml", ".yml")


class DirectoryError(SettingsError):
    """A directory of people cannot be used; the text begins with file, line and column."""

    hint = "Change the line that the message names."

    def __init__(self, file: str, line: int, column: str, what: str) -> None:
        super().__init__(file, line, column, what)
        self.file, self.line, self.column, self.what = file, line, column, what

    def __str__(self) -> str:
        where = f", column {self.column}" if self.column else ""
        return f"{self.file}:{self.line}{where}: {self.what}"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file.

    Attributes:
        values: column -> text as it stands there; a column that is empty or missing is not in it.
        line: of its first line, from 1.
        lines: column -> line, where values stand on lines of their own.
    """

    file: str
    line: int
    values: Mapping[str, str]
    lines: Mapping[str, int] = field(default_factory=dict)

    def fail(self, column: str, what: str) -> DirectoryError:
        """The error to raise: say what is wrong and what it takes."""
        return DirectoryError(self.file, self.lines.get(column, self.line), column, what)


def shown(text: str) -> str:
    """A value as an error may say it: at most 40 characters of it."""
    text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    return '"' + "".join(one if one.isprintable() else "?" for one in text) + '"'


def read_rows(path: Path) -> list[Row]:
    """The rows of a file: YAML where its name ends with .yaml or .yml, else CSV.

    Raises:
        DirectoryError: there is no such file, it is not what its name says, or has no row.
    """
    name = str(path)
    try:
        content = content_of(path)
    except (OSError, ValueError) as error:
        what = f"the file {why_not(error)}; name a CSV or YAML file that can be read"
        raise DirectoryError(name, 1, "", what) from None
    text = _text(name, content)
    made = list((_yaml_rows if path.suffix.lower() in _YAML else _csv_rows)(name, text))
    if not made:
        # What an editor or a failed export leaves of a file, which would make everybody nobody's.
        what = "the file names nobody; it takes a row for each folder of sessions"
        raise DirectoryError(name, 1, "", what)
    return made


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 if content.startswith(_UTF_16) else content[: error.start].count(b"\n") + 1
        what = "the file is not UTF-8; save it as UTF-8"
        raise DirectoryError(name, line, "", what) from None


def _column(name: str) -> str:
    """A column as it is compared: `Cost Center` is `cost_center`."""
    plain = name.strip().casefold().replace(" ", "_").replace("-", "_")
    return _SPELT.get(plain, plain)


# --- CSV -----------------------------------------------------------------------------------------


def _csv_rows(name: str, text: str) -> Iterator[Row]:
    records = _records(name, text)
    line, header = next(records, (1, []))
    if not header:
        raise DirectoryError(name, line, "", "the file is empty; it takes a line of column names")
    columns = [_column(one) for one in header]
    for column in columns:
        if column and columns.count(column) > 1:
            raise DirectoryError(name, line, column, "there are two columns of this name")
    if "folder" not in columns:
        there = ", ".join(filter(None, columns))
        what = f"there is no column folder; the first line has {shown(there)}"
        raise DirectoryError(name, line, "folder", what)
    for line, values in records:
        if not any(value.strip() for value in values):
            continue
        if len(values) > len(columns):
            what = (
                f"the line has {len(values)} values, the first line {len(columns)} columns; put "
                "quotes around a value with a comma in it"
            )
            raise DirectoryError(name, line, "", what)
        found = {c: v for c, v in zip(columns, values, strict=False) if v.strip()}
        if "" in found:
            raise DirectoryError(name, line, "", "there is a value in a column without a name")
        yield Row(name, line, found)


def _records(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """First line and values of each record that is not a blank line."""
    first = text.lstrip("\r\n").partition("\n")[0]
    # What spreadsheets write: a semicolon where the comma is in numbers, or a tab.
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            what = f"this is not CSV: {error}; a quote may be open, and two quotes stand for one"
            raise DirectoryError(name, line, "", what) from None
        if values is None:
            return
        if values:
            yield line, values
        line = reader.line_num + 1


# --- YAML ----------------------------------------------------------------------------------------


def _yaml_rows(name: str, text: str) -> Iterator[Row]:
    import yaml  # noqa: PLC0415  who has a CSV file does not wait for it

    # Events, because what they nest to is decided here: a document cannot exhaust the stack.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        yield from _from_events(name, yaml.parse(text, Loader=loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1 + text[: getattr(error, "position", 0)].count("\n")
        problem = getattr(error, "problem", None) or getattr(error, "reason", "it cannot be parsed")
        raise DirectoryError(name, line, "", f"this is not YAML: {str(problem)[:100]}") from None


_OPEN = ("StreamStartEvent", "DocumentStartEvent")
_TAKES = (
    "it takes a list of people, each as `- folder: alice` with person, team and more on lines of "
    "their own"
)


def _from_events(name: str, events: Iterator[Any]) -> Iterator[Row]:
    for kind in (*_OPEN, "SequenceStartEvent"):
        event = next(events)
        if type(event).__name__ != kind:
            raise DirectoryError(name, _line(event), "", _TAKES)
    for event in events:
        kind = type(event).__name__
        if kind == "MappingStartEvent":
            yield _mapping(name, _line(event), events)
        elif kind == "DocumentStartEvent":
            raise DirectoryError(name, _line(event), "", "there is a second document in the file")
        elif kind not in ("SequenceEndEvent", "DocumentEndEvent", "StreamEndEvent"):
            raise DirectoryError(name, _line(event), "", _TAKES)


def _mapping(name: str, line: int, events: Iterator[Any]) -> Row:
    """The row of a mapping whose beginning was taken."""
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    while type(key := next(events)).__name__ != "MappingEndEvent":
        column = _column(_scalar(name, key, ""))
        if not column or column in lines:
            why = "there are two values of this name" if column else "there is no name"
            raise DirectoryError(name, _line(key), column, why)
        value = next(events)
        text = _scalar(name, value, column)
        lines[column] = _line(value)
        if text.strip() and not (not value.style and text in _NULLS):
            values[column] = text
    return Row(name, line, values, lines)


def _scalar(name: str, event: Any, column: str) -> str:
    if type(event).__name__ == "ScalarEvent":
        text: str = event.value
        return text
    what = "it takes text here, in one line; no list, no table and no `*alias`"
    raise DirectoryError(name, _line(event), column, what)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def columns_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """Every column that has a value, in the order in which they came."""
    return tuple(dict.fromkeys(column for row in rows for column in row.values))
