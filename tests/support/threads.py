"""Histories of session files whose truth is known, for they are told forward: what happened first.

A history is all that one user did. It is made of conversations; a conversation is a tree of files
(forks, resumes, copies, agents), and what happens in it is counted when it happens, once.
Only what the rules of identity decide is told: see `thread_ids.py` for which ids may come back.
`recount.py` counts the files again without knowing any of this.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from thread_ids import EVERYWHERE, STYLES, Ids, Meter, Namer
from thread_times import TIMES, stamp

Line = dict[str, object]
MODELS = ("claude-opus-4-5", "claude-sonnet-4-5-20250929", "gpt-5", "deepseek-v4-flash")
TOOLS = ("Read", "Bash", "Edit", "Grep", "Skill", "mcp__tracker__comment", "Task", "Agent")
WORDS = "please look at the totals again and make them right before we ship it".split()


@dataclass(frozen=True, slots=True)
class Truth:
    """What one user did. `prompts` are user lines of a person, told apart by uuid."""

    responses: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_tokens: int = 0
    cache_read_tokens: int = 0
    tool_calls: int = 0
    subagents: int = 0
    mcp_calls: int = 0
    errors: int = 0
    prompts: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """What one user has on disk, and the truth about it.

    Attributes:
        style: how ids and times are, for messages of tests.
        files: key, `<user>/...jsonl`, -> lines.
    """

    user: str
    seed: int
    style: str
    files: Mapping[str, tuple[bytes, ...]]
    truth: Truth


@dataclass(slots=True)
class File:
    """A file being told: the main thread of a session, or the work of an agent."""

    key: str
    session: str
    clock: datetime
    lines: list[Line] = field(default_factory=list)
    agent: str | None = None
    sidechain: bool = False
    last: str | None = None
    shared: int = 0
    """How many lines a fork must take over at least."""
    agents: list["File"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call; its result is still to come."""

    id: str
    error: bool


def history(
    seed: int, user: str = "alice", ids: str | None = None, times: str | None = None
) -> History:
    """What a user did, by a seed; how ids and times are may be said."""
    rng = random.Random(seed)  # noqa: S311
    style = (STYLES | EVERYWHERE)[ids] if ids else rng.choice(list(STYLES.values()))
    told = _Teller(rng, user, style, times or rng.choice(TIMES))
    for number in range(3 if style.everywhere else rng.randint(1, 2)):
        told.conversation(number)
    return told.end(seed)


class _Teller:
    def __init__(self, rng: random.Random, user: str, ids: Ids, times: str) -> None:
        self.rng, self.user, self.ids, self.times = rng, user, ids, times
        self.meter, self.names = Meter(rng, ids), Namer(rng, ids)
        self.files: list[File] = []
        self.truth = Truth()
        self.prompts: set[str] = set()
        self.model = rng.choice(MODELS)

    def end(self, seed: int) -> History:
        files = {file.key: tuple(map(_encode, file.lines)) for file in self.files}
        truth = replace(self.truth, prompts=len(self.prompts))
        return History(self.user, seed, f"{self.ids.name}, times {self.times}", files, truth)

    # A conversation: a tree of files.

    def conversation(self, number: int) -> None:
        self.conversation_id = f"{self._hex(6)}{number}"
        days = self.rng.randint(0, 40)
        trunk = self._new_file(datetime(2026, 3, 1, 9, tzinfo=UTC) + timedelta(days=days))
        if self._maybe(0.4):
            self._say(trunk, "summary", {"summary": "Totals"}, bare=True)
        self.turn(trunk, first=True)
        trunk.shared = len(trunk.lines) if self.ids.strong and not self.ids.unique else 0
        for _ in range(self.rng.randint(0, 3)):
            self.turn(trunk)
        branches = [trunk]
        for _ in range(self.rng.choice((0, 1, 1, 2, 3))):
            branches.append(self.fork(self.rng.choice(branches)))
            for branch in self.rng.choices(branches, k=self.rng.randint(0, 3)):
                self.turn(branch)
        if self._maybe(0.3):
            self.copy(self.rng.choice(branches))

    def fork(self, origin: File) -> File:
        """A new file that begins with the lines of another one."""
        cut = self.rng.choice((len(origin.lines), self.rng.randint(1, len(origin.lines))))
        cut = max(cut, origin.shared)
        fork = self._new_file(origin.clock)
        fork.shared = origin.shared
        how = self.rng.choice(("fork", "fork with origin", "resume", "resume with new uuids"))
        if how == "resume with new uuids" and not self._can_rename():
            how = "resume"
        renamed: dict[str, str] = {}
        for line in origin.lines[:cut]:
            fork.lines.append(self._copied(line, origin, fork.session, how, renamed))
            fork.last = str(fork.lines[-1].get("uuid", fork.last))
        for agent in origin.agents:
            if self._maybe(0.5):
                copied = self._agent_file(fork, legacy=self._maybe(0.3))
                fork.agents.append(copied)
                copied.lines += [line | {"sessionId": fork.session} for line in agent.lines]
        return fork

    def _can_rename(self) -> bool:
        """Whether a copy without the uuids of its lines is still known: by id and input counters.

        Cut within a response whose lines differ in their input it would be another response.
        """
        return self.ids.strong and self.ids.unique and not self.meter.drifted

    def _copied(
        self, line: Line, origin: File, session: str, how: str, renamed: dict[str, str]
    ) -> Line:
        copied = dict(line)
        if "sessionId" in copied:
            copied["sessionId"] = session
        if how.startswith("resume"):
            copied.pop("requestId", None)
        if how == "fork with origin" and copied["type"] == "assistant":
            copied.setdefault("requestSessionId", origin.session)
        if how == "resume with new uuids" and "uuid" in copied:
            old = str(copied["uuid"])
            copied["uuid"] = renamed.setdefault(old, self._hex(16))
            if copied.get("parentUuid"):
                copied["parentUuid"] = renamed.get(str(copied["parentUuid"]))
            if old in self.prompts:
                self.prompts.add(renamed[old])
        return copied

    def copy(self, origin: File) -> None:
        """A copy of a file, or of its beginning, under another name."""
        end = self.rng.choice((len(origin.lines), self.rng.randint(1, len(origin.lines))))
        key = f"{self.user}/{self._hex(3)}/{self._hex(4)} copy.jsonl"
        self.files.append(replace(origin, key=key, lines=origin.lines[:end], agents=[]))

    # A turn: a prompt and what the assistant does about it.

    def turn(self, file: File, *, first: bool = False) -> None:
        self._noise(file)
        self.prompt(file)
        self.names.begin_turn(self.conversation_id)
        rounds = self.rng.randint(1, self.ids.rounds)
        if first and self.ids.strong and not self.ids.unique:
            rounds = max(rounds, self.ids.pool)
        for left in reversed(range(rounds)):
            self.response(file, goes_on=left > 0)
            self._noise(file)

    def prompt(self, file: File) -> None:
        text = " ".join(self.rng.choices(WORDS, k=self.rng.randint(2, 9)))
        content = text if self._maybe(0.7) else [{"type": "text", "text": text}]
        self._say(file, "user", {"message": {"role": "user", "content": content}})
        if not file.sidechain:
            self.prompts.add(str(file.lines[-1]["uuid"]))

    def response(self, file: File, *, goes_on: bool, may_delegate: bool = True) -> None:
        """An API response: its lines, its tool calls, and their results between or behind them."""
        blocks, calls = self._blocks(at_least=1 if goes_on else 0, may_delegate=may_delegate)
        counts, written = self.meter.read(len(blocks))
        message_id = self.names.next(file.clock, agent=file.sidechain)
        request, begin = f"req_{self._hex(6)}", len(file.lines)
        waiting: list[Call] = []
        for place, (block, usage) in enumerate(zip(blocks, written, strict=True), start=1):
            last = place == len(blocks)
            message: Line = {"role": "assistant", "type": "message", "model": self.model}
            message |= {} if message_id is None else {"id": message_id}
            message |= {"content": block, "usage": usage}
            message |= {"stop_reason": "end_turn" if last and self._maybe(0.85) else None}
            self._say(file, "assistant", {"message": message, "requestId": request})
            waiting += [calls[str(b["id"])] for b in block if b["type"] == "tool_use"]
            self._between(file, waiting, last=last)
        self._count(counts, calls)
        if may_delegate and not file.sidechain:
            self._delegate(file, blocks, begin)
        self.rng.shuffle(waiting)
        unanswered = not goes_on and self._maybe(0.05)
        for call in waiting:
            if unanswered:
                self._take_back_error(call)
            else:
                self._result(file, call)

    def _between(self, file: File, waiting: list[Call], *, last: bool) -> None:
        """What may stand between two lines of a response without making it two."""
        while waiting and not last and self._maybe(0.4):
            if waiting[0].id in self.delegated:
                break
            self._result(file, waiting.pop(0))
        if self.meter.drifts:
            return
        if not last and self._maybe(0.1):
            meta = {"message": {"role": "user", "content": "Caveat: made by the client"}}
            self._say(file, "user", meta | {"isMeta": True})
        if not last and self.ids.strong and self._maybe(0.05):
            self.prompt(file)

    def _blocks(
        self, *, at_least: int, may_delegate: bool
    ) -> tuple[list[list[Line]], dict[str, Call]]:
        """The content of each line of a response, and its calls by id."""
        blocks: list[Line] = []
        if self._maybe(0.4):
            blocks.append({"type": "thinking", "thinking": "Rounding?", "signature": "c2ln"})
        if self._maybe(0.6):
            blocks.append({"type": "text", "text": "I will look at it."})
        calls: dict[str, Call] = {}
        self.delegated = set()
        for number in range(self.rng.choice((at_least, 1, 1, 2, 3))):
            tool = self.rng.choice(TOOLS if may_delegate else TOOLS[:6])
            call = f"call_{number}" if self.ids.reused_tools else f"toolu_{self._hex(8)}"
            calls[call] = Call(call, self._maybe(0.2))
            given = {"skill": "review"} if tool == "Skill" else {"about": number}
            blocks.append({"type": "tool_use", "id": call, "name": tool, "input": given})
            if tool in ("Task", "Agent"):
                self.delegated.add(call)
            self._count_call(tool)
        blocks = blocks or [{"type": "text", "text": "Done."}]
        return ([[b] for b in blocks] if self.ids.lines else [blocks]), calls

    def _result(self, file: File, call: Call) -> None:
        block: Line = {"type": "tool_result", "tool_use_id": call.id}
        block |= {"content": "Exit code 1" if call.error else "done"}
        if call.error or self._maybe(0.5):
            block["is_error"] = call.error
        self._say(file, "user", {"message": {"role": "user", "content": [block]}})

    # Agents.

    def _delegate(self, file: File, blocks: list[list[Line]], begin: int) -> None:
        """The work of the agents that a response calls, in the file or in one of their own."""
        for block in [b for line in blocks for b in line if b.get("id") in self.delegated]:
            if self.ids.inline_agents and self._maybe(0.4):
                file.sidechain = True
                self._agent_works(file)
                file.sidechain = False
            else:
                agent = self._agent_file(file, legacy=self._maybe(0.3))
                file.agents.append(agent)
                self._agent_context(file, agent, begin)
                self._agent_works(agent)
                self._progress(file, agent, str(block["id"]))

    def _agent_works(self, file: File) -> None:
        self.prompt(file)
        for left in reversed(range(self.rng.randint(1, min(2, self.ids.rounds)))):
            self.response(file, goes_on=left > 0, may_delegate=False)

    def _agent_context(self, file: File, agent: File, begin: int) -> None:
        """An agent that begins with its parent's last response, which stays the main thread's."""
        if not (self.ids.strong and self.ids.unique and self._maybe(0.3)):
            return
        for line in (one for one in file.lines[begin:] if one.get("isSidechain") is False):
            copied = json.loads(_encode(line)) | {"isSidechain": True, "agentId": agent.agent}
            if copied["type"] == "assistant":
                copied["message"]["usage"]["output_tokens"] += 1000
            agent.lines.append(copied)

    def _progress(self, file: File, agent: File, call: str) -> None:
        """The lines of an agent once more, inside lines of its parent."""
        if not (self.ids.strong and self.ids.unique and self._maybe(0.4)):
            return
        own = {str(line["uuid"]) for line in agent.lines} - {
            str(one.get("uuid")) for one in file.lines
        }
        for line in agent.lines:
            if line["type"] == "assistant" and line["uuid"] in own:
                inner = {k: line[k] for k in ("type", "uuid", "message", "requestId")}
                data = {"type": "agent_progress", "agentId": agent.agent, "message": inner}
                self._say(file, "progress", {"data": data, "parentToolUseID": call})

    def _agent_file(self, parent: File, *, legacy: bool) -> File:
        name, folder = f"agent-{self._hex(4)}", parent.key.removesuffix(".jsonl")
        beside = f"{folder.rpartition('/')[0]}/{name}.jsonl"
        key = beside if legacy else f"{folder}/subagents/{name}.jsonl"
        file = File(key, parent.session, parent.clock, agent=name, sidechain=True)
        self.files.append(file)
        return file

    # Lines.

    def _new_file(self, clock: datetime) -> File:
        session = f"{self._hex(4)}-{self._hex(4)}"
        file = File(f"{self.user}/-home-{self.user}-shop/{session}.jsonl", session, clock)
        self.files.append(file)
        return file

    def _say(self, file: File, kind: str, rest: Line, *, bare: bool = False) -> None:
        file.clock += timedelta(milliseconds=self.rng.randint(10, 90_000))
        line: Line = {"type": kind}
        if not bare:
            line |= {"parentUuid": file.last, "uuid": self._hex(16), "sessionId": file.session}
            line |= {"cwd": "/home/x/shop"}
            line |= {"version": "2.1.100", "isSidechain": file.sidechain}
            line |= {"agentId": file.agent} if file.agent else {}
            at = stamp(self.times, self.rng, file.clock)
            line |= {} if at is None else {"timestamp": at}
            file.last = str(line["uuid"])
        file.lines.append(line | rest)
        if not bare and kind in ("user", "assistant") and self._maybe(0.03):
            file.lines.append(file.lines[-1])

    def _noise(self, file: File) -> None:
        if self._maybe(0.15):
            self._say(file, "system", {"subtype": "turn_duration", "content": ""})
        if self._maybe(0.1):
            self._say(file, "file-history-snapshot", {"snapshot": {}}, bare=True)
        if self._maybe(0.1):
            meta = {"role": "user", "content": "<local-command-stdout>ok</local-command-stdout>"}
            self._say(file, "user", {"message": meta})

    # What happened.

    def _count(self, counts: Mapping[str, int], calls: Mapping[str, Call]) -> None:
        self._add(responses=1, errors=sum(c.error for c in calls.values()), **counts)

    def _count_call(self, tool: str) -> None:
        if tool in ("Task", "Agent"):
            self._add(subagents=1)
        elif tool.startswith("mcp__"):
            self._add(mcp_calls=1)
        else:
            self._add(tool_calls=1)

    def _take_back_error(self, call: Call) -> None:
        self._add(errors=-int(call.error))

    def _add(self, **more: int) -> None:
        self.truth = replace(
            self.truth, **{name: getattr(self.truth, name) + n for name, n in more.items()}
        )

    def _maybe(self, share: float) -> bool:
        return self.rng.random() < share

    def _hex(self, count: int) -> str:
        return self.rng.randbytes(count).hex()


def _encode(line: Line) -> bytes:
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"
