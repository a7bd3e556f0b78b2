"""What is kept of a file so that the parent of a fork is found later without opening a transcript.

A fork writes the history it goes on from into its own file, line for line with the same uuids. So
the uuids of a file, eight bytes each, say which file goes on from which, and where.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from xxhash import xxh3_64_digest

from session_pipeline_dagster.transcripts.records import Record

DIGEST_BYTES = 8
MAX_ASKED_BY = 64
MAX_LINKS = 1_000
SESSION = "session:"
"""What the link of a session begins with."""
# Forks leave these out, or readers leave out their uuids.
_NOT_COPIED = frozenset(("attachment", "progress"))


@dataclass(frozen=True, slots=True)
class Trail:
    """The main thread of one file.

    Attributes:
        digests: 8 bytes for each line with a uuid, in line order.
        starts: hex digests of the lines where a copy of this history may begin: the first, and
            where a compaction left the rest behind.
        billed_after: (line number, how many of the lines in `digests` stand before it) of each
            cost-state line.
        asked_by: sessions that the lines name as those that made the call, newest first.
    """

    digests: bytes = b""
    starts: tuple[str, ...] = ()
    billed_after: tuple[tuple[int, int], ...] = ()
    asked_by: tuple[str, ...] = ()

    @property
    def root(self) -> str:
        """Hex digest of the first line with a uuid; "" where none has one."""
        return self.starts[0] if self.starts else ""

    def links(self, session_id: str) -> tuple[str, ...]:
        """Names that files of one family share: of the session, those it was copied from, starts.

        Args:
            session_id: whose file it is.
        """
        sessions = dict.fromkeys((session_id, *self.asked_by))
        return (*(f"{SESSION}{name}" for name in sessions), *self.starts)[:MAX_LINKS]


def trail_of(lines: Iterable[tuple[int, Record]]) -> Trail:
    """The trail of a file's lines, given as (line number, record); a subagent's file has none."""
    digests: list[bytes] = []
    starts: dict[bytes, None] = {}
    billed_after: list[tuple[int, int]] = []
    asked: dict[str, None] = {}
    for number, record in lines:
        if record.type == "cost-state":
            billed_after.append((number, len(digests)))
        # `/branch` leaves sidechains out, which old versions wrote between the other lines.
        if not record.uuid or record.is_sidechain or record.type in _NOT_COPIED:
            continue
        digest = xxh3_64_digest(record.uuid.encode("utf-8", "replace"))
        if record.is_compact_summary or not digests:
            # The line before a summary marks the compaction, and is where a later fork begins.
            starts.update(dict.fromkeys((*digests[-1:], digest)))
        digests.append(digest)
        if (asker := record.request_session_id) and asker != record.session_id:
            asked.pop(asker, None)
            asked[asker] = None
    return Trail(
        digests=b"".join(digests),
        starts=tuple(digest.hex() for digest in starts),
        billed_after=tuple(billed_after),
        asked_by=tuple(reversed(asked))[:MAX_ASKED_BY],
    )


def _family(links: str) -> str:
    """WITH clause of `family(link)`: all links of the files that share one with `links`, of those
    that share one with them, and so on."""
    return f"""WITH RECURSIVE family(link) AS (
            {links}
            UNION
            SELECT found.link
            FROM family
            JOIN usage_trail_links AS shared ON shared.link = family.link
            JOIN usage_trail_links AS found ON found.session_file = shared.session_file)"""


TOUCHED = f"""{_family("SELECT link FROM usage_trail_links SEMI JOIN batch USING (session_file)")}
        SELECT DISTINCT link FROM family WHERE starts_with(link, '{SESSION}')"""
"""SELECT of the parts whose bill the files in `batch(session_file)` may change: links of sessions,
those of which there is no file among them."""


def files_of(links: str) -> str:
    """SELECT of the files of all families that have one of some links.

    Args:
        links: SELECT of links, such as the parts of `TOUCHED`.
    """
    return f"""{_family(links)}
        SELECT DISTINCT session_file FROM usage_trail_links SEMI JOIN family USING (link)"""
