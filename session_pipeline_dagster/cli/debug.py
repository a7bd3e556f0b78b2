"""`--debug`: what a plugin's own exceptions said, which is kept out of everything else.

They may quote the transcript, so nobody sees them who has not asked.
"""

import traceback
from dataclasses import dataclass, field
from typing import Any

import click

from session_pipeline_dagster.contract.processor import (
    Processor,
    ProcessorResult,
    Session,
    begin,
)
from session_pipeline_dagster.errors import PipelineError, kind_of
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.people.veil import Veil
from session_pipeline_dagster.settings import Settings


def debugged(processor: Processor, veil: Veil) -> Processor:
    """The processor, and what it raises is shown."""
    made: Any = Debugged(processor, veil)
    return made


@dataclass(frozen=True)
class Debugged:
    """A processor whose exceptions are shown before they become a failure of a file.

    The same one over many files is shown once in each process that works.
    """

    processor: Processor
    veil: Veil = field(default_factory=Veil)
    shown: set[str] = field(default_factory=set, compare=False)

    def __getattr__(self, name: str) -> Any:
        # Not before it is there: a copy in another process is made without __init__.
        if name.startswith("__") or "processor" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self.processor, name)

    def begin(self, settings: Settings, run_id: str | None) -> "Debugged":
        """The processor of one pass, debugged."""
        return Debugged(begin(self.processor, settings, run_id), self.veil)

    def process(self, session: Session) -> ProcessorResult:
        """What the processor makes of it."""
        try:
            return self.processor.process(session)
        except PipelineError:
            raise
        except Exception as error:
            self._show(error, session.key)
            raise

    def _show(self, error: Exception, key: str) -> None:
        text = _said(error, self.veil)
        place = repr(traceback.extract_tb(error.__traceback__)[-1])
        if place not in self.shown:
            self.shown.add(place)
            show(f"processor {self.processor.name!r}, {self.veil.file(key)}", text)


def show(what: str, text: str) -> None:
    """An exception's own words, on stderr."""
    lines = [f"session-pipeline: debug: {what}:", *text.rstrip().split("\n")]
    click.echo("\n".join(map(printable, lines)), err=True)


def show_cause(what: str, error: BaseException, veil: Veil) -> None:
    """What is behind one of our errors, if a stranger's exception is."""
    if cause := error.__cause__ or error.__context__:
        show(what, _said(cause, veil))


def _said(error: BaseException, veil: Veil) -> str:
    """The exception with its trace; where people are hidden, without the message, which may name
    some as it may quote anything."""
    if not veil.hides:
        return "".join(traceback.format_exception(error))
    trace = "".join(traceback.format_tb(error.__traceback__))
    return f"{trace}{kind_of(error)} (its message is not shown: people are hidden)"
