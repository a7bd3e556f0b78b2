"""Which source the settings mean, and what is loaded for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from buckets import Given, faulty, s3
from session_pipeline_dagster.errors import SettingsError, WrongLayout
from session_pipeline_dagster.setting_places import Bucket
from session_pipeline_dagster.settings import Layout, Root, Settings
from session_pipeline_dagster.sources.layout import CheckedSource
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.sources.opening import open_checked, open_source
from session_pipeline_dagster.sources.several import SeveralSources

__all__ = ["faulty", "s3"]
LINE = b'{"type":"user"}\n'


def settings(*roots: Root | Bucket, **more: object) -> Settings:
    return Settings(roots=roots, **more)


def test_folders_alone_are_what_they_were(tmp_path: Path) -> None:
    found = settings(Root(tmp_path), Root(tmp_path, "b"))
    assert type(open_source(found)) is LocalSource
    assert type(open_checked(found)) is CheckedSource
    assert type(open_checked(settings(Root(tmp_path), force_layout=True))) is LocalSource


def test_a_bucket_beside_a_folder_makes_several(tmp_path: Path) -> None:
    found = open_source(settings(Root(tmp_path), Bucket("s3://b", "eu")))
    assert isinstance(found, SeveralSources)
    assert [*found.parts] == ["", "eu"]


PROGRAM = """
import sys
from pathlib import Path
{blocked}
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.setting_places import Bucket
from session_pipeline_dagster.settings import Root, Settings
from session_pipeline_dagster.sources.opening import open_checked
open_checked(Settings(roots=(Root(Path("/")),)))
assert sys.modules.get("obstore") is None
try:
    open_checked(Settings(roots=(Bucket("s3://b"),)))
except SettingsError as error:
    print(error)
"""


@pytest.mark.parametrize("installed", [True, False])
def test_what_reads_buckets_is_loaded_for_a_bucket_only_and_named_where_it_is_missing(
    installed: bool,
) -> None:
    program = PROGRAM.format(blocked="" if installed else "sys.modules['obstore'] = None")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    install = "pip install 'session-pipeline-dagster[objects]'"
    assert (install in done.stdout) is not installed


@pytest.mark.parametrize(
    ("keys", "prefix", "layout", "right"),
    [
        (["-home-a-app/x.jsonl"], "", Layout.USERS, "--layout projects --sessions s3://sessions"),
        (["p/-home-a/x.jsonl"], "p", Layout.USERS, "--layout projects --sessions s3://sessions/p"),
        (["projects/-home-a/x.jsonl"], "", Layout.USERS, "--sessions s3://sessions/projects"),
        (["team/bob/x.jsonl"], "team/bob", Layout.USERS, "--sessions s3://sessions/team`"),
        (["x.jsonl"], "", Layout.USERS, "put them below a prefix of their own"),
    ],
)
def test_a_layout_that_is_wrong_is_refused_in_a_bucket_too(
    faulty: Given, keys: list[str], prefix: str, layout: Layout, right: str
) -> None:
    for key in keys:
        faulty.put(key, LINE)
    found = settings(Bucket(faulty.url(prefix)), layout=layout, s3=faulty.settings)
    with pytest.raises(WrongLayout) as caught:
        open_checked(found).scan()
    assert right in str(caught.value)
    forced = settings(*found.roots, layout=layout, s3=faulty.settings, force_layout=True)
    open_checked(forced).scan()


def test_a_wrong_layout_of_one_root_is_no_root_that_is_missing(
    faulty: Given, tmp_path: Path
) -> None:
    faulty.put("-home-a-app/x.jsonl", LINE)
    found = settings(Root(tmp_path), Bucket(faulty.url(), "eu"), s3=faulty.settings)
    with pytest.raises(WrongLayout):
        open_checked(found).scan()


def test_a_prefix_that_no_folder_has_is_refused() -> None:
    with pytest.raises(SettingsError, match="no prefix"):
        open_source(settings(Bucket("s3://b/a//b"))).scan()
