"""A bucket's listing read page by page: where a key has no folder's shape, or its end is in doubt.

obstore refuses a whole page for one such key (`a//b`, `..`, a control character), and takes any
other answer than a page for an empty last one. Here every key is seen as it is, and what is no page
is an error. The requests are signed by obstore, so that its ways to keys count here too.
"""

import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote_plus, urlencode
from xml.etree import ElementTree

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from session_pipeline_dagster.errors import SourceUnavailable
from session_pipeline_dagster.sources.bucket import (
    Client,
    Listed,
    OddKeys,
    bare,
    s3_config,
)

_ENDPOINT = "https://s3.{region}.amazonaws.com"
_ROOT = "ListBucketResult"
_MOST = 32 << 20
"""Bytes of a page of a thousand objects: keys of 1,024 characters, each written as `%XX`."""
_VALID = timedelta(minutes=5)
_TRIES = 2


def listed(client: Client, *, hides: bool = False) -> list[Listed]:
    """Every object below the client's prefix, by whichever way sees them all.

    Args:
        hides: do not name the object for which it cannot.

    Raises:
        SourceUnavailable: it cannot be listed; says why.
    """
    try:
        return client.listed()
    except OddKeys as error:
        if client.kind != "s3":
            which = "" if hides else f" ({error})"
            raise SourceUnavailable(
                f"{client.blame.what} {client.bucket.url} cannot be listed for an object whose key "
                f"no folder has, or not to its end{which}; rename it, or try again"
            ) from None
        return listed_by_pages(client)


def listed_by_pages(client: Client) -> list[Listed]:
    """Every object below the client's prefix, with its key as it is.

    Raises:
        SourceUnavailable: a page cannot be had, or is none.
    """
    found: list[Listed] = []
    token: str | None = None
    while True:
        page = _page(client, token)
        found += _objects(page)
        if _text(page, "IsTruncated") != "true":
            return found
        following = _text(page, "NextContinuationToken")
        if not following or following == token:
            raise SourceUnavailable(_no_page(client))
        token = following


def _page(client: Client, token: str | None) -> ElementTree.Element:
    asked = {"list-type": "2", "encoding-type": "url"}
    if client.prefix:
        asked["prefix"] = f"{client.prefix}/"
    if token is not None:
        asked["continuation-token"] = token
    for left in range(_TRIES - 1, -1, -1):
        try:
            return _parsed(client, _fetched(client, asked))
        except (OSError, http.client.HTTPException) as error:
            if left:
                continue
            raise SourceUnavailable(_why(client, error)) from None
    raise AssertionError


def _fetched(client: Client, asked: dict[str, str]) -> bytes:
    request = urllib.request.Request(_signed(client, asked))  # noqa: S310  http or https, as is checked
    with urllib.request.urlopen(request, timeout=client.patience.silent) as answer:  # noqa: S310
        body = answer.read(_MOST)
        if answer.read(1):
            raise http.client.HTTPException
        return body


def _signed(client: Client, asked: dict[str, str]) -> str:
    """The address of a page, signed for five minutes.

    What obstore signs is an object's address. With a query in the endpoint, and no object, it is
    the bucket's; what obstore adds at the end becomes the value of a parameter that S3 ignores.
    """
    config = s3_config(client.s3)
    region = config.get("region", "us-east-1")
    endpoint = config.pop("endpoint", _ENDPOINT.format(region=region)).rstrip("/")
    query = urlencode(sorted(asked.items()), quote_via=quote, safe="")
    address = f"{endpoint}/{client.name}?{query}&x-id="
    try:
        store = S3Store(
            client.name,
            endpoint=address,
            virtual_hosted_style_request=True,
            client_options=client.options(),
            **config,
        )
        return obstore.sign(store, "GET", "", _VALID)
    except BaseError as error:
        raise SourceUnavailable(client.in_words(error)) from None


def _parsed(client: Client, body: bytes) -> ElementTree.Element:
    # A page names no entities; one that would is none, and is not unfolded.
    page = None if b"<!" in body else _tree(body)
    if page is None or page.tag.rpartition("}")[2] != _ROOT or not _text(page, "IsTruncated"):
        raise SourceUnavailable(_no_page(client))
    return page


def _tree(body: bytes) -> ElementTree.Element | None:
    try:
        return ElementTree.fromstring(body)  # noqa: S314  see `_parsed`
    except ElementTree.ParseError:
        return None


def _objects(page: ElementTree.Element) -> Iterator[Listed]:
    encoded = _text(page, "EncodingType") == "url"
    for entry in page.iterfind("{*}Contents"):
        key = _text(entry, "Key")
        at = datetime.fromisoformat(_text(entry, "LastModified") or "1970-01-01T00:00:00Z")
        seconds = int(at.replace(tzinfo=at.tzinfo or UTC).timestamp())
        # What is no UTF-8 becomes a half character, as in a folder's name.
        path = unquote_plus(key, errors="surrogateescape") if encoded else key
        yield Listed(path, int(_text(entry, "Size") or 0), seconds, bare(_text(entry, "ETag")))


def _text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or ""


def _no_page(client: Client) -> str:
    return (
        f"{client.blame.what} {client.bucket.url}: {client.service} answers with something that is "
        "no listing; is there a proxy, or a network to log in to?"
    )


def _why(client: Client, error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        code = error.read(4096).decode("utf-8", "replace")
        error.close()
        # In the words in which obstore would have said it.
        said = f"Server returned non-2xx status code: {error.code} {code}"
        return client.in_words(RuntimeError(said))
    if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError):
        return client.in_words(RuntimeError("kind: Timeout"))
    if isinstance(error, urllib.error.URLError):
        return client.in_words(RuntimeError("kind: Connect"))
    return client.in_words(error)
