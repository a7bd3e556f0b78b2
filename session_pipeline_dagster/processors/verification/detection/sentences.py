"""Prose out of what a person typed or pasted, sentence by sentence, with where each one stands.

Lines of logs, traces, code, diffs, tables and quoted mail are no prose. Time is linear.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 600
"""Characters; a longer sentence is something else."""

_PASTED = re.compile(
    r"""^\s*(?:
      [\[(<]?\d{4}-\d\d-\d\d[T ,]\d | \[?\d\d:\d\d:\d\d                 # log lines
    | [\[(<]?(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL)\b[\]):>\s-]
    | \w+(?:\.\w+)*(?:Error|Exception|Warning)\b\s*: | Traceback\s\( | File\s"
    | at\s[\w.$<>]+\s?\( | Caused\sby: | npm\s(?:ERR|WARN) | \d+\s*\| | panic:
    | [{}\[\]()]\s*(?:["'{\[}\],]|$) | "[\w-]+"\s*: | <[/!?]?\w[^<>]*>  # JSON, XML
    | diff\s--git | index\s[0-9a-f]{6,} | @@\s | [+-]{3}\s | [+-](?![-\s\d])\S | [+-]\s+[\s\#/"{}(]
    | \$\s | >>>?\s | \#!\S | \#include | //\s | /\*                     # shells, code
    | (?:SELECT|INSERT\sINTO|UPDATE|DELETE\sFROM|CREATE|ALTER|DROP|FROM|WHERE|JOIN|GROUP\sBY|WITH)\s
    | (?:def|class|async|import|export|const|let|var|function|public|private|static|func|fn)
      \s\w.*[:({=;]
    | from\s[\w.]+\simport | return\b.*[;()] | (?:if|for|while)\s?\(
    | \|.*\| | >\s                                                       # tables, quoted mail
    | [\w./~-]*/[\w./-]+\s*$ | https?://\S+\s*$                          # a path, an address
    )""",
    re.VERBOSE,
)
_CODE_END = re.compile(r"[;{]\s*$|\)\s*:\s*$|=>\s*$")
_FENCE = re.compile(r"^\s*(?:```|~~~)")
# A run of marks is looked at once, from its beginning: thousands of dots would take their square.
_BOUNDARY = re.compile(r"(?<![.!?])[.!?]++[\"')\]]*+(?=\s|$)|[;\n]+")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|resp|cf|incl|excl|no|nr|ca|mr|ms|dr)|\b\w)\.$", re.I
)
_WORDLIKE = re.compile(r"[A-Za-z]{2,}")
_ASCII = str.maketrans("‘’‚‛´“”„‟–—−‐‑", "'''''" + '""""' + "-----")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of prose: `text` is plain ASCII quotes and dashes, as long as what stands in
    the original from `start` to `end`."""

    text: str
    start: int
    end: int

    @property
    def question(self) -> bool:
        """Whether it ends with a question mark."""
        return self.text.rstrip("\"')] ").endswith("?")


def sentences(original: str) -> Iterator[Sentence]:
    """The sentences of the prose in a text."""
    text = original.translate(_ASCII)
    for start, end in _prose(text):
        yield from _split(text, start, end)


def _prose(text: str) -> Iterator[tuple[int, int]]:
    """Runs of lines that are prose; lines that were only wrapped belong together."""
    start: int | None = None
    end = position = 0
    before = ""
    fenced = False
    for line in text.splitlines(keepends=True):
        here, position = position, position + len(line)
        is_fence = bool(_FENCE.match(line))
        fenced ^= is_fence
        head = line[:LONGEST]
        if is_fence or fenced or not head.strip() or not _is_prose(head):
            if start is not None:
                yield start, end
            start = None
            continue
        if start is not None and not _wrapped(before, head):
            yield start, end
            start = None
        start, end, before = here if start is None else start, position, line
    if start is not None:
        yield start, end


def _is_prose(line: str) -> bool:
    if _PASTED.match(line) or _CODE_END.search(line.rstrip("\n")):
        return False
    letters = sum(c.isalpha() or c.isspace() for c in line)
    return letters >= 0.65 * len(line) or len(_WORDLIKE.findall(line)) >= 6


def _wrapped(before: str, line: str) -> bool:
    """Whether a line goes on where the one before was broken for its length."""
    last = before.rstrip()
    return len(last) > 50 and last[-1:] not in ".!?:;" and line[:1].islower()


def _split(text: str, start: int, end: int) -> Iterator[Sentence]:
    begin = start
    for match in _BOUNDARY.finditer(text, start, end):
        mark = match[0]
        if mark[0] == "." and _ABBREVIATION.search(
            text, max(begin, match.start() - 8), match.start() + 1
        ):
            continue
        if mark[0] == "\n" and match.end() < end:
            continue
        yield from _trimmed(text, begin, match.end())
        begin = match.end()
    yield from _trimmed(text, begin, end)


def _trimmed(text: str, start: int, end: int) -> Iterator[Sentence]:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip(" \t\r\n-*•>"))
    piece = text[start:end].rstrip(" \t\r\n;")
    if piece and len(piece) <= LONGEST and _WORDLIKE.search(piece):
        yield Sentence(piece, start, start + len(piece))
