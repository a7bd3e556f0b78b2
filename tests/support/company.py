"""Users at ordinary work, one of whom may forge; the numbers of each, and who was moved."""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from forger import encode_line, fresh_uuids, shifted
from lines import UsagePipeline
from thread_ids import STYLES
from threads import History, history

Files = dict[str, tuple[bytes, ...]]
Numbers = Mapping[str, Mapping[str, Sequence[tuple[object, ...]]]]
"""User -> table -> rows."""

_LARGEST = 130
"""The most lines of a user: attacks copy them all many times."""


@dataclass(frozen=True, slots=True)
class Company:
    """The honest users.

    Attributes:
        files: all of their files.
        sharing: users who hold copies of each other's lines. Others have ids in common, for their
            proxy gives them again and again, but no line.
    """

    files: Files
    sharing: frozenset[str]

    def of(self, users: Iterable[str]) -> Files:
        """The files of some users."""
        wanted = set(users)
        return {k: lines for k, lines in self.files.items() if k.partition("/")[0] in wanted}

    @property
    def users(self) -> list[str]:
        return sorted({key.partition("/")[0] for key in self.files})


def company(seed: int = 0, users: int = 19) -> Company:
    """Users with ids of every style; two of them each go on with a session of another one."""
    files: Files = {}
    told = [_small(seed * 1000 + n, f"user{n:02}", n) for n in range(users)]
    for one in told:
        files |= one.files
    rng = random.Random(seed)  # noqa: S311  to be made again
    sharing: set[str] = set()
    for origin, other in ((told[0], told[-1]), (told[1], told[-2])):
        files |= _through_the_same_proxy(origin, other.user, rng)
    for origin, other in ((told[1], told[0]), (told[4], told[10])):
        files |= _gone_on_with(origin, other.user, rng)
        sharing |= {origin.user, other.user}
    return Company(files, frozenset(sharing))


def _small(seed: int, user: str, number: int) -> History:
    style, times = list(STYLES)[number % len(STYLES)], ("own", "same", "shuffled")[number % 3]
    made = (history(seed + 50 * tries, user, style, times) for tries in range(1000))
    return next(one for one in made if sum(map(len, one.files.values())) <= _LARGEST)


def _through_the_same_proxy(origin: History, user: str, rng: random.Random) -> Files:
    """Work of another user with the same ids of responses and tools, but lines of its own."""
    made: Files = {}
    uuids: dict[str, str] = {}
    for key, lines in origin.files.items():
        own = fresh_uuids([json.loads(line) for line in lines], rng, uuids)
        made[f"{user}/{key.partition('/')[2]}"] = tuple(map(encode_line, own))
    return made


def _gone_on_with(origin: History, user: str, rng: random.Random) -> Files:
    """A fork of somebody's session in the folder of another user, who goes on with it."""
    lines = next(iter(origin.files.values()))
    session = rng.randbytes(8).hex()
    copied = [json.loads(line) for line in lines]
    own = history(rng.randrange(10**6), user, "msg", "own")
    later = shifted(timedelta(days=60))
    copied += later([json.loads(line) for line in next(iter(own.files.values()))], rng)
    for line in copied:
        if "sessionId" in line:
            line["sessionId"] = session
    key = f"{user}/-home-{user}-shop/{session}.jsonl"
    return {key: tuple(map(encode_line, copied))}


_TABLES = {
    "responses": """
        SELECT username, session_id, project, model, is_sidechain,
            (sent_at AT TIME ZONE 'UTC')::DATE, count(*), sum(input_tokens), sum(output_tokens),
            sum(cache_creation_tokens), sum(cache_read_tokens)
        FROM usage_messages_unique GROUP BY ALL
    """,
    "calls": """
        SELECT username, session_id, event_type, tool_name, is_error, count(*)
        FROM usage_events_unique GROUP BY ALL
    """,
    "daily": "SELECT username, * EXCLUDE (username) FROM usage_daily",
    "activity": "SELECT username, * EXCLUDE (username) FROM usage_activity_daily",
}


def numbers(pipeline: UsagePipeline) -> Numbers:
    """Everything that is said of each user."""
    found: dict[str, dict[str, list[tuple[object, ...]]]] = {}
    for table, sql in _TABLES.items():
        for user, *rest in pipeline.select(sql):
            found.setdefault(str(user), {}).setdefault(table, []).append(tuple(rest))
    for tables in found.values():
        for rows in tables.values():
            rows.sort(key=repr)
    return found


def moved(before: Numbers, after: Numbers, users: Iterable[str]) -> dict[str, str]:
    """Of these users, those whose numbers are others, and how."""
    changes: dict[str, str] = {}
    for user in users:
        was, now = before.get(user, {}), after.get(user, {})
        parts = []
        for table in _TABLES:
            old, new = list(map(repr, was.get(table, ()))), list(map(repr, now.get(table, ())))
            lost = [row for row in old if row not in new]
            gained = [row for row in new if row not in old]
            if old != new:
                parts.append(f"{table}: {lost[:1]} became {gained[:1]} ({len(lost)} rows)")
        if parts:
            changes[user] = "; ".join(parts)
    return changes
