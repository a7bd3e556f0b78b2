"""Transcripts into a bucket: an object is there whole or not at all.

A bucket keeps no mtime, so what was sent is told by the etag that it gave: the last manifest holds
it. What that does not say, of a run that was killed say, is compared by its MD5 where the etag may
be one, and sent again where not.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from session_pipeline_dagster.collect.inventory import Inventory, Own
from session_pipeline_dagster.collect.manifest import MOST_BYTES, Listed, decoded, name_of
from session_pipeline_dagster.collect.place import Failed, Sent
from session_pipeline_dagster.errors import Retryable, SourceUnavailable, TargetUnavailable
from session_pipeline_dagster.setting_places import Bucket, S3Settings
from session_pipeline_dagster.sources.bucket import Blame, Client, Patience
from session_pipeline_dagster.sources.bucket import Listed as Object
from session_pipeline_dagster.sources.keys import is_plain
from session_pipeline_dagster.sources.objects import source_prefix
from session_pipeline_dagster.sources.pages import listed
from session_pipeline_dagster.sources.snapshot import open_regular

_UPLOADING = Patience(request=1800.0, retry=60.0)
"""A session of 100 MB takes a quarter of an hour at 1 Mbit/s."""
_BLAME = Blame("--to", "--to", "list it, read it and write to it")


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """The prefix of one user."""

    prefix: Bucket
    machine: str
    s3: S3Settings
    patience: Patience = field(default=_UPLOADING)

    def send(self, inventory: Inventory, *, dry_run: bool) -> Sent:
        """See `Place.send`."""
        client = self._client()
        there = self._there(client)
        before = self._before(client)
        copied = size = 0
        failed: list[Failed] = []
        tags: dict[str, str] = {}
        for file in inventory.files:
            if not is_plain(file.path):
                failed.append(Failed(file.key, "no object is called so; rename it"))
                continue
            found = there.get(file.path)
            if found is not None and (tag := _known(before.get(file.key), file, found)):
                tags[file.key] = tag
                continue
            try:
                content = _read(inventory, file)
            except FileNotFoundError:
                # Deleted since it was listed.
                continue
            except OSError as error:
                failed.append(Failed(file.key, f"cannot be read: {error.strerror}"))
                continue
            if found is not None and _is_same(found, content):
                tags[file.key] = found.etag
                continue
            copied, size = copied + 1, size + len(content)
            if not dry_run:
                tags[file.key] = self._put(client, file.path, content)
        return Sent(copied, size, failed, tags)

    def leave(self, name: str, content: bytes) -> None:
        """See `Place.leave`."""
        self._put(self._client(), name, content)

    def _client(self) -> Client:
        try:
            return Client(self.prefix, self.s3, self.patience, _BLAME)
        except SourceUnavailable as error:
            raise TargetUnavailable(str(error)) from None

    def _put(self, client: Client, path: str, content: bytes) -> str:
        try:
            return client.put(source_prefix(self.prefix) + path, content)
        except SourceUnavailable as error:
            raise TargetUnavailable(str(error)) from None

    def _there(self, client: Client) -> Mapping[str, Object]:
        above = source_prefix(self.prefix)
        try:
            found = listed(client)
        except SourceUnavailable as error:
            raise TargetUnavailable(str(error)) from None
        return {one.path.removeprefix(above): one for one in found}

    def _before(self, client: Client) -> Mapping[str, Listed]:
        """What the last manifest says was sent; nothing where there is none that can be read."""
        try:
            body = client.get(source_prefix(self.prefix) + name_of(self.machine))
            if body.meta.size > MOST_BYTES:
                return {}
            manifest = decoded(b"".join(body.blocks), self.machine)
        except (FileNotFoundError, ValueError):
            return {}
        except Retryable as error:
            raise TargetUnavailable(str(error)) from None
        return {one.key: one for one in manifest.sessions}


def _known(before: Listed | None, file: Own, found: Object) -> str:
    """The etag, if what was sent last is what lies there and here; else nothing."""
    if before is None or not before.tag or before.tag != found.etag:
        return ""
    same = (file.size, file.mtime_ns) == (before.size, before.mtime_ns)
    return before.tag if same and found.size == file.size else ""


def _read(inventory: Inventory, file: Own) -> bytes:
    with open_regular(f"{inventory.top}/{file.path}", str(inventory.top)) as handle:
        return handle.read(file.size)


def _is_same(found: Object, content: bytes) -> bool:
    if found.size != len(content):
        return False
    return found.etag.lower() == hashlib.md5(content, usedforsecurity=False).hexdigest()
