"""What one transaction writes. Filled by the runner, written by the store."""

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from session_pipeline_dagster.plan import Failure
from session_pipeline_dagster.sessions import Signature

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, slots=True)
class Done:
    """The state row of one processed file."""

    session_file: str
    username: str
    session_day: date
    items: int
    file_hash: str
    signature: Signature
    signature_at: datetime
    lines: int
    unreadable_lines: int
    unknown_lines: int
    memo: str | None
    append: bool = False


@dataclass(frozen=True, slots=True)
class Signed:
    """A file whose bytes are those already processed: only its signature is refreshed."""

    session_file: str
    signature: Signature
    signature_at: datetime


@dataclass(slots=True)
class Batch:
    """What one transaction writes: rows (Arrow, one list of tables per table name) and records."""

    rows: dict[str, list["pyarrow.Table"]] = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)
    signed: list[Signed] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.done or self.signed or self.failures)
