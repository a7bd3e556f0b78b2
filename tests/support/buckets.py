"""A bucket for a test, of a real S3 server or of the one that can fail: what both are asked alike.

A test module imports the fixtures that it takes: `bucket` is one of each, `faulty` the one that can
fail.
"""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
from obstore.store import S3Store

from object_server import BUCKET, ObjectServer
from session_pipeline_dagster.setting_places import Bucket, S3Settings
from session_pipeline_dagster.settings import Layout, Limits
from session_pipeline_dagster.sources.bucket import Patience
from session_pipeline_dagster.sources.objects import ObjectSource
from weed import REGION, S3Server, s3

__all__ = ["bucket", "faulty", "real", "s3"]

IMPATIENT = Patience(connect=1, silent=1, request=5, retry=1)
"""For tests of a service that hangs."""


@dataclass(slots=True)
class Given:
    """A bucket, and how it is reached."""

    name: str
    settings: S3Settings
    server: ObjectServer | None = None
    client: S3Store | None = None

    def put(self, key: str, content: bytes) -> None:
        """Put an object."""
        if self.server:
            self.server.put(key, content)
        elif self.client:
            self.client.put(key, content)

    def delete(self, key: str) -> None:
        """Delete an object."""
        if self.server:
            self.server.delete(key)
        elif self.client:
            self.client.delete(key)

    def upload(self, root: Path, prefix: str = "") -> None:
        """Put every file of a folder."""
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            self.put(prefix + path.relative_to(root).as_posix(), path.read_bytes())

    def url(self, prefix: str = "") -> str:
        """The URL of a root."""
        return f"s3://{self.name}" + (f"/{prefix}" if prefix else "")

    def source(
        self,
        prefix: str = "",
        layout: Layout = Layout.USERS,
        limits: Limits | None = None,
        name: str | None = None,
    ) -> ObjectSource:
        """The session files below a prefix."""
        return ObjectSource(
            Bucket(self.url(prefix), name),
            layout,
            limits=limits or Limits(),
            s3=self.settings,
            patience=IMPATIENT,
        )

    def env(self) -> dict[str, str]:
        """The variables with which it is reached."""
        return {
            "AWS_ACCESS_KEY_ID": self.settings.access_key_id or "",
            "AWS_SECRET_ACCESS_KEY": self.settings.secret_access_key or "",
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.settings.endpoint or "",
        }


def of_server(server: ObjectServer) -> Given:
    """The bucket of a server that can fail."""
    settings = S3Settings("tests", "not-a-secret-of-anyone", None, REGION, server.url)
    return Given(BUCKET, settings, server)


def of_weed(s3: S3Server) -> Given:
    """A fresh bucket of a real server."""
    name = s3.bucket()
    settings = S3Settings(s3.key, s3.secret, None, REGION, s3.url)
    return Given(name, settings, client=s3.client(name))


@pytest.fixture
def faulty() -> Generator[Given]:
    """A bucket of the server that can fail."""
    with ObjectServer() as server:
        yield of_server(server)


@pytest.fixture
def real(s3: S3Server) -> Given:
    """A bucket of a real server."""
    return of_weed(s3)


@pytest.fixture(params=["faulty", "real"])
def bucket(request: pytest.FixtureRequest) -> Given:
    """One of each."""
    return request.getfixturevalue(request.param)
