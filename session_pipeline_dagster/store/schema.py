"""The store's own schema: made in a new file, brought up in an older one, refused in any other.

A migration is one transaction; before it the file is copied beside itself. Put a step here when
`schema.sql` changes, raise VERSION, and keep a small database of the old version in tests/data/.
"""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from session_pipeline_dagster.errors import StoreUnusable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

VERSION = 3
_ROOT_OF_KEY = "regexp_extract(session_file, '^([A-Za-z0-9_.-]+):', 1)"
STEPS: Mapping[int, Sequence[str]] = {
    1: ("ALTER TABLE session_processor_state ADD COLUMN IF NOT EXISTS gone_at TIMESTAMPTZ",),
    2: (
        "ALTER TABLE session_processor_state ADD COLUMN IF NOT EXISTS root VARCHAR",
        "ALTER TABLE session_processor_state ADD COLUMN IF NOT EXISTS left_out VARCHAR",
        "ALTER TABLE session_processor_state ADD COLUMN IF NOT EXISTS readers VARCHAR",
        "ALTER TABLE session_processor_failures ADD COLUMN IF NOT EXISTS root VARCHAR",
        # Until now a key was all that said it.
        f"UPDATE session_processor_state SET root = {_ROOT_OF_KEY} WHERE root IS NULL",
        f"UPDATE session_processor_failures SET root = {_ROOT_OF_KEY} WHERE root IS NULL",
        # Files of other agents were "processed, 0 messages"; they are looked at once more.
        """UPDATE session_processor_state SET processor_version = 0
        WHERE lines > 0 AND unknown_lines = lines""",
    ),
}
"""Version -> what makes the next one of it."""

Found = Sequence[tuple[object, ...]] | None
"""The rows of `session_pipeline_schema`; None = there is no such table."""

_COPY = "import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])"


def is_current(found: Found) -> bool:
    """Whether nothing has to be done."""
    return found == [(VERSION,)]


def bring_up(connection: "DuckDBPyConnection", database: Path, found: Found) -> None:
    """Make or migrate the store's own tables, in one transaction.

    Raises:
        StoreUnusable: the file is of a newer schema, or what it says of itself makes no sense.
    """
    if not found:
        # Also where an older version died while it made them.
        _run(connection, (_tables(), *_steps(1), f"INSERT INTO {_NAME} VALUES ({VERSION})"))
        return
    version = found[0][0]
    if len(found) > 1 or not isinstance(version, int) or version < 1:
        raise StoreUnusable(
            f"{database} is damaged: it does not say which schema it has. Restore a copy, or set "
            "SESSION_PIPELINE_DATABASE to a new file: all sessions are then read again"
        )
    if version > VERSION:
        raise StoreUnusable(
            f"{database} has schema {version}, this version knows {VERSION}; "
            "upgrade session-pipeline-dagster, or set SESSION_PIPELINE_DATABASE"
        )
    _keep_copy(database, version)
    _run(connection, (*_steps(version), f"UPDATE {_NAME} SET version = {VERSION}"))


_NAME = "session_pipeline_schema"


def _tables() -> str:
    return Path(__file__).with_name("schema.sql").read_text("utf-8")


def _steps(version: int) -> list[str]:
    return [sql for step in range(version, VERSION) for sql in STEPS[step]]


def _run(connection: "DuckDBPyConnection", statements: Sequence[str]) -> None:
    # All of it, or nothing: the caller closes the connection, and without a commit that undoes it.
    connection.begin()
    for sql in statements:
        connection.execute(sql)
    connection.commit()


def _keep_copy(database: Path, version: int) -> None:
    """Copy the file beside itself, with what is still in its write-ahead log.

    Raises:
        StoreUnusable: there is no room for it.
    """
    for suffix in (".wal", ""):
        source = database.with_name(database.name + suffix)
        if not source.exists():
            continue
        target = database.with_name(f"{database.name}.schema-{version}{suffix}")
        partly = target.with_name(f"{target.name}.part")
        # In a process of its own: closing the file here would give up the lock that this
        # process holds on it, as POSIX has it.
        copied = subprocess.run(  # noqa: S603  our own interpreter, no shell
            [sys.executable, "-c", _COPY, source, partly], capture_output=True, check=False
        )
        if copied.returncode:
            partly.unlink(missing_ok=True)
            raise StoreUnusable(
                f"{database} has schema {version} and is to be copied before it is brought up to "
                f"{VERSION}, but {target.name} cannot be written beside it; make room there"
            )
        partly.replace(target)
