"""A DuckDB in memory with a lake attached, hardened: it reaches the lake's own files and no others.

The extensions are loaded from their packages, so nothing is fetched. What writes reaches the files
by a way of its own that can be blocked: DuckLake deletes the files of a commit whose answer it did
not hear, although the catalog has it (docs/decisions/0038-lake.md).
"""

import contextlib
import importlib.util
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from urllib.parse import urlsplit

import duckdb

from session_pipeline_dagster.errors import SettingsError, StoreUnusable
from session_pipeline_dagster.setting_places import Lake, S3Settings
from session_pipeline_dagster.store.lake.scratch import Scratch, scratch

NAME = "store"
"""What a lake is called in here."""
_NOWHERE = "127.0.0.1:9"
"""The port of `discard`: nobody answers there."""
_EXTENSIONS = ("postgres_scanner", "ducklake", "httpfs")
RETRIES = 0
"""The lock makes conflicts rare; a whole transaction is done again, not its commit."""
_REQUEST_SECONDS = 30
_SIGN = "about-this-folder.csv"
_ABOUT = "These files are of a DuckLake; its catalog in Postgres names each of them."
_INSTALL = "pip install -c constraints.txt 'session-pipeline-dagster[lake]'"


@dataclass(frozen=True, slots=True)
class Opening:
    """How a lake is opened.

    Attributes:
        conninfo: how libpq finds the catalog.
        data: where the Parquet is, with a slash at its end.
        folder: where this machine's temporary files go.
    """

    lake: Lake
    conninfo: str
    data: str
    s3: S3Settings = field(repr=False)
    folder: Path
    memory_mb: int = 128
    threads: int = 1

    @property
    def in_bucket(self) -> bool:
        """Whether the Parquet is in a bucket, not in a folder."""
        return "://" in self.data


@dataclass(slots=True)
class Engine:
    """An open DuckDB; `scratch` is its own folder, and goes with it or with its process.

    Attributes:
        way: what the lake's folder is called in here; None where it is in a bucket.
    """

    opening: Opening
    database: duckdb.DuckDBPyConnection
    scratch: Scratch
    way: Path | None
    ending: Callable[[], object]
    _counting: Lock = field(default_factory=Lock)
    _open: int = 0
    _unwanted: bool = False

    @contextmanager
    def connection(self) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection of it, in the lake; what is not committed at its end is undone."""
        with self._counting:
            self._open += 1
        connection = self.database.cursor()
        try:
            connection.execute(f"USE {NAME}")
            yield connection
        finally:
            _close(connection)
            with self._counting:
                self._open -= 1
            self._end_if_unwanted()

    @contextmanager
    def cut_off(self) -> Generator[None]:
        """For as long as the block no file of the lake can be reached by it."""
        if self.way is not None:
            self.way.unlink(missing_ok=True)
            try:
                yield
            finally:
                # If somebody has removed the folder, the next statement says so: the commit holds.
                with contextlib.suppress(OSError):
                    self.way.symlink_to(self.opening.data)
        else:
            self.database.execute(_secret(self.opening, _NOWHERE))
            try:
                yield
            finally:
                self.database.execute(_secret(self.opening))

    def close(self) -> None:
        """Close it and remove its folder, once nobody has a connection of it any more: closing it
        would close theirs, whatever they are at (see `_close`)."""
        self._unwanted = True
        self._end_if_unwanted()

    def _end_if_unwanted(self) -> None:
        with self._counting:
            if self._unwanted and not self._open:
                with contextlib.suppress(duckdb.Error):
                    self.database.close()
                self.ending()


def _close(connection: duckdb.DuckDBPyConnection) -> None:
    """Undo what is not committed, then close: DuckDB ends the process if the line to Postgres is
    down when it undoes by itself."""
    with contextlib.suppress(duckdb.Error):
        connection.rollback()
    with contextlib.suppress(duckdb.Error):
        connection.close()


def open_engine(opening: Opening, *, writes: bool, new: bool = False) -> Engine:
    """An engine over the lake.

    Args:
        writes: whether it may write.
        new: whether there is no lake yet; it is made.

    Raises:
        duckdb.Error: it cannot be opened.
        SettingsError: an extension is not installed. StoreUnusable: this machine has no room.
    """
    own, way = scratch(opening.folder), None
    with contextlib.ExitStack() as undone:
        undone.callback(own.remove)
        database = duckdb.connect(
            ":memory:",
            config={
                "threads": opening.threads,
                "memory_limit": f"{opening.memory_mb}MB",
                "custom_user_agent": "session-pipeline-dagster",
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "temp_directory": str(own.path / "temporary"),
                # What someone keeps at home for other work is not ours to use.
                "secret_directory": str(own.path / "secrets"),
            },
        )
        undone.callback(_close, database)
        data = opening.data
        for name in _EXTENSIONS:
            database.load_extension(_extension(name))
        if opening.in_bucket:
            for name, value in (("http_retries", 2), ("http_timeout", _REQUEST_SECONDS)):
                database.execute(f"SET {name} = {value}")
            database.execute(_secret(opening))
        elif writes and not new:
            way = own.path / "data"
            way.symlink_to(data)
            data = f"{way}/"
        if new:
            _check_nobodys(database, opening)
            # Else a bucket that is mistyped would stand in the catalog for ever.
            database.execute(
                f"COPY (SELECT {_text(_ABOUT)}) TO {_text(data + _SIGN)} (HEADER false)"
            )
        database.execute(_attach(opening, data, writes=writes, new=new))
        if new:
            database.execute(f"CALL {NAME}.set_option('data_inlining_row_limit', 0)")
        database.execute(f"SET ducklake_max_retry_count = {RETRIES}")
        # No other way leads out of here from now on.
        spilled = f"{own.path / 'temporary'}/"
        database.execute(f"SET allowed_directories = [{_text(data)}, {_text(spilled)}]")
        database.execute("SET enable_external_access = false")
        database.execute("SET lock_configuration = true")
        undone.pop_all()
    return Engine(opening, database, own, way, weakref.finalize(database, own.remove))


def _check_nobodys(database: duckdb.DuckDBPyConnection, opening: Opening) -> None:
    """Two lakes over one place would take each other's rows for what a kill has left."""
    there = "SELECT 1 FROM glob(?) LIMIT 1"
    if database.execute(there, [f"{opening.data}**/*.parquet"]).fetchall():
        raise StoreUnusable(
            f"{opening.data} holds Parquet already, of another lake or of somebody else; set "
            "SESSION_PIPELINE_LAKE_DATA to an empty place, or SESSION_PIPELINE_DATABASE to the "
            "catalog that it is of"
        )


def _attach(opening: Opening, data: str, *, writes: bool, new: bool) -> str:
    options = ["DATA_INLINING_ROW_LIMIT 0"]
    if writes:
        options.append(f"DATA_PATH {_text(data)}")
    if writes and not new:
        options.append("OVERRIDE_DATA_PATH true")
    if not new:
        # Only the one who has the lock makes a lake.
        options.append("CREATE_IF_NOT_EXISTS false")
    if not writes:
        options.append("READ_ONLY")
    catalog = f"ducklake:postgres:{opening.conninfo}"
    return f"ATTACH {_text(catalog)} AS {NAME} ({', '.join(options)})"


def _secret(opening: Opening, elsewhere: str | None = None) -> str:
    """How DuckDB reaches the bucket; or `elsewhere`, where nobody answers."""
    s3 = opening.s3
    said = {"TYPE": "s3"}
    given = {
        "KEY_ID": s3.access_key_id,
        "SECRET": s3.secret_access_key,
        "SESSION_TOKEN": s3.session_token,
        "REGION": s3.region,
    }
    said |= {name: _text(value) for name, value in given.items() if value}
    if s3.endpoint or elsewhere:
        endpoint = urlsplit(s3.endpoint or "")
        said["ENDPOINT"] = _text(elsewhere or endpoint.netloc + endpoint.path.rstrip("/"))
        said["URL_STYLE"] = "'path'"
        said["USE_SSL"] = str(not elsewhere and endpoint.scheme == "https")
    said["SCOPE"] = _text(opening.data)
    parts = ", ".join(f"{name} {value}" for name, value in said.items())
    return f"CREATE OR REPLACE SECRET lake_data ({parts})"


def _text(value: str) -> str:
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def _extension(name: str) -> str:
    """Where the extension's file is, in its package."""
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    if found is None or found.origin is None:
        raise SettingsError(f"the extension {name} is not installed; {_INSTALL}")
    versions = Path(found.origin).parent / "extensions"
    file = versions / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not file.exists():
        there = ", ".join(sorted(path.name for path in versions.iterdir()))
        raise SettingsError(
            f"DuckDB {duckdb.__version__} cannot load the extension {name} of {there}; {_INSTALL}"
        )
    return str(file)
