"""Databases and roots that are not on this machine: how they are written, what is refused."""

from pathlib import Path

import pytest

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.setting_places import (
    Bucket,
    Lake,
    S3Settings,
    lake_data,
    last_part,
    parse_database,
    parse_roots,
    shown,
)
from session_pipeline_dagster.settings import Root, Settings, read_settings

CATALOG = "host=db.example dbname=lake user=pipeline"


def test_a_lake_is_named_by_how_its_catalog_is_found():
    lake = parse_database(f"ducklake:postgres:{CATALOG}")

    assert lake == Lake(CATALOG)
    assert str(lake) == shown(lake) == f"ducklake:postgres:{CATALOG}"


def test_with_a_lake_this_machines_own_files_are_in_the_work_folder(tmp_path: Path):
    settings = read_settings(
        {
            "SESSION_PIPELINE_DATABASE": f"ducklake:postgres:{CATALOG}",
            "SESSION_PIPELINE_WORK_DIR": str(tmp_path),
        }
    )

    assert settings.folder == tmp_path
    assert settings.reports == tmp_path / "reports"


@pytest.mark.parametrize(
    "text",
    [
        "ducklake:postgres:host=x password=hunter2",
        "ducklake:postgres:password = hunter2 host=x",
        "ducklake:postgres:postgresql://me:hunter2@x/lake",
        "ducklake:postgres:postgresql://x/lake?password=hunter2",
        "ducklake:postgres:postgresql://x/lake?p%61ssword=hunter2",
        "ducklake:postgres:postgresql://me:hunter2/3@x/lake",
        "ducklake:postgres:host=x sslpassword=hunter2",
        "ducklake:postgres:host=x passwd=hunter2",
    ],
)
def test_a_password_in_the_database_is_refused_without_being_shown(text: str):
    with pytest.raises(SettingsError, match="PGPASSFILE") as error:
        parse_database(text)

    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("url", ["s3://me:hunter2@b/x", "s3://b/x?s3_secret_access_key=hunter2"])
def test_a_key_in_a_lakes_data_is_refused_without_being_shown(url: str):
    with pytest.raises(SettingsError, match="AWS_SECRET_ACCESS_KEY") as error:
        lake_data(url)

    assert "hunter2" not in str(error.value)


def test_a_password_in_an_endpoint_is_refused_once_the_endpoint_is_needed():
    settings = read_settings({"AWS_ENDPOINT_URL": "http://me:hunter2@x:1"})

    with pytest.raises(SettingsError, match="AWS_ENDPOINT_URL") as error:
        settings.s3.check_endpoint()
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "ducklake:",
        "ducklake:postgres:",
        "ducklake:sqlite:x.db",
        "ducklake:x.ducklake",
        "postgres:host=x",
        "postgresql://x/y",
        "mysql:host=x",
        "md:x",
        "ducklake:postgres:host='x'",
        "ducklake:postgres:host=x\\",
        "ducklake:postgres:host=x\n",
    ],
)
def test_another_kind_of_database_is_refused_in_words(text: str):
    if text.endswith("\n"):
        text = f"{text}y"
    with pytest.raises(SettingsError, match="SESSION_PIPELINE_DATABASE"):
        parse_database(text)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("s3://b/lake", "s3://b/lake/"),
        ("s3://b/lake//", "s3://b/lake/"),
        ("/mnt/lake", "/mnt/lake/"),
        ("/mnt/lake/", "/mnt/lake/"),
        ("/", "/"),
    ],
)
def test_a_slash_at_the_end_of_a_lakes_data_makes_no_difference(text: str, where: str):
    assert lake_data(text) == where


def test_a_lakes_folder_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    assert lake_data("lake") == f"{tmp_path}/lake/"


def test_roots_are_separated_by_spaces_if_any_is_a_url():
    roots = parse_roots("eu=s3://bucket/sessions/ us=gs://other /mnt/some%20folder")

    assert roots == (
        Bucket("s3://bucket/sessions", "eu"),
        Bucket("gs://other", "us"),
        Root(Path("/mnt/some folder")),
    )


def test_roots_without_a_url_are_written_as_ever():
    assert parse_roots("a=/x y:b=/z") == (Root(Path("/x y"), "a"), Root(Path("/z"), "b"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://x/y", "folders, s3://"),
        ("s3://", "bucket/prefix"),
        ("s3:///x", "bucket/prefix"),
        ("s3://key:hunter2@bucket/x", "AWS_ACCESS_KEY_ID"),
        ("s3://bucket/x?secret=hunter2", "bucket/prefix"),
        ("s3://[x", "bucket/prefix"),
        ("s3://a s3://b", "two roots without a name"),
        ("x=s3://a x=s3://b", "twice"),
    ],
)
def test_a_root_that_cannot_be_used_is_refused_in_words(text: str, said: str):
    with pytest.raises(SettingsError, match=said) as error:
        parse_roots(text)

    assert "hunter2" not in str(error.value)


def test_a_bucket_that_nobody_names_is_called_by_its_last_part():
    assert last_part(Bucket("s3://bucket/team/sessions")) == "sessions"
    assert last_part(Bucket("s3://bucket")) == "bucket"
    assert last_part(Root(Path("/mnt/sessions"))) == "sessions"


def test_keys_of_s3_are_never_shown():
    found = repr(Settings(s3=S3Settings("id", "hunter2", "token7")))

    assert "hunter2" not in found
    assert "token7" not in found
