"""What one transaction writes. Filled by the runner, written by the store."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from session_pipeline_dagster.sources.files import Signature
from session_pipeline_dagster.store.states import Failure

if TYPE_CHECKING:
    from session_pipeline_dagster.store.columns import Packed


@dataclass(frozen=True, slots=True)
class Done:
    """The state row of one processed file.

    Attributes:
        appended_to: the hash of the content whose rows are kept; None = they are replaced.
        root: the name of the root it is below.
        left_out: what it looks like, if no reader claims it: it has no rows then.
        readers: who was asked; of a file that is read, the agent whose reader reads it.
    """

    session_file: str
    username: str
    session_day: date
    file_hash: str
    signature: Signature
    signature_at: datetime
    items: int = 0
    lines: int = 0
    unreadable_lines: int = 0
    unknown_lines: int = 0
    memo: str | None = None
    appended_to: str | None = None
    root: str = ""
    left_out: str | None = None
    readers: str | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """A file whose bytes are those already processed: only its signature is refreshed."""

    session_file: str
    signature: Signature
    signature_at: datetime


@dataclass(slots=True)
class Batch:
    """What one transaction writes: rows (by table, in parts) and records.

    `journal` are rows that are added and never replaced, whatever became of their files. `begun`:
    when its pass began to look at files; what was forgotten since is not written.
    """

    rows: dict[str, list["Packed"]] = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)
    signed: list[Signed] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    journal: dict[str, list["Packed"]] = field(default_factory=dict)
    begun: datetime | None = None

    def __bool__(self) -> bool:
        return bool(self.done or self.signed or self.failures or self.journal)

    def without(self, keys: Collection[str]) -> "Batch":
        """The batch without the done files of these keys, their rows included."""
        if not keys:
            return self
        kept = {d.session_file for d in self.done if d.session_file not in keys}
        from session_pipeline_dagster.store.columns import of_files  # noqa: PLC0415  see store.write.arrow_schema

        return Batch(
            {name: of_files(parts, kept) for name, parts in self.rows.items()},
            [d for d in self.done if d.session_file in kept],
            self.signed,
            self.failures,
            self.journal,
            self.begun,
        )

    def forgetting(self, is_forgotten: Callable[[str], bool]) -> "Batch":
        """The batch without anything about these files."""
        from session_pipeline_dagster.store.columns import not_of_files  # noqa: PLC0415  see store.write.arrow_schema

        return Batch(
            {name: not_of_files(parts, is_forgotten) for name, parts in self.rows.items()},
            [d for d in self.done if not is_forgotten(d.session_file)],
            [s for s in self.signed if not is_forgotten(s.session_file)],
            [f for f in self.failures if not is_forgotten(f.session_file)],
            {name: not_of_files(parts, is_forgotten) for name, parts in self.journal.items()},
            self.begun,
        )

    def keys(self) -> list[str]:
        """Every file that anything in it is of."""
        from session_pipeline_dagster.store.columns import keys_of  # noqa: PLC0415  see store.write.arrow_schema

        records = [*self.done, *self.signed, *self.failures]
        noted = {key for parts in self.journal.values() for key in keys_of(parts)}
        return sorted({record.session_file for record in records} | noted)

    def halves(self) -> "tuple[Batch, Batch] | None":
        """The batch in two, by its files; None where it is about one file only."""
        keys = self.keys()
        first = frozenset(keys[: len(keys) // 2])
        if not first:
            return None
        return self.forgetting(lambda key: key not in first), self.forgetting(first.__contains__)
