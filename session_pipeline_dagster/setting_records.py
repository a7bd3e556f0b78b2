"""The records that settings are made of: what each says, its default and its variable.

`settings.py` fills them in; it is the only reader of the environment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path


class Layout(Enum):
    """What the first folder below a root says.

    USERS: the user (`<root>/<user>/**/*.jsonl`). PROJECTS: the project, as in `~/.claude/projects`.
    CODEX, COPILOT, GEMINI: nothing; the root is the home folder of Codex, `~/.codex`, of GitHub
    Copilot CLI, `~/.copilot`, or of Gemini CLI, `~/.gemini`.
    """

    USERS = "users"
    PROJECTS = "projects"
    CODEX = "codex"
    COPILOT = "copilot"
    GEMINI = "gemini"


class AlertLevel(Enum):
    """The mildest finding that alerts speak of; unknown = it was not possible to look."""

    INFO = "info"
    UNKNOWN = "unknown"
    WARNING = "warning"


class Digest(Enum):
    """How often what was used is told in a few lines, where alerts go."""

    OFF = "off"
    WEEKLY = "weekly"


class Extractor(Enum):
    """Who reads what people said: phrases alone, or a model of a provider."""

    RULES = "rules"
    ANTHROPIC = "anthropic"
    OPENAI = "openai"


DEFAULT_MODELS = {Extractor.ANTHROPIC: "claude-haiku-4-5", Extractor.OPENAI: "gpt-5-mini"}


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which language model is asked, if any, and how much. Keys are never shown.

    Attributes:
        deadline: for one answer, retries and waiting included.
        sessions_at_once: sessions of a pass that wait for an answer at the same time.
        tokens_per_run: input and output tokens after which a pass begins no further session.
    """

    extractor: Extractor = Extractor.RULES  # SESSION_PIPELINE_EXTRACTOR
    model: str = ""  # SESSION_PIPELINE_MODEL
    anthropic_api_key: str | None = field(default=None, repr=False)  # ANTHROPIC_API_KEY
    anthropic_base_url: str | None = None  # ANTHROPIC_BASE_URL
    openai_api_key: str | None = field(default=None, repr=False)  # OPENAI_API_KEY
    openai_base_url: str | None = None  # OPENAI_BASE_URL
    deadline: timedelta = timedelta(seconds=120)  # SESSION_PIPELINE_MODEL_DEADLINE_SECONDS
    sessions_at_once: int = 4  # SESSION_PIPELINE_MODEL_SESSIONS
    tokens_per_run: int | None = None  # SESSION_PIPELINE_TOKENS_PER_RUN


class Personal(Enum):
    """Personal data that can be taken out of what people said, as secrets are."""

    CARDS = "cards"
    IBANS = "ibans"
    MAIL = "mail"
    PHONES = "phones"


DEFAULT_PERSONAL = frozenset({Personal.CARDS, Personal.IBANS})


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which score (0 to 1) on a find is kept, and accepted; None = as its finder has it."""

    review: float | None = None  # SESSION_PIPELINE_REVIEW_SCORE
    accept: float | None = None  # SESSION_PIPELINE_ACCEPT_SCORE


class OnDelete(Enum):
    """What becomes of the rows of a deleted file.

    KEEP: they stay, and its state says since when it is gone. PURGE: they go, everywhere, once it
    has been gone for `purge_after`.
    """

    KEEP = "keep"
    PURGE = "purge"


@dataclass(frozen=True, slots=True)
class DetailDays:
    """For how many days detail is kept; see `contract/retention.py`.

    Attributes:
        kinds: kind -> days.
        others: of all other kinds; None = for ever.
    """

    kinds: Mapping[str, int] = field(default_factory=dict)
    others: int | None = None

    def of(self, kind: str) -> int | None:
        """Days of one kind; None = for ever."""
        return self.kinds.get(kind, self.others)


@dataclass(frozen=True, slots=True)
class Root:
    """One place with session files; a name, if any, prefixes its keys (`name:alice/x.jsonl`)."""

    path: Path
    name: str | None = None

    @property
    def label(self) -> str:
        """What messages call it."""
        return str(self.path)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one file is taken into memory, in bytes.

    Attributes:
        line: the longest line that is read; a longer one counts as unreadable.
        unpacked: the most that a file may hold, packed or not.
    """

    line: int = 16 << 20  # SESSION_PIPELINE_LINE_MB
    unpacked: int = 256 << 20  # SESSION_PIPELINE_UNPACKED_MB


class CostMode(Enum):
    """Where the cost of a response comes from, as ccusage means these words.

    CALCULATE: tokens times price. AUTO: what the line recorded, else calculated. DISPLAY: only what
    the line recorded.
    """

    CALCULATE = "calculate"
    AUTO = "auto"
    DISPLAY = "display"


@dataclass(frozen=True, slots=True)
class MoneySettings:
    """What responses cost, and what is said of it.

    Attributes:
        provider: who served a response whose id does not say it; the price library's id.
        spike: the cost of an hour of one session, in USD, below which it is no spike.
    """

    prices: Path | None = None  # SESSION_PIPELINE_PRICES
    provider: str = "anthropic"  # SESSION_PIPELINE_PROVIDER
    mode: CostMode = CostMode.CALCULATE  # SESSION_PIPELINE_COST_MODE
    budgets: Path | None = None  # SESSION_PIPELINE_BUDGETS
    seats: Path | None = None  # SESSION_PIPELINE_SEATS
    rates: Path | None = None  # SESSION_PIPELINE_CURRENCY_RATES
    spike: Decimal = Decimal(20)  # SESSION_PIPELINE_SPIKE_USD


class PeopleMode(Enum):
    """What is shown of people, on every page and in everything that leaves.

    NAMED: who they are. PSEUDONYM: a name that only the key of this machine leads back from. TEAM:
    nobody, only teams.
    """

    NAMED = "named"
    PSEUDONYM = "pseudonym"
    TEAM = "team"


_SMALLEST_GROUP = 5


@dataclass(frozen=True, slots=True)
class PeopleSettings:
    """Who is who, and who may be shown.

    Attributes:
        directory: who is in which team and when; CSV or YAML.
        projects: which repositories are one project; TOML.
        min_group: how many active people a shown cell has at least; None = as the mode has it.
        key: the file with the key of pseudonyms; None = beside the database.
        opt_out: whose sessions are counted and not read for knowledge: users, and globs of users,
            project folders and session files.
        is_said: the mode was set, and is not just the default.
    """

    directory: Path | None = None  # SESSION_PIPELINE_DIRECTORY
    projects: Path | None = None  # SESSION_PIPELINE_PROJECTS
    mode: PeopleMode = PeopleMode.NAMED  # SESSION_PIPELINE_PEOPLE
    min_group: int | None = None  # SESSION_PIPELINE_MIN_GROUP
    key: Path | None = None  # SESSION_PIPELINE_PEOPLE_KEY
    opt_out: tuple[str, ...] = ()  # SESSION_PIPELINE_KNOWLEDGE_OPT_OUT
    is_said: bool = False

    @property
    def hides(self) -> bool:
        """Whether anything is shown otherwise than it is."""
        return self.mode is not PeopleMode.NAMED or self.smallest_group > 1

    @property
    def smallest_group(self) -> int:
        """How many active people a shown cell has at least; 1 = any."""
        if self.min_group is not None:
            return self.min_group
        return _SMALLEST_GROUP if self.mode is PeopleMode.TEAM else 1


class ExportFormat(Enum):
    """What a folder of exports holds.

    PARQUET, CSV: the published tables, a file a day. CCUSAGE: JSON as ccusage prints it. FOCUS: a
    bill as the FinOps specification has it. PROMETHEUS: numbers for node_exporter.
    """

    PARQUET = "parquet"
    CSV = "csv"
    CCUSAGE = "ccusage"
    FOCUS = "focus"
    PROMETHEUS = "prometheus"


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """What is written for other programs after each pass that changed something; nothing unless it
    is set.

    Attributes:
        folder: where files of the formats go; created if missing.
        copy: a DuckDB file of what may be shown, for whoever must not open the database.
    """

    folder: Path | None = None  # SESSION_PIPELINE_EXPORT_DIR
    formats: frozenset[ExportFormat] = frozenset({ExportFormat.PARQUET})
    # SESSION_PIPELINE_EXPORT_FORMATS
    copy: Path | None = None  # SESSION_PIPELINE_PUBLISH
