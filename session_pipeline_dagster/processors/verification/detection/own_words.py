"""Which parts of a turn are the person's own words; everything else in it is material.

Left out are plans, code, logs, terminal output, diffs, traces, reviews, quotes, tables, paths, and
what the assistant has said before. A paragraph with a line of output in it is output. Whether own
words hold a fact is decided elsewhere. Time is linear.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from session_pipeline_dagster.processors.verification.detection.patterns import any_of

LONGEST_LINE = 1_000
"""Characters of a line that are looked at to tell what it is."""
LETTERS = 60
"""So many letters and digits in a row that stand in an earlier text were copied from it."""
FEWEST = 25
"""A shorter piece is anybody's words."""
EARLIER = 400_000
"""Letters of the assistant's texts that are remembered, the newest."""

_PLAN = re.compile(
    r"\s*(?:#+\s*)?(?:please )?(?:implement|execute) (?:the following|this) plan\b", re.I
)
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_OPENS = re.compile(
    r"<(pasted_?content|pasted|paste|document|file|log|logs|output|context)\b[^>]*>", re.I
)
_OUTPUT = re.compile(
    r"""^\s*(?:
      [\[(<]?\d{4}[-/]\d\d[-/]\d\d[T ,]\d | [\[(<]?\d\d:\d\d:\d\d[\s.,\]]       # log lines
    | (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\s+\w+
      \s+\d\d:\d\d
    | [\[(<]?(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL)\b[\]):>|\s-]
    | (?:error|warning|info|note|fatal|panic|E|W)(?:\[\w+\])?:\s\S
    | \w+(?:\.\w+)*(?:Error|Exception|Warning|Failure)\b\s*(?::|$) | Traceback\s\( | File\s"
    | at\s[\w.$<>/]+\s?\( | Caused\sby: | npm\s(?:ERR|WARN|error|warn) | \d+\s*\| | panic:
    | thread\s'
    | goroutine\s\d | \s*\^+\s*$ | -->\s | Exit\scode | exit\s(?:code|status)\s\d | Process\sexited
    | (?:PASS|FAIL|FAILED|PASSED|SKIP|ok|not\sok|OK)\b[\s:.]+\S*[/.:\d] | ={4,} | -{4,}\s*\w+
    | [✓✗✔✘✖×●○⎿⏺⏵◯☐☒☑⚠️❯➜→├└│┌─╭╰╮╯]+\s?\S{0,40}\s{0,3}[\w/.-]{0,40}[/(:\d]
    | diff\s--git | index\s[0-9a-f]{6,} | @@\s | [+-]{3}\s[ab/] | commit\s[0-9a-f]{7,}
    | (?:modified|deleted|new\sfile|renamed|Author|Date|Merge|On\sbranch|Changes|Untracked)\b:?\s\s
    | \$\s\S | %\s\S+\s | >>>\s | \#!\S | root@ | [\w.-]+@[\w.-]+[:\s][~/]\S* | PS\s[A-Z]:
    | (?:GET|POST|PUT|PATCH|DELETE|HEAD)\s/\S* | HTTP/\d | curl\s-?\S | [\w./-]+:\d+(?::\d+)?[:\s)]
    | (?:remote|origin|hint|To|From\sgithub\.com):\s | \w+\[\d+\]:\s | \[[\w/:. -]{2,40}\]\s+\S
    | (?:sudo|git|npm|npx|pnpm|yarn|pip|uv|docker|kubectl|helm|terraform|aws|gcloud|make|cargo|go
      |python3?|node|brew|apt-get|apt|ssh|cd|ls|cat|export|psql|dbt)
      \s(?:-{1,2}\w|[\w./:-]+\s(?:-{1,2}\w|[\w./:=-]+$)|[./~]\S+$)
    )""",
    re.VERBOSE,
)
"""Output of a program; the paragraph it stands in is output too."""
_REVIEW = re.compile(
    any_of(r"""
    ^\s*(?:\*\*|__|\W{0,4})(?:nit|nitpick|blocking|non-blocking|suggestion|question|issue|praise|todo
        |minor|major|critical|p[0-3]|severity|potential issue|refactor suggestion|verification agent
        |high|medium|low|bug risk|security|actionable comments?|files? changed
        |walkthrough|summary by)(?: severity)?\b(?:[^\n:]{0,30}:|\W{0,3}[|(—–]|\W{0,3}-\s|\W{0,4}$)
    ^\s*(?:commented|reviewed|approved these changes|requested changes|left a comment|wrote:)\b
    ^\s*@?[\w.\[\]-]+ (?:commented|left a comment|reviewed|suggested|replied|requested changes
        |wrote)\b
    ^\s*(?:review|comments?|feedback|notes?) (?:from|by|of) \W?[\w@]
    ^\s*(?:comment|review|reviewer|finding|thread) ?#?\d+\s?[:(.]
    ^\s*_?(?:⚠️|🛠️|🧹|🔴|🟠|🟡|🔵|🟢|💡|✅|❌|🚨|📝|🤖)
    ^\s*(?:in|on) `?[\w./-]+\.\w{1,5}`?(?: line| lines|:| around)
    ^\s*`?[\w./-]+\.(?:py|ts|tsx|js|jsx|go|rs|java|rb|kt|sql|c|h|cpp|cs
        |php|yml|yaml|tf|sh|md)`?\s?(?:[:(\#L]|line)\s?L?\d+
"""),
    re.IGNORECASE,
)
"""A review's comment; the paragraph it stands in is the reviewer's."""
_CODE = re.compile(
    r"""^\s*(?:
      [{}\[\]()]\s*(?:["'{\[}\],;]|$) | "[\w-]+"\s*: | <[/!?]?\w[^<>]*>
    | [+-](?![-\s\d])\S+[^\w\s.,!?]\S* | [+-]\s+[\#/"{}(]
    | \#include | //\s? | /\*
    | (?:SELECT|INSERT\sINTO|UPDATE|DELETE\sFROM|CREATE|ALTER|DROP|FROM|WHERE|JOIN|LEFT\sJOIN
      |GROUP\sBY|WITH)\s
    | (?:select|insert\sinto|delete\sfrom)\s[^.\n]{1,200}?\s(?:from|into|where)\s\w
    | (?:def|class|async|import|export|const|let|var|function|public|private|static|func|fn
      |type|interface)\s\w.*[:({=;]
    | from\s[\w.]+\simport | return\b.*[;()] | (?:if|for|while)\s?\(
    | \|.*\| | [\w./~-]*/[\w./-]+\s*$ | https?://\S+\s*$ | [\w-]+\s?=\s?\S+$
    | [A-Za-z_][\w.-]*:\s*(?:\S+)?$
      (?<=[\w"'\]}|>:-])
    )""",
    re.VERBOSE,
)
"""One line that is no speech; the lines around it may be."""
_CODE_END = re.compile(r"[;{]\s*$|\)\s*:\s*$|=>\s*$|\\\s*$")
_INDENTED = re.compile(r"^(?: {4,}|\t)(?!\s*(?:[-*•]|\d+[.)])\s)\S")
_QUOTED = re.compile(r"^\s*>\s?")
_ENDORSED = re.compile(
    r"\b(?:(?:that|this|it)(?:'s| is) (?:right|correct|true|still true|exactly|how|the rule)"
    r"|still (?:holds|true|applies|valid)|i agree|agreed|is (?:right|correct) )",
    re.I,
)
_MANY_WORDS = 6
WORD = re.compile(r"[^\W\d_]{2,}|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_NO_LETTER = re.compile(r"[\W_]+")
_ASCII = bytes(range(128))
_NO_LETTERS = bytes(code for code in _ASCII if not chr(code).isalnum())
_SMALL = bytes(range(256)).lower()
_NO_SPEECH = bytes(code for code in _ASCII if not (chr(code).isalpha() or chr(code).isspace()))
_ENOUGH = 200
"""Characters of a piece in which LETTERS letters stand, nearly always."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some lines of a turn that are the person's own: where they stand in the text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    end: int
    text: str


class Said:
    """What the assistant has said so far, by its letters."""

    def __init__(self) -> None:
        self._letters = ""
        self._new: list[Callable[[], str]] = []

    def add(self, text: str) -> None:
        """One more text."""
        self.add_later(lambda: text)

    def add_later(self, text: Callable[[], str]) -> None:
        """One more text, which is made when somebody asks for what was said."""
        self._new.append(text)

    def __contains__(self, piece: str) -> bool:
        """Whether the first LETTERS letters of a piece stand in the newest EARLIER ones."""
        head = _letters(piece[:_ENOUGH])[:LETTERS]
        if len(head) < LETTERS:
            head = _letters(piece)[:LETTERS]
        return len(head) >= FEWEST and head in self._all()

    def _all(self) -> str:
        # Put together when somebody asks: an agent says much that no person answers.
        if self._new:
            said = " ".join([self._letters, *(_letters(text()) for text in self._new)])
            self._letters, self._new = said[-EARLIER:], []
        return self._letters


def _letters(text: str) -> str:
    """Letters and digits alone, case folded."""
    if text.isascii():
        return text.encode().translate(_SMALL, _NO_LETTERS).decode()
    return _NO_LETTER.sub("", text).casefold()


def own_words(text: str) -> Iterator[Piece]:
    """The runs of lines that are the person's own, in order."""
    if _PLAN.match(text):
        return
    for paragraph in _paragraphs(text):
        quoted = [bool(_QUOTED.match(line.text)) for line in paragraph]
        if any(quoted):
            yield from _quote(text, paragraph, quoted)
        elif not any(_is_output(line.text) for line in paragraph):
            yield from _prose(paragraph)


def _quote(text: str, paragraph: Sequence[_Line], quoted: Sequence[bool]) -> Iterator[Piece]:
    """Own lines beside quoted ones; the quote itself where the person says that it is right."""
    own = [line.text for line, is_quoted in zip(paragraph, quoted, strict=True) if not is_quoted]
    after = text[paragraph[-1].end : paragraph[-1].end + 200].lstrip().partition("\n")[0]
    endorsed = any(_ENDORSED.search(beside) for beside in (*own, after))
    for line, is_quoted in zip(paragraph, quoted, strict=True):
        if not is_quoted:
            yield from _prose([line])
        elif endorsed and not _is_output(line.text.lstrip(" \t>")):
            yield Piece(line.start, line.end)


def _paragraphs(text: str) -> Iterator[list[_Line]]:
    """Lines without blank ones between them; what is fenced or in a pasted block is left out."""
    found: list[_Line] = []
    position = 0
    fenced, closing = False, None
    for line in text.splitlines(keepends=True):
        start, position = position, position + len(line)
        head = line[:LONGEST_LINE]
        if closing:
            closing = None if closing.search(head) else closing
            continue
        opened = _OPENS.search(head)
        fence = bool(_FENCE.match(head))
        fenced ^= fence
        if opened:
            end = re.compile(f"</{opened[1]}", re.I)
            closes_later = not end.search(head, opened.end()) and end.search(text, position)
            closing = end if closes_later else None
        if fenced or fence or opened or not head.strip():
            if found:
                yield found
            found = []
            continue
        found.append(_Line(start, position, head))
    if found:
        yield found


def _prose(lines: Sequence[_Line]) -> Iterator[Piece]:
    """Runs of lines that are speech; lines that were only wrapped belong together."""
    start: int | None = None
    end = 0
    before = ""
    for line in lines:
        if not _is_speech(line.text):
            if start is not None:
                yield Piece(start, end)
            start = None
            continue
        if start is not None and not _wrapped(before, line.text):
            yield Piece(start, end)
            start = None
        start, end, before = line.start if start is None else start, line.end, line.text
    if start is not None:
        yield Piece(start, end)


def _is_output(line: str) -> bool:
    return bool(_OUTPUT.match(line) or _REVIEW.match(line))


def _is_speech(line: str) -> bool:
    if _CODE.match(line) or _CODE_END.search(line.rstrip("\n")) or _INDENTED.match(line):
        return False
    words = sum(1 for _ in islice(WORD.finditer(line), _MANY_WORDS))
    return words > 0 and (words == _MANY_WORDS or _spoken(line) >= 0.65 * len(line))


def _spoken(line: str) -> int:
    """How many characters are letters or spaces."""
    if line.isascii():
        return len(line.encode().translate(None, _NO_SPEECH))
    return sum(map(str.isalpha, line)) + sum(map(str.isspace, line))


def _wrapped(before: str, line: str) -> bool:
    """Whether a line goes on where the one before was broken for its length."""
    last = before.rstrip()
    return len(last) > 50 and last[-1:] not in ".!?:;。！？" and line[:1].islower()
