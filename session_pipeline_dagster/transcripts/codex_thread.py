"""Which thread a rollout of Codex is of, and where in it its lines stand: what their keys rest on.

A fork writes its parent's lines again before its own, with other times, and a subagent's file can
begin with its parent's. Names of turns and sums of tokens stay as they were.
"""

from datetime import datetime, timedelta
from uuid import UUID

from msgspec.structs import replace

from session_pipeline_dagster.transcripts.codex_lines import Counts, Payload
from session_pipeline_dagster.transcripts.records import EPOCH, Message, Record, decode_raw

_PROVIDER = "openai"
_SECOND = timedelta(seconds=1)


class Thread:
    """The thread of a file, as far as its lines were read.

    Attributes:
        provider: who serves its responses.
        is_subagent: another thread has sent it off.
        turn: the name of the one at hand; None where turns have none.
        model: of the responses that follow.
        total: tokens so far.
    """

    def __init__(self) -> None:
        self.provider: str | None = None
        self.is_subagent = False
        self.turn: str | None = None
        self.model: str | None = None
        self.total: Counts | None = None
        self._name: str | None = None
        # The first of its ancestors, which keys begin with where turns have no names; all of them
        # that are known, with when they were made.
        self._root: str | None = None
        self._ancestors: dict[str, datetime] = {}
        self._began: datetime | None = None
        self._line = Record()
        self._is_at_beginning = True
        self._resets = 0

    # --- what holds for the lines that follow ---

    def session(self, meta: Payload, time: datetime | None) -> None:
        """A session's beginning. A fork has its parent's behind its own, and opening a file again
        repeats it; the first one is the file's."""
        name = meta.id or meta.session_id
        if self._name is None and name:
            self._first(name, meta, time)
        elif name is not None and name == self._root and meta.forked_from_id:
            self._root = meta.forked_from_id
        for thread in (name, meta.forked_from_id):
            self._older(thread)

    def _first(self, name: str, meta: Payload, time: datetime | None) -> None:
        self._name, self._began = name, time
        self._root = meta.forked_from_id or name
        self.provider = meta.model_provider or _PROVIDER
        source = decode_raw(meta.source)
        self.is_subagent = isinstance(source, dict) and "subagent" in source
        parent = meta.parent_thread_id or _spawned_by(source)
        self._older(parent)
        self._line = Record(
            session_id=(self.is_subagent and parent) or name,
            agent_id=name if self.is_subagent else None,
            is_sidechain=self.is_subagent or None,
            cwd=meta.cwd,
            git_branch=meta.git.branch if meta.git else None,
            version=meta.cli_version,
            entrypoint=meta.originator,
        )

    def _older(self, thread: str | None) -> None:
        """A thread that this one may have turns of."""
        made = _made_at(thread)
        if thread is not None and thread != self._name and made is not None:
            self._ancestors[thread] = made

    def context(self, context: Payload) -> None:
        """What a turn works with."""
        self.model = context.model or self.model
        self._line = replace(self._line, effort=context.effort, cwd=context.cwd or self._line.cwd)

    def spent(self, total: Counts) -> Counts | None:
        """The sum of tokens changes.

        Returns:
            What it was before; None where it begins anew.
        """
        before, self.total = self.total, total
        if before is not None and total.whole < before.whole:
            self._resets += 1
            return None
        return before

    def is_parents(self, time: datetime | None) -> bool:
        """Whether a count is of a parent's responses: where turns have no names, a subagent's file
        begins with them, all of the moment it was sent off; nobody answers within a second."""
        self._is_at_beginning = (
            self._is_at_beginning
            and self.is_subagent
            and self.turn is None
            and time is not None
            and self._began is not None
            and time - self._began < _SECOND
        )
        return self._is_at_beginning

    # --- what lines are called ---

    def place(self) -> str:
        """Names where the thread is, the same in every copy."""
        total = self.total.whole if self.total else 0
        if self.turn is not None:
            return f"{self.turn}:{total}"
        again = f"~{self._resets}" if self._resets else ""
        return f"{self._root}{again}:{total}"

    @property
    def turn_or_root(self) -> str | None:
        """What names of things begin with that are unique in a turn."""
        return self.turn or self._root

    def asked_by(self) -> str | None:
        """The thread that a response was copied from, where its turn is older than this thread:
        the youngest that was there when the turn began."""
        turn, thread = _made_at(self.turn), _made_at(self._name)
        if turn is None or thread is None or turn >= thread:
            return None
        older = [(made, name) for name, made in self._ancestors.items() if made <= turn]
        return max(older)[1] if older else None

    def record(
        self,
        kind: str,
        time: datetime | None,
        message: Message | None = None,
        uuid: str | None = None,
        asked_by: str | None = None,
    ) -> Record:
        """A line of this thread."""
        line = self._line
        return Record(
            type=kind,
            timestamp=time,
            message=message,
            uuid=uuid,
            request_session_id=asked_by,
            session_id=line.session_id,
            agent_id=line.agent_id,
            is_sidechain=line.is_sidechain,
            cwd=line.cwd,
            git_branch=line.git_branch,
            version=line.version,
            entrypoint=line.entrypoint,
            effort=line.effort,
        )


def _spawned_by(source: object) -> str | None:
    """The thread that has sent a subagent's off."""
    within = source.get("subagent") if isinstance(source, dict) else None
    spawn = within.get("thread_spawn") if isinstance(within, dict) else None
    parent = spawn.get("parent_thread_id") if isinstance(spawn, dict) else None
    return parent if isinstance(parent, str) else None


def _made_at(name: str | None) -> datetime | None:
    """When a UUID of version 7 was made."""
    try:
        made = UUID(name or "")
    except ValueError:
        return None
    return EPOCH + timedelta(milliseconds=made.int >> 80) if made.version == 7 else None
