"""Which lines of a file are one API response: decided by the conversation, never by a clock.

Ids are not enough. Gateways use theirs again, and proxies in front of the API even `msg_...` ids.
Two things tell two responses of one id apart: what went into them, and what was said in between.
"""

from collections.abc import Sequence

from session_pipeline_dagster.names import short
from session_pipeline_dagster.processors.usage.rows import MessageRow
from session_pipeline_dagster.transcripts.records import Record, Usage

Inputs = tuple[int, int, int]
"""Tokens that went in: not cached, read from the cache, written to it. All 0 = nobody says."""

_Name = str | tuple[str | None, bool, str | None]
_STRONG = "msg_"
_NONE: Inputs = (0, 0, 0)


class Response:
    """One API response of a file, and what its next line is held against.

    Attributes:
        key: names it over all files.
        id: what its lines call it.
        row: its row so far.
        usage: what its last line said of its cost.
        extra: rows of calls that its own counters leave out.
    """

    __slots__ = (
        "answered",
        "epoch",
        "extra",
        "id",
        "inputs",
        "key",
        "others",
        "row",
        "usage",
        "users",
    )

    def __init__(self, key: str, row: MessageRow, message_id: str | None) -> None:
        self.key, self.row, self.id = key, row, message_id
        self.usage: Usage | None = None
        self.extra: list[MessageRow] = []
        self.inputs = _NONE
        self.epoch = self.users = self.answered = 0
        # Input counters -> response, of all of one id that no prompt parts.
        self.others: dict[Inputs, Response] | None = None


class Responses:
    """The responses of a file so far, by what its next line may belong to."""

    __slots__ = ("_answered", "_by_line", "_by_name", "_epochs", "_prompts", "_users")

    def __init__(self) -> None:
        self._by_name: dict[_Name, Response] = {}
        # A file may hold its lines twice.
        self._by_line: dict[str, Response] = {}
        self._users = self._prompts = 0
        self._answered: dict[str, int] = {}
        self._epochs: dict[str, int] = {}

    # --- what is said in between ---

    def said(self, answered: Sequence[str | None]) -> None:
        """A user line; `answered` are the keys of the responses whose tools it has results of."""
        self._users += 1
        for key in answered if len(answered) < 2 else {*answered}:
            if key is not None:
                self._answered[key] = self._answered.get(key, 0) + 1

    def prompted(self, agent: str | None = None) -> None:
        """Somebody asked for something new: a person, or of an agent whoever sent it off."""
        if agent is None:
            self._prompts += 1
        else:
            self._epochs[agent] = self._epochs.get(agent, 0) + 1

    # --- whose line it is ---

    def of(self, record: Record, usage: Usage | None) -> Response | None:
        """The response that a line belongs to; None = it begins another one."""
        message_id = record.message.id if record.message else None
        if record.uuid is not None:
            found = self._by_line.get(record.uuid)
            if found is not None and found.id == message_id:
                return found
        strong = message_id is not None and message_id.startswith(_STRONG)
        name = message_id if strong else _name(record)
        found = self._by_name.get(name) if message_id and name else None
        if found is None or not (strong or found.epoch == self._epoch(record)):
            return None
        if usage is None or usage == found.usage:
            return found
        now = inputs_of(usage)
        if _alike(now, found.inputs) or (strong and not self._is_parted(found, record)):
            return found
        return None if found.others is None else found.others.get(now)

    def start(self, response: Response, record: Record, usage: Usage | None) -> None:
        """A line begins this response."""
        message_id = record.message.id if record.message else None
        name = message_id if message_id and is_strong(message_id) else _name(record)
        response.epoch = self._epoch(record)
        if message_id:
            before = self._by_name.get(name)
            together = before is not None and before.epoch == response.epoch
            if before is not None and (together or is_strong(message_id)):
                others = before.others
                response.others = {before.inputs: before} if others is None else others
            self._by_name[name] = response
        self.joined(response, record, usage)

    def joined(self, response: Response, record: Record, usage: Usage | None) -> None:
        """A line belongs to this response; one that is repeated says nothing new of when."""
        if record.uuid is not None:
            if record.uuid in self._by_line:
                return
            self._by_line[record.uuid] = response
        response.users = self._users
        response.answered = self._answered.get(response.key, 0)
        if usage is not None and usage != response.usage:
            now = inputs_of(usage)
            old = response.inputs
            response.inputs = (max(old[0], now[0]), max(old[1], now[1]), max(old[2], now[2]))
            if response.others is not None:
                response.others.setdefault(response.inputs, response)

    def _is_parted(self, found: Response, record: Record) -> bool:
        """Whether something stands between a line and a response of the same `msg_...` id: a user
        line that has no result of its tools."""
        row = found.row
        if row.is_sidechain != (record.is_sidechain is True):
            # A subagent's file repeats lines of the main thread, with other counters at times.
            asked, other = record.request_id, row.request_id
            if asked is None or other is None or asked == other:
                return False
        between = self._users - found.users
        return between > self._answered.get(found.key, 0) - found.answered

    def _epoch(self, record: Record) -> int:
        if record.is_sidechain is not True:
            return self._prompts
        return self._epochs.get(record.agent_id, 0) if record.agent_id else 0


def is_strong(message_id: str | None) -> bool:
    """Whether an id is the API's own: it names a response over all files, unless it comes twice."""
    return message_id is not None and message_id.startswith(_STRONG)


def key_of(record: Record, first: bool, file: str, line: int) -> str:
    """What names a response over all files: an id of the API's, the first time it comes in a file;
    else the uuid of its first line, which forks and resumes copy.

    Args:
        file, line: what is left for a line that has neither.
    """
    message_id = record.message.id if record.message else None
    if first and message_id is not None and is_strong(message_id):
        return short(message_id)
    return short(record.uuid) if record.uuid else f"{file}#{line}"


def inputs_of(usage: Usage | None) -> Inputs:
    """What went into a response, by one of its lines."""
    if usage is None:
        return _NONE
    written = usage.cache_creation_input_tokens or 0
    if split := usage.cache_creation:
        parts = split.ephemeral_5m_input_tokens or 0, split.ephemeral_1h_input_tokens or 0
        written = max(written, *parts, sum(parts))
    return (usage.input_tokens or 0, usage.cache_read_input_tokens or 0, written)


def _name(record: Record) -> _Name:
    """An id that is used again names a response within its thread only."""
    message_id = record.message.id if record.message else None
    return (message_id, record.is_sidechain is True, record.agent_id)


def _alike(one: Inputs, other: Inputs) -> bool:
    """Whether both can be of one response: equal, or one says less of it than the other."""
    if one == other:
        return True
    less = more = False
    for mine, its in zip(one, other, strict=True):
        if mine == its:
            continue
        if mine and its:
            return False
        less, more = less or not mine, more or not its
    return not (less and more)
