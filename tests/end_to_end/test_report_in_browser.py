"""The usage report as it is looked at: phone and desktop, dark and light, and on paper."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from browser import browser
from lines import UsagePipeline, assistant, tool, usage
from session_pipeline_dagster.contract.report import Asked
from session_pipeline_dagster.passes.publish import publish
from session_pipeline_dagster.passes.runner import recompute
from session_pipeline_dagster.processors.usage import UsageProcessor
from session_pipeline_dagster.processors.usage.report import usage_report

pytestmark = pytest.mark.slow(seconds=15)
LONG = "a-name-without-an-end-" * 8


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two weeks; people, tools and branches have names that are far too long."""
    pipeline, processor = UsagePipeline(tmp_path_factory.mktemp("page")), UsageProcessor()
    for number, day in enumerate(("2026-05-04", "2026-05-13")):
        at = f"{day}T12:00:00.000Z"
        counts = usage(10_000_000, 20_000_000, 300_000_000, 4_000_000_000)
        calls = [tool(f"{LONG}{number}", f"toolu_{number}")]
        line = assistant(f"msg_{number}", counts, calls, at=at, gitBranch=LONG)
        pipeline.write(f"{LONG}{number}/-home-p/s.jsonl", line)
    pipeline.run()
    pipeline.store.prepare(processor)
    recompute(processor, pipeline.store, pipeline.settings)
    asked, folder = Asked(date(2026, 5, 14)), pipeline.settings.reports
    made = publish(processor, usage_report(pipeline.settings), pipeline.store, folder, asked)
    return made.paths[0]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


def opened(chromium: Browser, path: Path, width: int, scheme: str) -> tuple[Page, list[str]]:
    """The page with every fold open, and what it asked for beside itself or complained of."""
    page = chromium.new_page(viewport={"width": width, "height": 900})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    heard: list[str] = []
    page.on("request", lambda request: heard.append(request.url))
    page.on("console", lambda message: heard.append(message.text))
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    return page, heard


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_and_all_of_it_can_be_read(
    chromium: Browser, path: Path, width: int, scheme: str
) -> None:
    page, heard = opened(chromium, path, width, scheme)
    assert heard == [path.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # A table may be wider than a phone, and is then moved by itself; no cell covers another one.
    sticking = """[...document.querySelectorAll('td:not(:first-child), figure, .tiles div')].filter(
        one => one.scrollWidth > one.clientWidth + 1).map(one => one.textContent.slice(0, 40))"""
    assert page.evaluate(sticking) == []
    contrast = """(() => {
        const light = colour => { const [r, g, b] = colour.match(/\\d+/g).map(Number).map(
            c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const back = light(getComputedStyle(document.body).backgroundColor);
        return [...document.querySelectorAll('h1, dt, dd, td, th, footer, svg text')].map(one => {
            const style = getComputedStyle(one);
            const text = light(one.closest('svg') ? style.fill : style.color);
            return (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05); });
        })()"""
    found = page.evaluate(contrast)
    assert len(found) > 100
    assert min(found) >= 4.5, "WCAG AA"
    page.close()


def test_paper_is_white_and_has_what_is_folded(chromium: Browser, path: Path) -> None:
    page = chromium.new_page(viewport={"width": 794, "height": 1123})
    page.goto(path.as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    people = page.locator("details", has_text="People").locator("td").first
    assert people.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 794
    page.close()
