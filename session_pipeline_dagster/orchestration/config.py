"""What a run of a processor can be told, and what is refused before it starts.

Dagster checks names and types when a run is launched, and limits only when the run is at work. A
number out of range is refused here at the launch, so that no run starts and fails.
"""

from collections.abc import Mapping
from datetime import date, timedelta

import dagster as dg
from pydantic import Field

from session_pipeline_dagster.names import short
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.shards import Shard

_MOST = 10**9
"""More files or seconds than there will ever be, and still a length of time in Python."""


class ProcessorConfig(dg.Config):
    """What a run of a processor can be told, in the launchpad or a backfill."""

    full_refresh: bool = Field(
        default=False,
        description="False: only files that are new or changed. True: first mark the rows of these "
        "partitions outdated, then process their files again.",
    )
    outdated: bool = Field(
        default=False,
        description="True: also process again what an older version of the processor did, where it "
        "does that on request only.",
    )
    users: list[str] = Field(
        default=[], description="Only these users' files; empty = everyone's. Like [alice, bob]."
    )
    retry: list[str] = Field(
        default=[],
        description="Files that failed, by their keys as the check `quarantine` lists them: forget "
        "their failures first. Those of these partitions are tried in this run, the others when "
        "the sensor looks next.",
    )
    max_files: int | None = Field(
        default=None,
        gt=0,
        le=_MOST,
        description="Files this run takes at most; the sensor finishes the rest. null = as set by "
        "SESSION_PIPELINE_MAX_FILES_PER_RUN.",
    )
    time_budget_seconds: float | None = Field(
        default=None,
        gt=0,
        le=_MOST,
        description="Seconds after which no further file is begun. null = as set by "
        "SESSION_PIPELINE_TIME_BUDGET_SECONDS.",
    )

    def options(
        self, days: frozenset[date] | None, run_id: str, shard: Shard | None = None
    ) -> Options:
        """The same for the core; days None = everything pending."""
        seconds = self.time_budget_seconds
        return Options(
            days=days,
            users=frozenset(map(short, self.users)),
            shard=shard,
            full_refresh=self.full_refresh,
            outdated=self.outdated,
            max_files=self.max_files,
            time_budget=timedelta(seconds=seconds) if seconds else None,
            run_id=run_id,
        )


class _AboveZero(dg.ScalarUnion):
    """A number, or the name of an environment variable as everywhere in Dagster's config."""

    def __init__(self, field: str, kind: type[int] | type[float]) -> None:
        self.field, self.number = field, kind
        super().__init__(kind, dg.Selector({"env": str}), _key=f"{field}.AboveZero")

    def post_process(self, value: object) -> object:
        """Called when a run is launched, before it exists."""
        number = self._of_variable(str(value["env"])) if isinstance(value, dict) else value
        if not isinstance(number, int | float) or not 0 < number <= _MOST:
            raise dg.DagsterInvariantViolationError(
                f"config {self.field}: {number}; give a number above 0, at most {_MOST}, or leave "
                "it out"
            )
        return number

    def _of_variable(self, name: str) -> int | float | None:
        """What an environment variable says; None where that is no number."""
        try:
            return self.number(dg.EnvVar(name).get_value() or "")
        except ValueError:
            return None


def config_schema() -> Mapping[str, dg.Field]:
    """The fields of ProcessorConfig for a step, with their limits."""
    # A copy: Dagster keeps the original for other classes of the same shape.
    fields = dict(ProcessorConfig.to_fields_dict())
    for name, kind in (("max_files", int), ("time_budget_seconds", float)):
        fields[name] = dg.Field(
            dg.Noneable(_AboveZero(name, kind)),
            default_value=None,
            is_required=False,
            description=fields[name].description,
        )
    return fields
