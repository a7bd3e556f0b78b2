"""The edge to object storage: one bucket listed and read with obstore, its errors in words.

What S3 says of a key or a request may hold the access key, so no answer of a service is shown, only
its status and the name of its error. What an object means is `objects.py`; how pages are read that
obstore cannot say enough of is `pages.py`.
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import msgspec
import obstore
from obstore.exceptions import BaseError, InvalidPathError
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store

from session_pipeline_dagster.errors import Retryable, SettingsError, SourceUnavailable
from session_pipeline_dagster.setting_places import Bucket, S3Settings

if TYPE_CHECKING:
    from obstore import GetResult

_PAGE = 1000
_BLOCK = 1 << 20
_ENOUGH = 2
_ONE_REQUEST = 32 << 20
_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9.]{1,60})</Code>")
_ODD_KEY = re.compile(r'(?:Path|path) "([^"]{1,200})')
_NO_KEYS = (
    "169.254.",
    "metadata.google",
    "MissingAccessKey",
    "MissingSecret",
)
_NO_PAGE = "InvalidListResponse"
_SILENT = ("kind: Timeout", "kind: Connect", "TimedOut")
"""What an error says where nobody answered: another request would wait as long."""
_SILENCE = 60.0
"""Seconds in which nobody else asks then."""
NO_OBJECT = "the answer is none of an object; is there a proxy, or a network to log in to?"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a service may take, in seconds: a request that hangs costs twice `silent` at most.

    Attributes:
        connect: until there is a connection.
        silent: without a byte of an answer.
        request: one request in all; a large object goes on where it ended.
        retry: since the first try, after which there is no other.
    """

    connect: float = 5.0
    silent: float = 10.0
    request: float = 60.0
    retry: float = 12.0


class Listed(msgspec.Struct, frozen=True, gc=False):
    """An object as a listing, or the answer to a GET, describes it.

    Attributes:
        path: its key in the bucket.
        modified: seconds since the epoch. Whole ones: a GET says no more, whatever a listing says.
        etag: without quotes; empty where a service gives none.
    """

    path: str
    size: int
    modified: int
    etag: str


@dataclass(frozen=True, slots=True)
class Body:
    """An object that is being read: what its own answer says of it, and its bytes.

    Attributes:
        is_page: it says that it is a page of the web, as a proxy's or a network's would be.
    """

    meta: Listed
    blocks: Iterator[bytes]
    is_page: bool = False


@dataclass(frozen=True, slots=True)
class Blame:
    """What errors call a bucket, which setting names it, and what the keys have to be allowed."""

    what: str = "session root"
    setting: str = "SESSION_DATA_DIR"
    may: str = "list and read it"


class OddKeys(Exception):
    """A listing that obstore refuses for a key in it, or whose end cannot be believed."""


_READER = Blame()


class Client:
    """One bucket. Made once a process (`client`), so that its connections are."""

    def __init__(
        self, bucket: Bucket, s3: S3Settings, patience: Patience, blame: Blame = _READER
    ) -> None:
        self.bucket, self.s3, self.patience, self.blame = bucket, s3, patience, blame
        found = urlsplit(bucket.url)
        self.kind, self.name, self.prefix = found.scheme, found.netloc, found.path.strip("/")
        self.store = self._opened()
        self._silent_until, self._why = 0.0, ""

    def _opened(self) -> ObjectStore:
        options: dict[str, Any] = {
            "client_options": self.options(),
            "retry_config": {
                "max_retries": 3,
                "retry_timeout": timedelta(seconds=self.patience.retry),
            },
        }
        try:
            match self.kind:
                case "s3":
                    return S3Store(self.name, **s3_config(self.s3), **options)
                case "gs":
                    return GCSStore(self.name, **options)
                case _:
                    return AzureStore(self.name, **options)
        except BaseError as error:
            raise SourceUnavailable(self.in_words(error)) from None

    def options(self) -> dict[str, Any]:
        """What obstore's HTTP client is told."""
        patience = self.patience
        return {
            "allow_http": (self.s3.endpoint or "").startswith("http://"),
            "connect_timeout": timedelta(seconds=patience.connect),
            "read_timeout": timedelta(seconds=patience.silent),
            "timeout": timedelta(seconds=patience.request),
        }

    # --- listing ---

    def listed(self) -> list[Listed]:
        """Every object below the prefix, in the order of the service.

        Raises:
            OddKeys: it can only be read page by page.
            SourceUnavailable: it cannot be listed, or not to its end; says why.
        """
        try:
            found = [*self._from(None)]
            self._check_end(found)
        except InvalidPathError as error:
            key = _ODD_KEY.search(str(error))
            raise OddKeys(key[1] if key else "") from None
        except (BaseError, FileNotFoundError) as error:
            if _NO_PAGE in str(error):
                # Perhaps for a key that XML cannot hold.
                raise OddKeys("") from None
            raise SourceUnavailable(self.in_words(error)) from None
        return found

    def _from(self, offset: str | None) -> Iterator[Listed]:
        prefix = self.prefix or None
        for page in obstore.list(self.store, prefix, offset=offset, chunk_size=_PAGE):
            for meta in page:
                yield _listed(meta)

    def _check_end(self, found: Sequence[Listed]) -> None:
        """Whether the last page was one: any other answer looks like the end to obstore.

        A page of a proxy, say, in the place of the second one would make the rest deleted files.
        The service is asked once more for what follows the last object but one.
        """
        if self.kind == "az":
            # It has no such question; and over TLS nobody else answers.
            return
        paths = [one.path for one in found]
        if len(paths) < _ENOUGH:
            doubt = self.kind == "s3"
        else:
            # A slash at an end of a key is not shown: keys are not in order, or one comes twice.
            doubt = any(before >= after for before, after in pairwise(paths))
            doubt = doubt or [one.path for one in self._from(paths[-2])] != paths[-1:]
        if doubt:
            raise OddKeys("")

    # --- reading ---

    def get(self, path: str) -> Body:
        """An object as it is now; its blocks raise as this does.

        Raises:
            FileNotFoundError: it is gone.
            Retryable: it cannot be had now, through no fault of its own.
        """
        found = self._asked(path, {})
        kind = str(found.attributes.get("Content-Type", ""))
        return Body(self._meta(found), self._blocks(found), kind.startswith("text/html"))

    def head(self, path: str, size: int) -> bytes:
        """The first bytes of an object, without asking for the others; raises as `get`."""
        found = self._asked(path, {"range": (0, size)})
        self._meta(found)
        return b"".join(self._blocks(found))

    def _asked(self, path: str, options: Any) -> "GetResult":
        if time.monotonic() < self._silent_until:
            # Whoever waits for each of a thousand files waits for a day.
            raise Retryable(self._why)
        try:
            return obstore.get(self.store, path, options=options)
        except FileNotFoundError as error:
            self._gone(error)
        except BaseError as error:
            self._failed(error)

    def _meta(self, found: "GetResult") -> Listed:
        meta = _listed(found.meta)
        if not meta.etag:
            raise Retryable(NO_OBJECT)
        return meta

    def _blocks(self, found: "GetResult") -> Iterator[bytes]:
        try:
            yield from map(bytes, found.stream(min_chunk_size=_BLOCK))
        except BaseError as error:
            self._failed(error)

    def _gone(self, error: Exception) -> NoReturn:
        code = _CODE.search(str(error))
        if code and code[1] != "NoSuchKey":
            self._failed(error)
        raise FileNotFoundError(2, "no such object") from None

    def _failed(self, error: Exception) -> NoReturn:
        said = f"{self.in_words(error)}; tried again later"
        if any(mark in str(error) for mark in _SILENT):
            self._silent_until, self._why = time.monotonic() + _SILENCE, said
        raise Retryable(said) from None

    # --- writing ---

    def put(self, path: str, content: bytes) -> str:
        """Put an object, whole or not at all; its etag.

        Raises:
            SourceUnavailable: it cannot be put; says why.
        """
        # In one request its etag is the MD5 of the content, with most services.
        parts = len(content) > _ONE_REQUEST
        try:
            found = obstore.put(self.store, path, content, use_multipart=parts)
        except (BaseError, FileNotFoundError) as error:
            raise SourceUnavailable(self.in_words(error)) from None
        return bare(found["e_tag"] or "")

    # --- words ---

    def in_words(self, error: Exception) -> str:
        """What an error of obstore means, and what to do; never what a service answered."""
        text, where = str(error), f"{self.blame.what} {self.bucket.url}"
        status, code = _STATUS.search(text), _CODE.search(text)
        named = " ".join(found[1] for found in (status, code) if found)
        if any(mark in text for mark in _NO_KEYS):
            return f"{where}: no keys to reach it with; {self._keys()}"
        if "redirect" in text or (code and code[1] == "PermanentRedirect"):
            return f"{where} is in another region; set AWS_REGION"
        if (code and code[1] == "NoSuchBucket") or (status and status[1] == "404"):
            return (
                f"{where}: there is no such bucket ({named}); make it, or set {self.blame.setting}"
            )
        if status and status[1] == "400":
            return f"{where}: the request is refused ({named}); check its name and AWS_REGION"
        if status and status[1] in {"401", "403"}:
            return f"{where} refuses the keys ({named}); {self._keys()}"
        if status:
            return f"{where} cannot answer now ({named})"
        if "kind: Connect" in text:
            return f"{where}: {self.service} cannot be reached; {self._way()}"
        if any(mark in text for mark in _SILENT):
            return f"{where}: {self.service} does not answer in time"
        return f"{where}: an answer that breaks off or is none ({type(error).__name__})"

    @property
    def service(self) -> str:
        """Who is asked."""
        return self.s3.endpoint or "the service" if self.kind == "s3" else "the service"

    def _way(self) -> str:
        endpoint = "AWS_ENDPOINT_URL, " if self.kind == "s3" else ""
        return f"check {endpoint}the network and a proxy"

    def _keys(self) -> str:
        if self.kind != "s3":
            return "set the variables of your provider"
        return f"set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to keys that may {self.blame.may}"


def s3_config(s3: S3Settings) -> dict[str, str]:
    """The settings under the names that obstore gives them; what is not set it looks for itself.

    Raises:
        SettingsError: an endpoint that is none, or a key that is none.
    """
    s3.check_endpoint()
    given = {
        "endpoint": s3.endpoint,
        "access_key_id": s3.access_key_id,
        "secret_access_key": s3.secret_access_key,
        "session_token": s3.session_token,
        "region": s3.region,
    }
    for name, value in given.items():
        if value is not None and not (value.isascii() and value.isprintable()):
            raise SettingsError(f"AWS_{name.upper()} has a character in it that no such value has")
    return {name: value for name, value in given.items() if value is not None}


@lru_cache(maxsize=16)
def client(bucket: Bucket, s3: S3Settings, patience: Patience) -> Client:
    """The client of this process for a bucket: work is sent to a worker a few megabytes at a time,
    and shall not connect anew each time.

    Raises:
        SettingsError, SourceUnavailable: it cannot be made as things are set.
    """
    return Client(bucket, s3, patience)


def _listed(meta: Any) -> Listed:
    etag = meta["e_tag"] or ""
    at = int(meta["last_modified"].timestamp())
    return Listed(meta["path"], meta["size"], at, bare(etag))


def bare(etag: str) -> str:
    """An etag without its quotes, and whether it is weak: services differ in how they list it."""
    return etag.removeprefix("W/").strip('"')
