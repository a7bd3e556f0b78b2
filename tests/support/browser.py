"""A browser for tests: what is installed on the machine, else Playwright's own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from playwright.sync_api import Browser, Error, Playwright, sync_playwright

INSTALLED = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
    --disable-background-networking --disable-component-update""".split()


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium without a window. Without one tests are skipped; UI_TESTS=required: they fail."""
    with sync_playwright() as playwright:
        try:
            found = playwright.chromium.launch(executable_path=_program(playwright), args=QUIET)
        except Error as error:
            _without(error.message.splitlines()[0])
        try:
            yield found
        finally:
            found.close()


def _program(playwright: Playwright) -> str:
    for name in INSTALLED:
        if program := shutil.which(name):
            return program
    own = playwright.chromium.executable_path
    if not Path(own).exists():
        # Into the user's cache, once; it needs no root. Its own error is shown by the skip.
        download = [sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"]
        done = subprocess.run(download, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
            _without(
                f"there is no {', '.join(INSTALLED)} on this machine ({os.uname().sysname}), and "
                f"`playwright install chromium` failed: {last}"
            )
    return own


def _without(why: str) -> NoReturn:
    said = f"NO BROWSER, THE UI IS NOT TESTED: {why}"
    if os.environ.get("UI_TESTS") == "required":
        pytest.fail(said)
    pytest.skip(said)
