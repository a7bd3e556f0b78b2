"""How the program ends: its exit code, with one line for people and one document for scripts.

0: done. 1: done, but for a file, a plugin or the browser. 2: it could not work. That whoever read
the output has gone is no error. Every command ends here, whatever it raises.
"""

import io
import json
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

import click

from session_pipeline_dagster.errors import OthersWrite, PipelineError, where
from session_pipeline_dagster.names import printable

if TYPE_CHECKING:
    from session_pipeline_dagster.people.veil import Veil

COULD_NOT = 2
_AGAIN = 1
_INTERRUPTED = 130


def ended(work: Callable[[], object], *, as_json: bool) -> int:
    """Do the work of a command; the exit code.

    Args:
        as_json: an error is also a document on stdout.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal or a pipe of any encoding takes every text, if not as it is.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _done(work, as_json=as_json)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        code = 0
    except OSError as error:
        _complain(f"session-pipeline: the output cannot be written ({error.strerror})")
        code = COULD_NOT
    else:
        return code
    # What is still in a buffer would fail once more when the interpreter ends.
    for stream in (sys.stdout, sys.stderr):
        _silence(stream)
    return code


def _done(work: Callable[[], object], *, as_json: bool) -> int:
    """The exit code of the work, with what is wrong said.

    Raises:
        OSError: stdout cannot be written to.
    """
    stdout = sys.stdout
    try:
        code = work()
    except SystemExit as ending:
        if sys.stdout is not stdout:
            # Click answers a closed pipe by replacing it, and would call it a failure.
            raise BrokenPipeError from None
        code = ending.code
    except click.Abort:
        return _fail("Interrupted", "interrupted", "Start it again.", as_json, _INTERRUPTED)
    except click.ClickException as error:
        text = io.StringIO()
        error.show(text)
        for line in text.getvalue().expandtabs(4).splitlines():
            _complain(line)
        return _document("UsageError", error.format_message(), "See --help.", as_json)
    except PipelineError as error:
        code = _AGAIN if isinstance(error, OthersWrite) else COULD_NOT
        return _fail(type(error).__name__, _veil().error(error), error.hint, as_json, code)
    except OSError as error:
        if error.filename is None:
            raise
        what = f"{_file_of(error)}: {error.strerror}"
        return _fail(type(error).__name__, what, "Give this user access to it.", as_json)
    except Exception as error:  # noqa: BLE001  Python's own exit code would say that the work was done
        _trace(error)
        kind = type(error).__name__
        what = f"{kind}{where(error)}, which is a bug"
        return _fail(kind, what, "Report it, with the traceback.", as_json)
    return code if isinstance(code, int) else 0


def _veil() -> "Veil":
    """Whether people are hidden; the settings may be what is wrong."""
    from session_pipeline_dagster.people.veil import Veil  # noqa: PLC0415  who asks for help does not wait for it
    from session_pipeline_dagster.settings import read_people_mode  # noqa: PLC0415  likewise

    return Veil(read_people_mode())


def _file_of(error: OSError) -> object:
    return "a file, which is not named here" if _veil().hides else error.filename


def _trace(error: Exception) -> None:
    """Where it came from; without its message where people are hidden, which may name some."""
    if not _veil().hides:
        traceback.print_exc()
        return
    for line in "".join(traceback.format_tb(error.__traceback__)).splitlines():
        _complain(line)


def _fail(kind: str, message: str, hint: str, as_json: bool, code: int = COULD_NOT) -> int:
    _complain(f"session-pipeline: {message}")
    return _document(kind, message, hint, as_json, code)


def _document(kind: str, message: str, hint: str, as_json: bool, code: int = COULD_NOT) -> int:
    if as_json:
        click.echo(json.dumps({"error": error_json(kind, message, hint)}, indent=1))
    return code


def error_json(kind: str, message: str, hint: str) -> dict[str, str]:
    """What every document says of an error."""
    return {"type": kind, "message": message, "hint": hint}


def _complain(line: str) -> None:
    """A line on stderr, if that is there and takes it."""
    with suppress(OSError):
        click.echo(printable(line), err=True)


def _silence(stream: TextIO | None) -> None:
    with suppress(OSError, ValueError, AttributeError):
        descriptor = stream.fileno() if stream else None
        if descriptor is not None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
