"""The command line over session files in a bucket: exit codes, lines, and no key in any of them."""

import shutil
import time
from pathlib import Path

import pytest
from test_cli import Cli, assert_one_clear_line

from buckets import Given, faulty, real, s3
from helpers import EXAMPLES, session_line
from object_server import HTML, Fault

__all__ = ["faulty", "real", "s3"]
pytestmark = pytest.mark.slow(seconds=20)
SECRET = "not-a-secret-of-anyone"  # noqa: S105


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def over(cli: Cli, given: Given, *arguments: str, prefix: str = "sess", **env: str):
    """With the sessions below a prefix and the test's database."""
    where = ("--sessions", given.url(prefix), "--database", str(cli.database))
    done = cli(*arguments, *where, **{**given.env(), **env})
    assert SECRET not in done.stdout + done.stderr
    return done


def test_every_command_takes_a_bucket(cli: Cli, real: Given) -> None:
    real.upload(EXAMPLES, "sess/")
    real.put("sessions/eve/x.jsonl", session_line("hello").encode())
    ran = over(cli, real, "run", "--processor", "usage", "--json")
    assert ran.returncode == 0, ran.stderr
    local = Cli(cli.folder / "local")
    local.folder.mkdir()
    here = local.json(EXAMPLES, "run", "--processor", "usage")["processors"]["usage"]
    assert f'"processed": {here["processed"]}' in ran.stdout
    assert f'"items_extracted": {here["items_extracted"]}' in ran.stdout
    status = over(cli, real, "status")
    assert (status.returncode, real.url("sess") in status.stdout) == (0, True)
    assert over(cli, real, "health", "--processor", "usage").returncode == 0
    dry = over(cli, real, "forget", "--user", "bob", "--dry-run")
    assert "of the files are still in the bucket or on disk" in dry.stdout
    gone = over(cli, real, "forget", "--user", "bob", "--yes")
    assert gone.returncode == 0
    assert "bob" not in over(cli, real, "status", "--json").stderr
    again = over(cli, real, "run", "--processor", "usage", "--json")
    assert again.returncode == 0


def test_what_cannot_be_listed_is_one_line_and_exit_code_two(cli: Cli, faulty: Given) -> None:
    assert faulty.server
    faulty.put("sess/alice/x.jsonl", session_line("hello").encode())
    assert over(cli, faulty, "run", "--processor", "usage").returncode == 0
    faulty.server.fault = lambda _: HTML
    for command in ("run", "status"):
        assert_one_clear_line(over(cli, faulty, command), 2, "no listing")
    assert_one_clear_line(
        over(cli, faulty, "status", AWS_ENDPOINT_URL="http://127.0.0.1:1"), 2, "cannot be reached"
    )
    assert_one_clear_line(
        over(cli, faulty, "status", AWS_ENDPOINT_URL="nowhere"), 2, "AWS_ENDPOINT_URL is no address"
    )
    assert over(cli, faulty, "health").returncode == 2


def test_a_pass_that_left_only_objects_over_that_could_not_be_had_ends_with_one(
    cli: Cli, faulty: Given
) -> None:
    assert faulty.server
    faulty.put("sess/alice/x.jsonl", session_line("hello").encode())
    faulty.server.fault = lambda asked: Fault(503) if asked.key else None
    ran = over(cli, faulty, "run", "--processor", "usage")
    assert ran.returncode == 1
    assert "cannot answer now (503 SlowDown)" in ran.stdout


def test_a_root_of_several_that_cannot_be_listed_costs_itself(
    cli: Cli, faulty: Given, tmp_path: Path
) -> None:
    assert faulty.server
    root = tmp_path / "here"
    shutil.copytree(EXAMPLES, root)
    faulty.server.fault = lambda _: Fault(403, b"<Error><Code>AccessDenied</Code></Error>")
    where = ("--sessions", str(root), "--sessions", f"eu={faulty.url('sess')}")
    for command in (("run", "--processor", "usage"), ("status",)):
        done = cli(*command, *where, "--database", str(cli.database), **faulty.env())
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert "s3://sessions/sess refuses the keys (403 AccessDenied)" in line
    health = cli(
        "health", "--processor", "usage", *where, "--database", str(cli.database), **faulty.env()
    )
    assert health.returncode == 2
    assert "cannot look everywhere: session root s3://sessions/sess" in health.stdout


def test_a_service_that_hangs_costs_a_bounded_time(cli: Cli, faulty: Given) -> None:
    assert faulty.server
    faulty.put("sess/alice/x.jsonl", session_line("hello").encode())
    faulty.server.fault = lambda _: Fault(hang=300)
    begun = time.monotonic()
    done = over(cli, faulty, "status", SESSION_PIPELINE_LOCK_TIMEOUT_SECONDS="1")
    assert_one_clear_line(done, 2, "does not answer in time")
    # No limit of ours: what a person was promised, with room for a machine that is busy.
    assert time.monotonic() - begun < 100
