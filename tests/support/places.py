"""Where things are in the clone, for tests at any depth."""

from pathlib import Path

SUPPORT = Path(__file__).parent
"""What tests share; child processes that import it get it as their path."""
TESTS = SUPPORT.parent
DATA = TESTS / "data"
ROOT = TESTS.parent
