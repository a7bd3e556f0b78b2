"""How often the database's file is opened: connections inside an open one cost nothing."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from session_pipeline_dagster.store.file.place import DuckDBFile


class Openings:
    """Counts them from now on, in this process.

    Attributes:
        opened: how often. inside: connections that are open now.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened, self.inside = 0, 0
        connect = DuckDBFile.connect

        @contextmanager
        def counted(place: DuckDBFile, timeout: timedelta | None = None) -> Generator[object]:
            self.opened, self.inside = self.opened + (not self.inside), self.inside + 1
            try:
                with connect(place, timeout) as connection:
                    yield connection
            finally:
                self.inside -= 1

        monkeypatch.setattr(DuckDBFile, "connect", counted)
