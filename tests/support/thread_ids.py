"""How APIs name their responses and meter them: only what the rules of identity can tell apart.

An id of the API (`msg_`, "strong") that comes back is another response where a user line that is no
result of its own stands between **and** the input counters differ. Any other id ("weak") is another
one where a prompt stands between **or** the counters differ. So a style says what comes back, how
many responses a turn may have, and what its counters must be.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Ids:
    """How an API names its responses.

    Attributes:
        strong: the ids begin with `msg_`.
        unique: an id never comes back.
        pool: how many ids there are; they are used in turn, from the first one in every turn.
        rounds: the most responses of one turn.
        counters: input counters are any, growing with every response, zero, or always equal.
        reused_tools: the tool calls of every response are call_0, call_1 …
        lines: a response is one line per block; otherwise a single line.
        everywhere: `msg_` ids come back in other conversations too.
    """

    name: str
    strong: bool = False
    unique: bool = False
    pool: int = 1
    rounds: int = 4
    counters: str = "growing"
    reused_tools: bool = False
    lines: bool = True
    everywhere: bool = False
    prefix: str = ""

    @property
    def inline_agents(self) -> bool:
        """Whether agents may work in the file of their parent and leave everything decidable."""
        return not self.reused_tools and (self.unique or self.counters == "growing")


_ALL = (
    Ids("msg", strong=True, unique=True, counters="any", prefix="msg_"),
    Ids("msg constant", strong=True, rounds=1, prefix="msg_"),
    Ids("msg per turn", strong=True, pool=3, rounds=3, prefix="msg_"),
    Ids("msg alternating", strong=True, pool=2, rounds=5, prefix="msg_"),
    Ids("gateway", unique=True, counters="any", prefix="chatcmpl-"),
    Ids("gateway, tools reused", unique=True, counters="any", reused_tools=True, prefix="gen-"),
    Ids("gateway constant", prefix="chatcmpl-"),
    Ids("gateway constant, tools reused", reused_tools=True, prefix="chatcmpl-"),
    Ids("counter", pool=99, counters="any"),
    Ids("counter, tools reused", pool=99, counters="any", reused_tools=True),
    Ids("milliseconds", counters="any"),
    Ids("zero", rounds=1, counters="zero", prefix="resp_"),
    Ids("equal", rounds=1, counters="equal", prefix="resp_"),
    Ids("equal, tools reused", rounds=1, counters="equal", reused_tools=True, prefix="resp_"),
    Ids("none", counters="any", lines=False),
)
STYLES = {ids.name: ids for ids in _ALL}

_CONSTANT = Ids("msg constant everywhere", strong=True, rounds=1, prefix="msg_", everywhere=True)
EVERYWHERE = {
    ids.name: ids
    for ids in (_CONSTANT, replace(_CONSTANT, name="msg per turn everywhere", pool=3, rounds=3))
}
"""What the rules leave open: an id that comes back in a file that shares no line with the first."""


class Namer:
    """Gives the responses of a user their ids."""

    def __init__(self, rng: random.Random, ids: Ids) -> None:
        self.rng, self.ids, self.conversation, self.used = rng, ids, "", 0

    def begin_turn(self, conversation: str) -> None:
        """A person said something: what is used in turn begins anew."""
        self.conversation, self.used = conversation, 0

    def next(self, clock: datetime, *, agent: bool) -> str | None:
        """The id of the next response. Agents of an API that reuses `msg_` ids have unique ones."""
        ids = self.ids
        if ids.name == "none":
            return None
        if ids.name == "milliseconds":
            return str(int(clock.timestamp() * 1000))
        if ids.unique or (ids.strong and agent):
            return f"{ids.prefix}{self.rng.randbytes(8).hex()}"
        self.used += 1
        number = (self.used - 1) % ids.pool + 1
        if ids.strong and not ids.everywhere:
            return f"{ids.prefix}{self.conversation}_{number}"
        return f"{ids.prefix}{number}"


class Meter:
    """Counts the tokens of responses, and writes them as the lines of a response say them."""

    def __init__(self, rng: random.Random, ids: Ids) -> None:
        self.rng, self.ids, self.size = rng, ids, rng.randint(5, 50)
        self.shape = rng.choice(((1, 0, 0), (1, 0, 2), (1, 3, 0), (1, 3, 2), (0, 1, 4)))
        self.split, self.habit = rng.random() < 0.5, rng.choice(("growing", "same", "falling"))
        self.drifts = self.drifted = False
        """Whether the lines of the last response differ in their input; of any so far."""

    def read(self, lines: int) -> tuple[Mapping[str, int], list[dict[str, object]]]:
        """What a response took, and the `usage` of each of its lines."""
        given, creation, read = self._input()
        output = self.rng.randint(1, 900)
        outputs = [output] * lines
        if self.habit != "same":
            outputs[:-1] = sorted(self.rng.randint(0, output) for _ in outputs[1:])
        if self.habit == "falling":
            outputs.reverse()
        counts = {
            "input_tokens": given,
            "output_tokens": output,
            "cache_creation_tokens": creation,
            "cache_read_tokens": read,
        }
        shares = self._shares(lines)
        written = [
            self._usage(math.ceil(given * share), out, creation, math.ceil(read * share))
            for share, out in zip(shares, outputs, strict=True)
        ]
        return counts, written

    def _shares(self, lines: int) -> list[float]:
        """What part of the input each line says: some APIs know it only in the end."""
        self.drifts = self.ids.strong and self.ids.unique and self.rng.random() < 0.15
        self.drifted |= self.drifts
        if not self.drifts:
            return [1] * lines
        return [*sorted(self.rng.random() for _ in range(lines - 1)), 1]

    def _input(self) -> tuple[int, int, int]:
        if self.ids.counters == "zero":
            return 0, 0, 0
        if self.ids.counters == "equal":
            return 70, 30, 40
        if self.ids.counters == "any":
            few = self.rng.choice((0, 3, 3, self.rng.randint(0, 5000)))
            return few, self.rng.choice((0, 500, 901)), self.rng.choice((0, 1200, 4100))
        self.size += self.rng.randint(1, 400)
        given, creation, read = (self.size * times for times in self.shape)
        return given or 3, creation, read

    def _usage(self, given: int, output: int, creation: int, read: int) -> dict[str, object]:
        usage: dict[str, object] = {
            "input_tokens": given,
            "output_tokens": output,
            "cache_creation_input_tokens": creation,
            "cache_read_input_tokens": read,
        }
        if self.split:
            day = {"ephemeral_5m_input_tokens": creation // 3}
            usage["cache_creation"] = day | {"ephemeral_1h_input_tokens": creation - creation // 3}
        return usage
