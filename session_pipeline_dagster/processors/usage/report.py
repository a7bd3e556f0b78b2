"""The report of the `usage` processor, as it is declared; what it looks like is in `page.py`."""

from collections.abc import Sequence

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.contract.report import Asked, Rendered, Report


def _selects(asked: Asked) -> Sequence[str]:
    from session_pipeline_dagster.processors.usage.figures import selects  # noqa: PLC0415  as below

    return selects(asked)


def _render(_: Asked, answers: Sequence[Sequence[Row]]) -> Rendered:
    # Altair and its renderer take half a second and 80 MB: only for those who render.
    from session_pipeline_dagster.processors.usage import page  # noqa: PLC0415
    from session_pipeline_dagster.processors.usage.figures import figures  # noqa: PLC0415

    return page.render(figures(answers))


USAGE_REPORT = Report(
    name="usage_report",
    deps=("usage_daily", "usage_own_billed", "usage_events", "usage_messages"),
    trigger="usage_daily",
    selects=_selects,
    render=_render,
    files=("usage.html", "usage.png"),
    description="""The page to look at in the morning.

Cost at API list price, tokens and messages per day and user, tools, skills, MCP servers and
subagents that were called and how often they failed, active hours, and the share of messages whose
output is a lower bound.
One HTML file that loads nothing, and a PNG for a chat; `report` in the metadata is its path.

Made again at the full hour when `usage_daily` changed, or at once with "Materialize" or
`session-pipeline report --open`. Its numbers are those of `usage_daily`, `usage_messages_unique`
and `usage_events_unique`.""",
)

REPORTS = (USAGE_REPORT,)
