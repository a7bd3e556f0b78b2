"""What the project asks of a language model: a system text, a payload and the shape of the answer.

How a provider is spoken to is in `anthropic.py` and `openai.py`, when to try again in `calls.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model: what the ledger keeps of it. No text.

    Attributes:
        purpose: what it was for (`detect`, `judge`).
        input_tokens: all of them, those read from a cache included.
        outcome: `ok`, or what went wrong (`rate_limited`, `timeout`, `refused`, ...).
        called_at: when it began, UTC.
    """

    purpose: str
    model: str
    called_at: datetime
    milliseconds: int
    outcome: str
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


Ledger = Callable[[Call], None]
"""Called once for every call, at once, whatever came of it."""


class Model(Protocol):
    """A language model that answers in a given shape. Safe to use from several threads.

    Attributes:
        name: as the provider names it.
    """

    name: str

    def ask(self, purpose: str, system: str, payload: str, answer: type[T], ledger: Ledger) -> T:
        """One answer of the shape `answer`.

        Args:
            system: instructions; the same for every call of a purpose, so that it can be cached.
            payload: what they are applied to. Redacted by the caller.

        Raises:
            Retryable: no answer before the deadline; `retry_after` if the provider said when.
            Permanent: it answers, but refuses or never in the shape.
            SettingsError: the provider does not take the key, or knows no such model.
        """
        ...
