"""Passwords in a column of a table: CSV, semicolons, tabs, Markdown."""

import re

from session_pipeline_dagster.processors.verification.redaction.finding import (
    OPEN,
    Span,
    any_of,
    folded,
    without,
)
from session_pipeline_dagster.processors.verification.redaction.values import (
    has_digit_or_symbol,
    is_reference,
)

_HEADS = """
    password passwd passwort pwd kennwort heslo senha wachtwoord hasło contraseña пароль パスワード
    密码 密碼 비밀번호 secret token api_key apikey
""".split()
_HEAD = re.compile(any_of(_HEADS))
_AROUND = " \t\"'`*_"
_BEFORE = re.compile(rf"(?:^|[|\t;,])[{_AROUND}]*$")
_AFTER = re.compile(rf"[{_AROUND}]*(?:[|\t;,]|\r?\n)")
_RULE = re.compile(r"[\s|:+-]+")
_LONGEST_LINE, _MOST_ROWS, _SHORTEST = 400, 200, 6


def redact_columns(text: str) -> str:
    """The text without what stands in the columns of secrets."""
    spans: list[Span] = []
    done = 0
    for head in _HEAD.finditer(folded(text)):
        if head.start() >= done and _AFTER.match(text, head.end()):
            found, done = _column(text, head)
            spans += found
    return without(text, spans)


def _column(text: str, head: re.Match[str]) -> tuple[list[Span], int]:
    """The cells below a head of a table, and where the table ends."""
    begin = text.rfind("\n", max(0, head.start() - _LONGEST_LINE), head.start()) + 1
    end = text.find("\n", head.end(), head.end() + _LONGEST_LINE)
    line = text[begin:end]
    separator = next((s for s in "|\t;," if s in line), None)
    before = text[begin : head.start()]
    if end < 0 or separator is None or not _BEFORE.search(before):
        return [], head.end()
    place, columns = before.count(separator), line.count(separator)
    spans: list[Span] = []
    for _ in range(_MOST_ROWS):
        at = end + 1
        end = text.find("\n", at, at + _LONGEST_LINE)
        row = text[at : end if end >= 0 else at + _LONGEST_LINE]
        if row.count(separator) != columns:
            return spans, at
        cells = row.split(separator)
        value = cells[place].strip(_AROUND + "\r")
        if not _RULE.fullmatch(row) and _is_secret(value):
            start = at + sum(len(cell) + 1 for cell in cells[:place]) + cells[place].index(value)
            spans.append(Span(start, start + len(value), "password"))
        if end < 0:
            return spans, at + len(row)
    return spans, end


def _is_secret(value: str) -> bool:
    if len(value) < _SHORTEST or value.startswith(OPEN) or is_reference(value):
        return False
    return " " not in value and has_digit_or_symbol(value)
