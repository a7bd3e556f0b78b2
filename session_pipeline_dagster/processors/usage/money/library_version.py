"""Which price library there is: names what list prices are from, and loads neither it nor them."""

from importlib.metadata import version as version_of
from typing import Final

_PACKAGE: Final = "genai-prices"


def version() -> str:
    """`genai-prices 0.2.3`."""
    return f"{_PACKAGE} {version_of(_PACKAGE)}"
