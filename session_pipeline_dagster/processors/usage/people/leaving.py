"""What the tables that may leave are called; which rows of them may, says `published.py`."""

from typing import Final

TABLES: Final = (
    *("usage_person_daily", "usage_team_daily", "usage_activity_daily"),
    *("chargeback_monthly", "budget_status"),
)
"""All that there are in any mode."""
