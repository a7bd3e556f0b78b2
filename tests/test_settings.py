"""Every variable: what it sets, what it takes, and what a wrong value says."""

import ast
import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from places import ROOT
from session_pipeline_dagster import setting_values
from session_pipeline_dagster import settings as module
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.setting_places import Lake, parse_roots
from session_pipeline_dagster.setting_records import DetailDays
from session_pipeline_dagster.settings import (
    AlertLevel,
    CostMode,
    Digest,
    ExportFormat,
    Extractor,
    Layout,
    OnDelete,
    PeopleMode,
    Personal,
    Root,
    Settings,
    read_settings,
    state_home,
)

SET = [
    ("SESSION_DATA_DIR", "/data", lambda s: s.roots, (Root(Path("/data")),)),
    ("DATA_DIR", "/srv", lambda s: s.roots, (Root(Path("/srv/user_sessions")),)),
    ("SESSION_LAYOUT", "projects", lambda s: s.layout, Layout.PROJECTS),
    ("SESSION_PIPELINE_FORCE_LAYOUT", "1", lambda s: s.force_layout, True),
    ("SESSION_USER", "carol", lambda s: s.user, "carol"),
    ("SESSION_PIPELINE_DATABASE", "/x/y.duckdb", lambda s: s.database, Path("/x/y.duckdb")),
    ("SESSION_PIPELINE_LAKE_DATA", "s3://b/lake", lambda s: s.lake_data, "s3://b/lake/"),
    ("SESSION_PIPELINE_WORK_DIR", "/x/w", lambda s: s.work_dir, Path("/x/w")),
    ("SESSION_PIPELINE_SHARDS", "4", lambda s: s.shards, 4),
    ("AWS_ACCESS_KEY_ID", "k", lambda s: s.s3.access_key_id, "k"),
    ("AWS_SECRET_ACCESS_KEY", "s", lambda s: s.s3.secret_access_key, "s"),
    ("AWS_SESSION_TOKEN", "t", lambda s: s.s3.session_token, "t"),
    ("AWS_REGION", "eu-west-1", lambda s: s.s3.region, "eu-west-1"),
    ("AWS_ENDPOINT_URL", "http://x:1", lambda s: s.s3.endpoint, "http://x:1"),
    ("SESSION_PIPELINE_REPORT_DIR", "/srv/www", lambda s: s.reports, Path("/srv/www")),
    ("SESSION_PIPELINE_START_DATE", "2024-02-29", lambda s: s.start_date, date(2024, 2, 29)),
    (
        "SCHEDULER_USAGE_PROCESSOR_INTERVAL",
        "90",
        lambda s: s.cadence("usage", timedelta(seconds=600)),
        timedelta(seconds=90),
    ),
    (
        "SCHEDULER_VERIFICATION_DETECTOR_INTERVAL",
        "0.5",
        lambda s: s.cadence("verification", timedelta(seconds=900)),
        timedelta(seconds=0.5),
    ),
    ("SESSION_PROCESSOR_MAX_PER_RUN", "7", lambda s: s.cap("verification"), 7),
    ("SESSION_PIPELINE_MAX_FILES_PER_RUN", "8", lambda s: s.cap("usage"), 8),
    (
        "SESSION_PIPELINE_TIME_BUDGET_SECONDS",
        "9",
        lambda s: s.time_budget,
        timedelta(seconds=9),
    ),
    ("SESSION_PIPELINE_FILE_SECONDS", "9", lambda s: s.file_deadline, timedelta(seconds=9)),
    (
        "SESSION_PIPELINE_LOCK_TIMEOUT_SECONDS",
        "1.5",
        lambda s: s.lock_timeout,
        timedelta(seconds=1.5),
    ),
    ("SESSION_PIPELINE_BATCH_MB", "3", lambda s: s.batch_bytes, 3 << 20),
    ("SESSION_PIPELINE_ON_DELETE", "purge", lambda s: s.on_delete, OnDelete.PURGE),
    (
        "SESSION_PIPELINE_RETENTION_DAYS",
        "events=400 messages=800",
        lambda s: s.detail_days,
        DetailDays({"events": 400, "messages": 800}),
    ),
    ("SESSION_PIPELINE_PURGE_AFTER_DAYS", "3", lambda s: s.purge_after, timedelta(days=3)),
    ("SESSION_PIPELINE_NOT_ARRIVED_DAYS", "3", lambda s: s.not_arrived, timedelta(days=3)),
    ("SESSION_PIPELINE_LINE_MB", "4", lambda s: s.limits.line, 4 << 20),
    ("SESSION_PIPELINE_UNPACKED_MB", "5", lambda s: s.limits.unpacked, 5 << 20),
    ("SESSION_PIPELINE_WORKERS", "2", lambda s: s.workers, 2),
    ("SESSION_PIPELINE_DATABASE_MEMORY_MB", "256", lambda s: s.database_memory_mb, 256),
    ("SESSION_PIPELINE_DATABASE_THREADS", "4", lambda s: s.database_threads, 4),
    ("SESSION_PIPELINE_KEEP_RUNS_DAYS", "3", lambda s: s.keep_runs, timedelta(days=3)),
    (
        "SESSION_PIPELINE_HEALTH_INTERVAL_SECONDS",
        "30",
        lambda s: s.health_interval,
        timedelta(seconds=30),
    ),
    (
        "SESSION_PIPELINE_STUCK_FILE_GRACE_SECONDS",
        "60",
        lambda s: s.stuck_grace,
        timedelta(seconds=60),
    ),
    ("SESSION_PIPELINE_FORMAT_DAYS", "3", lambda s: s.format_window, timedelta(days=3)),
    ("SESSION_PIPELINE_UNREADABLE_PERCENT", "2.5", lambda s: s.unreadable_percent, 2.5),
    ("SESSION_PIPELINE_UNKNOWN_PERCENT", "0", lambda s: s.unknown_percent, 0.0),
    (
        "SESSION_PIPELINE_ALERT_URLS",
        "slack://a/b/c  mailto://u:p@example.org",
        lambda s: s.alert_urls,
        ("slack://a/b/c", "mailto://u:p@example.org"),
    ),
    ("SESSION_PIPELINE_DIGEST", "weekly", lambda s: s.digest, Digest.WEEKLY),
    ("SESSION_PIPELINE_ALERT_LEVEL", "warning", lambda s: s.alert_level, AlertLevel.WARNING),
    (
        "SESSION_PIPELINE_ALERT_DELAY_SECONDS",
        "1",
        lambda s: s.alert_delay,
        timedelta(seconds=1),
    ),
    (
        "SESSION_PIPELINE_REPORT_URL",
        "https://sessions.example.org/reports/",
        lambda s: s.report_url,
        "https://sessions.example.org/reports",
    ),
    ("DAGSTER_UI_URL", "http://dagster:3000/", lambda s: s.ui_url, "http://dagster:3000"),
    ("SESSION_PIPELINE_EXTRACTOR", "openai", lambda s: s.model.extractor, Extractor.OPENAI),
    ("SESSION_PIPELINE_MODEL", "a-model", lambda s: s.model.model, "a-model"),
    (
        "SESSION_PIPELINE_MODEL_DEADLINE_SECONDS",
        "7",
        lambda s: s.model.deadline,
        timedelta(seconds=7),
    ),
    ("SESSION_PIPELINE_MODEL_SESSIONS", "2", lambda s: s.model.sessions_at_once, 2),
    ("SESSION_PIPELINE_TOKENS_PER_RUN", "500", lambda s: s.model.tokens_per_run, 500),
    (
        "SESSION_PIPELINE_REDACT_PERSONAL",
        "mail, cards",
        lambda s: s.personal,
        {Personal.MAIL, Personal.CARDS},
    ),
    ("SESSION_PIPELINE_REVIEW_SCORE", "0.1", lambda s: s.thresholds.review, 0.1),
    ("SESSION_PIPELINE_ACCEPT_SCORE", "1", lambda s: s.thresholds.accept, 1.0),
    ("SESSION_PIPELINE_PRICES", "/p.toml", lambda s: s.money.prices, Path("/p.toml")),
    ("SESSION_PIPELINE_PROVIDER", "aws", lambda s: s.money.provider, "aws"),
    ("SESSION_PIPELINE_COST_MODE", "auto", lambda s: s.money.mode, CostMode.AUTO),
    ("SESSION_PIPELINE_BUDGETS", "/b.toml", lambda s: s.money.budgets, Path("/b.toml")),
    ("SESSION_PIPELINE_SEATS", "/s.toml", lambda s: s.money.seats, Path("/s.toml")),
    ("SESSION_PIPELINE_CURRENCY_RATES", "/r.toml", lambda s: s.money.rates, Path("/r.toml")),
    ("SESSION_PIPELINE_SPIKE_USD", "0.5", lambda s: s.money.spike, Decimal("0.5")),
    ("SESSION_PIPELINE_DIRECTORY", "/d.csv", lambda s: s.people.directory, Path("/d.csv")),
    ("SESSION_PIPELINE_PROJECTS", "/g.toml", lambda s: s.people.projects, Path("/g.toml")),
    ("SESSION_PIPELINE_PEOPLE", "team", lambda s: s.people.mode, PeopleMode.TEAM),
    ("SESSION_PIPELINE_KNOWLEDGE_OPT_OUT", "al, a b ,", lambda s: s.people.opt_out, ("al", "a b")),
    ("SESSION_PIPELINE_PEOPLE_KEY", "/k", lambda s: s.people.key, Path("/k")),
    ("SESSION_PIPELINE_MIN_GROUP", "3", lambda s: s.people.smallest_group, 3),
    ("SESSION_PIPELINE_EXPORT_DIR", "/e", lambda s: s.exports.folder, Path("/e")),
    (
        "SESSION_PIPELINE_EXPORT_FORMATS",
        "csv, focus",
        lambda s: s.exports.formats,
        {ExportFormat.CSV, ExportFormat.FOCUS},
    ),
    ("SESSION_PIPELINE_PUBLISH", "/p.duckdb", lambda s: s.exports.copy, Path("/p.duckdb")),
    ("ANTHROPIC_API_KEY", "key", lambda s: s.model.anthropic_api_key, "key"),
    ("ANTHROPIC_BASE_URL", "http://x", lambda s: s.model.anthropic_base_url, "http://x"),
    ("OPENAI_API_KEY", "key", lambda s: s.model.openai_api_key, "key"),
    ("OPENAI_BASE_URL", "http://x", lambda s: s.model.openai_base_url, "http://x"),
]
SHARED = [name for name, *_ in SET if name.startswith(("ANTHROPIC_", "OPENAI_", "AWS_"))]
NAMES = [name for name, *_ in SET]
XDG = {"XDG_DATA_HOME", "XDG_STATE_HOME"}
"""They say nothing in a clone."""
WHOLE = [
    "SESSION_PROCESSOR_MAX_PER_RUN",
    "SESSION_PIPELINE_MAX_FILES_PER_RUN",
    "SESSION_PIPELINE_BATCH_MB",
    "SESSION_PIPELINE_LINE_MB",
    "SESSION_PIPELINE_UNPACKED_MB",
    "SESSION_PIPELINE_WORKERS",
    "SESSION_PIPELINE_DATABASE_MEMORY_MB",
    "SESSION_PIPELINE_DATABASE_THREADS",
    "SESSION_PIPELINE_FORMAT_DAYS",
    "SESSION_PIPELINE_MODEL_SESSIONS",
    "SESSION_PIPELINE_TOKENS_PER_RUN",
]
SECONDS = [name for name in NAMES if name.endswith(("_INTERVAL", "_SECONDS"))]


def names_in_the_source() -> set[str]:
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    strings = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
    found = {s for s in strings if isinstance(s, str) and re.fullmatch(r"[A-Z][A-Z_]{3,}", s)}
    return found - {"USER"}


def test_the_table_names_every_variable_that_is_read() -> None:
    assert {*NAMES, *XDG} == names_in_the_source()


@pytest.mark.parametrize(("name", "text", "read", "expected"), SET, ids=NAMES)
def test_a_variable_sets_its_setting_and_changes_it(name, text, read, expected) -> None:
    assert read(read_settings({name: text})) == expected
    assert read(read_settings({})) != expected


@pytest.mark.parametrize("name", ["SESSION_PIPELINE_REVIEW_SCORE", "SESSION_PIPELINE_ACCEPT_SCORE"])
@pytest.mark.parametrize("text", ["high", "-0.1", "1.01", "nan", "85"])
def test_a_score_is_a_number_from_0_to_1(name: str, text: str) -> None:
    with pytest.raises(
        SettingsError, match=f"{name} is '{re.escape(text)}'; it takes a number from 0 to 1"
    ):
        read_settings({name: text})


def test_nothing_is_accepted_that_is_not_even_looked_at() -> None:
    scores = {"SESSION_PIPELINE_REVIEW_SCORE": "0.5", "SESSION_PIPELINE_ACCEPT_SCORE": "0.4"}
    with pytest.raises(SettingsError, match=r"REVIEW_SCORE is 0\.5, above SESSION_PIPELINE_ACCEPT"):
        read_settings(scores)


@pytest.mark.parametrize("text", ["much", "-1", "1e3", "nan", "1,5", "inf", "."])
def test_an_amount_is_written_in_digits(text: str) -> None:
    name = "SESSION_PIPELINE_SPIKE_USD"
    with pytest.raises(SettingsError, match=f"{name} is .*; it takes an amount like 20 or 0.5"):
        read_settings({name: text})


@pytest.mark.parametrize("text", ["AWS", "a b", "../x", "-"])
def test_a_provider_is_a_name_of_the_price_library(text: str) -> None:
    name = "SESSION_PIPELINE_PROVIDER"
    with pytest.raises(SettingsError, match=f"{name} is .*; it takes a name like anthropic"):
        read_settings({name: text})


@pytest.mark.parametrize("text", ["0", "-1", "few", "5.0", "1e3", "5 people"])
def test_a_smallest_group_is_of_one_person_at_least(text: str) -> None:
    """0 would look as if nothing were hidden, where the mode has a size of its own."""
    name = "SESSION_PIPELINE_MIN_GROUP"
    with pytest.raises(SettingsError, match=f"{name} is '{text}'; it takes a whole number of at"):
        read_settings({name: text, "SESSION_PIPELINE_PEOPLE": "team"})


def test_a_smallest_group_may_be_one_and_is_no_more_than_anybody_has() -> None:
    def size(text: str) -> int:
        given = {"SESSION_PIPELINE_MIN_GROUP": text, "SESSION_PIPELINE_PEOPLE": "team"}
        return read_settings(given).people.smallest_group

    assert (size("1"), size(" 12 "), size("1000000")) == (1, 12, 1_000_000)
    for text in ("1000001", "9" * 18, "9" * 30, "9" * 5000):
        with pytest.raises(SettingsError, match="it takes a whole number of at most 1000000"):
            size(text)
    with pytest.raises(SettingsError, match="is empty; give it a value or unset it"):
        size("")


def test_the_defaults_are_those_of_the_design() -> None:
    found = read_settings({})
    assert found.roots == (Root(Path("var/user_sessions").absolute()),)
    database = Path("var/session_pipeline.duckdb").absolute()
    assert (found.layout, found.database) == (Layout.USERS, database)
    assert (found.cap("usage"), found.cap("verification"), found.cap("mine")) == (2000, 50, 2000)
    assert (found.time_budget, found.start_date) == (timedelta(seconds=150), None)
    assert found.cadence("usage", timedelta(seconds=600)) == timedelta(seconds=600)
    assert found.user


@pytest.mark.parametrize(
    ("data", "state", "expected"),
    [
        ({}, {}, ("/home/ann/.local/share", "/home/ann/.local/state")),
        ({"XDG_DATA_HOME": "/d"}, {"XDG_STATE_HOME": "/s"}, ("/d", "/s")),
        # By the specification both are as good as not set.
        (
            {"XDG_DATA_HOME": ""},
            {"XDG_STATE_HOME": "./s"},
            ("/home/ann/.local/share", "/home/ann/.local/state"),
        ),
    ],
    ids=["not set", "set", "empty, relative"],
)
def test_an_installed_program_keeps_data_and_state_where_its_user_keeps_them(
    data, state, expected, monkeypatch, tmp_path
) -> None:
    monkeypatch.setattr(setting_values, "CLONE", tmp_path / "pyproject.toml")
    monkeypatch.setenv("HOME", "/home/ann")
    found = read_settings(data)
    below = Path(expected[0]) / "session-pipeline"
    assert found.database == below / "session_pipeline.duckdb"
    assert (found.folder, found.work_dir) == (below, below)
    assert found.roots == (Root(below / "user_sessions"),)
    assert found.create_database_folder
    assert state_home(state) == Path(expected[1]) / "session-pipeline"


def test_only_the_default_database_gets_its_folder_made() -> None:
    assert read_settings({}).create_database_folder
    assert not read_settings({"SESSION_PIPELINE_DATABASE": "x/y"}).create_database_folder


def test_session_data_dir_wins_over_data_dir() -> None:
    found = read_settings({"SESSION_DATA_DIR": "/a", "DATA_DIR": "/b"})
    assert found.roots == (Root(Path("/a")),)


def test_the_environment_of_the_process_is_read(monkeypatch) -> None:
    monkeypatch.setenv("SESSION_PIPELINE_WORKERS", "3")
    assert read_settings().workers == 3


def test_each_provider_has_a_model_of_its_own_and_rules_have_none() -> None:
    found = {
        name: read_settings({"SESSION_PIPELINE_EXTRACTOR": name}).model.model
        for name in ("rules", "anthropic", "openai")
    }
    assert found == {"rules": "", "anthropic": "claude-haiku-4-5", "openai": "gpt-5-mini"}


@pytest.mark.parametrize("text", ["claude", "Rules", "none"])
def test_an_unknown_extractor_is_an_error_that_names_the_known_ones(text: str) -> None:
    with pytest.raises(SettingsError, match="rules, anthropic or openai"):
        read_settings({"SESSION_PIPELINE_EXTRACTOR": text})


def test_keys_are_never_shown() -> None:
    found = read_settings({"ANTHROPIC_API_KEY": "canary-1", "OPENAI_API_KEY": "canary-2"})
    assert "canary" not in repr(found)


@pytest.mark.parametrize("name", SHARED)
def test_a_variable_of_other_programs_may_be_empty(name: str) -> None:
    assert read_settings({name: ""}) == read_settings({})


@pytest.mark.parametrize("name", sorted({*NAMES} - {*SHARED}))
@pytest.mark.parametrize("text", ["", "  "], ids=["empty", "blank"])
def test_an_empty_value_is_an_error_that_names_the_variable(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} "):
        read_settings({name: text})


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("text", ["0", "-1", "1.5", "ten", "1e3", "٣", "²"])
def test_what_is_no_whole_number_is_an_error_that_names_the_variable(name, text) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} is .*whole number"):
        read_settings({name: text})


def test_a_number_of_more_digits_than_python_reads_is_an_error_too() -> None:
    with pytest.raises(SettingsError, match="SESSION_PIPELINE_BATCH_MB"):
        read_settings({"SESSION_PIPELINE_BATCH_MB": "9" * 5000})


@pytest.mark.parametrize("name", SECONDS)
@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "-inf", "ten", "1e300", "10 s"])
def test_what_is_no_duration_is_an_error_that_names_the_variable(name, text) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} is .*seconds above 0"):
        read_settings({name: text})


@pytest.mark.parametrize("name", SECONDS)
def test_a_duration_too_short_to_be_one_is_an_error_too(name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings({name: "1e-9"})


@pytest.mark.parametrize("text", ["yesterday", "2025-13-01", "2025-02-30"])
def test_what_is_no_date_is_an_error(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^SESSION_PIPELINE_START_DATE is .*date"):
        read_settings({"SESSION_PIPELINE_START_DATE": text})


@pytest.mark.parametrize("text", ["delete", "KEEP", "1"])
def test_what_is_to_be_done_about_deleted_files_is_keep_or_purge(text: str) -> None:
    with pytest.raises(SettingsError, match=r"SESSION_PIPELINE_ON_DELETE is .* keep or purge"):
        read_settings({"SESSION_PIPELINE_ON_DELETE": text})


def test_personal_data_is_named_or_none_of_it() -> None:
    assert read_settings({}).personal == {Personal.CARDS, Personal.IBANS}
    assert read_settings({"SESSION_PIPELINE_REDACT_PERSONAL": "none"}).personal == frozenset()
    assert read_settings({"SESSION_PIPELINE_REDACT_PERSONAL": "phones"}).personal == {
        Personal.PHONES
    }


@pytest.mark.parametrize("text", ["names", "none mail", "CARDS"])
def test_other_personal_data_is_an_error(text: str) -> None:
    with pytest.raises(SettingsError, match=r"REDACT_PERSONAL is .* cards, ibans, mail, phones"):
        read_settings({"SESSION_PIPELINE_REDACT_PERSONAL": text})


@pytest.mark.parametrize("text", ["user", "Users", "flat"])
def test_an_unknown_layout_is_an_error(text: str) -> None:
    with pytest.raises(
        SettingsError, match=r"SESSION_LAYOUT is .*users, projects, codex, copilot or gemini"
    ):
        read_settings({"SESSION_LAYOUT": text})


@pytest.mark.parametrize(
    ("text", "roots"),
    [
        ("/a", [(None, "/a")]),
        ("a/b", [(None, "a/b")]),
        ("one=/a", [("one", "/a")]),
        ("/a:two=/b", [(None, "/a"), ("two", "/b")]),
        ("one=/a:two=/a", [("one", "/a"), ("two", "/a")]),
        ("/x=y", [(None, "/x=y")]),
        ("one=/a=b", [("one", "/a=b")]),
    ],
)
def test_roots_are_paths_or_names_with_paths(text: str, roots) -> None:
    assert parse_roots(text) == tuple(Root(Path(path), name) for name, path in roots)


def test_a_tilde_is_the_home_folder(monkeypatch) -> None:
    monkeypatch.setenv("HOME", "/home/carol")
    assert parse_roots("~/x") == (Root(Path("/home/carol/x")),)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("/a:/b", "two roots without a name"),
        ("one=/a:one=/b", "the name 'one' twice"),
        ("/a:", "is empty"),
        (":", "is empty"),
        ("one=", "is empty"),
    ],
)
def test_roots_that_could_be_confused_are_an_error(text: str, why: str) -> None:
    with pytest.raises(SettingsError, match=rf"^SESSION_DATA_DIR .*{why}"):
        parse_roots(text)


def test_settings_cannot_be_changed_by_accident() -> None:
    with pytest.raises(AttributeError):
        Settings().workers = 2  # ty: ignore[invalid-assignment]


def test_a_start_date_in_the_future_is_no_start_date() -> None:
    with pytest.raises(SettingsError, match=r"SESSION_PIPELINE_START_DATE .*not in the future"):
        read_settings({"SESSION_PIPELINE_START_DATE": "2999-01-01"})


@pytest.mark.parametrize("name", ["SESSION_DATA_DIR", "SESSION_PIPELINE_DATABASE"])
def test_the_home_of_nobody_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} .*no such user"):
        read_settings({name: "~no-such-user-here/x"})


def test_more_days_than_a_calendar_holds_are_an_error() -> None:
    with pytest.raises(SettingsError, match=r"SESSION_PIPELINE_FORMAT_DAYS .*at most"):
        read_settings({"SESSION_PIPELINE_FORMAT_DAYS": "999999999"})


@pytest.mark.parametrize("text", ["-1", "101", "nan", "inf", "1 %"])
@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith("_PERCENT")])
def test_what_is_no_percentage_is_an_error(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} is .*from 0 to 100"):
        read_settings({name: text})


def test_an_unknown_alert_level_is_an_error() -> None:
    with pytest.raises(SettingsError, match=r"SESSION_PIPELINE_ALERT_LEVEL .*info, unknown"):
        read_settings({"SESSION_PIPELINE_ALERT_LEVEL": "ok"})


def test_a_comma_belongs_to_an_alert_url() -> None:
    text = "json://host/?to=a,b"
    assert read_settings({"SESSION_PIPELINE_ALERT_URLS": text}).alert_urls == (text,)


@pytest.mark.parametrize("text", ["slack://a token", "token", "slack://", "slack:token"])
def test_a_wrong_alert_url_is_an_error_that_shows_none_of_it(text: str) -> None:
    """They hold tokens."""
    with pytest.raises(SettingsError, match="SESSION_PIPELINE_ALERT_URLS: number") as caught:
        read_settings({"SESSION_PIPELINE_ALERT_URLS": text})
    assert "token" not in str(caught.value)


def test_the_settings_show_no_alert_url() -> None:
    found = read_settings({"SESSION_PIPELINE_ALERT_URLS": "slack://secret/b/c"})
    assert "secret" not in repr(found)


@pytest.mark.parametrize("text", ["dagster:3000", "http://", "ftp://x"])
def test_what_is_no_web_address_is_an_error(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^DAGSTER_UI_URL is .*http://127"):
        read_settings({"DAGSTER_UI_URL": text})


def test_every_path_is_absolute_from_the_moment_settings_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strangers' code may go to another folder meanwhile, or delete the one it is in."""
    monkeypatch.chdir(tmp_path)
    relative = {
        "SESSION_DATA_DIR": "a:two=b/../c",
        "SESSION_PIPELINE_DATABASE": "d/e.duckdb",
        "SESSION_PIPELINE_REPORT_DIR": "f",
    }
    for found in (
        read_settings({}),
        read_settings(relative),
        replace(Settings(), database=Path("g"), roots=(Root(Path("h")),), report_dir=Path("i")),
    ):
        paths = [found.database, found.reports, *(root.path for root in found.roots)]
        assert all(path.is_absolute() and path.is_relative_to(tmp_path) for path in paths), found


def test_a_lake_that_make_showed_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its Parquet a lake cannot be opened."""
    for name in module.PLACES:
        monkeypatch.delenv(name, raising=False)
    made = tmp_path / "make.env"
    made.write_text(
        "SESSION_PIPELINE_DATABASE=ducklake:postgres:host=x\nSESSION_PIPELINE_LAKE_DATA=/shared\n"
    )
    settings = read_settings(made=made)
    assert (settings.database, settings.lake_data) == (Lake("host=x"), "/shared/")
    written = re.search(r"^PLACES = (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert written
    assert written[1].split() == [*module.PLACES]


def test_settings_can_be_made_where_there_is_no_folder_to_be_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert Settings(database=Path("/x/y.duckdb")).database == Path("/x/y.duckdb")


def test_one_number_of_days_is_for_every_kind_of_detail() -> None:
    days = read_settings({"SESSION_PIPELINE_RETENTION_DAYS": " 90 "}).detail_days
    assert (days.of("messages"), days.of("anything")) == (90, 90)
    assert DetailDays({"events": 40}).of("messages") is None


@pytest.mark.parametrize(
    "text",
    ["29", "0", "-40", "x", "90 90", "90 events=90", "events=", "events=29", "events=40000",
     "events 90", "=90", "events=90,messages=90", "²00", "events=90 events=91"],
)  # fmt: skip
def test_days_of_detail_that_cannot_be_used_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"RETENTION_DAYS is .* events=400"):
        read_settings({"SESSION_PIPELINE_RETENTION_DAYS": text})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SESSION_PIPELINE_PEPOLE", "SESSION_PIPELINE_PEOPLE"),
        ("SESSION_PIPELINE_MINGROUP", "SESSION_PIPELINE_MIN_GROUP"),
        ("SESSION_PIPELINE_ALERT_URL", "SESSION_PIPELINE_ALERT_URLS"),
        ("SCHEDULER_USAGE_INTERVAL", "SCHEDULER_USAGE_PROCESSOR_INTERVAL"),
        ("SESSION_PROCESSOR_MAX_RUN", "SESSION_PROCESSOR_MAX_PER_RUN"),
    ],
)
def test_a_name_that_is_nearly_a_setting_s_is_refused_and_the_setting_is_named(
    name: str, meant: str
) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings({name: "SECRET"})
    assert str(error.value) == f"{name} is no setting; {meant} is. docs/operations.md lists all"


def test_variables_of_others_are_none_of_our_business() -> None:
    others = {"SESSION_PIPELINE_JIRA_TOKEN": "x", "SCHEDULER_X": "y", "SESSION_MANAGER": "z"}
    assert read_settings(others) == read_settings({})
