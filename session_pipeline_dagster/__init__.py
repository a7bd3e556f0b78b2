"""Coding-agent session transcripts, turned into trusted data by Dagster."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from session_pipeline_dagster.orchestration.component import SessionPipelineComponent

__all__ = ["SessionPipelineComponent"]


def __getattr__(name: str) -> object:
    """The component when it is asked for: whoever needs no Dagster does not wait for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from session_pipeline_dagster.orchestration import component  # noqa: PLC0415  see above

    return getattr(component, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
