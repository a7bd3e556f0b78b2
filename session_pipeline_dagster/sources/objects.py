"""Session files in a bucket: list and read them as if the prefix were a folder.

An object's etag stands in its signature where a file has its ctime, so what is asked of a state row
is asked alike: another size or time is due, another etag alone is hashed again. Different is
different, never "newer": an upload that ends late carries an early time.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from operator import attrgetter

import xxhash

from session_pipeline_dagster.errors import Retryable
from session_pipeline_dagster.setting_places import Bucket, S3Settings
from session_pipeline_dagster.settings import Layout, Limits
from session_pipeline_dagster.sources.bucket import (
    NO_OBJECT,
    Client,
    Listed,
    Patience,
    client,
)
from session_pipeline_dagster.sources.files import (
    HIDDEN,
    MARKS,
    Content,
    Fingerprint,
    LeftOut,
    Scan,
    SessionFile,
    Signature,
    head_day,
)
from session_pipeline_dagster.sources.keys import (
    ENDINGS,
    Owner,
    documents_left_out,
    first_key,
    flat,
    is_entered,
    is_hidden,
    is_plain,
    key_of,
    may_be_manifest,
    one_a_key,
    owner_of,
    prefix_of,
)
from session_pipeline_dagster.sources.packed import COMPRESSED, head_of, packed_size
from session_pipeline_dagster.sources.pages import listed
from session_pipeline_dagster.sources.snapshot import fingerprint_of, snapshot_of
from session_pipeline_dagster.transcripts.looks import document
from session_pipeline_dagster.transcripts.reader import Readers, installed_readers

_ODD = "its key cannot be asked for; store it under another one"


@dataclass(frozen=True, slots=True)
class ObjectSource:
    """Session files below a prefix of one bucket."""

    bucket: Bucket
    layout: Layout = Layout.USERS
    user: str = "me"
    limits: Limits = field(default_factory=Limits)
    readers: Readers = field(default_factory=installed_readers)
    s3: S3Settings = field(default_factory=S3Settings)
    patience: Patience = field(default_factory=Patience)
    hides: bool = False

    @property
    def remote(self) -> bool:
        """See `SessionSource`."""
        return True

    @property
    def _client(self) -> Client:
        return client(self.bucket, self.s3, self.patience)

    def scan(self) -> Scan:
        """See `SessionSource.scan`. A listing that does not come to its end is an error."""
        names = _Names(self)
        names.take(listed(self._client, hides=self.hides))
        names.files.sort(key=attrgetter("key"))
        files = one_a_key(names.files, names.left_out)
        names.left_out += documents_left_out(names.documents, names.prefix)
        return Scan(files, names.left_out, marks=names.marks, manifests=names.manifests)

    def read(self, file: SessionFile) -> Content:
        """See `SessionSource.read`. The signature is that of the answer that is read, whatever was
        listed."""
        blocks, signature = self._body(file)
        packed = file.path.endswith(COMPRESSED)
        return snapshot_of(blocks, signature, self.limits, packed=packed)

    def fingerprint(self, file: SessionFile) -> Fingerprint:
        """See `SessionSource.fingerprint`."""
        blocks, signature = self._body(file)
        packed = file.path.endswith(COMPRESSED)
        return fingerprint_of(blocks, signature, self.limits, packed=packed)

    def _body(self, file: SessionFile) -> tuple[Iterator[bytes], Signature]:
        body = self._client.get(file.path)
        signature = signature_of(body.meta)
        if body.is_page and signature.ctime_ns != file.signature.ctime_ns:
            raise Retryable(NO_OBJECT)
        return body.blocks, signature

    def day(self, file: SessionFile) -> date:
        """See `SessionSource.day`."""
        return head_day(lambda size: self._head(file, size), file.signature.mtime_ns)

    def _head(self, file: SessionFile, size: int) -> bytes:
        if not file.signature.size:
            # There is no range of nothing.
            return b""
        if not file.path.endswith(COMPRESSED):
            return self._client.head(file.path, size)
        return head_of(self._client.head(file.path, packed_size(size)), size)


def signature_of(found: Listed) -> Signature:
    """What tells contents of an object apart."""
    etag = xxhash.xxh3_64_intdigest(found.etag.encode()) >> 1
    return Signature(found.size, found.modified * 10**9, etag)


class _Names:
    """Paths of a listing as session files and what is left out, as a walk has them."""

    def __init__(self, source: ObjectSource) -> None:
        self.source = source
        self.files: list[SessionFile] = []
        self.left_out: list[LeftOut] = []
        self.marks: list[str] = []
        self.documents = Counter[tuple[str, str]]()
        self.manifests: list[SessionFile] = []
        self.name = source.bucket.name or ""
        self.prefix = prefix_of(self.name)
        self._folders: dict[str, tuple[str, Owner] | None] = {}
        self._said: set[str] = set()

    def take(self, found: Iterable[Listed]) -> None:
        """Every object of a listing."""
        above = source_prefix(self.source.bucket)
        for one in found:
            path = one.path
            if path.startswith(above):
                self._take(one, path[len(above) :])

    def _take(self, one: Listed, path: str) -> None:
        above, _, last = path.rpartition("/")
        if last in MARKS:
            self.marks.append(f"{self.prefix}{_key(above)}/" if above else self.prefix)
            return
        if not is_plain(path):
            if path.rstrip("/").endswith(ENDINGS):
                self._leave_out(key_of(path), _ODD)
            return
        folder, _, name = path.rpartition("/")
        where = self._of(folder)
        if not name.endswith(ENDINGS):
            if where is not None and may_be_manifest(f"{where[0]}/{name}", self.source.layout):
                self._keep(self.manifests, one, where, name)
            elif where is not None and (look := document(name)):
                self.documents[f"{where[0]}/", look] += 1
            return
        if not folder:
            self._leave_out(first_key(key_of(name)), flat(self.source.layout))
        elif where is not None:
            self._keep(self.files, one, where, name)

    def _keep(
        self, kept: list[SessionFile], one: Listed, where: tuple[str, Owner], name: str
    ) -> None:
        key, owner = where
        full = f"{self.prefix}{key}/{key_of(name)}"
        kept.append(SessionFile(full, *owner, one.path, signature_of(one), self.name))

    def _of(self, folder: str) -> tuple[str, Owner] | None:
        """The key of a folder and whose it is; None where nothing in it is a session."""
        if folder in self._folders:
            return self._folders[folder]
        found = self._looked_at(folder) if folder else None
        self._folders[folder] = found
        return found

    def _looked_at(self, folder: str) -> tuple[str, Owner] | None:
        parts = folder.split("/")
        if not is_entered(parts[0], self.source.layout):
            return None
        for number, part in enumerate(parts):
            reason = "folder" if part.endswith(ENDINGS) else HIDDEN if is_hidden(part) else None
            if reason is not None:
                key = _key("/".join(parts[: number + 1]))
                self._leave_out(key if reason == "folder" else f"{key}/", reason)
                return None
        key = _key(folder)
        return key, owner_of(f"{key}/", self.source.layout, self.source.user)

    def _leave_out(self, key: str, reason: str) -> None:
        if key not in self._said:
            self._said.add(key)
            self.left_out.append(LeftOut(self.prefix + key, reason))


def source_prefix(bucket: Bucket) -> str:
    """What the keys of a bucket begin with that are below its prefix."""
    _, _, prefix = bucket.url.partition("://")[2].partition("/")
    return f"{prefix}/" if prefix else ""


def _key(folder: str) -> str:
    first, slash, rest = folder.partition("/")
    return f"{first_key(key_of(first))}{slash}{key_of(rest)}"
