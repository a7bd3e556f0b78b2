"""One answer from a model: every way a call can go, in both wire formats, with the real clients."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from fake_llm import FORMATS, FakeLLM, Step, answer, detection
from session_pipeline_dagster.errors import Permanent, PipelineError, Retryable, SettingsError
from session_pipeline_dagster.processors.verification.detection.asking import Answer
from session_pipeline_dagster.processors.verification.models import build
from session_pipeline_dagster.processors.verification.models.build import build_model
from session_pipeline_dagster.processors.verification.models.calls import PatientModel, schema_of
from session_pipeline_dagster.processors.verification.models.model import Call
from session_pipeline_dagster.processors.verification.models.provider import retry_after
from session_pipeline_dagster.settings import Extractor, ModelSettings

pytestmark = pytest.mark.slow

FOUND = answer(detection(0, "the quote of it"))


@pytest.fixture(params=FORMATS, ids=lambda wire: wire.value)
def llm(request: pytest.FixtureRequest) -> Iterator[FakeLLM]:
    with FakeLLM(request.param) as fake:
        yield fake


class Asked:
    """A question put to a server that follows a script: the answer or the error, and the calls."""

    def __init__(self, llm: FakeLLM, *script: Step, deadline: float = 4) -> None:
        llm.script = script
        model = build_model(llm.settings(deadline=timedelta(seconds=deadline)))
        assert model is not None
        self.calls: list[Call] = []
        self.error: PipelineError | None = None
        self.answer: Answer | None = None
        begun = time.monotonic()
        try:
            self.answer = model.ask("detect", "be brief", "[]", Answer, self.calls.append)
        except PipelineError as error:
            self.error = error
        self.seconds = time.monotonic() - begun

    @property
    def outcomes(self) -> list[str]:
        return [call.outcome for call in self.calls]

    def found(self) -> bool:
        return self.answer is not None and len(self.answer.detections) == 1


def test_an_answer_comes_with_its_tokens(llm: FakeLLM) -> None:
    asked = Asked(llm, FOUND)
    assert asked.found()
    (call,) = asked.calls
    assert (call.purpose, call.model, call.outcome) == ("detect", "fake-model", "ok")
    assert (call.input_tokens, call.output_tokens, call.cached_tokens) == (100, 20, 40)
    assert datetime.now(UTC) - call.called_at < timedelta(seconds=10)
    assert 0 <= call.milliseconds < 5000


def test_a_short_retry_after_is_waited_for(llm: FakeLLM) -> None:
    asked = Asked(llm, Step(status=429, headers={"Retry-After": "1"}), FOUND)
    assert asked.found()
    assert asked.outcomes == ["rate_limited", "ok"]
    assert asked.seconds >= 1


def test_a_long_retry_after_frees_the_worker_at_once_and_is_passed_on(llm: FakeLLM) -> None:
    asked = Asked(llm, Step(status=429, headers={"Retry-After": "3600"}), deadline=60)
    assert isinstance(asked.error, Retryable)
    assert asked.error.retry_after == timedelta(hours=1)
    assert asked.outcomes == ["rate_limited"]
    assert asked.seconds < 30


def test_overloaded_twice_and_then_fine_is_fine(llm: FakeLLM) -> None:
    asked = Asked(llm, Step(status=529), Step(status=503), FOUND)
    assert asked.found()
    assert asked.outcomes == ["overloaded", "server_error", "ok"]


def test_a_reply_that_does_not_come_is_asked_for_once_more(llm: FakeLLM) -> None:
    asked = Asked(llm, Step(hang=2.5), FOUND)
    assert asked.found()
    assert asked.outcomes == ["timeout", "ok"]


def test_a_dropped_connection_is_tried_again(llm: FakeLLM) -> None:
    asked = Asked(llm, Step(drop=True), FOUND)
    assert asked.found()
    assert asked.outcomes == ["connection", "ok"]


@pytest.mark.parametrize(
    "text",
    [
        "I found nothing to note.",
        '{"detections": [{"turn": 0}]}',
        '{"detections": "none"}',
        '{"detections": [',
        "[]",
        "",
        '{"detections": [{"turn": 0, "detection_type": "praise", "title": "t", "content": "c",'
        ' "user_quote": "q", "domain": null, "entities": []}]}',
    ],
)
def test_an_answer_of_another_shape_is_asked_for_again(llm: FakeLLM, text: str) -> None:
    asked = Asked(llm, Step(text), FOUND)
    assert asked.found()
    assert asked.outcomes == ["invalid", "ok"]
    again = [m for m in llm.requests[1]["messages"] if m["role"] != "system"]
    assert [m["role"] for m in again] == ["user", "assistant", "user"]
    assert "not of the shape" in again[2]["content"]


def test_an_answer_that_was_cut_off_gets_twice_the_room_once(llm: FakeLLM) -> None:
    asked = Asked(llm, Step('{"detec', end="truncated"), FOUND)
    assert asked.found()
    assert asked.outcomes == ["truncated", "ok"]
    first, second = [r.get("max_tokens") or r["max_completion_tokens"] for r in llm.requests]
    assert second == 2 * first
    asked = Asked(llm, Step('{"detec', end="truncated"))
    assert isinstance(asked.error, Permanent)
    assert asked.outcomes == ["truncated", "truncated"]


def test_three_answers_of_another_shape_are_enough(llm: FakeLLM) -> None:
    asked = Asked(llm, Step("no"))
    assert isinstance(asked.error, Permanent)
    assert asked.outcomes == ["invalid"] * 3


def test_a_refusal_is_permanent(llm: FakeLLM) -> None:
    asked = Asked(llm, Step("I cannot help with that.", end="refused"))
    assert isinstance(asked.error, Permanent)
    assert asked.outcomes == ["refused"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_key_or_a_model_that_is_not_taken_is_a_matter_of_settings(
    llm: FakeLLM, status: int
) -> None:
    asked = Asked(llm, Step(status=status))
    assert isinstance(asked.error, SettingsError)
    assert len(asked.calls) == 1


def test_a_server_that_is_down_is_retryable_before_the_deadline(llm: FakeLLM) -> None:
    asked = Asked(llm, Step(status=500), deadline=2)
    assert isinstance(asked.error, Retryable)
    assert asked.seconds < 2.5
    assert set(asked.outcomes) == {"server_error"}


def test_a_port_that_nobody_listens_on_is_retryable(llm: FakeLLM) -> None:
    settings = llm.settings(deadline=timedelta(seconds=1))
    llm.__exit__(None, None, None)
    model, made = build_model(settings), []
    assert model is not None
    with pytest.raises(Retryable):
        model.ask("detect", "", "[]", Answer, made.append)
    assert {call.outcome for call in made} == {"connection"}
    llm.__enter__()


@pytest.mark.parametrize("body", [b"<html>proxy</html>", b"", b"[]", b"null", b'{"a": 1}'])
def test_a_reply_that_is_no_model_s_is_no_answer(llm: FakeLLM, body: bytes) -> None:
    asked = Asked(llm, Step(body=body), FOUND)
    assert asked.found()
    assert asked.outcomes == ["garbled", "ok"]


def test_no_credit_waits_and_a_rejected_request_waits_longer(llm: FakeLLM) -> None:
    asked = Asked(llm, Step(status=400, error="Your credit balance is too low"), deadline=1)
    assert isinstance(asked.error, Retryable)
    assert "no credit" in str(asked.error)
    asked = Asked(llm, Step(status=400, error="I do not like it"))
    assert isinstance(asked.error, Retryable)
    assert asked.error.retry_after == timedelta(hours=1)
    asked = Asked(llm, Step(status=400, error="prompt is too long: 250000 tokens"))
    assert isinstance(asked.error, Permanent)


def test_what_a_server_says_is_never_passed_on(llm: FakeLLM) -> None:
    for status in (400, 401, 404, 413, 429, 500):
        asked = Asked(llm, Step(status=status, error="canary-7f"), deadline=0.5)
        assert "canary" not in str(asked.error)


def test_the_answer_may_stand_in_a_fence(llm: FakeLLM) -> None:
    assert Asked(llm, Step(f"Here it is:\n```json\n{FOUND.text}\n```\n")).found()


def test_a_server_that_takes_no_schema_is_asked_for_json_and_then_for_text() -> None:
    def strict(request: dict[str, object]) -> Step:
        form = request.get("response_format")
        if isinstance(form, dict):
            return Step(status=400, error=f"response_format {form['type']} is not supported")
        return FOUND

    with FakeLLM(Extractor.OPENAI) as llm:
        llm.script = strict
        model = build_model(llm.settings())
        assert model is not None
        made: list[Call] = []
        for _ in range(2):
            assert model.ask("detect", "", "[]", Answer, made.append).detections
        forms = [(r.get("response_format") or {}).get("type") for r in llm.requests]
    assert forms == ["json_schema", "json_object", None, None]
    assert [call.outcome for call in made] == ["unsupported", "unsupported", "ok", "ok"]


def test_an_older_claude_is_asked_without_a_schema() -> None:
    def older(request: dict[str, object]) -> Step:
        if "output_config" in request:
            return Step(status=400, error="output_config: Extra inputs are not permitted")
        return FOUND

    with FakeLLM(Extractor.ANTHROPIC, older) as llm:
        model = build_model(llm.settings())
        assert model is not None
        assert model.ask("detect", "", "[]", Answer, lambda _: None).detections
    assert ["output_config" in r for r in llm.requests] == [True, False]


def test_the_other_name_of_the_limit_is_tried() -> None:
    def new(request: dict[str, object]) -> Step:
        if "max_tokens" in request:
            error = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return Step(status=400, error=error)
        return FOUND

    with FakeLLM(Extractor.OPENAI, new) as llm:
        model = build_model(llm.settings())
        assert model is not None
        assert model.ask("detect", "", "[]", Answer, lambda _: None).detections
    assert len(llm.requests) == 2


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (ModelSettings(Extractor.ANTHROPIC), "ANTHROPIC_API_KEY"),
        (ModelSettings(Extractor.OPENAI), "OPENAI_API_KEY"),
    ],
)
def test_a_missing_key_says_what_to_set(settings: ModelSettings, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        build_model(settings)


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=r"openai is not installed; .*docs/knowledge\.md"):
        build_model(ModelSettings(Extractor.OPENAI, openai_api_key="key"))


def test_rules_ask_nobody() -> None:
    assert build_model(ModelSettings()) is None


def test_a_server_of_one_s_own_needs_no_key() -> None:
    with FakeLLM(Extractor.OPENAI, [FOUND]) as llm:
        model = build_model(llm.settings(openai_api_key=None))
        assert model is not None
        assert model.ask("detect", "", "[]", Answer, lambda _: None).detections


def test_the_key_is_sent_to_its_own_server_and_shown_nowhere() -> None:
    for wire in FORMATS:
        with FakeLLM(wire, [FOUND]) as llm:
            settings = llm.settings()
            model = build_model(settings)
            assert isinstance(model, PatientModel)
            model.ask("detect", "", "[]", Answer, lambda _: None)
            sent = llm.headers[0]
            assert "key" in (sent.get("authorization", ""), sent.get("x-api-key")) or (
                sent.get("authorization") == "Bearer key"
            )
            assert "'key'" not in repr(settings)


def test_the_schema_is_closed_and_has_no_references() -> None:
    schema = schema_of(Answer)
    assert "$ref" not in repr(schema)
    items = schema["properties"]["detections"]["items"]  # type: ignore[index]
    assert items["additionalProperties"] is False
    assert set(items["required"]) == set(items["properties"])
    assert items["properties"]["detection_type"]["enum"]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "30"}, 30),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
