"""A program: commit a batch of tallies to a lake, and stop for a line on stdin at a moment of it.

Usage: far_worker.py CATALOG DATA WORK SECONDS MOMENT NUMBER KEY...

SECONDS is its patience; MOMENT `before` the commit, `after` it or `never`. It says `here` at the
moment, and at its end in JSON: what it was told, and after how many seconds.
"""

import json
import os
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb

from session_pipeline_dagster.errors import StoreError
from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import read_settings
from session_pipeline_dagster.store.database import Store, open_store
from session_pipeline_dagster.store.place import Place
from tallies import Tallies, batch


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Stopping:
    """A place that stops once, at a commit."""

    def __init__(self, place: Place, moment: str) -> None:
        self.place, self.moment = place, moment

    def __getattr__(self, name: str) -> object:
        return getattr(self.place, name)

    def at(self, moment: str) -> None:
        if self.moment == moment:
            self.moment = ""
            say("here")
            sys.stdin.readline()

    def commit(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.at("before")
        self.place.commit(connection)
        self.at("after")


def main() -> None:
    catalog, data, work, patience, moment, number, *keys = sys.argv[1:]
    settings = replace(
        # How a bucket is reached.
        read_settings({name: os.environ[name] for name in os.environ if name[:4] == "AWS_"}),
        database=Lake(catalog),
        lake_data=data,
        work_dir=Path(work),
        lock_timeout=timedelta(seconds=float(patience)),
    )
    plain = open_store(settings)
    plain.prepare(Tallies())
    store = Store(Stopping(plain.place, moment))  # ty: ignore[invalid-argument-type]
    begun, told = time.monotonic(), None
    if moment == "never":
        say("here")
    try:
        store.commit(Tallies(), batch(int(number), *keys))
    except StoreError as error:
        told = str(error)
    say(json.dumps({"told": told, "seconds": time.monotonic() - begun}))


if __name__ == "__main__":
    main()
