"""What a service, or a proxy before it, does wrong: said in words, and taken for no answer."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from buckets import Given, faulty, real, s3
from object_server import HTML, XML, Asked, Fault
from session_pipeline_dagster.errors import Retryable, SourceUnavailable
from session_pipeline_dagster.sources.files import SessionFile
from session_pipeline_dagster.sources.objects import ObjectSource

__all__ = ["faulty", "real", "s3"]
LINE = b'{"type":"user","timestamp":"2026-03-04T05:06:07Z"}\n'
LEAKY = b"<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>tests</AWSAccessKeyId></Error>"
HANGS = Fault(hang=60)
LISTINGS = {
    "html": (HTML, "something that is no listing"),
    "xml": (XML, "something that is no listing"),
    "nothing": (Fault(200, b""), "something that is no listing"),
    "half": (Fault(cut=200), "breaks off"),
    "500": (Fault(500, b""), "cannot answer now (500)"),
    "throttled": (Fault(503), "cannot answer now (503 SlowDown)"),
    "refused": (Fault(403, LEAKY), "refuses the keys (403 InvalidAccessKeyId)"),
    "moved": (Fault(301, b""), "set AWS_REGION"),
    "gone": (Fault(404, b"<Error><Code>NoSuchBucket</Code></Error>"), "no such bucket"),
    "hangs": (HANGS, "does not answer in time"),
}


def given_five(faulty: Given) -> ObjectSource:
    assert faulty.server
    for number in range(5):
        faulty.put(f"alice/{number}.jsonl", LINE * 100)
    faulty.server.page = 2
    return faulty.source()


def on(faulty: Given, fault: Fault | None, when: Callable[[Asked], bool]) -> None:
    assert faulty.server
    faulty.server.fault = lambda asked: fault if when(asked) else None


@pytest.mark.parametrize("page", [1, 2, 3])
@pytest.mark.parametrize("kind", LISTINGS)
def test_a_listing_that_is_none_or_does_not_come_to_its_end_is_an_error_in_words(
    faulty: Given, kind: str, page: int
) -> None:
    fault, words = LISTINGS[kind]
    source = given_five(faulty)
    on(faulty, fault, lambda asked: asked.page == page)
    with pytest.raises(SourceUnavailable) as caught:
        source.scan()
    said = str(caught.value)
    assert words in said
    assert "s3://sessions" in said
    assert "not-a-secret" not in said
    assert "<" not in said


def test_a_page_that_is_none_once_is_read_again(faulty: Given) -> None:
    source = given_five(faulty)
    asked_before: list[Asked] = []

    def once(asked: Asked) -> bool:
        asked_before.append(asked)
        return asked.page == 2 and sum(one.page == 2 for one in asked_before) == 1

    on(faulty, HTML, once)
    assert len(source.scan().files) == 5


def test_an_empty_bucket_is_no_error_and_a_page_in_its_place_is(faulty: Given) -> None:
    assert faulty.source().scan().files == []
    on(faulty, HTML, lambda asked: asked.page == 1)
    with pytest.raises(SourceUnavailable, match="no listing"):
        faulty.source().scan()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"endpoint": "http://127.0.0.1:1"}, "http://127.0.0.1:1 cannot be reached"),
        ({"endpoint": "http://nowhere.invalid"}, "http://nowhere.invalid cannot be reached"),
    ],
)
def test_a_service_that_is_not_there_is_named(
    faulty: Given, changed: dict[str, str], words: str
) -> None:
    source = replace(faulty.source(), s3=replace(faulty.settings, **changed))
    with pytest.raises(SourceUnavailable, match=words):
        source.scan()


def test_wrong_keys_and_buckets_of_a_real_server_are_said(real: Given) -> None:
    real.put("alice/x.jsonl", LINE)
    for changed in ({"secret_access_key": "wrong-one"}, {"access_key_id": "nobody"}):
        source = replace(real.source(), s3=replace(real.settings, **changed))
        with pytest.raises(SourceUnavailable, match="refuses the keys") as caught:
            source.scan()
        assert not any(value in str(caught.value) for value in changed.values())
    with pytest.raises(SourceUnavailable, match="no such bucket"):
        replace(real, name="nobodys-bucket").source().scan()


BODIES = {
    "throttled": (Fault(503), "cannot answer now (503 SlowDown)"),
    "too many": (Fault(429), "cannot answer now (429 SlowDown)"),
    "half": (Fault(cut=100), "breaks off"),
    "refused": (Fault(403, LEAKY), "refuses the keys"),
    "html": (HTML, "the answer is none of an object"),
    "no bucket": (Fault(404, b"<Error><Code>NoSuchBucket</Code></Error>"), "no such bucket"),
    "hangs": (HANGS, "does not answer in time"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_an_object_that_cannot_be_had_is_tried_again_later(faulty: Given, kind: str) -> None:
    fault, words = BODIES[kind]
    source = given_five(faulty)
    file = source.scan().files[0]
    on(faulty, fault, lambda asked: bool(asked.key))
    reads: list[Callable[[SessionFile], object]] = [source.read, source.fingerprint]
    # A day that cannot be read is no reason to fail: the run will say what is wrong.
    for look in reads:
        with pytest.raises(Retryable) as caught:
            look(file)
        assert words in str(caught.value)
        assert "<" not in str(caught.value)


def test_a_page_with_an_etag_of_its_own_is_no_object(faulty: Given) -> None:
    assert faulty.server
    source = given_five(faulty)
    file = source.scan().files[0]
    faulty.put(file.path, b"<html>log in</html>")
    faulty.server.kinds[file.path] = "text/html; charset=utf-8"
    with pytest.raises(Retryable, match="none of an object"):
        source.read(file)
    # What is stored as such is one: the listing knows it too.
    assert source.read(source.scan().files[0]).complete == b""


def test_an_object_that_is_gone_is_gone(faulty: Given) -> None:
    source = given_five(faulty)
    file = source.scan().files[0]
    faulty.delete(file.path)
    for look in (source.read, source.fingerprint, source.day):
        with pytest.raises(FileNotFoundError):
            look(file)


def test_who_has_waited_for_one_object_does_not_wait_for_each(faulty: Given) -> None:
    assert faulty.server
    source = given_five(faulty)
    files = source.scan().files
    on(faulty, HANGS, lambda asked: bool(asked.key))
    begun = time.monotonic()
    with pytest.raises(Retryable):
        source.read(files[0])
    asked = len(faulty.server.asked)
    took = time.monotonic() - begun
    for file in files:
        with pytest.raises(Retryable, match="does not answer in time"):
            source.read(file)
    assert len(faulty.server.asked) == asked
    assert took >= source.patience.silent


def test_a_body_that_breaks_off_once_is_read_on(faulty: Given) -> None:
    assert faulty.server
    source = given_five(faulty)
    file = source.scan().files[0]
    gets: list[Asked] = []

    def once(asked: Asked) -> bool:
        gets.append(asked)
        return len(gets) == 1

    on(faulty, Fault(cut=100), once)
    assert source.read(file).complete == LINE * 100
