"""The component: an instance of the pipeline as a few lines of YAML, in this project or another.

Attributes first, environment second: what a `defs.yaml` does not say is as `settings.py` reads it.
"""

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import dagster as dg
from pydantic import Field

from session_pipeline_dagster import setting_values as values
from session_pipeline_dagster.contract.registry import load_processors
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.orchestration.location import pipeline_definitions
from session_pipeline_dagster.orchestration.names import Names
from session_pipeline_dagster.setting_places import (
    AnyRoot,
    Lake,
    below,
    check_roots,
    parse_database,
    parse_root,
)
from session_pipeline_dagster.settings import (
    Layout,
    Settings,
    read_settings,
)

_WORD = re.compile(r"[A-Za-z0-9_]+")
_TEXTS = ("user", "database", "report_dir", "start_date")
_WIDTH = 96


class _Scaffolder(dg.Scaffolder):
    """Writes a `defs.yaml` that works as it is, with every attribute and what it says."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        """As `dg scaffold defs` asks; the folder's name becomes that of the instance."""
        given = _filled_in(re.sub(r"\W+", "_", request.target_path.name))
        if request.scaffold_format == "yaml" and not request.append:
            text = _commented(request.type_name, given)
            (request.target_path / "defs.yaml").write_text(text, "utf-8")
        else:
            dg.scaffold_component(request, given)


@dg.scaffold_with(_Scaffolder)
class SessionPipelineComponent(dg.Component, dg.Model, dg.Resolvable):
    """Session transcripts of coding agents as tables in DuckDB, with jobs, sensors and checks.

    Several may stand in one project, each with a key prefix, a name suffix and a database of its
    own. What is not said here is as the environment says.
    """

    sessions: list[str] | None = Field(
        default=None,
        description="Folders or buckets with session files: `path` or `s3://bucket/prefix`, with "
        "`name=` before it where there are several.",
        examples=[["~/.claude/projects"]],
    )
    layout: Layout | None = Field(
        default=None,
        description="What the first folder says: `projects`, as in `~/.claude/projects`, or "
        "`users`; `codex` for `~/.codex`, `copilot` for `~/.copilot`, `gemini` for `~/.gemini`.",
        examples=["projects"],
    )
    user: str | None = Field(
        default=None,
        description="Whose sessions they are in all layouts but `users`.",
        examples=["alice"],
    )
    database: str | None = Field(
        default=None,
        description="The DuckDB file, of this instance alone. The folder of an absolute path must "
        "exist.",
        examples=["/srv/data/sessions.duckdb"],
    )
    report_dir: str | None = Field(
        default=None,
        description="The folder that reports are written to, of this instance alone.",
        examples=["/srv/reports"],
    )
    start_date: str | None = Field(
        default=None,
        description="The first daily partition; default: the oldest session's day. Older sessions "
        "are in it, none is lost.",
        examples=["2025-02-01"],
    )
    processors: list[str] | None = Field(
        default=None,
        description="Which of the installed processors, by their names.",
        examples=[["usage"]],
    )
    key_prefix: str | None = Field(
        default=None,
        description="In front of the keys of all assets, `/` between its parts; steps are called "
        "after assets: `agents__usage`.",
        examples=["agents"],
    )
    name_suffix: str | None = Field(
        default=None,
        description="Behind the names of all jobs, sensors, groups, pools and resources: "
        "`usage_job_agents`.",
        examples=["agents"],
    )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The instance that the attributes and the environment describe.

        Raises:
            SettingsError, ContractError: an attribute or a variable cannot be used; says which.
        """
        registry = load_processors()
        if self.processors is not None:
            registry = registry.only(self.processors)
        return pipeline_definitions(registry, self._settings(context.project_root), self._names())

    def _names(self) -> Names:
        prefix = () if self.key_prefix is None else tuple(self.key_prefix.split("/"))
        suffix = () if self.name_suffix is None else (self.name_suffix,)
        for attribute, words in (("key_prefix", prefix), ("name_suffix", suffix)):
            if not all(_WORD.fullmatch(word) for word in words):
                said = getattr(self, attribute)
                raise SettingsError(
                    f"{attribute} is {said!r}; it takes letters, digits and underscores"
                )
        return Names(prefix, *suffix)

    def _settings(self, project: Path) -> Settings:
        """The environment's, and what the attributes say instead.

        Args:
            project: what a relative path is relative to, wherever Dagster was started.
        """
        settings = read_settings()
        said = {name: text for name in _TEXTS if (text := getattr(self, name)) is not None}
        if self.sessions is not None:
            settings = replace(settings, roots=_roots(self.sessions, project))
        if self.layout is not None:
            settings = replace(settings, layout=self.layout)
        if user := values.text(said, "user"):
            settings = replace(settings, user=user)
        if database := values.text(said, "database"):
            settings = _kept_in(settings, parse_database(database, "database"), project)
        if folder := values.text(said, "report_dir"):
            settings = replace(settings, report_dir=project / values.path(folder, "report_dir"))
        start = values.day(said, "start_date") or settings.start_date
        return replace(settings, start_date=start)


def _kept_in(settings: Settings, database: Path | Lake, project: Path) -> Settings:
    if isinstance(database, Lake):
        return replace(settings, database=database)
    # A folder elsewhere that is missing is not mounted; one of the project is new.
    new = not database.is_absolute()
    return replace(settings, database=project / database, create_database_folder=new)


def _roots(sessions: Sequence[str], project: Path) -> tuple[AnyRoot, ...]:
    found = [parse_root(text, "sessions") for text in sessions or [""]]
    return check_roots([below(root, project) for root in found], "sessions")


def _filled_in(name: str) -> dict[str, str | list[str]]:
    """What a new instance of that name begins with: this machine's own sessions."""
    return {
        "sessions": ["~/.claude/projects"],
        "layout": Layout.PROJECTS.value,
        "database": f"var/{name}/sessions.duckdb",
        "report_dir": f"var/{name}/reports",
        "key_prefix": name,
        "name_suffix": name,
    }


def _commented(type_name: str, given: Mapping[str, str | list[str]]) -> str:
    """The text of a `defs.yaml`: every attribute, commented out where none is given."""
    text = "What is commented out is as the environment says. Relative paths begin at the project."
    lines = [f"# {text}", f"type: {type_name}", "", "attributes:"]
    for name, field in SessionPipelineComponent.model_fields.items():
        (example,) = field.examples or [None]
        about = textwrap.wrap(field.description or "", _WIDTH)
        mark = "" if name in given else "# "
        value = _yaml(given.get(name, example))
        lines += ["", *(f"  # {line}" for line in about), f"  {mark}{name}: {value}"]
    return "\n".join([*lines, ""])


def _yaml(value: object) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, list) else str(value)
