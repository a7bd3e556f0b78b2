"""What one pass may spend on a model, and when it stops to ask one that does not answer."""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from session_pipeline_dagster.contract.processor import Notes
from session_pipeline_dagster.errors import Deferred, Retryable

_DOWN = 3
"""Sessions in a row without an answer, after which no further one is begun."""


class Budget:
    """Tokens of one pass, shared by its threads. Checked before a session is begun, so that one
    that has begun is not paid twice; those that are under way may go over it."""

    def __init__(self, tokens: int | None) -> None:
        self._tokens, self._spent, self._unanswered = tokens, 0, 0
        self._lock = threading.Lock()

    @contextmanager
    def spending(self, notes: Notes) -> Generator[None]:
        """Around the questions about one session.

        Raises:
            Deferred: this pass asks nothing more.
        """
        with self._lock:
            used_up = self._tokens is not None and self._spent >= self._tokens
            down = self._unanswered >= _DOWN
        if used_up:
            notes.count("waiting_for_tokens")
            raise Deferred(f"the {self._tokens} tokens of this run are used up")
        if down:
            notes.count("waiting_for_the_model")
            raise Deferred(f"{_DOWN} sessions in a row had no answer")
        try:
            yield
        except Retryable:
            with self._lock:
                self._unanswered += 1
            raise
        else:
            with self._lock:
                self._unanswered = 0
        finally:
            names = ("llm_input_tokens", "llm_output_tokens")
            with self._lock:
                self._spent += sum(notes.counts.get(name, 0) for name in names)
