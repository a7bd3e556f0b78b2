"""The UI as a person uses it: a real browser on a real `dagster dev`, with clicks.

One server for the file. What a test looks at is kept in var/screenshots.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect

from browser import browser
from dagster_dev import DagsterDev
from helpers import session_line, set_mtime
from locations import copy_examples, query, real_location
from places import ROOT
from session_pipeline_dagster.orchestration.pages import ReportServer

SCREENSHOTS = ROOT / "var" / "screenshots"
SIZE: ViewportSize = {"width": 1280, "height": 860}
BROKEN = "carol/broken.jsonl.gz"
REASON = "neither gzip nor zstd data, or damaged; replace it, or unpack it"
WEEK = "[2026-05-04...2026-05-10]"
LOADED = """() => ![...document.querySelectorAll('*')].some(one => !one.children.length
    && one.textContent === 'Loading...' && one.getBoundingClientRect().top < innerHeight
    && one.getBoundingClientRect().bottom > 0)"""
TABLES = ["usage_messages", "usage_events", "usage_sessions", "usage_daily"]

pytestmark = pytest.mark.slow(seconds=150)
# In milliseconds, for a machine that is several times slower and does much beside it.
A_PAGE = 120_000
A_RUN = 420_000
expect.set_options(timeout=A_PAGE)


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterDev]:
    """The real location over the examples and one file that is no gzip, after its first runs."""
    folder = tmp_path_factory.mktemp("dev")
    copy_examples(folder)
    (folder / "sessions" / "carol").mkdir()
    (folder / "sessions" / BROKEN).write_bytes(b"no gzip")
    # In the middle of the examples, so that one run takes it with files that are whole.
    set_mtime(folder / "sessions" / BROKEN, datetime(2026, 5, 12, 12, tzinfo=UTC))
    settings = {
        "SCHEDULER_USAGE_PROCESSOR_INTERVAL": "5",
        "SESSION_PIPELINE_HEALTH_INTERVAL_SECONDS": "5",
        "SESSION_PIPELINE_STUCK_FILE_GRACE_SECONDS": "10",
    }
    with ReportServer(folder / "reports", 0) as reports:
        reports.start()
        settings["SESSION_PIPELINE_REPORT_URL"] = reports.address
        with real_location(folder, **settings) as running:
            running.wait(lambda: running.ended(at_least=2), "the first run of each processor")
            yield running
        reports.shutdown()


@pytest.fixture(scope="module")
def page(dev: DagsterDev) -> Iterator[Page]:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with browser() as found:
        opened = found.new_page(base_url=f"http://127.0.0.1:{dev.port}", viewport=SIZE)
        opened.set_default_timeout(A_PAGE)
        yield opened


def picture(page: Page, name: str, height: int = SIZE["height"]) -> None:
    """Keep what is seen, for people to look at."""
    page.set_viewport_size({**SIZE, "height": height})
    page.wait_for_timeout(700)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
    page.set_viewport_size(SIZE)


def navigate(page: Page, path: str) -> None:
    """Click in the main navigation; by address, as an icon adds its own name to a link's."""
    page.locator(f"a[class*=MainNavigation][href='{path}']").click()


def link(page: Page, asset: str) -> Locator:
    """The link to an asset's page; its text is there twice, and cut off where it is long."""
    return page.locator(f"a[href='/assets/{asset}']").first


def switch(page: Page, sensor: str) -> Locator:
    """The switch in a sensor's row on the page "Automation"."""
    name = page.get_by_text(sensor, exact=True).first
    row = name.locator("xpath=ancestor::*[count(.//input[@type='checkbox']) = 2][1]")
    return row.locator("label").last


def test_the_catalog_shows_every_asset_its_group_and_what_it_is(page: Page) -> None:
    page.goto("/")
    navigate(page, "/assets")
    for asset in ("knowledge_items", "session_files", *TABLES, "verifications"):
        expect(scroll_to(page, asset)).to_be_visible()
    expect(scroll_to(page, "usage_sessions")).to_be_visible()
    expect(page.get_by_text("Look up a session, one row per session file")).to_be_visible()
    # What is below the screen is asked for only when it comes in sight.
    page.wait_for_function(LOADED, timeout=A_RUN)
    picture(page, "catalog")

    scroll_to(page, "usage_daily").click()
    expect(page.get_by_text("Every API response is counted")).to_be_visible()
    for fact in ("Owners", "session-pipeline", "DuckDB", "UsageProcessor"):
        expect(page.get_by_text(fact, exact=True).first).to_be_visible()
    picture(page, "asset")


def scroll_to(page: Page, asset: str) -> Locator:
    """The asset in the list, of which only what is about on the screen is there."""
    expect(page.locator("a[href^='/assets/']").first).to_be_visible()
    page.mouse.move(800, 500)
    found = link(page, asset)
    for way in (200, -200):
        for _ in range(40):
            if found.count():
                found.scroll_into_view_if_needed()
                return found
            page.mouse.wheel(0, way)
            page.wait_for_timeout(100)
    return found


def test_money_and_people_are_drawn_and_a_click_opens_the_report(
    dev: DagsterDev, page: Page
) -> None:
    dev.wait(lambda: (dev.folder / "reports" / "usage.png").exists(), "the report")
    page.goto("/assets/usage_daily")
    page.get_by_role("button", name="Plots").click()
    for number in ("cost_usd", "cost_usd_last_7_days", "users", "messages"):
        drawn = page.get_by_text(number, exact=True).locator("xpath=following::canvas[1]")
        expect(drawn.first).to_be_attached()
    picture(page, "plots", height=1500)

    page.goto("/assets/usage_report")
    with page.expect_popup() as opened:
        page.locator("a[href$='/usage.html']").first.click()
    report = opened.value
    expect(report.get_by_role("heading", level=1)).to_contain_text("Usage of coding agents")
    report.close()


def left(node: Locator) -> float:
    """Where a node of the graph begins, in pixels."""
    expect(node).to_be_visible()
    box = node.bounding_box()
    assert box
    return box["x"]


def test_lineage_reads_from_left_to_right(page: Page) -> None:
    page.goto("/")
    navigate(page, "/asset-groups")
    groups = ["sessions", "usage", "verification"]
    found = {group: left(page.locator("svg").get_by_text(group, exact=True)) for group in groups}
    assert found["sessions"] < found["usage"] == found["verification"]
    picture(page, "groups")

    # From too far away, assets are names only.
    page.set_viewport_size({"width": 1900, "height": 1450})
    page.goto("/locations/session_pipeline/asset-groups/usage")
    assets = ["session_files", "usage_messages", "usage_daily"]
    found = {asset: left(page.locator("svg").get_by_text(asset, exact=True)) for asset in assets}
    assert sorted(found, key=found.__getitem__) == assets
    # A run has evaluated all checks of an asset, however many there are.
    expect(page.get_by_text(re.compile(r"^(\d+) / \1 Passed$")).first).to_be_visible(timeout=A_RUN)
    picture(page, "lineage")


def test_the_run_of_a_bad_file_says_so_in_the_list_and_shows_why(page: Page) -> None:
    page.goto("/runs")
    tag = page.get_by_text("files_failed: 1", exact=True).last
    row = tag.locator("xpath=ancestor::*[.//*[text()='View']][1]")
    expect(row).to_be_visible()
    picture(page, "runs")
    row.get_by_text("View", exact=True).click()
    expect(page.get_by_text("RUN_SUCCESS")).to_be_visible()
    page.get_by_placeholder("Filter…").fill("failures")
    expect(page.locator("td").filter(has_text=REASON).first).to_be_visible()
    expect(page.get_by_text(BROKEN).first).to_be_visible()
    picture(page, "run")


def test_four_clicks_lead_to_why_a_file_failed(page: Page) -> None:
    page.goto("/")
    navigate(page, "/assets")
    scroll_to(page, "usage_messages").click()
    page.get_by_role("tab", name="Checks").click()
    page.get_by_text("quarantine", exact=True).first.click()
    expect(page.get_by_text("1 session file was given up").first).to_be_visible()
    expect(page.locator("td").filter(has_text=REASON).first).to_be_visible()
    expect(page.locator("td").filter(has_text="given up").first).to_be_visible()
    picture(page, "failures")


def made(dev: DagsterDev) -> set[str]:
    """The assets of the runs that went well."""
    runs = [run for run in dev.runs() if run["status"] == "SUCCESS"]
    return {asset["path"][-1] for run in runs for asset in run["assetSelection"] or ()}


def words_of_the_docs() -> set[str]:
    """What docs/ui.md says that one reads on the screen: in quotes, in bold or as a row's place,
    but for our own names (in backticks) and words of ours (in small letters)."""
    text = re.sub(r"```.*?```", "", (ROOT / "docs" / "ui.md").read_text("utf-8"), flags=re.DOTALL)
    quoted = re.findall(r'"([^"]+)"', text)
    bold = re.findall(r"\*\*(.+?)\*\*", text, re.DOTALL)
    places = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    parts = re.split(r"→|[:,] ", "→".join(re.sub(r'"[^"]+"', "", one) for one in bold + places))
    words = quoted + [part for part in parts if part.strip()[:1].isupper()]
    return {" ".join(word.split()) for word in words}


def test_every_word_of_the_docs_that_one_clicks_or_reads_stands_on_the_screen(
    dev: DagsterDev, page: Page
) -> None:
    words, seen = words_of_the_docs(), set[str]()
    assert len(words) > 20, "the docs have some, and the rule finds them"

    def read(*shown: str) -> None:
        """What stands there, a line each, once all of these do."""
        for text in shown:
            expect(page.get_by_text(text, exact=True).first).to_be_visible()
            seen.add(text)
        lines = page.locator("body").inner_text().splitlines()
        seen.update(re.sub(r" \(\d+\)$", "", line.strip()) for line in lines)

    page.goto("/assets/usage_messages?view=partitions")
    expect(page.get_by_text("Missing (")).to_be_visible()
    read("Partitions", "Checks")
    page.goto("/runs")
    page.get_by_text("files_failed: 1", exact=True).last.hover()
    read("View", "Add tag to filter")

    page.goto("/jobs")
    page.get_by_text("usage_job", exact=True).first.click()
    everything = page.get_by_role("button", name="Materialize all")
    everything.locator("xpath=following::button[1]").click()
    read("Materialize all…", "Open launchpad")
    page.get_by_text("Open launchpad", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Materialize").click()
    read("Confirm")
    page.goto("/locations/session_pipeline/jobs/usage_job")
    everything.click()
    dates = page.get_by_role("dialog").locator("input[type=text]").first
    expect(dates).to_be_visible()
    read("Show all partitions")
    page.get_by_text("Show all partitions").click()
    dates.fill(WEEK)
    dates.press("Tab")
    page.get_by_text("Config", exact=True).last.click()
    page.get_by_role("button", name="Add config").click()
    read("Config", "Save config", "Launch backfill")

    # A page that was opened before has no metadata until it is loaded again.
    dev.wait(lambda: "usage_report" in made(dev), "the report")
    page.goto("/assets/usage_report")
    read("Overview", "Plots", "preview")
    assert words - seen == set()


def open_launchpad(page: Page, config: str) -> None:
    page.goto("/locations/session_pipeline/jobs/usage_job/playground")
    expect(page.get_by_text("Scaffold all default config")).to_be_visible()
    page.locator(".CodeMirror").first.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(config)


def runs_of_usage(dev: DagsterDev) -> int:
    return sum(run["jobName"] == "usage_job" for run in dev.runs())


def test_wrong_config_is_refused_and_no_run_begins(dev: DagsterDev, page: Page) -> None:
    before = runs_of_usage(dev)
    open_launchpad(page, "ops: {usage: {config: {max_file: 3}}}")
    expect(page.get_by_text('Received unexpected config entry "max_file"')).to_be_visible()
    open_launchpad(page, "ops: {usage: {config: {max_files: 0}}}")
    page.get_by_role("button", name="Launch Run").click()
    page.get_by_role("button", name="Confirm").click()
    refused = "config max_files: 0; give a number above 0"
    expect(page.get_by_text(refused).first).to_be_visible()
    picture(page, "refused")
    assert runs_of_usage(dev) == before


def test_a_file_that_was_given_up_is_retried_from_the_launchpad(
    dev: DagsterDev, page: Page
) -> None:
    open_launchpad(page, f"ops: {{usage: {{config: {{retry: [{BROKEN}], users: [carol]}}}}}}")
    page.get_by_role("button", name="Launch Run").click()
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_text("RUN_FAILURE")).to_be_visible(timeout=A_RUN)
    why = f"1 of 1 files failed and none was processed; the first, {BROKEN}: {REASON}"
    expect(page.get_by_text(why).first).to_be_visible()
    picture(page, "retried")


def test_a_backfill_launched_with_clicks_processes_the_week_again(
    dev: DagsterDev, page: Page
) -> None:
    before = {table: query(dev, f"FROM {table} ORDER BY ALL") for table in TABLES}
    page.goto("/assets/usage_messages")
    page.get_by_role("button", name="Materialize").first.click()
    everything = page.get_by_text("Show all partitions")
    dates = page.get_by_role("dialog").locator("input[type=text]").first
    expect(dates).to_be_visible()

    def chosen() -> bool:
        """Whether the days are taken; the dialog may not know of the older ones yet."""
        if everything.is_visible():
            everything.click()
        dates.fill(WEEK)
        dates.press("Tab")
        page.wait_for_timeout(1000)
        return page.get_by_text("7 partitions").first.is_visible()

    dev.wait(chosen, "the days of a week in the dialog")
    page.get_by_text("Config", exact=True).last.click()
    page.get_by_role("button", name="Add config").click()
    page.locator(".CodeMirror").first.click()
    page.keyboard.insert_text("ops: {usage: {config: {full_refresh: true}}}")
    page.get_by_role("button", name="Save config").click()
    picture(page, "backfill")
    page.get_by_role("button", name="Launch backfill").click()
    expect(page.get_by_text("Created backfill")).to_be_visible()

    def run() -> dict[str, object] | None:
        made = [r for r in dev.ended() or [] if "dagster/backfill" in r["tags"]]
        return made[0] if made else None

    made = dev.wait(run, "the run of the backfill")
    assert made["status"] == "SUCCESS"
    again = f"SELECT count(*) FROM session_processor_state WHERE run_id = '{made['runId']}'"
    assert query(dev, again) == [(10,)], "every file of that week"
    assert {table: query(dev, f"FROM {table} ORDER BY ALL") for table in TABLES} == before
    page.goto(f"/runs/b/{made['tags']['dagster/backfill']}")
    expect(page.get_by_text("100% completed")).to_be_visible(timeout=A_RUN)
    picture(page, "backfilled")


def test_a_paused_sensor_fails_a_check_until_it_is_resumed(dev: DagsterDev, page: Page) -> None:
    page.goto("/automation")
    expect(switch(page, "usage_sensor")).to_be_checked()
    switch(page, "usage_sensor").click()
    expect(switch(page, "usage_sensor")).not_to_be_checked()
    picture(page, "paused")
    # A tick that had begun may have switched it on again.
    dev.stop_sensor("usage_sensor")
    dev.wait(dev.ended, "the end of what was at work")
    landed = dev.folder / "sessions" / "carol" / "new.jsonl"
    landed.write_text(session_line("landed while the sensor was off", "2026-05-15"))

    page.goto("/assets/usage_messages?view=checks&checkDetail=freshness")
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible(timeout=A_RUN)
    expect(page.get_by_text("Stage: processing. See whether").first).to_be_visible()
    expect(page.get_by_text("lag_seconds", exact=True).last).to_be_visible()
    expect(page.locator("canvas").first).to_be_visible()
    picture(page, "check", height=1000)
    processed = "SELECT 1 FROM session_processor_state WHERE session_file = 'carol/new.jsonl'"
    assert not query(dev, f"{processed} AND processor_name = 'usage'")

    page.goto("/automation")
    switch(page, "usage_sensor").click()
    expect(switch(page, "usage_sensor")).to_be_checked()
    dev.wait(lambda: query(dev, f"{processed} AND processor_name = 'usage'"), "the new file")
    page.goto("/assets/usage_messages?view=checks&checkDetail=freshness")
    expect(page.get_by_text("Passed", exact=True).first).to_be_visible(timeout=A_RUN)
