"""What lines beside the conversation say of a session: its title, repository, pull requests."""

import json
import re
from collections.abc import Sequence

from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.names import plain, short
from session_pipeline_dagster.processors.usage.naming import cut, working_folder
from session_pipeline_dagster.processors.usage.rows import PullRequestRow
from session_pipeline_dagster.transcripts.records import Aside, Transcript, epoch_us, parse_time

_TITLES = (("custom-title", "customTitle"), ("ai-title", "aiTitle"))
"""Type of the line and its field; what a person chose comes first."""
_BETWEEN_FOLDERS = re.compile(r"[/\\]+")
_MOST = 2**63 - 1


def repository_of(transcript: Transcript) -> str | None:
    """The last part of the first working folder; a worktree has a name of its own."""
    parts = [part for part in _BETWEEN_FOLDERS.split(working_folder(transcript) or "") if part]
    return short(parts[-1]) if parts else None


def title_of(transcript: Transcript) -> str | None:
    """The last title that a person gave, else the agent's, in one line and without secrets."""
    for kind, name in _TITLES:
        for aside in reversed(transcript.asides.get(kind, ())):
            title = plain(_text(_said(aside), name) or "").strip()
            if title:
                # Patterns of secrets take a while to load, and most files have no title.
                from session_pipeline_dagster.processors.verification.redaction import (  # noqa: PLC0415
                    redact,
                )

                return short(redact(title))
    return None


def pull_requests(session: Session, session_id: str) -> Sequence[PullRequestRow]:
    """The pull requests that a session was linked to, each once."""
    found: dict[tuple[object, ...], PullRequestRow] = {}
    for aside in session.transcript.asides.get("pr-link", ()):
        said = _said(aside)
        url, repository = cut(_text(said, "prUrl")), cut(_text(said, "prRepository"))
        number = said.get("prNumber")
        is_one = isinstance(number, int) and not isinstance(number, bool) and 0 < number < _MOST
        time = parse_time(said.get("timestamp"))
        row = PullRequestRow(
            session.key,
            cut(_text(said, "sessionId")) or session_id,
            session.user,
            url,
            repository,
            number if is_one else None,
            None if time is None else epoch_us(time),
        )
        if url or repository or row.number is not None:
            found.setdefault((url, repository, row.number), row)
    return [*found.values()]


def _said(aside: Aside) -> dict[str, object]:
    """The line, if it is an object."""
    try:
        value = json.loads(aside.line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(said: dict[str, object], name: str) -> str | None:
    value = said.get(name)
    return value if isinstance(value, str) and value else None
