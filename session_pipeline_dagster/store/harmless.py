"""Text that DuckLake would take for its own is written in another way.

DuckLake 1.5 writes the least and the largest string of a file into its catalog's SQL and then
replaces `{SNAPSHOT_ID}` and its like in all of that SQL: such a text makes rows unfindable, or
every commit fail. A NUL ends the SQL in which it is looked for. So a name in braces gets a
zero-width space before the last one, and a NUL becomes U+FFFD; whatever looks for them looks for
the same.
"""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FOUND = r"\{[A-Z_]+\}|\x00"
_SPACE = "\u200b"
WRITTEN = "\\{([A-Z_]+)\u200b\\}"
GIVEN = ((WRITTEN, r"{\1}"),)
PARTS = ((r"\{([A-Z_]+)\}", "{\\1\u200b}"), (r"\x00", "\ufffd"))


def is_lake(connection: "DuckDBPyConnection") -> bool:
    """Whether the connection is in a lake."""
    sql = "SELECT type FROM duckdb_databases() WHERE database_name = current_database()"
    return connection.execute(sql).fetchall() == [("ducklake",)]


def harmless(text: str) -> str:
    """The text as a lake takes it."""
    for pattern, instead in PARTS:
        text = re.sub(pattern, instead, text)
    return text


def as_given(key: str) -> str:
    """The key of a file whose text a lake has taken as `harmless` has it."""
    return re.sub(WRITTEN, r"{\1}", key) if _SPACE in key else key
