"""What may leave the store, and in what words: the one place that decides it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.settings import PeopleMode, Settings

if TYPE_CHECKING:
    from session_pipeline_dagster.store.database import Store


@dataclass(frozen=True, slots=True)
class Published:
    """A table that may be shown.

    Attributes:
        select: SELECT over the store's relations and the temporary tables.
    """

    name: str
    select: str
    description: str


@dataclass(frozen=True, slots=True)
class Publishing:
    """All of them; `temporary`: name -> Arrow table that is there while the SELECTs run."""

    tables: tuple[Published, ...]
    temporary: Mapping[str, object] = field(default_factory=dict)


def publishing(
    store: "Store", settings: Settings, since: date | None = None, until: date | None = None
) -> Publishing:
    """What may be shown of these days, both inclusive; UTC."""
    _ = store
    if settings.people.mode is not PeopleMode.NAMED:
        raise SettingsError("SESSION_PIPELINE_PEOPLE takes only named here yet")
    within = f"day >= DATE '{since or '0001-01-01'}' AND day <= DATE '{until or '9999-12-31'}'"
    return Publishing(
        tuple(
            Published(name, f"SELECT * FROM {name} WHERE {within}", f"{name} per day")
            for name in ("usage_daily", "usage_activity_daily")
        )
    )


def shown_person(settings: Settings) -> Callable[[str], str] | None:
    """How a person is called; None: nobody is shown."""
    return (lambda name: name) if settings.people.mode is PeopleMode.NAMED else None
