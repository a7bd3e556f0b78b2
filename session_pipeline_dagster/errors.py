"""The exception tree; each class says what the caller should do.

PipelineError
├── SettingsError       change the setting that the message names, start again
├── SourceUnavailable   session files cannot be looked at: mount or create the root, try again
│   └── WrongLayout     a root is laid out otherwise: say so, or force it
├── StoreError
│   ├── StoreBusy       another process holds the database: wait, or close it (`pid`)
│   │   └── OthersWrite     other machines write to a lake: the same command goes on later
│   └── StoreUnusable   the database cannot be opened as it is: do what the message says
│       └── StoreInterrupted  the line to it broke: do the whole transaction again
├── ContractError       a processor is not what `processor.py` asks for: fix the plugin
│   ├── RowsRefused     the database does not take rows of a batch: find the file they are of
│   └── StatementFailed a statement of it fails in the database, whatever the rows are
├── Permanent           the same bytes will fail again: quarantine the file now
├── Retryable           the same file may succeed later: try again, no attempt is burnt
└── Deferred            not in this pass: leave the file pending

Messages never hold transcript text: they name files, lines, settings and classes.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import ClassVar


class PipelineError(Exception):
    """Base of everything this project raises on purpose.

    Attributes:
        hint: what to do about it; the message may say it more exactly.
    """

    hint: ClassVar[str] = "Do what the message says."


class SettingsError(PipelineError):
    """A setting cannot be used; the message names it and says what it takes."""

    hint = "Change the setting or option that the message names."


class SourceUnavailable(PipelineError):
    """A root of session files is missing or not a directory. Not the same as "no files"."""

    hint = "Mount or create the root, or set SESSION_DATA_DIR."


class WrongLayout(SourceUnavailable):
    """Below a root is not what its layout says; the message has the command that is right."""

    hint = "Use the command that the message gives, or --force-layout."


class TargetUnavailable(PipelineError):
    """Where transcripts are collected cannot be reached or written to; says what to do."""

    hint = "Do what the message says, and start it again: what is there already is not sent again."


class StoreError(PipelineError):
    """The database could not be used."""

    hint = "Set SESSION_PIPELINE_DATABASE to a database that can be used."


class StoreBusy(StoreError):
    """Another process holds the database's lock.

    Attributes:
        pid: the process that holds it, if DuckDB said so.
    """

    hint = "Wait, or close the database in the process that holds it."

    def __init__(self, message: str, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class OthersWrite(StoreBusy):
    """Somebody wrote to the lake for longer than one waits; nothing is wrong with it."""

    hint = "Start it again."


class StoreUnusable(StoreError):
    """The database file is missing its folder, damaged, or of a newer version."""


class StoreInterrupted(StoreUnusable):
    """The line to the database broke, or somebody else was faster: nothing of it can be relied on.

    Attributes:
        commit: the name of a commit that may be in the database although nobody heard so.
    """

    def __init__(self, message: str, commit: str | None = None) -> None:
        super().__init__(message)
        self.commit = commit


class ContractError(PipelineError):
    """A processor broke the contract of `processor.py`."""

    hint = "Give a name that there is, or fix the plugin that the message names."


class RowsRefused(ContractError):
    """A table's own constraint refused a row; the message holds no value."""


class StatementFailed(ContractError):
    """A statement of a processor's own fails in the database, whatever the rows are."""


class Permanent(PipelineError):
    """Raised by a processor: these bytes will fail again, spend no second attempt on them."""


class Retryable(PipelineError):
    """Raised by a processor: try this file again later; it is not the file's fault.

    Attributes:
        retry_after: how long to wait, if whoever could not answer said so.
    """

    def __init__(self, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Deferred(PipelineError):
    """Raised by a processor: this pass has no room left for the file; the next one takes it."""


_LONGEST = 2000
"""Characters of a message: one that holds a whole file would be a row of the database."""
_LONG = 200
_STOPS = frozenset({"KeyboardInterrupt", "DagsterExecutionInterruptedError"})
"""By name, because Dagster is imported on the top floor only."""


def is_stop(error: BaseException) -> bool:
    """Whether somebody wants all of it to end: whatever else is raised is one thing that failed.

    Asked wherever strangers' code runs, which may also raise what is no `Exception`: an asyncio
    task's `CancelledError`, a panic of Rust code, `SystemExit`.
    """
    return any(kind.__name__ in _STOPS for kind in type(error).__mro__)


def message_of(error: BaseException) -> str:
    """Its message as a database takes it: text, and no more than a few lines of it."""
    try:
        text = str(error)
    except BaseException as broken:
        if is_stop(broken):
            raise
        return "its message cannot be made"
    return _storable(text)


def kind_of(error: BaseException) -> str:
    """The name of its class, and no more of it than a name is long."""
    return _storable(type(error).__name__, _LONG)


def _storable(text: str, longest: int = _LONGEST) -> str:
    """Not half characters, which no database takes, and not too many."""
    return text[:longest].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def first_line(error: BaseException) -> str:
    """Its message without what follows: a statement, a hint, a place."""
    return message_of(error).partition("\n")[0]


def where(error: BaseException) -> str:
    """Where it was raised, ` at file.py:12 in name`: what a message with transcript text must not
    say can be said by its place."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    name = _storable(code.co_filename.rpartition("/")[2], _LONG)
    return f" at {name}:{trace.tb_lineno} in {_storable(code.co_name, _LONG)}"


def failure_of(step: Callable[[], object]) -> str | None:
    """How a step that loads a stranger's code failed, and where; None if it did not.

    Not for what runs over transcripts: a message may quote them.
    """
    try:
        step()
    except BaseException as error:
        if is_stop(error):
            raise
        # A KeyError alone says very little.
        place = "" if isinstance(error, ContractError | ImportError) else where(error)
        return f"{type(error).__name__}: {first_line(error)}{place}"
    return None
