"""What errors of a lake's parts mean to a user, and what to do. No message of theirs is quoted that
could hold a value of a row."""

import re

import duckdb

from session_pipeline_dagster.errors import StoreError, StoreInterrupted, StoreUnusable

_REFUSED = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "permission denied",
    "no such file or directory, expected",
)
"""What waiting does not help against."""
_NO_BUCKET = ("NoSuchBucket", "bucket does not exist")
_GONE = ("NoSuchKey", "HTTP 404", "(404)", "Cannot open file : No such file")
_NO_ACCESS = ("HTTP 403", "(403)", "AccessDenied", "Forbidden", "InvalidAccessKey", "Signature")
_NO_SERVER = ("error for HTTP", "Could not connect to server", "Could not resolve")
_NOT_OURS = re.compile(
    r"(?:Cannot open file|Failed to create directory) : (Read-only file system|Permission denied)"
)
_NO_CATALOG = (" from DuckLake: ", "Failed to prepare COPY", "server closed the connection")
_FULL = ("No space left", "Disk quota exceeded")
_LONGEST = 200
_BROKEN = (
    duckdb.IOException,
    duckdb.HTTPException,
    duckdb.InternalException,
    duckdb.FatalException,
    duckdb.SerializationException,
    duckdb.OutOfMemoryException,
    duckdb.TransactionException,
)
_BINDING = (duckdb.BinderException, duckdb.CatalogException)
_AT_THE_CATALOG = re.compile(r"[A-Z][A-Za-z ]*: Failed to [a-z]")
"""How it begins where a statement could not be bound for want of its catalog: no statement is to
blame then, though it is of that class."""


def broken_by(error: BaseException) -> duckdb.Error | None:
    """The error of the database behind it that no statement is to blame for; None = one is."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, duckdb.Error) and (
            # A query that Postgres does not answer is of no class of its own.
            type(found) is duckdb.Error
            or isinstance(found, _BROKEN)
            or (isinstance(found, _BINDING) and _AT_THE_CATALOG.match(str(found)))
        ):
            return found
        found = found.__cause__ or found.__context__
    return None


def of_postgres(label: str, text: str, commit: str | None = None) -> StoreError:
    """What libpq said of the catalog, in words."""
    said = _line(text)
    if any(part in text for part in _REFUSED):
        return StoreUnusable(
            f"the catalog of {label} cannot be used ({said}); set SESSION_PIPELINE_DATABASE, and "
            "the password in PGPASSFILE or PGPASSWORD"
        )
    return StoreInterrupted(f"the catalog of {label} does not answer ({said})", commit)


def of_the_engine(label: str, data: str, text: str) -> StoreError:
    """What DuckDB said when the lake was opened, read or written, in words."""
    text = _without_quoted(text)
    if "Out of Memory" in text:
        return StoreUnusable(
            f"{label} needs more memory than SESSION_PIPELINE_DATABASE_MEMORY_MB allows; "
            "set it to more. What was committed before stays, the rest is done by the next run"
        )
    if any(part in text for part in _FULL):
        return StoreUnusable(
            f"{label} cannot be written, there is no space left; make room. What was committed "
            "before stays, the rest is done by the next run"
        )
    if found := _of_the_files(label, data, text):
        return found
    if "DuckLake catalog version" in text or "ducklake_version" in text:
        return StoreUnusable(
            f"{label} was made by another version of DuckLake; upgrade session-pipeline-dagster"
        )
    if any(part in text for part in _REFUSED):
        return of_postgres(label, text)
    if any(part in text for part in _NO_CATALOG):
        return StoreInterrupted(f"the catalog of {label} does not answer ({_line(text)})")
    return StoreInterrupted(f"{label} cannot be used at the moment ({_line(text)})")


def _of_the_files(label: str, data: str, text: str) -> StoreError | None:
    """What is wrong with the place of the files, if it is that."""
    if any(part in text for part in _NO_BUCKET):
        return StoreUnusable(f"there is no {data}; see SESSION_PIPELINE_LAKE_DATA")
    if any(part in text for part in _GONE):
        return StoreInterrupted(
            f"a file of {label} is not in {data}: `forget` or upkeep has just deleted it, or it is "
            "not mounted, or not the place that SESSION_PIPELINE_LAKE_DATA should name"
        )
    if any(part in text for part in _NO_ACCESS):
        return StoreUnusable(
            f"{data} may not be used with these keys; see AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        )
    if found := _NOT_OURS.search(text):
        return StoreUnusable(f"{data} cannot be used as it is ({found[1]})")
    if any(part in text for part in _NO_SERVER):
        return StoreInterrupted(f"{data} does not answer; see AWS_ENDPOINT_URL and the network")
    return None


def _without_quoted(text: str) -> str:
    """The text without all that is between its first and its last quote: a statement, in which
    values of rows stand, or a path. Neither is shown, nor taken for what went wrong."""
    before, _, rest = text.partition('"')
    return before + rest.rpartition('"')[2] if '"' in rest else before


def _line(text: str) -> str:
    """The first line of it that says something, without where libpq was going."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = lines[0] if lines else "no reason given"
    said = re.sub(r"^connection failed: ", "", said)
    said = re.sub(r"^connection to server .*? failed: ", "", said)
    return said[:_LONGEST]
