"""Counts the files of several users again, by the rule of who holds a response that several have.

Two users hold one response only where their lines of it share a uuid. The winner is who claims the
earliest first line in a file with such a line; a time more than a day older than every other one of
its file is no claim; then the smaller key. Like `recount.py`, it knows nothing of the product.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from recount import Found, read, total
from threads import Truth

Key = tuple[object, ...]
_DAY = timedelta(days=1)
_Claim = tuple[datetime, str]
_Copy = tuple[set[object], _Claim]
_NEVER = datetime.max.replace(tzinfo=UTC)
_NONE = (_NEVER, "\uffff")


class Referee:
    """Knows the files of honest users, and says what another one would take from them."""

    def __init__(self, files: Mapping[str, Iterable[bytes]]) -> None:
        self.users = _holdings(files)
        self.lost = {user: _lost(user, self.users) for user in self.users}

    def truths(self) -> dict[str, Truth]:
        """What is each user's, where nothing is gone."""
        return {user: held.without(self.lost[user]) for user, held in self.users.items()}

    def losers(self, files: Mapping[str, Iterable[bytes]]) -> set[str]:
        """Those who would lose something to the owner of these files."""
        others = _holdings(files)
        known = self.users.items()
        return {user for user, own in known if _lost(user, others | {user: own}) - self.lost[user]}


def _holdings(files: Mapping[str, Iterable[bytes]]) -> dict[str, "_Holdings"]:
    trees: dict[str, dict[str, Iterable[bytes]]] = {}
    for key, lines in files.items():
        trees.setdefault(key.partition("/")[0], {})[key] = lines
    return {user: _Holdings(read(tree)) for user, tree in trees.items()}


class _Holdings:
    """What a user holds: kind and key -> the copies of it, each the uuids of lines and a claim."""

    def __init__(self, found: Found) -> None:
        self.found = found
        claims = {file: (_claim(times), file) for file, times in found.times.items()}
        self.held: dict[Key, list[_Copy]] = {}
        of_line: dict[object, _Claim] = {}
        for key, copies in found.copies.items():
            for one in copies:
                self._holds(("response", *key), one.uuids, claims[one.file])
                for uuid in one.uuids:
                    of_line[uuid] = min(claims[one.file], of_line.get(uuid, _NONE))
        for key, (_, uuids) in found.calls.items():
            for uuid in uuids:
                self._holds(("call", *key), {uuid}, of_line[uuid])
        for uuid, files in found.prompt_files.items():
            self._holds(("prompt", uuid), {uuid}, min(claims[file] for file in files))

    def _holds(self, key: Key, uuids: set[object], claim: _Claim) -> None:
        self.held.setdefault(key, []).append((uuids - {None, ""}, claim))

    def without(self, lost: set[Key]) -> Truth:
        """What is counted for the user, but for what others hold."""
        found = self.found
        kept = Found(
            copies={k: v for k, v in found.copies.items() if ("response", *k) not in lost},
            calls={k: v for k, v in found.calls.items() if ("call", *k) not in lost},
            errors=found.errors,
            failed_ids=found.failed_ids,
            prompts={uuid for uuid in found.prompts if ("prompt", uuid) not in lost},
        )
        return total(kept)


def _lost(user: str, users: Mapping[str, _Holdings]) -> set[Key]:
    """What another user holds with a better claim, by copies that share a line."""
    lost = set()
    for key, own in users[user].held.items():
        for other in users.keys() - {user}:
            pairs = [
                (mine, theirs)
                for uuids, mine in own
                for others, theirs in users[other].held.get(key, ())
                if uuids & others
            ]
            if pairs and min(theirs for _, theirs in pairs) < min(mine for mine, _ in pairs):
                lost.add(key)
    return lost


def _claim(times: Iterable[str]) -> datetime:
    """The earliest time of a file that another line of it bears out."""
    known = sorted(filter(None, map(_time, times)))
    if len(known) > 1 and known[1] - known[0] > _DAY:
        return known[1]
    return known[0] if known else _NEVER


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
