"""What was hidden here before: that a setting which is lost is said, and does not show people.

A mode leaves the shared file; a group size leaves a small file with its number, beside it.
"""

import uuid
from pathlib import Path

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.settings import PeopleMode, Settings


def note(settings: Settings) -> None:
    """Leave what a later command knows it by, and take away what does not hold any more.

    Raises:
        SettingsError: it cannot be written.
    """
    people, file = settings.people, _group_file(settings)
    if people.mode is PeopleMode.NAMED and settings.shared_file.exists():
        # From when people were hidden; by it we know that they were.
        settings.shared_file.unlink(missing_ok=True)
    if people.min_group is None or people.min_group == _noted(file):
        return
    if people.min_group <= 1:
        file.unlink(missing_ok=True)
        return
    fresh = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(f"{people.min_group}\n", "ascii")
        fresh.replace(file)
    except OSError as error:
        raise SettingsError(f"{file} cannot be written ({error.strerror})") from None
    finally:
        fresh.unlink(missing_ok=True)


def refuse(settings: Settings) -> None:
    """Stop who would show people because a variable was lost.

    Raises:
        SettingsError: people or small groups were hidden until now, and nobody says that they need
            not be any more.
    """
    people = settings.people
    if not people.is_said and people.mode is PeopleMode.NAMED and settings.shared_file.exists():
        raise SettingsError(
            "people were hidden here, and SESSION_PIPELINE_PEOPLE is not set now: set it to "
            "pseudonym or team as before, or to named to show everybody"
        )
    if people.min_group is not None:
        return
    least = _noted(_group_file(settings))
    if least > people.smallest_group:
        raise SettingsError(
            f"groups of fewer than {least} people were hidden here, and "
            f"SESSION_PIPELINE_MIN_GROUP is not set now: set it to {least} as before, or to 1 to "
            "show every group"
        )


def _group_file(settings: Settings) -> Path:
    stem = settings.shared_file.name.removesuffix("_shared.duckdb")
    return settings.shared_file.with_name(f"{stem}.min-group")


def _noted(file: Path) -> int:
    """The size that was set; 0 where none is noted."""
    try:
        return int(file.read_text("ascii"))
    except (OSError, ValueError):
        return 0
