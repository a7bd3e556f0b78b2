"""The usage page in a browser, from a phone to a wide screen: nothing runs into its neighbour."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser

from browser import browser
from helpers import EXAMPLES
from session_pipeline_dagster.cli import main

pytestmark = pytest.mark.slow(seconds=30)

WIDTHS = (360, 390, 600, 700, 701, 768, 830, 831, 912, 1000, 1001, 1211, 1212, 1440, 1920)
PRICES = "\n".join(
    ["[[price]]", 'model = "claude-*"']
    + [f"{kind} = 250000" for kind in ("input", "output", "cache_read")]
    + [f"cache_write_{kind} = 250000" for kind in ("5m", "1h")]
)
"""Numbers as long as those of a company."""
COLLISIONS = r"""() => [...document.querySelectorAll('tr')].flatMap(row => {
    let end = -Infinity;
    return [...row.cells].filter(cell => {
        const text = document.createRange();
        text.selectNodeContents(cell);
        const {left, right, width} = text.getBoundingClientRect();
        // The browser cuts off a name that is too long, and says so with dots.
        const shown = getComputedStyle(cell).overflow === 'hidden'
            ? Math.min(right, cell.getBoundingClientRect().right) : right;
        const collides = width > 0 && left < end;
        end = width > 0 ? shown : end;
        return collides;
    }).map(() => row.textContent.trim().replace(/\s+/g, ' '));
})"""
"""The rows in which the text of a cell begins before that of the cell on its left has ended."""
NARROWEST = """() => Math.min(...[...document.querySelectorAll('td:first-child')]
    .map(cell => cell.getBoundingClientRect().width))"""
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def usage_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "prices.toml").write_text(PRICES)
    env = {"SESSION_PIPELINE_PRICES": str(folder / "prices.toml")}
    here = ["--sessions", str(EXAMPLES), "--database", str(folder / "usage.duckdb")]
    for words in (["run"], ["report", "--output", str(folder)]):
        done = CliRunner().invoke(main, [*words, *here], env=env)
        assert done.exit_code == 0, done.output
    return folder / "usage.html"


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_runs_into_its_neighbour_and_names_can_be_read(
    chromium: Browser, usage_page: Path, width: int
) -> None:
    page = chromium.new_page(viewport={"width": width, "height": 900})
    page.goto(usage_page.as_uri())
    page.evaluate("() => document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.locator("tr").count() > 40
    assert page.evaluate(COLLISIONS) == []
    assert page.evaluate(NARROWEST) > 60, "a name's letters stand below each other"
    assert page.evaluate(SIDEWAYS) <= 0
    page.close()
