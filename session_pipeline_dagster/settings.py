"""Every knob, its default, unit and environment variable. The only reader of the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

from session_pipeline_dagster import setting_places as places
from session_pipeline_dagster import setting_values as values
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.setting_places import AnyRoot, Lake, S3Settings
from session_pipeline_dagster.setting_records import (
    DEFAULT_MODELS,
    DEFAULT_PERSONAL,
    AlertLevel,
    CostMode,
    DetailDays,
    Digest,
    ExportFormat,
    ExportSettings,
    Extractor,
    Layout,
    Limits,
    ModelSettings,
    MoneySettings,
    OnDelete,
    PeopleMode,
    PeopleSettings,
    Personal,
    Root,
    Thresholds,
)

_MOST_DAYS = 36_500
_MOST_SHARDS = 64
MADE = Path("var/make.env")
"""What `make run` and `make dev` write, in the folder they work in."""
_SESSIONS = ("SESSION_DATA_DIR", "DATA_DIR", "SESSION_LAYOUT", "SESSION_USER")
PLACES = (*_SESSIONS, places.DATABASE, "SESSION_PIPELINE_LAKE_DATA")
"""Which sessions it is about, and where their rows are."""
_PATHS = {
    "money": ("prices", "budgets", "seats", "rates"),
    "people": ("directory", "projects", "key"),
    "exports": ("folder", "copy"),
}
"""Paths of the parts of the settings."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. Each attribute's comment names its variable.

    Durations are timedeltas, sizes are bytes, paths are made absolute: strangers' code may go to
    another folder. `docs/operations.md` lists them for users.
    """

    roots: tuple[AnyRoot, ...] = (Root(Path("var/user_sessions")),)  # SESSION_DATA_DIR
    layout: Layout = Layout.USERS  # SESSION_LAYOUT
    force_layout: bool = False  # SESSION_PIPELINE_FORCE_LAYOUT
    user: str = "me"  # SESSION_USER
    # SESSION_PIPELINE_DATABASE
    database: Path | Lake = Path("var/session_pipeline.duckdb")
    lake_data: str | None = None  # SESSION_PIPELINE_LAKE_DATA
    work_dir: Path = Path("var")  # SESSION_PIPELINE_WORK_DIR
    s3: S3Settings = field(default_factory=S3Settings)
    shards: int = 1  # SESSION_PIPELINE_SHARDS
    create_database_folder: bool = True
    # SESSION_PIPELINE_REPORT_DIR; None = `reports` beside the database
    report_dir: Path | None = None
    report_url: str | None = None  # SESSION_PIPELINE_REPORT_URL
    start_date: date | None = None  # SESSION_PIPELINE_START_DATE; None = the oldest session's
    cadences: Mapping[str, timedelta] = field(default_factory=dict)  # SCHEDULER_*_INTERVAL
    max_files: Mapping[str, int] = field(default_factory=dict)  # SESSION_PROCESSOR_MAX_PER_RUN
    max_files_per_run: int = 2000  # SESSION_PIPELINE_MAX_FILES_PER_RUN
    time_budget: timedelta = timedelta(seconds=150)  # SESSION_PIPELINE_TIME_BUDGET_SECONDS
    file_deadline: timedelta = timedelta(seconds=300)  # SESSION_PIPELINE_FILE_SECONDS
    lock_timeout: timedelta = timedelta(seconds=120)  # SESSION_PIPELINE_LOCK_TIMEOUT_SECONDS
    batch_bytes: int = 512 << 20  # SESSION_PIPELINE_BATCH_MB
    on_delete: OnDelete = OnDelete.KEEP  # SESSION_PIPELINE_ON_DELETE
    purge_after: timedelta = timedelta(days=7)  # SESSION_PIPELINE_PURGE_AFTER_DAYS
    not_arrived: timedelta = timedelta(days=14)  # SESSION_PIPELINE_NOT_ARRIVED_DAYS
    detail_days: DetailDays = field(default_factory=DetailDays)  # SESSION_PIPELINE_RETENTION_DAYS
    limits: Limits = field(default_factory=Limits)
    workers: int = 0  # SESSION_PIPELINE_WORKERS; 0 = by the size of the backlog
    database_memory_mb: int = 128  # SESSION_PIPELINE_DATABASE_MEMORY_MB
    database_threads: int = 1  # SESSION_PIPELINE_DATABASE_THREADS
    health_interval: timedelta = timedelta(seconds=60)  # SESSION_PIPELINE_HEALTH_INTERVAL_SECONDS
    # SESSION_PIPELINE_STUCK_FILE_GRACE_SECONDS; None = four times a processor's grace
    stuck_grace: timedelta | None = None
    format_window: timedelta = timedelta(days=7)  # SESSION_PIPELINE_FORMAT_DAYS
    unreadable_percent: float = 1.0  # SESSION_PIPELINE_UNREADABLE_PERCENT
    unknown_percent: float = 5.0  # SESSION_PIPELINE_UNKNOWN_PERCENT
    # SESSION_PIPELINE_ALERT_URLS; they hold tokens, so they are never shown
    alert_urls: tuple[str, ...] = field(default=(), repr=False)
    alert_level: AlertLevel = AlertLevel.INFO  # SESSION_PIPELINE_ALERT_LEVEL
    # SESSION_PIPELINE_ALERT_DELAY_SECONDS; None = the processor's cadence
    alert_delay: timedelta | None = None
    digest: Digest = Digest.OFF  # SESSION_PIPELINE_DIGEST
    ui_url: str | None = None  # DAGSTER_UI_URL
    keep_runs: timedelta = timedelta(days=30)  # SESSION_PIPELINE_KEEP_RUNS_DAYS; 0 = for ever
    model: ModelSettings = field(default_factory=ModelSettings)
    personal: frozenset[Personal] = DEFAULT_PERSONAL  # SESSION_PIPELINE_REDACT_PERSONAL
    thresholds: Thresholds = field(default_factory=Thresholds)
    money: MoneySettings = field(default_factory=MoneySettings)
    people: PeopleSettings = field(default_factory=PeopleSettings)
    exports: ExportSettings = field(default_factory=ExportSettings)

    def __post_init__(self) -> None:
        object.__setattr__(self, "roots", tuple(map(places.settled, self.roots)))
        if isinstance(self.database, Path):
            object.__setattr__(self, "database", values.absolute(self.database))
        object.__setattr__(self, "work_dir", values.absolute(self.work_dir))
        if self.report_dir is not None:
            object.__setattr__(self, "report_dir", values.absolute(self.report_dir))
        for part, names in _PATHS.items():
            files = {name: getattr(getattr(self, part), name) for name in names}
            given = {name: values.absolute(path) for name, path in files.items() if path}
            object.__setattr__(self, part, replace(getattr(self, part), **given))

    @property
    def folder(self) -> Path:
        """Where this machine's own files lie: beside the database, or in the work folder."""
        return self.database.parent if isinstance(self.database, Path) else self.work_dir

    @property
    def shared(self) -> Path | None:
        """The database that may be handed to everybody; None where the whole one may."""
        return None if self.people.mode is PeopleMode.NAMED else self.shared_file

    @property
    def shared_file(self) -> Path:
        """Where that is, or was while people were hidden."""
        stem = self.database.stem if isinstance(self.database, Path) else "session_pipeline"
        return self.folder / f"{stem}_shared.duckdb"

    @property
    def reports(self) -> Path:
        """The folder that reports are written to."""
        return self.report_dir or self.folder / "reports"

    def cadence(self, processor: str, default: timedelta) -> timedelta:
        """How often the processor's sensor looks: the setting, else its own default."""
        return self.cadences.get(processor, default)

    def cap(self, processor: str) -> int:
        """How many files one run of the processor takes."""
        return self.max_files.get(processor, self.max_files_per_run)


def read_settings(
    environ: Mapping[str, str] | None = None, *, made: Path | None = MADE
) -> Settings:
    """Settings from the environment, defaults where a variable is not set.

    Args:
        made: the file in which make keeps which sessions it showed; it counts where none of its
            variables is set.

    Raises:
        SettingsError: a value cannot be used; the message names the variable and what it takes.
            Or a variable is called nearly like one of these.
    """
    given = os.environ if environ is None else environ
    if environ is None and made and not any(name in given for name in PLACES):
        found = values.remembered(made)
        given = {**given, **{name: found[name] for name in PLACES if name in found}}
    env = values.Asked(given)
    settings = _read(env)
    env.check_names()
    return settings


def _read(env: Mapping[str, str]) -> Settings:
    usage = values.seconds(env, "SCHEDULER_USAGE_PROCESSOR_INTERVAL")
    verification = values.seconds(env, "SCHEDULER_VERIFICATION_DETECTOR_INTERVAL")
    given = {"usage": usage, "verification": verification}
    own_cap = values.whole(env, "SESSION_PROCESSOR_MAX_PER_RUN", 50)
    default, home = Settings(), values.home(env, "XDG_DATA_HOME", ".local/share")
    return Settings(
        roots=places.parse_roots(_roots_text(env, home)),
        layout=parse_layout(values.text(env, "SESSION_LAYOUT") or Layout.USERS.value),
        force_layout=values.flag(env, "SESSION_PIPELINE_FORCE_LAYOUT"),
        user=values.text(env, "SESSION_USER") or values.os_user(env),
        database=places.parse_database(
            values.text(env, "SESSION_PIPELINE_DATABASE") or str(home / "session_pipeline.duckdb")
        ),
        lake_data=places.lake_data(values.text(env, "SESSION_PIPELINE_LAKE_DATA")),
        work_dir=values.place(env, "SESSION_PIPELINE_WORK_DIR") or home,
        s3=read_s3(env),
        shards=values.whole(env, "SESSION_PIPELINE_SHARDS", default.shards, _MOST_SHARDS),
        create_database_folder="SESSION_PIPELINE_DATABASE" not in env,
        report_dir=values.place(env, "SESSION_PIPELINE_REPORT_DIR"),
        report_url=values.web_address(env, "SESSION_PIPELINE_REPORT_URL"),
        start_date=values.day(env, "SESSION_PIPELINE_START_DATE"),
        cadences={name: value for name, value in given.items() if value is not None},
        max_files={"verification": own_cap},
        max_files_per_run=values.whole(
            env, "SESSION_PIPELINE_MAX_FILES_PER_RUN", default.max_files_per_run
        ),
        time_budget=values.seconds(env, "SESSION_PIPELINE_TIME_BUDGET_SECONDS")
        or default.time_budget,
        file_deadline=values.seconds(env, "SESSION_PIPELINE_FILE_SECONDS") or default.file_deadline,
        lock_timeout=values.seconds(env, "SESSION_PIPELINE_LOCK_TIMEOUT_SECONDS")
        or default.lock_timeout,
        batch_bytes=values.whole(env, "SESSION_PIPELINE_BATCH_MB", 512) << 20,
        on_delete=values.one_of(
            OnDelete,
            values.text(env, "SESSION_PIPELINE_ON_DELETE") or default.on_delete.value,
            "SESSION_PIPELINE_ON_DELETE",
        ),
        purge_after=timedelta(
            days=values.whole(env, "SESSION_PIPELINE_PURGE_AFTER_DAYS", 7, _MOST_DAYS)
        ),
        not_arrived=timedelta(
            days=values.whole(env, "SESSION_PIPELINE_NOT_ARRIVED_DAYS", 14, _MOST_DAYS)
        ),
        detail_days=_detail_days(env),
        limits=Limits(
            values.whole(env, "SESSION_PIPELINE_LINE_MB", default.limits.line >> 20) << 20,
            values.whole(env, "SESSION_PIPELINE_UNPACKED_MB", default.limits.unpacked >> 20) << 20,
        ),
        workers=values.whole(env, "SESSION_PIPELINE_WORKERS", default.workers),
        database_memory_mb=values.whole(
            env, "SESSION_PIPELINE_DATABASE_MEMORY_MB", default.database_memory_mb
        ),
        database_threads=values.whole(
            env, "SESSION_PIPELINE_DATABASE_THREADS", default.database_threads
        ),
        health_interval=values.seconds(env, "SESSION_PIPELINE_HEALTH_INTERVAL_SECONDS")
        or default.health_interval,
        stuck_grace=values.seconds(env, "SESSION_PIPELINE_STUCK_FILE_GRACE_SECONDS"),
        format_window=timedelta(
            days=values.whole(env, "SESSION_PIPELINE_FORMAT_DAYS", 7, _MOST_DAYS)
        ),
        unreadable_percent=values.percent(
            env, "SESSION_PIPELINE_UNREADABLE_PERCENT", default.unreadable_percent
        ),
        unknown_percent=values.percent(
            env, "SESSION_PIPELINE_UNKNOWN_PERCENT", default.unknown_percent
        ),
        alert_urls=values.urls(env, "SESSION_PIPELINE_ALERT_URLS"),
        alert_level=values.one_of(
            AlertLevel,
            values.text(env, "SESSION_PIPELINE_ALERT_LEVEL") or default.alert_level.value,
            "SESSION_PIPELINE_ALERT_LEVEL",
        ),
        alert_delay=values.seconds(env, "SESSION_PIPELINE_ALERT_DELAY_SECONDS"),
        digest=values.one_of(
            Digest,
            values.text(env, "SESSION_PIPELINE_DIGEST") or default.digest.value,
            "SESSION_PIPELINE_DIGEST",
        ),
        ui_url=values.web_address(env, "DAGSTER_UI_URL"),
        keep_runs=timedelta(
            days=values.whole(env, "SESSION_PIPELINE_KEEP_RUNS_DAYS", 30, _MOST_DAYS, 0)
        ),
        model=_model(env),
        personal=values.some_of(
            Personal, env, "SESSION_PIPELINE_REDACT_PERSONAL", DEFAULT_PERSONAL
        ),
        thresholds=_thresholds(env),
        money=_money(env),
        people=_people(env),
        exports=_exports(env),
    )


def _detail_days(env: Mapping[str, str]) -> DetailDays:
    given = values.detail_days(env, "SESSION_PIPELINE_RETENTION_DAYS", _MOST_DAYS)
    return DetailDays({kind: days for kind, days in given.items() if kind}, given.get(""))


def _model(env: Mapping[str, str]) -> ModelSettings:
    default = ModelSettings()
    extractor = parse_extractor(
        values.text(env, "SESSION_PIPELINE_EXTRACTOR") or default.extractor.value
    )
    budget = values.whole(env, "SESSION_PIPELINE_TOKENS_PER_RUN", 0)
    return ModelSettings(
        extractor=extractor,
        model=values.text(env, "SESSION_PIPELINE_MODEL") or DEFAULT_MODELS.get(extractor, ""),
        anthropic_api_key=values.shared(env, "ANTHROPIC_API_KEY"),
        anthropic_base_url=values.shared(env, "ANTHROPIC_BASE_URL"),
        openai_api_key=values.shared(env, "OPENAI_API_KEY"),
        openai_base_url=values.shared(env, "OPENAI_BASE_URL"),
        deadline=values.seconds(env, "SESSION_PIPELINE_MODEL_DEADLINE_SECONDS") or default.deadline,
        sessions_at_once=values.whole(
            env, "SESSION_PIPELINE_MODEL_SESSIONS", default.sessions_at_once
        ),
        tokens_per_run=budget or None,
    )


def state_home(environ: Mapping[str, str] | None = None) -> Path:
    """Where Dagster's history lies for who has installed the program: `session-pipeline dev`."""
    env = os.environ if environ is None else environ
    return values.home(env, "XDG_STATE_HOME", ".local/state")


def read_s3(env: Mapping[str, str] = os.environ) -> S3Settings:
    """How an S3 service is reached, from the environment: keys are in no resource's config."""
    return S3Settings(
        access_key_id=values.shared(env, "AWS_ACCESS_KEY_ID"),
        secret_access_key=values.shared(env, "AWS_SECRET_ACCESS_KEY"),
        session_token=values.shared(env, "AWS_SESSION_TOKEN"),
        region=values.shared(env, "AWS_REGION"),
        endpoint=values.shared(env, "AWS_ENDPOINT_URL"),
    )


def _money(env: Mapping[str, str]) -> MoneySettings:
    default = MoneySettings()
    return MoneySettings(
        prices=values.place(env, "SESSION_PIPELINE_PRICES"),
        provider=values.word(env, "SESSION_PIPELINE_PROVIDER", default.provider),
        mode=values.one_of(
            CostMode,
            values.text(env, "SESSION_PIPELINE_COST_MODE") or default.mode.value,
            "SESSION_PIPELINE_COST_MODE",
        ),
        budgets=values.place(env, "SESSION_PIPELINE_BUDGETS"),
        seats=values.place(env, "SESSION_PIPELINE_SEATS"),
        rates=values.place(env, "SESSION_PIPELINE_CURRENCY_RATES"),
        spike=values.amount(env, "SESSION_PIPELINE_SPIKE_USD", default.spike),
    )


def read_people_mode(environ: Mapping[str, str] | None = None) -> PeopleMode:
    """How people are shown, from the environment, for whoever has no settings to ask. What cannot
    be used is an error of the settings; until that is said, nobody is shown."""
    env = os.environ if environ is None else environ
    text = values.text(env, "SESSION_PIPELINE_PEOPLE") or PeopleSettings().mode.value
    try:
        return values.one_of(PeopleMode, text, "SESSION_PIPELINE_PEOPLE")
    except SettingsError:
        return PeopleMode.TEAM


def _people(env: Mapping[str, str]) -> PeopleSettings:
    most = 1_000_000
    given = values.whole(env, "SESSION_PIPELINE_MIN_GROUP", 0, most)
    return PeopleSettings(
        directory=values.place(env, "SESSION_PIPELINE_DIRECTORY"),
        projects=values.place(env, "SESSION_PIPELINE_PROJECTS"),
        mode=values.one_of(
            PeopleMode,
            values.text(env, "SESSION_PIPELINE_PEOPLE") or PeopleSettings().mode.value,
            "SESSION_PIPELINE_PEOPLE",
        ),
        min_group=given or None,
        key=values.place(env, "SESSION_PIPELINE_PEOPLE_KEY"),
        opt_out=values.words(env, "SESSION_PIPELINE_KNOWLEDGE_OPT_OUT"),
        is_said="SESSION_PIPELINE_PEOPLE" in env,
    )


def _exports(env: Mapping[str, str]) -> ExportSettings:
    default = ExportSettings()
    return ExportSettings(
        folder=values.place(env, "SESSION_PIPELINE_EXPORT_DIR"),
        formats=values.some_of(
            ExportFormat, env, "SESSION_PIPELINE_EXPORT_FORMATS", default.formats
        ),
        copy=values.place(env, "SESSION_PIPELINE_PUBLISH"),
    )


def parse_extractor(text: str) -> Extractor:
    """An extractor by its name.

    Raises:
        SettingsError: any other text.
    """
    return values.one_of(Extractor, text, "SESSION_PIPELINE_EXTRACTOR")


def parse_layout(text: str) -> Layout:
    """A layout by its name.

    Raises:
        SettingsError: any other text.
    """
    return values.one_of(Layout, text, "SESSION_LAYOUT")


def _thresholds(env: Mapping[str, str]) -> Thresholds:
    review = values.share(env, "SESSION_PIPELINE_REVIEW_SCORE")
    accept = values.share(env, "SESSION_PIPELINE_ACCEPT_SCORE")
    if review is not None and accept is not None and review > accept:
        said = f"SESSION_PIPELINE_REVIEW_SCORE is {review:g}, above SESSION_PIPELINE_ACCEPT_SCORE"
        raise SettingsError(f"{said} ({accept:g})")
    return Thresholds(review, accept)


def _roots_text(env: Mapping[str, str], home: Path) -> str:
    explicit = values.text(env, "SESSION_DATA_DIR")
    if explicit is not None:
        return explicit
    return str((values.place(env, "DATA_DIR") or home) / "user_sessions")
