"""The reports of the `usage` processor, as they are declared; what they look like is in `page.py`.

There are three of one kind: the page of everybody, somebody's own page, and the digest, a text.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Protocol

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.report import Asked, Rendered, Report
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.names import short
from session_pipeline_dagster.settings import PeopleMode, Settings

if TYPE_CHECKING:
    from session_pipeline_dagster.processors.usage.figure_sql import Scope

ME = "me"
_FILES = ("usage.html", "usage.png", "usage-person.html")


def usage_report(settings: Settings) -> Report:
    """The page of everybody, with people shown as things are set."""
    return Report(
        name="usage_report",
        deps=(
            *("usage_daily", "usage_own_billed", "usage_events", "usage_messages"),
            *("people", "budget_status"),
        ),
        trigger="usage_daily",
        selects=partial(_selects, settings),
        render=partial(_render, settings),
        files=_FILES,
        description=_DESCRIPTION,
    )


def own_report(settings: Settings, person: str) -> Report:
    """Somebody's own page; no asset, for it is made on demand.

    Args:
        person: `me`, or who people are by the settings: a name, or a pseudonym.

    Raises:
        SettingsError: nobody but oneself may be asked for.
    """
    if person != ME and settings.people.mode is PeopleMode.TEAM:
        raise SettingsError(
            "SESSION_PIPELINE_PEOPLE is team: nobody is shown below teams; "
            "`session-pipeline report --person me` is one's own page, and there is no other"
        )
    return replace(
        usage_report(settings),
        name="usage_person_report",
        selects=lambda asked: _selects_of(settings, asked, _own(settings, person)),
        render=lambda _, answers: _render_own(settings, person, answers),
    )


class Query(Protocol):
    """Answers SELECTs as of one moment, each with its columns and rows."""

    def __call__(self, *sqls: str) -> Sequence[tuple[Sequence[str], Sequence[Row]]]: ...


def digest_text(settings: Settings, monday: date, query: Query) -> str:
    """The digest of the week that ended before this Monday, beside the week before it, in lines.

    Raises:
        SettingsError: the key of pseudonyms cannot be used.
        StoreError: the database could not be read.
    """
    from session_pipeline_dagster.processors.usage.digest import digest  # noqa: PLC0415  as below
    from session_pipeline_dagster.processors.usage.summing import figures  # noqa: PLC0415  as below

    scope = _scope(settings, until=monday - timedelta(days=1))
    answers = query(*_selects_of(settings, Asked(monday, 14), scope))
    return digest(figures([rows for _, rows in answers], scope))


def _scope(settings: Settings, person: str = "", until: date | None = None) -> "Scope":
    # What makes SELECTs takes 10 ms to import, and every start reads the declarations.
    from session_pipeline_dagster.processors.usage.figure_sql import Scope  # noqa: PLC0415

    people = settings.people
    return Scope(people.mode, people.smallest_group, person, until)


def _own(settings: Settings, person: str) -> "Scope":
    from session_pipeline_dagster.processors.usage.figure_sql import mine, whose  # noqa: PLC0415  as above

    found = mine(settings.user) if person == ME else whose(person, settings.people.mode)
    return _scope(settings, found)


def _selects(settings: Settings, asked: Asked) -> Sequence[str]:
    return _selects_of(settings, asked, _scope(settings))


def _selects_of(settings: Settings, asked: Asked, scope: "Scope") -> Sequence[str]:
    from session_pipeline_dagster.processors.usage.figure_sql import selects  # noqa: PLC0415  as above
    from session_pipeline_dagster.processors.usage.people.published import published  # noqa: PLC0415  as above

    (budgets,) = [one.select for one in published(settings) if one.name == "budget_status"]
    return selects(asked, scope, budgets)


def _render(settings: Settings, asked: Asked, answers: Sequence[Sequence[Row]]) -> Rendered:
    # Altair and its renderer take half a second and 80 MB: only for those who render.
    from session_pipeline_dagster.processors.usage import page  # noqa: PLC0415
    from session_pipeline_dagster.processors.usage.summing import figures  # noqa: PLC0415

    return page.render(figures(answers, _scope(settings), asked.unread))


def _render_own(settings: Settings, person: str, answers: Sequence[Sequence[Row]]) -> Rendered:
    from session_pipeline_dagster.processors.usage import page  # noqa: PLC0415  as above
    from session_pipeline_dagster.processors.usage.summing import figures  # noqa: PLC0415

    found = figures(answers, _own(settings, person))
    if not found.total.whole.messages:
        raise SettingsError(
            f"--person {short(person)}: {_NOBODY[settings.people.mode, person == ME]}"
        )
    return page.render_own(found)


_PSEUDONYM = "people are asked for by their pseudonym; `session-pipeline people show` knows it"
_FOLDER = (
    "no usage of a person or a folder of this name; names are exact, `usage --by person` has them"
)
_OWN = "no usage of the folder that SESSION_USER, else the user of this machine, names"
_NOBODY = {
    (PeopleMode.NAMED, False): _FOLDER,
    (PeopleMode.PSEUDONYM, False): f"no usage; {_PSEUDONYM}",
    **{(mode, True): _OWN for mode in PeopleMode},
}

_DESCRIPTION = """Open the page to look at in the morning, money first.

Cost at API list price of the last seven days against the seven before, by team, project, model,
skill and MCP server, and where people may be shown by person and branch; how budgets stand; tokens,
hours, tools and how often they failed; how much is a lower bound or has no line.
`SESSION_PIPELINE_PEOPLE` decides what it shows of people (`docs/report.md`).
One HTML file that loads nothing, and a PNG for a chat; `report` in the metadata leads to it.

Made again at the full hour when `usage_daily` changed, or at once with "Materialize" or
`session-pipeline report --open`. Its numbers are those of `usage_person_daily`, `usage_slots` and
`usage_events_unique`."""
