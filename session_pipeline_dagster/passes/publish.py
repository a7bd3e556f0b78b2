"""A report from the store to its files: reads the rows, renders, puts the files in place."""

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.contract.report import Asked, Rendered, Report
from session_pipeline_dagster.errors import ContractError, SettingsError
from session_pipeline_dagster.guests import hosting
from session_pipeline_dagster.store.database import Store


@dataclass(frozen=True, slots=True)
class Published:
    """A report that was made.

    Attributes:
        paths: its files, absolute; the one to open comes first.
        numbers, preview: as in `Rendered`.
        bytes: of all files. `seconds`: to read the rows, render and write.
    """

    paths: Sequence[Path]
    numbers: Mapping[str, int | float]
    preview: str
    bytes: int
    seconds: float

    @property
    def headline(self) -> Sequence[tuple[str, str]]:
        """The numbers as people read them: `cost last 7 days, USD` and four digits of money."""
        return [(_called(name), _said(number)) for name, number in self.numbers.items()]


def publish(
    processor: Processor, report: Report, store: Store, folder: Path, asked: Asked
) -> Published:
    """Make the report in the folder, which is created if missing. No connection while rendering.

    Raises:
        SettingsError: the files cannot be written there.
        ContractError: a SELECT of the report is not valid, or its files are not the declared ones.
        StoreBusy: another report is still being made.
        StoreUnusable: there is nothing to read yet, and the store only looks.
    """
    started = time.monotonic()
    store.ready(processor)
    with store.exclusive("report"):
        with hosting(f"report {report.name!r}"):
            selects = [str(sql) for sql in report.selects(asked)]
        answers = store.query(*selects)
        with hosting(f"report {report.name!r}"):
            rendered = report.render(asked, [rows for _, rows in answers])
        if not isinstance(rendered, Rendered):
            kind = type(rendered).__name__
            raise ContractError(f"report {report.name!r} made {kind}, not a Rendered")
        if not rendered.files or not {*rendered.files} <= {*report.files}:
            # `forget` deletes what is declared; another file would keep who was forgotten.
            raise ContractError(f"report {report.name!r} made other files than it declares")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in rendered.files.items():
                _replace(folder / name, content)
        except OSError as error:
            raise SettingsError(
                f"the report cannot be written to {folder} ({error.strerror}); set "
                "SESSION_PIPELINE_REPORT_DIR"
            ) from error
    return Published(
        [(folder / name).resolve() for name in rendered.files],
        rendered.numbers,
        rendered.preview,
        sum(map(len, rendered.files.values())),
        time.monotonic() - started,
    )


def made(reports: Sequence[Report], folder: Path) -> list[Path]:
    """The reports' files that are there, and what a process that was killed had begun of them."""
    names = "|".join(re.escape(name) for report in reports for name in report.files)
    ours = re.compile(rf"(?:{names})|\.(?:{names})\.[0-9a-f]{{32}}")
    there = folder.iterdir() if folder.is_dir() else ()
    return sorted(path for path in there if ours.fullmatch(path.name))


def discard(reports: Sequence[Report], store: Store, folder: Path) -> list[Path]:
    """Delete the reports' files, so that they name nobody any more; which they were.

    Waits for a report that is being made: it may have been read before rows were deleted.

    Raises:
        StoreBusy: it is still being made after the time that one waits for the database.
    """
    with store.exclusive("report"):
        found = made(reports, folder)
        for path in found:
            path.unlink(missing_ok=True)
    return found


def _called(name: str) -> str:
    words = name.split("_")
    money = [word for word in words if word == "usd"]
    return " ".join(word for word in words if word != "usd") + (", USD" if money else "")


def _said(number: float) -> str:
    return f"{number:,.4f}" if isinstance(number, float) else f"{number:,}"


def _replace(path: Path, content: bytes) -> None:
    """All of the content or what was there before; permissions as the umask says."""
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
