"""The usage report: its numbers are those of the tables, and no name in it can do harm."""

import csv
import json
import os
import re
import resource
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from copilot import Session
from example_numbers import EXPECTED, MESSAGES, OUTPUT
from helpers import EXAMPLES, EchoProcessor, Pipeline, echo_report, make_pipeline
from lines import assistant, encode, result, tool, usage, user
from places import DATA
from session_pipeline_dagster.cli import main
from session_pipeline_dagster.contract.registry import check_contract, load_processors
from session_pipeline_dagster.contract.report import Asked, Rendered
from session_pipeline_dagster.definitions import build_definitions
from session_pipeline_dagster.errors import ContractError, SettingsError
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.orchestration import reports
from session_pipeline_dagster.passes.publish import Published, publish
from session_pipeline_dagster.passes.runner import recompute
from session_pipeline_dagster.processors.usage import UsageProcessor, charts
from session_pipeline_dagster.processors.usage.figure_sql import Scope
from session_pipeline_dagster.processors.usage.figures import Figures
from session_pipeline_dagster.processors.usage.report import usage_report
from session_pipeline_dagster.processors.usage.summing import figures
from session_pipeline_dagster.processors.usage.wording import distinct, percent, usd
from session_pipeline_dagster.settings import PeopleSettings, Root, Settings

pytestmark = pytest.mark.slow

TODAY = date(2026, 6, 1)
SUMS = """sum(messages)::BIGINT, sum(output_tokens)::BIGINT, sum(input_tokens)::BIGINT,
    sum(cache_creation_tokens)::BIGINT, sum(cache_read_tokens)::BIGINT,
    sum(partial_messages)::BIGINT"""
BY = [("Projects", "project"), ("Models", "model"), ("People", "person"), ("Teams", "team")]


class Page(HTMLParser):
    """Tables, text, tags and attributes of a page, as a browser finds them."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = path.read_text("utf-8")
        self.tables: dict[str, list[list[str]]] = {}
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self._title = ""
        self._open: list[str] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag in ("bdi", "br"):
            return
        self._open.append(tag)
        if tag in ("h2", "summary"):
            self._title = ""
        if tag == "tr":
            self.tables.setdefault(self._title, []).append([])
        if tag in ("td", "th"):
            self.tables[self._title][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "bdi":
            return
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside in ("h2", "summary"):
            self._title += data
        if inside in ("td", "th"):
            self.tables[self._title][-1][-1] += data
        if inside != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def numbers(self, title: str) -> list[tuple[object, ...]]:
        """The rows of a table below its head, counts as numbers."""
        rows = self.tables[title][1:]
        return [(name, *(_number(n) for n in ns)) for name, _, *ns in rows]

    def costs(self, title: str) -> list[tuple[str, str]]:
        """The names of a table and what they cost."""
        return [(name, cost) for name, cost, *_ in self.tables[title][1:]]


def _number(cell: str) -> int:
    """Of `1,234`, and of `at least 1,234 (about 2,000)`."""
    return int(cell.removeprefix("at least ").split()[0].replace(",", ""))


REPORT = usage_report(Settings())


def make(
    pipeline: Pipeline,
    days: int = 30,
    today: date = TODAY,
    unread: Mapping[str, int] | None = None,
) -> Published:
    return publish(
        UsageProcessor(),
        REPORT,
        pipeline.store,
        pipeline.settings.reports,
        Asked(today, days, unread or {}),
    )


def read(pipeline: Pipeline, days: int = 30, today: date = TODAY) -> Figures:
    answers = pipeline.store.query(*REPORT.selects(Asked(today, days)))
    return figures([rows for _, rows in answers], Scope())


def fill(pipeline: Pipeline) -> None:
    """Process what is there, the roll-up too."""
    processor = UsageProcessor().under(pipeline.settings)
    pipeline.run(processor)
    pipeline.store.prepare(processor)
    recompute(processor, pipeline.store, pipeline.settings)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return make_pipeline(tmp_path)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The made-up sessions, processed; alice moves from one team to the other."""
    empty = make_pipeline(tmp_path_factory.mktemp("examples"))
    directory = empty.root.parent / "directory.csv"
    directory.write_text(
        "folder,person,team,from,to\nalice,alice,data,,2026-05-10\n"
        "alice,alice,platform,2026-05-11,\nbob,bob,platform,,\n"
    )
    people = PeopleSettings(directory=directory)
    made = Pipeline(EXAMPLES, replace(empty.settings, roots=(Root(EXAMPLES),), people=people))
    fill(made)
    return made


@pytest.fixture(scope="module")
def made(examples: Pipeline) -> Published:
    return make(examples)


@pytest.fixture(scope="module")
def page(made: Published) -> Page:
    return Page(made.paths[0])


# --- the numbers ---


def cost(number: object) -> str:
    return "–" if number is None else usd(Decimal(str(number)))


@pytest.mark.parametrize(("title", "column"), BY)
def test_money_and_its_weeks_are_those_of_the_table(
    page: Page, examples: Pipeline, title: str, column: str
) -> None:
    order = column if column == "person" else "sum(cost) DESC"
    last, before = "day > DATE '2026-05-07'", "day <= DATE '2026-05-07'"
    sums = f"""sum(cost) FILTER ({last}), sum(cost) FILTER ({before}), sum(cost),
        count(DISTINCT person), sum(messages)::BIGINT, sum(output_tokens)::BIGINT"""
    rows = [
        (name, now, then, whole, int(people), int(messages), _number(output))
        for name, now, then, _, whole, _, people, messages, output, _ in page.tables[title][1:]
    ]
    expected = examples.select(
        f"SELECT {column}, {sums} FROM usage_person_daily GROUP BY ALL ORDER BY {order}"
    ) + examples.select(f"SELECT 'total', {sums} FROM usage_person_daily")
    assert len(expected) > 2
    assert rows == [
        (name, cost(now), cost(then), cost(whole), *rest)
        for name, now, then, whole, *rest in expected
    ]
    assert "API list price" in page.text


def test_the_teams_of_the_examples_cost_what_their_responses_cost(page: Page) -> None:
    """Alice moves from one to the other on 11 May."""
    found = {row[0]: (row[1], row[2], row[4]) for row in page.tables["Teams"][1:]}
    assert found == {
        "platform": ("0.5621", "0.2995", "0.8616"),
        "data": ("–", "0.3641", "0.3641"),
        "total": ("0.5621", "0.6636", "1.2257"),
    }


def test_branches_are_those_of_the_lines(page: Page, examples: Pipeline) -> None:
    found = examples.select(
        """FROM (SELECT coalesce(git_branch, '(none)') AS name, sum(cost) FROM usage_slots
            GROUP BY ALL)
        ORDER BY lower(name), name"""
    )
    rows = [(row[0], row[4]) for row in page.tables["Branches"][1:-1]]
    assert rows == [(name, cost(much)) for name, much in found]
    assert len(rows) > 1


@pytest.mark.parametrize(
    ("title", "column"),
    [("Skills", "attribution_skill"), ("MCP servers", "attribution_mcp_server")],
)
def test_what_had_a_part_in_responses_cost_what_these_cost(
    page: Page, examples: Pipeline, title: str, column: str
) -> None:
    found = examples.select(
        f"""SELECT {column}, sum(cost) FROM usage_costs JOIN (
            SELECT message_key, username, any_value({column}) AS {column}
            FROM usage_messages GROUP BY ALL) USING (message_key, username)
        WHERE {column} IS NOT NULL GROUP BY ALL"""
    )
    assert found
    rows = {row[0]: row[1] for row in page.tables[title][1:]}
    assert {name: rows[name] for name, _ in found} == {name: cost(much) for name, much in found}


def test_every_day_of_the_period_has_its_sums(page: Page, examples: Pipeline) -> None:
    *rows, _ = page.numbers("Each day")
    assert [row[0] for row in rows] == [f"{day} May" for day in range(4, 15)]
    assert [row for row in rows if row[1]] == examples.select(
        f"""SELECT strftime(day, '%-d %b'), {SUMS} FROM usage_daily
        GROUP BY day ORDER BY day"""
    )


@pytest.mark.parametrize(
    ("title", "column"),
    [
        ("Tools", "tool_name"),
        ("Skills", "skill_name"),
        ("MCP servers", "mcp_server"),
        ("Subagents", "subagent_type"),
        ("Slash commands", "command_name"),
    ],
)
def test_calls_and_failures_are_those_of_the_view(
    page: Page, examples: Pipeline, title: str, column: str
) -> None:
    found = examples.select(
        f"""SELECT {column}, count(*), count(*) FILTER (is_error) FROM usage_events_unique
        WHERE {column} IS NOT NULL GROUP BY ALL ORDER BY count(*) DESC, {column}"""
    )
    assert found
    rows = [(row[0], *row[-3:]) for row in page.tables[title][1:] if row[-3] != "0"]
    expected = [
        (name, str(calls), str(failed), percent(failed / calls)) for name, calls, failed in found
    ]
    assert sorted(rows) == sorted(expected)
    # Where nothing has a cost, most calls come first.
    assert rows == expected or title in ("Skills", "MCP servers")


def test_the_hours_are_those_of_the_view(examples: Pipeline) -> None:
    found = read(examples)
    assert sorted((day, hour, n) for (day, hour), n in found.hours.items()) == examples.select(
        """SELECT isodow(sent_at AT TIME ZONE 'UTC'), hour(sent_at AT TIME ZONE 'UTC'), count(*)
        FROM usage_messages_unique GROUP BY ALL ORDER BY ALL"""
    )
    assert found.unsettled == 0
    sessions = "SELECT count(DISTINCT session_id) FROM usage_messages_unique"
    assert [(found.sessions,)] == examples.select(sessions)


def test_the_headline_is_the_same_everywhere(page: Page, made: Published) -> None:
    assert (made.numbers["messages"], made.numbers["output_tokens"]) == (MESSAGES, OUTPUT)
    tiles = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page.source)
    assert ("Messages", str(MESSAGES)) in tiles
    assert ("Output tokens, at least", f"{OUTPUT:,}") in tiles
    assert ("Last 7 days, USD", "0.5621") in tiles
    assert "8 to 14 May: −15 %" in page.text
    assert (made.numbers["cost_usd_last_7_days"], made.numbers["cost_usd_7_days_before"]) == (
        0.56212455,
        0.66359975,
    )


def test_a_period_counts_back_from_the_last_day_with_usage(examples: Pipeline) -> None:
    found = read(examples, days=3)
    assert (found.first, found.last) == (date(2026, 5, 12), date(2026, 5, 14))
    total = "SELECT sum(messages)::BIGINT FROM usage_daily WHERE day >= DATE '2026-05-12'"
    assert examples.select(total) == [(found.total.whole.messages,)]
    assert sum(found.hours.values()) == found.total.whole.messages
    events = """SELECT count(*) FROM usage_events_unique
        WHERE tool_name IS NOT NULL AND occurred_at >= TIMESTAMPTZ '2026-05-12 00:00:00Z'"""
    assert examples.select(events) == [(sum(c.calls for c in found.called["tool"]),)]


def test_what_is_dated_later_than_today_is_left_out_and_said(examples: Pipeline) -> None:
    found = read(examples, today=date(2026, 5, 13))
    later = EXPECTED["by_day"]["2026-05-14"]["messages"]
    assert (found.last, found.undated) == (date(2026, 5, 12), later)
    folder = examples.settings.database.parent / "earlier"
    other = examples.having(report_dir=folder)
    text = Page(make(other, today=date(2026, 5, 13)).paths[0]).text
    assert f"{later} messages with a date still to come, or none, left out." in text


def test_a_roll_up_that_is_behind_is_said(pipeline: Pipeline) -> None:
    write(pipeline, "alice/1.jsonl", assistant("msg_1", usage(1, 2)))
    fill(pipeline)
    write(pipeline, "alice/2.jsonl", assistant("msg_2", usage(1, 2)))
    pipeline.run(UsageProcessor())
    with pipeline.store.connect() as connection:
        connection.execute("UPDATE usage_slots SET messages = 1")
    assert (
        "The days differ from their responses by 1 messages" in Page(make(pipeline).paths[0]).text
    )


def write(pipeline: Pipeline, key: str, *lines: dict[str, object]) -> None:
    path = pipeline.root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(*lines))


# --- much, little, nothing ---


def crowd(pipeline: Pipeline, users: int, days: int) -> None:
    """Two responses and a call for every user and day, straight into the tables."""
    pipeline.store.prepare(UsageProcessor())
    with pipeline.store.connect() as connection:
        connection.execute(
            f"""INSERT INTO usage_messages BY NAME
            SELECT 'user' || u || '/' || d AS session_file, concat_ws('.', u, d, m) AS message_key,
                u || '.' || d AS session_id, 'user' || u AS username, 'm' AS model,
                false AS is_sidechain, 1 AS input_tokens, u + m AS output_tokens,
                0 AS cache_creation_tokens, 0 AS cache_read_tokens, m = 0 AS output_partial,
                make_timestamptz(epoch_us(TIMESTAMP '2026-05-31 09:00:00' - to_days(d::INT)))
                    AS sent_at
            FROM range({users}) AS a(u), range({days}) AS b(d), range(2) AS c(m)"""
        )
        connection.execute(
            """INSERT INTO usage_events BY NAME SELECT session_file, message_key AS event_key,
                session_id, username, false AS is_sidechain, 'tool_use' AS event_type,
                'Tool' || username AS tool_name, false AS is_error, sent_at AS occurred_at
            FROM usage_messages WHERE output_partial"""
        )
        connection.execute(
            """INSERT INTO session_rollup_changes BY NAME SELECT DISTINCT 'usage_slots' AS rollup,
            make_timestamp(epoch_us(sent_at))::DATE::VARCHAR AS part FROM usage_messages"""
        )
    recompute(UsageProcessor(), pipeline.store, pipeline.settings)


def test_200_users_and_400_days_stay_readable(pipeline: Pipeline) -> None:
    crowd(pipeline, 200, 400)
    made = make(pipeline, days=400)
    page = Page(made.paths[0])
    assert len(page.source) < 500_000
    assert made.bytes < 2_000_000
    assert len(page.tables["Each week"]) == 1 + 58 + 1
    *people, total = page.tables["People"][1:]
    assert [row[0] for row in people] == sorted(f"user{number}" for number in range(200))
    assert total[-3:] == ["160,000", "at least 16,000,000", "50 %"]
    assert sum(_number(row[-2]) for row in people) == 16_000_000
    *tools, others = page.tables["Tools"][1:]
    assert [row[1] for row in tools] == ["400"] * 12
    assert others[:2] == ["188 more", "75,200"]


def test_the_bars_are_those_of_teams_and_models(pipeline: Pipeline) -> None:
    crowd(pipeline, 9, 2)
    found = read(pipeline)
    bars = [(bar.start.day, bar.team, bar.model, bar.sums.messages) for bar in found.bars]
    assert bars == [(day, "(unassigned)", "m", 18) for day in (30, 31)]


@pytest.mark.parametrize(
    ("days", "unit"), [(92, "day"), (93, "week"), (644, "week"), (645, "month")]
)
def test_a_bar_is_a_day_then_a_week_then_a_month(pipeline: Pipeline, days: int, unit: str) -> None:
    crowd(pipeline, 1, 700)
    found = read(pipeline, days)
    assert found.unit == unit
    assert {bar.start for bar in found.bars} == {*found.starts()}
    assert sum(bar.sums.messages for bar in found.bars) == 2 * days == found.total.whole.messages


def test_one_response_is_a_report(pipeline: Pipeline) -> None:
    write(pipeline, "alice/1.jsonl", user(), assistant("msg_1", usage(3, 5)))
    fill(pipeline)
    page = Page(make(pipeline).paths[0])
    assert page.numbers("Each day") == [("10 Mar", 1, 5, 3, 0, 0, 0), ("total", 1, 5, 3, 0, 0, 0)]
    assert not page.tables.keys() & {"Tools", "Skills", "Teams", "Agents", "Budgets"}
    assert "Last 7 days" not in page.text


def test_two_agents_have_a_table_and_a_chart_of_their_own(pipeline: Pipeline) -> None:
    shutil.copytree(DATA / "codex" / "fork", pipeline.root / "bob")
    at = "2026-11-20T09:00:00Z"
    write(pipeline, "alice/1.jsonl", assistant("msg_1", usage(3, 5), at=at))
    fill(pipeline)
    unread = {"OpenCode": 12, "Pi": 1}
    page = Page(make(pipeline, today=date(2026, 11, 21), unread=unread).paths[0])
    messages = {row[0]: int(row[-3]) for row in page.tables["Agents"][1:]}
    assert messages == {"claude-code": 1, "codex": 3, "total": 4}
    assert "Cost per day, by agent" in page.text
    assert page.text.count("12 files of OpenCode and 1 of Pi are not read") == 1
    bars = read(pipeline, today=date(2026, 11, 21)).bars
    spent = {bar.agent: sum(b.sums.messages for b in bars if b.agent == bar.agent) for bar in bars}
    assert spent == {"claude-code": 1, "codex": 3}


def test_what_is_not_read_is_said_without_usage_and_not_where_it_may_be_of_few(
    pipeline: Pipeline,
) -> None:
    said = "1 file of Pi is not read"
    assert said in Page(make(pipeline, unread={"Pi": 1}).paths[0]).text
    write(pipeline, "alice/1.jsonl", user(), assistant("msg_1", usage(3, 5)))
    fill(pipeline)
    page = Page(make(pipeline, unread={"Pi": 1}).paths[0])
    assert said in page.text
    assert "by agent" not in page.text
    answers = pipeline.store.query(*REPORT.selects(Asked(TODAY)))
    rows = [rows for _, rows in answers]
    assert figures(rows, Scope(), {"Pi": 1}).unread == {"Pi": 1}
    merged = figures(rows, Scope(least=2), {"Pi": 1})
    assert not merged.unread
    with_another = replace(merged, bars=[*merged.bars, replace(merged.bars[0], agent="codex")])
    assert len(charts.charts(with_another)) == len(charts.charts(merged))
    both = replace(with_another, scope=Scope())
    assert len(charts.charts(both)) == len(charts.charts(merged)) + 1


def test_input_that_nobody_knows_is_said_and_is_no_0(pipeline: Pipeline) -> None:
    killed = Session(1).starts().asks().says(100)
    file = pipeline.root / "alice" / killed.key
    file.parent.mkdir(parents=True)
    file.write_bytes(killed.content)
    fill(pipeline)
    made = make(pipeline, today=date(2026, 11, 21))
    page = Page(made.paths[0])
    (day, *_) = page.tables["Each day"][1:]
    assert day == ["20 Nov", "input unknown", "1", "100", "unknown", "unknown", "unknown", "0"]
    assert "1 message of sessions that were killed or have not ended" in page.text
    assert "without a known price" not in page.text
    assert made.numbers["unknown_input_messages"] == 1
    for table in ("usage_person_daily", "usage_team_daily"):
        unknown = pipeline.store.query(f"SELECT messages, unknown_input_messages FROM {table}")
        assert unknown[0][1] == [(1, 1)]


def test_without_data_the_page_says_so(pipeline: Pipeline) -> None:
    made = make(pipeline)
    assert "No usage yet" in Page(made.paths[0]).text
    assert made.paths[1].read_bytes().startswith(b"\x89PNG")
    assert set(made.numbers.values()) == {0}


# --- names are data ---

NAMES = (
    "<script>alert('u')",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "a&amp;b",
    "名前",
    "datum.value",
    "\u202egnp.exe",
    "\u05d0\u05d1\u05d2",
)
TEAMS = ("<script>1</script>", "'\"><b onclick=x>")
TOOLS = (
    "</svg></script><script>alert(1)</script>",
    "]]><svg onload=x>",
    "../../etc/passwd",
    "a\x01b",
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Page:
    plain = make_pipeline(tmp_path_factory.mktemp("hostile"))
    directory = plain.root.parent / "directory.csv"
    with directory.open("w", newline="") as opened:
        # What does not show is refused there; such a folder is of no team.
        rows = [
            (name, name, TEAMS[n % 2]) for n, name in enumerate(NAMES) if name == printable(name)
        ]
        csv.writer(opened).writerows([("folder", "person", "team"), *rows])
    pipeline = plain.having(people=PeopleSettings(directory=directory))
    for number, name in enumerate(NAMES):
        calls = [tool(text, f"toolu_{number}{i}") for i, text in enumerate(TOOLS)]
        line = assistant(f"msg_{number}", usage(1, 2), content=calls, model=TOOLS[0])
        write(pipeline, f"{name}/1.jsonl", line, user([result(f"toolu_{number}0", error=True)]))
    fill(pipeline)
    return Page(make(pipeline).paths[0])


def test_a_page_holds_nothing_that_acts_or_loads(hostile: Page, page: Page) -> None:
    for found in (hostile, page):
        assert not found.tags & {"script", "img", "iframe", "object", "link", "image", "use", "a"}
        assert not {name for name in found.attributes if name.startswith("on")}
        assert not found.attributes & {"src", "href", "xlink:href", "srcset", "data", "action"}
        assert set(re.findall(r"\bhttps?://[^\"'<> ]+", found.source)) == {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }
        assert not re.search(r"@import|@font-face|url\((?!#)", found.source)
        assert "default-src 'none'" in found.source


def test_odd_names_are_shown_as_they_are_and_turn_nothing_around(hostile: Page) -> None:
    people = [name for name, *_ in hostile.costs("People")[:-1]]
    assert sorted(people) == sorted(map(printable, NAMES))
    teams = [name for name, *_ in hostile.costs("Teams")[:-1]]
    assert sorted(teams) == sorted([*TEAMS, "(unassigned)"])
    shown = [row[0] for row in hostile.tables["Tools"][1:]]
    assert sorted(shown) == sorted(name.replace("\x01", "\ufffd") for name in TOOLS)
    # What turns text around is replaced; a name that reads from right to left turns only itself.
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", hostile.source)
    assert "<bdi>\u05d0\u05d1\u05d2</bdi>" in hostile.source


def test_names_that_look_alike_stay_apart() -> None:
    assert distinct(["a\x01", "a\x02", "a\ufffd (2)", "b"]) == [
        "a\ufffd",
        "a\ufffd (2)",
        "a\ufffd (2) (2)",
        "b",
    ]


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.0002, "< 0.1 %"), (0.051, "5.1 %"), (0.1, "10 %"), (1, "100 %")],
)
def test_a_share_that_is_not_nothing_does_not_read_nothing(share: float, text: str) -> None:
    assert percent(share) == text


# --- the files ---


def test_the_files_are_replaced_whole_or_not_at_all(pipeline: Pipeline) -> None:
    made = make(pipeline)
    before = [path.read_bytes() for path in made.paths]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def on_a_full_disk(_: Asked, __: object) -> Rendered:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        return Rendered({"usage.html": b"x" * 1_000_000}, {})

    broken = replace(REPORT, render=on_a_full_disk)
    try:
        with pytest.raises(SettingsError, match="cannot be written"):
            publish(
                UsageProcessor(), broken, pipeline.store, pipeline.settings.reports, Asked(TODAY)
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.read_bytes() for path in made.paths] == before
    assert {path.name for path in pipeline.settings.reports.iterdir()} == {*REPORT.files[:2]}


def test_the_files_have_the_permissions_of_the_umask(pipeline: Pipeline) -> None:
    before = os.umask(0o027)
    try:
        made = make(pipeline)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in made.paths} == {0o640}


def test_a_folder_that_cannot_be_is_a_clear_error(pipeline: Pipeline) -> None:
    (pipeline.root.parent / "file").write_text("")
    with pytest.raises(SettingsError, match=r"cannot be written to .*SESSION_PIPELINE_REPORT_DIR"):
        make(pipeline.having(report_dir=pipeline.root.parent / "file"))


def test_it_declares_the_files_that_it_makes(made: Published) -> None:
    assert [path.name for path in made.paths] == [*REPORT.files[:2]]


def test_a_report_cannot_take_the_name_of_another_asset_or_file() -> None:
    usage_processor = UsageProcessor()
    for name in ("usage_daily", "usage_report", "No"):
        echo = EchoProcessor()
        echo.reports = [echo_report(name)]
        with pytest.raises(ContractError, match="cannot name a report"):
            check_contract(echo, [usage_processor])
    for files in (("usage.html",), ("../echo.html",)):
        echo = EchoProcessor()
        echo.reports = [echo_report(files=files)]
        with pytest.raises(ContractError, match="cannot name a file"):
            check_contract(echo, [usage_processor])


# --- in Dagster ---


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def materialize(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    config: dict[str, object] | None = None,
    *,
    raise_on_error: bool = True,
) -> dg.ExecuteInProcessResult:
    assets = [a for a in defs.assets or [] if isinstance(a, dg.AssetsDefinition)]
    return dg.materialize(
        assets,
        selection="usage_report",
        instance=instance,
        resources=defs.resources,
        run_config={"ops": {"usage_report": {"config": config or {}}}},
        raise_on_error=raise_on_error,
    )


def test_the_asset_links_its_files_and_names_nobody(
    examples: Pipeline, instance: dg.DagsterInstance
) -> None:
    defs = build_definitions(load_processors(), examples.settings)
    done = materialize(defs, instance, {"days": 1})
    (event,) = done.asset_materializations_for_node("usage_report")
    found = {name: value.value for name, value in event.metadata.items()}
    last = EXPECTED["by_day"]["2026-05-14"]["messages"]
    assert Page(Path(found["report"])).numbers("Each day")[-1][1] == found["messages"] == last
    assert found["bytes"] == sum(Path(found[name]).stat().st_size for name in ("report", "png"))
    assert f"| messages | {last} |" in found["totals"]
    assert re.search(r"\| cost last 7 days, USD \| [\d,]+\.\d{4} \|", found["totals"])
    assert found["preview"].startswith("![](data:image/svg+xml;base64,")
    assert not re.search("alice|bob", str(found))
    assert [*found][:2] == ["report", "png"]

    served = replace(examples.settings, report_url="https://example.org/reports")
    done = materialize(build_definitions(load_processors(), served), instance)
    (event,) = done.asset_materializations_for_node("usage_report")
    for name, file in (("report", "usage.html"), ("png", "usage.png")):
        assert event.metadata[name] == dg.MetadataValue.url(f"https://example.org/reports/{file}")


@pytest.mark.slow
def test_it_is_asked_for_at_once_and_then_once_an_hour_if_something_changed(
    examples: Pipeline,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = replace(examples.settings, database=tmp_path / "own.duckdb")
    defs = build_definitions(load_processors(), settings)
    sensor = defs.get_repository_def().get_sensor_def("usage_report_sensor")
    start, cursor = datetime.now(UTC).replace(minute=5), None

    def asked(minutes: int) -> int:
        nonlocal cursor
        at = start + timedelta(minutes=minutes)
        monkeypatch.setattr(reports, "_now", at.timestamp)
        result = sensor(dg.build_sensor_context(instance=instance, cursor=cursor))
        cursor = result.cursor
        return len(result.run_requests or [])

    def refresh() -> None:
        assert defs.resolve_job_def("usage_job").execute_in_process(instance=instance).success

    assert asked(0) == 0
    refresh()
    assert [asked(1), asked(2)] == [1, 0]
    assert materialize(defs, instance).success
    assert [asked(3), asked(62)] == [0, 0]
    refresh()
    assert [asked(63), asked(64)] == [1, 0]
    assert materialize(defs, instance).success
    refresh()
    assert [asked(66), asked(100), asked(122)] == [0, 0, 1]
    # Between the request and the next look: the run may have begun before it.
    refresh()
    assert materialize(defs, instance).success
    assert [asked(123), asked(182), asked(242)] == [0, 1, 0]
    assert [asked(302), asked(362)] == [0, 0]
    refresh()
    shutil.rmtree(settings.reports)
    settings.reports.write_text("in the way")
    assert asked(363) == 1
    assert not materialize(defs, instance, raise_on_error=False).success
    assert [asked(364), asked(422), asked(423)] == [0, 1, 0], "a failed one is tried again hourly"


# --- on the command line ---


@pytest.fixture
def cli(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    write(pipeline, "alice/1.jsonl", assistant("msg_1", usage(3, 5)))
    write(pipeline, "bob/1.jsonl", assistant("msg_2", usage(7, 11)))
    fill(pipeline)
    monkeypatch.setenv("SESSION_DATA_DIR", str(pipeline.root))
    monkeypatch.setenv("SESSION_PIPELINE_DATABASE", str(pipeline.settings.database))
    return CliRunner()


def test_the_command_says_where_it_is_and_what_it_says(cli: CliRunner, pipeline: Pipeline) -> None:
    answer = cli.invoke(main, ["report"])
    assert answer.exit_code == 0, answer.output
    lines = answer.output.splitlines()
    assert lines[0] == str(pipeline.settings.reports / "usage.html")
    assert "                16  output tokens" in lines
    other = pipeline.root.parent / "other"
    document = json.loads(cli.invoke(main, ["report", "--json", "--output", str(other)]).stdout)
    assert document["reports"][0]["files"] == [str(other / n) for n in REPORT.files[:2]]
    assert document["reports"][0]["numbers"]["output_tokens"] == 16


def test_the_command_opens_it(
    cli: CliRunner, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    monkeypatch.setattr("webbrowser._tryorder", None)
    monkeypatch.setattr("webbrowser._browsers", {})
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    answer = cli.invoke(main, ["report", "--open"])
    assert answer.exit_code == 0, answer.output
    assert opened.read_text().strip() == (pipeline.settings.reports / "usage.html").as_uri()


def test_who_is_forgotten_is_in_no_report(cli: CliRunner, pipeline: Pipeline) -> None:
    assert cli.invoke(main, ["report"]).exit_code == 0
    page = pipeline.settings.reports / "usage.html"
    assert "alice" in page.read_text()
    (pipeline.root / "alice" / "1.jsonl").unlink()
    answer = cli.invoke(main, ["forget", "--user", "alice", "--yes"])
    assert answer.exit_code == 0, answer.output
    assert list(pipeline.settings.reports.iterdir()) == []
    assert cli.invoke(main, ["report"]).exit_code == 0
    assert "alice" not in page.read_text()
    assert "bob" in page.read_text()
