"""Names that users, tests and other tools rely on, for each instance of the pipeline its own."""

from collections.abc import Mapping
from dataclasses import dataclass

import dagster as dg

from session_pipeline_dagster.passes.shards import Shard, parse

PROCESSOR_TAG = "session_pipeline/processor"
SHARD_TAG = "session_pipeline/shard"
"""Of runs that take a part of the people: processor and part, so that a queue can limit each."""
FIRST_DAY_TAG = "session_pipeline/first_day"
"""The first partition of who asked for the run: older sessions are in it."""
FAILED_TAG = "files_failed"
"""Short, so that the list of runs shows all of it."""
GIVEN_UP_TAG = "files_given_up"
BY_SENSOR = "dagster/sensor_name"
"""A tag of Dagster's on runs that a sensor asked for."""
SESSION_FILES = "session_files"
PLUGINS_CHECK = "processors_loaded"
UPKEEP = "lake_upkeep"
"""The asset of a lake's upkeep."""
TIDIED_CHECK = "lake_tidied"


@dataclass(frozen=True, slots=True)
class Names:
    """What one instance of the pipeline calls its things, so that several fit into one location.

    Attributes:
        prefix: in front of its asset keys. Steps are called after assets, so they carry it too.
        suffix: behind everything else: jobs, sensors, pools, groups, resources, the tag's value.
    """

    prefix: tuple[str, ...] = ()
    suffix: str = ""

    def key(self, asset: str) -> dg.AssetKey:
        """The asset of a table, a report or the session files."""
        return dg.AssetKey([*self.prefix, asset])

    def step(self, name: str) -> str:
        """The step that fills several tables; its config stands under this name."""
        return self.key(name).to_python_identifier()

    def other(self, name: str) -> str:
        """The name of anything but an asset and a step."""
        return f"{name}_{self.suffix}" if self.suffix else name

    def job(self, processor: str) -> str:
        """The asset job of a processor."""
        return self.other(f"{processor}_job")

    def health_job(self, processor: str) -> str:
        """The job that evaluates the health checks of a processor."""
        return self.other(f"{processor}_health_job")

    def sensor(self, processor: str, shard: Shard | None = None) -> str:
        """The sensor of a processor; of several, that of a shard."""
        return self.other(f"{processor}_sensor" + (f"_{shard.index}" if shard else ""))

    def report_sensor(self, processor: str) -> str:
        """The sensor that asks for the reports of a processor."""
        return self.other(f"{processor}_report_sensor")

    def pool(self, processor: str) -> str:
        """The pool that keeps a processor to one run at a time, or to one for each shard."""
        return self.other(f"session_processor_{processor}")

    @property
    def upkeep_job(self) -> str:
        """The job of a lake's upkeep."""
        return self.other("lake_upkeep_job")

    def tags(self, processor: str, shard: Shard | None = None) -> dict[str, str]:
        """What a processor's runs and steps carry; a run of a shard says of which."""
        tags = {PROCESSOR_TAG: self.other(processor)}
        return {**tags, SHARD_TAG: f"{self.other(processor)}:{shard}"} if shard else tags

    @property
    def sessions(self) -> str:
        """The key of the resource that has the session files."""
        return self.other("session_pipeline__sessions")

    @property
    def store(self) -> str:
        """The key of the resource that has the database."""
        return self.other("session_pipeline__store")


def shard_of(tags: Mapping[str, str]) -> Shard | None:
    """The shard that a run with these tags takes; None = everything.

    Raises:
        SettingsError: somebody has written a tag of another form.
    """
    said = tags.get(SHARD_TAG)
    return None if said is None else parse(said.rpartition(":")[2])


PLAIN = Names()
"""Of the only instance in a location, as ours is."""
