"""What an open lake leaves in this machine's work folder, and what it never touches there."""

from dataclasses import replace
from pathlib import Path

from lakes import Lakes
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.store.database import open_store


def test_the_rows_of_a_lake_may_lie_in_the_work_folder(tmp_path: Path, lakes: Lakes) -> None:
    """Whatever they are called: only what engines have made for themselves is cleared away."""
    settings = replace(lakes.settings(tmp_path), work_dir=tmp_path, lake_data=f"{tmp_path}/lake-1/")
    open_store(settings).prepare(UsageProcessor())
    made = sorted(path for path in (tmp_path / "lake-1").rglob("*") if path.is_file())

    open_store(settings).known(UsageProcessor())

    assert made
    assert sorted(path for path in (tmp_path / "lake-1").rglob("*") if path.is_file()) == made
