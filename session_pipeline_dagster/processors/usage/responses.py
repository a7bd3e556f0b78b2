"""Which lines of a file are one API response: decided by the conversation, never by a clock.

Ids are not enough. Gateways use theirs again, and proxies in front of the API even `msg_...` ids.
Two things tell two responses of one id apart: what went into them, and what was said in between.
"""

from collections.abc import Sequence

from session_pipeline_dagster.names import short
from session_pipeline_dagster.processors.usage.naming import cut
from session_pipeline_dagster.processors.usage.rows import NO_INPUTS, Inputs, Response
from session_pipeline_dagster.transcripts.records import UNIQUE_CALL, Message, Record, Usage

_Name = str | tuple[str | None, bool, str | None]
_STRONG = "msg_"
_TOOLS_OF_THE_API = ("toolu_", "srvtoolu_")
"""How the API's own ids of tool calls begin."""


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

    def of(self, record: Record, message: Message) -> Response | None:
        """The response that a line belongs to; None = it begins another one."""
        message_id, usage = message.id, message.usage
        if record.uuid is not None:
            found = self._by_line.get(record.uuid)
            if found is not None and found.message.id == message_id:
                return found
        if not message_id:
            return None
        strong = message_id.startswith(_STRONG)
        found = self._by_name.get(message_id if strong else _name(record, message_id))
        if found is None or not (strong or found.epoch == self._epoch(record)):
            return None
        if usage is None or usage == found.usage:
            return found
        now = inputs_of(usage)
        if _alike(now, found.inputs) or (strong and not self._is_parted(found, record)):
            return found
        return None if found.others is None else found.others.get(now)

    def start(self, response: Response) -> None:
        """Its first line begins this response; `joined` comes next."""
        record, message_id = response.record, response.message.id
        response.epoch = self._epoch(record)
        if message_id:
            strong = message_id.startswith(_STRONG)
            name = message_id if strong else _name(record, message_id)
            before = self._by_name.get(name)
            if before is not None and (strong or before.epoch == response.epoch):
                others = before.others
                response.others = {before.inputs: before} if others is None else others
            self._by_name[name] = response

    def joined(self, response: Response, record: Record, news: Usage | None) -> None:
        """A line belongs to this response; one that is repeated says nothing new of when.

        Args:
            news: what it says of the cost, if that is not what the line before said.
        """
        if record.uuid is not None:
            if record.uuid in self._by_line:
                return
            self._by_line[record.uuid] = response
        response.users = self._users
        response.answered = self._answered.get(response.key, 0)
        if news is not None:
            now, old = inputs_of(news), response.inputs
            if old is not NO_INPUTS:
                now = (max(old[0], now[0]), max(old[1], now[1]), max(old[2], now[2]))
            response.inputs = now
            if response.others is not None:
                response.others.setdefault(now, response)

    def _is_parted(self, found: Response, record: Record) -> bool:
        """Whether something stands between a line and a response of the same `msg_...` id: a user
        line that has no result of its tools."""
        if found.is_sidechain != (record.is_sidechain is True):
            # A subagent's file repeats lines of the main thread, with other counters at times.
            asked, other = record.request_id, cut(found.record.request_id)
            if asked is None or other is None or asked == other:
                return False
        between = self._users - found.users
        return between > self._answered.get(found.key, 0) - found.answered

    def _epoch(self, record: Record) -> int:
        if record.is_sidechain is not True:
            return self._prompts
        return self._epochs.get(record.agent_id, 0) if record.agent_id else 0


def key_of(message_id: str | None, uuid: str | None, file: str, line: int) -> str:
    """What names a response over all files: an id of the API's, the first time it comes in a file;
    else the uuid of its first line, which forks and resumes copy.

    Args:
        message_id: as it is stored; None where a response of the file has that name.
        uuid: the same.
        file, line: what is left for a line that has neither.
    """
    if message_id is not None and message_id.startswith(_STRONG):
        return message_id
    return short(uuid) if uuid else f"{file}#{line}"


def call_key(response: Response, tool_id: str) -> str:
    """What names a tool call of a response over all files."""
    if tool_id.startswith(_TOOLS_OF_THE_API) and response.key == response.message_id:
        return tool_id
    # Ids that neither the API nor a reader has made unique can repeat from response to response.
    return tool_id if tool_id.startswith(UNIQUE_CALL) else f"{response.key}/{tool_id}"


def inputs_of(usage: Usage | None) -> Inputs:
    """What went into a response, by one of its lines."""
    if usage is None:
        return NO_INPUTS
    written = usage.cache_creation_input_tokens or 0
    if split := usage.cache_creation:
        parts = split.ephemeral_5m_input_tokens or 0, split.ephemeral_1h_input_tokens or 0
        written = max(written, *parts, sum(parts))
    return (usage.input_tokens or 0, usage.cache_read_input_tokens or 0, written)


def _name(record: Record, message_id: str) -> _Name:
    """An id that is used again names a response within its thread only."""
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
