"""Which rows may leave, and what of them: the SELECTs behind every export, page and shared file."""

from dataclasses import dataclass

from session_pipeline_dagster.settings import Settings


@dataclass(frozen=True, slots=True)
class Published:
    """A table as it may leave: its SELECT, of the columns in their order, and what it means."""

    name: str
    select: str
    description: str


def published(settings: Settings) -> tuple[Published, ...]:
    """The tables that may leave as things are set."""
    _ = settings
    return tuple(
        Published(name, f"FROM {name}", f"{name}, per day.")
        for name in ("usage_daily", "usage_activity_daily")
    )
