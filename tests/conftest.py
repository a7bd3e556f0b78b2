"""Which files are begun first: those that take longest, so that no worker ends with one of them."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort files by what their `slow` tests say of their seconds; a file's tests stay in order.

    pytest-xdist by itself begins with the files that have the most tests, and the longest have few.
    """
    seconds: dict[Path, float] = {}
    for item in items:
        marks = item.iter_markers("slow")
        longest = max((mark.kwargs.get("seconds", 1) for mark in marks), default=0)
        seconds[item.path] = max(longest, seconds.get(item.path, 0))
    items.sort(key=lambda item: -seconds[item.path])
