"""A program: commit a batch of tallies to a lake, once a line on stdin says so.

Usage: tally_worker.py CATALOG DATA WORK NUMBER KEY...
"""

import sys
from datetime import timedelta
from pathlib import Path

from session_pipeline_dagster.setting_places import Lake
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store.database import open_store
from tallies import Tallies, batch, settled


def main() -> None:
    catalog, data, work, number, *keys = sys.argv[1:]
    settings = Settings(
        database=Lake(catalog),
        lake_data=data,
        work_dir=Path(work),
        lock_timeout=timedelta(seconds=60),
    )
    store = open_store(settings)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    store.prepare(Tallies())
    store.commit(Tallies(), batch(int(number), *keys))
    settled(store)


if __name__ == "__main__":
    main()
