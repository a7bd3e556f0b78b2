"""The model of the settings. Nothing is asked unless a setting names a provider."""

from importlib.util import find_spec

from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.processors.verification.models.model import Model
from session_pipeline_dagster.settings import Extractor, ModelSettings


def build_model(settings: ModelSettings) -> Model | None:
    """The model that the settings name, asked with patience; None for `rules`, which asks nobody.

    Imports no client before the first call.

    Raises:
        SettingsError: its package is not installed or its key not set; says which.
    """
    if settings.extractor is Extractor.RULES:
        return None
    # Every start of every process comes by here, and few of them ask a model.
    from session_pipeline_dagster.processors.verification.models import calls  # noqa: PLC0415

    name = settings.extractor.value
    if find_spec(name) is None:
        raise SettingsError(
            f"SESSION_PIPELINE_EXTRACTOR is {name}, but the package {name} is not installed; "
            f"install it beside this one (docs/knowledge.md), or set it to rules"
        )
    if settings.extractor is Extractor.ANTHROPIC:
        from session_pipeline_dagster.processors.verification.models import anthropic  # noqa: PLC0415

        if not settings.anthropic_api_key:
            raise _no_key("ANTHROPIC_API_KEY")
        return calls.PatientModel(anthropic.AnthropicProvider(settings), settings.deadline)
    from session_pipeline_dagster.processors.verification.models import openai  # noqa: PLC0415

    if not settings.openai_api_key and not settings.openai_base_url:
        raise _no_key("OPENAI_API_KEY, or OPENAI_BASE_URL for a server of your own")
    return calls.PatientModel(openai.OpenAIProvider(settings), settings.deadline)


def _no_key(what: str) -> SettingsError:
    return SettingsError(
        f"SESSION_PIPELINE_EXTRACTOR asks for a model, but its key is missing; set {what}, "
        "or set SESSION_PIPELINE_EXTRACTOR to rules"
    )
