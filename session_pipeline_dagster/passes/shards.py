"""The people of one shard: a part of all session files that one of several workers takes.

A shard is a rule over keys, so every worker finds the same parts without asking anyone. Only what a
pass works on is narrowed to it. What is there is looked at whole: a file of another shard is not
gone, and a shard of which nobody has a file left still sees that its root is there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar
from zlib import crc32

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.passes.seeing import Sight
from session_pipeline_dagster.sources.files import Scan
from session_pipeline_dagster.sources.keys import owner_of
from session_pipeline_dagster.store.states import Failure, FileState, Known

_MOST = 64
_FORM = re.compile(r"([0-9]{1,2})/([0-9]{1,2})")
_Row = TypeVar("_Row", FileState, Failure)


@dataclass(frozen=True, slots=True)
class Shard:
    """The first, second, ... of so many parts; `index` is 1 to `of`.

    A file is in the part of the first folder below its root, whichever root that is: all files of a
    user, forked copies included, are one worker's. (In the projects layout it is the project.)
    """

    index: int
    of: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    def has(self, key: str, root: str | None) -> bool:
        """Whether a file is in it.

        Args:
            root: the name of its root. Of a row that does not know it every shard is told, for
                nothing is taken for gone or done because of it.
        """
        if root is None:
            return True
        folder, _, _ = key.removeprefix(f"{root}:" if root else "").partition("/")
        return _number(folder) % self.of == self.index - 1


@lru_cache(maxsize=1 << 16)
def _number(folder: str) -> int:
    """A number for a first folder of keys; many files are below few of them."""
    # As the folder is called: a key of before colons were escaped is of the same user.
    name, _ = owner_of(f"{folder}/")
    return crc32(name.encode("utf-8", "surrogatepass"))


def parse(text: str) -> Shard:
    """A shard from `I/N`, such as `1/4`.

    Raises:
        SettingsError: it is none.
    """
    found = _FORM.fullmatch(text.strip())
    if found:
        index, of = int(found[1]), int(found[2])
        if 1 <= index <= of <= _MOST:
            return Shard(index, of)
    raise SettingsError(
        f"shard {text!r} is none; write I/N, such as 1/4, with I from 1 to N and N at most {_MOST}"
    )


def every(shards: int) -> list[Shard | None]:
    """All shards there are; of one, none: it is everything."""
    return [Shard(index + 1, shards) for index in range(shards)] if shards > 1 else [None]


def scan_in(scan: Scan, shard: Shard | None) -> Scan:
    """What of the scan is in the shard. Each entry is of one shard, so that sums are right."""
    if shard is None:
        return scan
    files = [file for file in scan.files if shard.has(file.key, file.root)]
    return replace(scan, files=files, left_out=[x for x in scan.left_out if _is_in(x.key, shard)])


def _is_in(key: str, shard: Shard) -> bool:
    # A scan escapes colons in first folders, so one in front of a slash ends the name of a root.
    root, colon, _ = key.partition("/")[0].partition(":")
    return shard.has(key, root if colon else "")


def known_in(known: Known, shard: Shard | None) -> Known:
    """What is known of the shard's files. What waits to be derived is everyone's."""
    if shard is None:
        return known
    states, failures = _rows_in(known.states, shard), _rows_in(known.failures, shard)
    return replace(known, states=states, failures=failures)


def sight_in(seen: Sight, shard: Shard | None) -> Sight:
    """What was seen of the shard's files. What is summed up of the rest counts its files only; the
    newest times, days and what is gone stay those of all."""
    if shard is None:
        return seen
    scan, known = scan_in(seen.scan, shard), known_in(seen.known, shard)
    files = [file for file in seen.files if shard.has(file.key, file.root)]
    if known.places is not None:
        known = replace(known, rest=replace(known.rest, files=len(scan.files) - len(files)))
    return Sight(scan, files, known)


def _rows_in(rows: Mapping[str, _Row], shard: Shard) -> dict[str, _Row]:
    return {key: row for key, row in rows.items() if shard.has(key, row.root)}
