"""How a step ends that cannot do its work, on a real instance, byte by byte."""

from pathlib import Path

import dagster as dg
import pytest

from session_pipeline_dagster.errors import SettingsError, StoreUnusable
from session_pipeline_dagster.orchestration.failing import failing_in_words
from session_pipeline_dagster.settings import PeopleMode, PeopleSettings, Settings

WORD = b"zorblaxia"
ERRORS = {
    "bug": KeyError("zorblaxia"),
    "file": FileNotFoundError(2, "gone", "/srv/zorblaxia/x.jsonl"),
    "settings": SettingsError('seats.toml:3: "zorblaxia" has two seats'),
    "ours": StoreUnusable("the database is damaged"),
}


def left_by(error: Exception, mode: PeopleMode) -> bytes:
    """Every byte that a failed run leaves."""

    @dg.op
    def step() -> None:
        with failing_in_words(Settings(people=PeopleSettings(mode=mode))):
            raise error

    @dg.job
    def failing() -> None:
        step()

    with dg.DagsterInstance.local_temp() as instance:
        assert not failing.execute_in_process(instance=instance, raise_on_error=False).success
        files = Path(instance.root_directory).rglob("*")
        return b"".join(path.read_bytes() for path in files if path.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("name", ERRORS)
def test_where_people_are_hidden_no_exception_names_them_in_a_run(name: str) -> None:
    error = ERRORS[name]
    hidden = left_by(error, PeopleMode.TEAM)
    assert WORD not in hidden
    assert {
        "bug": b"KeyError at test_failing.py",
        "file": b"FileNotFoundError at test_failing.py",
        "settings": b"seats.toml:3:",
        "ours": b"the database is damaged",
    }[name] in hidden
    if name == "bug":
        assert WORD in left_by(error, PeopleMode.NAMED)
