"""Launched runs that will never begin: their code server is asked whether it has their process.

A run is STARTING until its process has begun. Where the machine goes down before that, no log says
which process has ended, and the run would hold up its processor until Dagster's own limit, or for
good where none is set.
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster_shared.serdes import deserialize_value

PATIENCE = timedelta(minutes=2)
"""A code server on a busy machine may come to start a process that late."""
_ANSWERS_IN = 5


def never_began(
    instance: dg.DagsterInstance, now: datetime, ours: Callable[[dg.DagsterRun], bool]
) -> Iterator[dg.DagsterRun]:
    """Runs that were launched longer ago than `PATIENCE`, and whose code server has no process of
    theirs, or is gone from this machine.

    One that begins nevertheless finds that it has ended, and does nothing.

    Args:
        ours: which runs to ask about.
    """
    starting = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING])
    for record in instance.get_run_records(starting):
        run, waiting = record.dagster_run, now - record.update_timestamp
        if ours(run) and waiting > PATIENCE and _has_process(run) is False:
            yield run


def _has_process(run: dg.DagsterRun) -> bool | None:
    """Whether the code server that was to start the run has a process of it; None: cannot tell."""
    said = run.tags.get(GRPC_INFO_TAG)
    if said is None:
        return None
    # Who loads the location need not load the protocol.
    import grpc  # noqa: PLC0415
    from dagster._grpc.client import DagsterGrpcClient  # noqa: PLC0415
    from dagster._grpc.types import (  # noqa: PLC0415
        CanCancelExecutionRequest,
        CanCancelExecutionResult,
    )

    where = json.loads(said)
    client = DagsterGrpcClient(
        port=where.get("port"),
        socket=where.get("socket"),
        host=where.get("host"),
        use_ssl=bool(where.get("use_ssl")),
    )
    asked = CanCancelExecutionRequest(run_id=run.run_id)
    try:
        answer = client.can_cancel_execution(asked, timeout=_ANSWERS_IN)
    except DagsterUserCodeUnreachableError as error:
        # Behind a socket it is on this machine, and its processes end with it. A port may be
        # another machine's, to which the line alone is broken.
        cause = error.__cause__
        refused = isinstance(cause, grpc.Call) and cause.code() is grpc.StatusCode.UNAVAILABLE
        return False if refused and where.get("socket") else None
    return deserialize_value(answer, CanCancelExecutionResult).can_cancel
