"""Pages of one day more and one day less: what the longer one has more is of enough people.

Files, names and teams are those of `crew.py`: a skill and a server are one person's, on two days in
three weeks two people are at work, and on Sundays eight.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import pytest

from crew import BEGINS, LAST, crew, write_directory, write_sessions
from lines import UsagePipeline
from session_pipeline_dagster.contract.report import Asked
from session_pipeline_dagster.passes.runner import recompute
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.usage.figure_sql import Scope, selects
from session_pipeline_dagster.processors.usage.figures import Figures
from session_pipeline_dagster.processors.usage.summing import figures
from session_pipeline_dagster.settings import PeopleMode, PeopleSettings, Settings

pytestmark = pytest.mark.slow(seconds=8)

LEAST = 5
FEW = "(fewer than 5 people)"
DAYS = [BEGINS + timedelta(days=n) for n in range((LAST - BEGINS).days + 1)]
_CALLS = """SELECT {} AS name, count(DISTINCT username), count(*) FROM usage_events_unique
    WHERE make_timestamp(epoch_us(occurred_at))::DATE = DATE '{}' AND {} GROUP BY name"""
_HOURS = """SELECT isodow(sent) || ' ' || hour(sent), count(DISTINCT username), sum(messages)
    FROM (SELECT *, make_timestamp(epoch_us(slot)) AS sent FROM usage_slots)
    WHERE day = DATE '{}' GROUP BY ALL"""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> UsagePipeline:
    folder, members = tmp_path_factory.mktemp("crew"), crew()
    made = UsagePipeline(folder)
    write_sessions(made, members)
    write_directory(folder / "people.csv", members)
    made.run()
    people = PeopleSettings(Path(folder / "people.csv"), mode=PeopleMode.TEAM)
    settings = Settings(database=made.settings.database, people=people)
    processor = UsageProcessor().under(settings)
    made.store.prepare(processor)
    recompute(processor, made.store, settings)
    return made


def page(pipeline: UsagePipeline, until: date) -> Figures:
    """From the first day of all up to this one."""
    scope = Scope(PeopleMode.TEAM, LEAST, until=until)
    asked = Asked(until, (until - BEGINS).days + 1)
    answers = pipeline.store.query(*selects(asked, scope, "FROM budget_status WHERE false"))
    return figures([rows for _, rows in answers], scope)


def more(longer: Mapping[str, float], shorter: Mapping[str, float]) -> dict[str, float]:
    found = {name: number - shorter.get(name, 0) for name, number in longer.items()}
    assert all(number >= 0 for number in found.values())
    return {name: number for name, number in found.items() if number}


def test_what_a_day_more_adds_to_a_page_is_of_enough_people(pipeline: UsagePipeline) -> None:
    told, hours, hidden = 0, 0, 0
    pages = {day: page(pipeline, day) for day in [BEGINS - timedelta(days=1), *DAYS]}
    for day in DAYS:
        longer, shorter = pages[day], pages[day - timedelta(days=1)]
        for kind, column in (
            ("tool", "tool_name"),
            ("skill", "skill_name"),
            ("server", "mcp_server"),
        ):
            used = {
                str(name): (people, calls)
                for name, people, calls in pipeline.select(
                    _CALLS.format(column, day, f"{column} IS NOT NULL")
                )
            }
            added = more(
                {row.name: row.calls for row in longer.called[kind]},
                {row.name: row.calls for row in shorter.called[kind]},
            )
            for name in added.keys() - {FEW}:
                people, _ = used[name]
                assert people >= LEAST, (day, kind, name)
                told += 1
            hidden += len(used.keys() - added.keys())
        costs = more(
            {row.name: float(row.cost.cost) for row in longer.called["skill"]},
            {row.name: float(row.cost.cost) for row in shorter.called["skill"]},
        )
        assert costs.keys() <= {"deploy", FEW}
        crowds = {str(name): people for name, people, _ in pipeline.select(_HOURS.format(day))}
        added = more(
            {f"{d} {h}": number for (d, h), number in longer.hours.items()},
            {f"{d} {h}": number for (d, h), number in shorter.hours.items()},
        )
        for name in added:
            assert crowds[name] >= LEAST, (day, name)
            hours += 1
    assert told > 15
    assert hours > 10
    assert hidden > 5


def test_what_one_person_called_is_in_the_row_of_the_others(pipeline: UsagePipeline) -> None:
    found = page(pipeline, LAST)
    # The next smallest goes with it: of two that all have, the first by name.
    assert {row.name for row in found.called["tool"]} == {"Skill", FEW}
    assert {row.name for row in found.called["skill"]} == {"deploy"}
    assert not found.called["server"]
    (rest,) = (row for row in found.called["tool"] if row.few)
    assert rest.people >= LEAST
    assert found.called["tool"][-1] is rest
    everything = pipeline.select(
        f"""SELECT count(*) FROM usage_events_unique WHERE tool_name IS NOT NULL
        AND make_timestamp(epoch_us(occurred_at))::DATE <> DATE '{LAST - timedelta(days=1)}'"""
    )[0][0]
    assert sum(row.calls for row in found.called["tool"]) == everything, "none is lost"
