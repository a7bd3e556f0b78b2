"""Launched runs that will never begin: their code server is asked whether it has their process.

A run is STARTING until its process has begun. Where the machine goes down before a process of it
has said anything, there is none to look for, and the run would hold up its processor until
Dagster's own limit, or for good where none is set.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import msgspec
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster_shared.serdes import deserialize_value

PATIENCE = timedelta(minutes=2)
"""A code server on a busy machine may come to start a process that late."""
_ANSWERS_IN = 5


class _Server(msgspec.Struct, frozen=True):
    """A code server as Dagster's launcher writes it down."""

    host: str
    socket: str | None = None
    port: int | None = None
    use_ssl: bool = False

    @property
    def is_usable(self) -> bool:
        """A socket of another folder's is not told from one that is gone."""
        return Path(self.socket).is_absolute() if self.socket else self.port is not None


def never_began(records: Iterable[dg.RunRecord], now: datetime) -> Iterator[dg.DagsterRun]:
    """Those of some runs that were launched longer ago than `PATIENCE`, and whose code server has
    no process of theirs, or is gone from this machine.

    A process that says something after all finds that its run has ended, and does nothing, unless
    it begins in that very moment.

    Args:
        records: of runs that are STARTING, of which no process has said anything.
    """
    silent: set[_Server] = set()
    for record in records:
        run, server = record.dagster_run, _server(record.dagster_run)
        if now - record.update_timestamp <= PATIENCE or server is None:
            continue
        has_process = None if server in silent else _has_process(server, run.run_id)
        if has_process is None:
            silent.add(server)
        elif not has_process:
            yield run


def _server(run: dg.DagsterRun) -> _Server | None:
    """Who was asked to start the run; None where it does not say."""
    try:
        server = msgspec.json.decode(run.tags.get(GRPC_INFO_TAG, ""), type=_Server)
    except msgspec.DecodeError:
        return None
    return server if server.is_usable else None


def _has_process(server: _Server, run_id: str) -> bool | None:
    """Whether the code server has a process of the run; None: it cannot be asked."""
    # Who loads the location need not load the protocol.
    import grpc  # noqa: PLC0415
    from dagster._grpc.client import DagsterGrpcClient  # noqa: PLC0415
    from dagster._grpc.types import (  # noqa: PLC0415
        CanCancelExecutionRequest,
        CanCancelExecutionResult,
    )

    client = DagsterGrpcClient(
        port=None if server.socket else server.port,
        socket=server.socket,
        host=server.host,
        use_ssl=server.use_ssl,
    )
    asked = CanCancelExecutionRequest(run_id=run_id)
    try:
        answer = client.can_cancel_execution(asked, timeout=_ANSWERS_IN)
    except DagsterUserCodeUnreachableError as error:
        # Behind a socket it was on this machine. A port may be another machine's, to which the
        # line alone is broken.
        cause = error.__cause__
        refused = isinstance(cause, grpc.Call) and cause.code() is grpc.StatusCode.UNAVAILABLE
        return False if refused and server.socket else None
    return deserialize_value(answer, CanCancelExecutionResult).can_cancel
