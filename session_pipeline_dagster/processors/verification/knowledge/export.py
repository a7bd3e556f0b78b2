"""Knowledge as Markdown pages that the next session reads (`.claude/rules/`). Pure."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from session_pipeline_dagster.names import printable

MARK = "<!-- written by `session-pipeline knowledge export`; changes are overwritten -->"
_GENERAL = "general"
_BYTES_A_TOKEN = 3
"""On the safe side: English has about four characters a token."""


@dataclass(frozen=True, slots=True)
class Fact:
    """What is exported of an item.

    Attributes:
        weight: confidence by recency, 0 to 1; higher comes first.
        verifiers: how many people said it.
        last_verified: the day it was last said, `YYYY-MM-DD`.
    """

    id: str
    content: str
    domain: str | None
    weight: float
    verifiers: int
    last_verified: str | None


@dataclass(frozen=True, slots=True)
class Bundle:
    """The pages by file name, and how many facts did not fit the budget."""

    pages: Mapping[str, str]
    facts: int
    left_out: int
    tokens: int


def bundle(facts: Sequence[Fact], tokens: int) -> Bundle:
    """The heaviest facts that fit, one page for each domain.

    Args:
        tokens: estimated, over all pages.
    """
    pages: dict[str, list[str]] = defaultdict(list)
    used = taken = 0
    for fact in sorted(facts, key=lambda f: (-round(f.weight, 6), f.id)):
        domain, line = fact.domain or _GENERAL, _line(fact)
        cost = _tokens(line) + (0 if domain in pages else _tokens(_head(domain)))
        if used + cost <= tokens:
            pages[domain].append(line)
            used, taken = used + cost, taken + 1
    made = {
        f"knowledge-{domain}.md": _head(domain) + "".join(lines)
        for domain, lines in sorted(pages.items())
    }
    return Bundle(made, taken, len(facts) - taken, used)


def is_ours(page: str) -> bool:
    """Whether an earlier export wrote this page."""
    return page.startswith(MARK)


def _head(domain: str) -> str:
    return f"{MARK}\n\n# What people here have taught: {domain}\n\n"


def _line(fact: Fact) -> str:
    people = "1 person" if fact.verifiers == 1 else f"{fact.verifiers} people"
    since = f", last {fact.last_verified}" if fact.last_verified else ""
    return f"- {_plain(fact.content)} ({people}{since})\n"


def _plain(text: str) -> str:
    """One line that stays text: no comment hides it, no `@path` makes a reader open a file."""
    line = printable(" ".join(text.split())).replace("<!--", "< !--").replace("-->", "-- >")
    return re.sub(r"(?<![\w`])@(?=\S)", "(at)", line)


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // _BYTES_A_TOKEN)
