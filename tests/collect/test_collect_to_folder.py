"""The collector into a folder, the manifest at its end, and what it refuses."""

import errno
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest
from click.testing import CliRunner

from helpers import append, session_line, set_mtime, write_session
from session_pipeline_dagster.cli.collect import command as collect_command
from session_pipeline_dagster.collect import folder
from session_pipeline_dagster.collect.collecting import Collected, collect
from session_pipeline_dagster.collect.folder import FolderPlace
from session_pipeline_dagster.collect.inventory import machine_id, take
from session_pipeline_dagster.collect.manifest import Listed, decoded
from session_pipeline_dagster.collect.place import Failed, Host, check_user, parse_target
from session_pipeline_dagster.errors import SettingsError, SourceUnavailable, TargetUnavailable
from session_pipeline_dagster.setting_places import Bucket
from session_pipeline_dagster.settings import Root
from session_pipeline_dagster.sources.local import LocalSource

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
PROGRAM = str(Path(sys.executable).parent / "session-pipeline")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "projects"
    for name in ("one", "two", "three"):
        write_session(root, f"-home-alice-app/{name}.jsonl", name)
    write_session(root, "-home-alice-app/one/subagents/agent-1.jsonl", "agent")
    return root


@pytest.fixture
def there(tmp_path: Path) -> Path:
    folder = tmp_path / "sessions"
    folder.mkdir()
    return folder


def send(source: Path, there: Path, *, dry_run: bool = False) -> Collected:
    place = FolderPlace(there, "alice", "m1")
    return collect(take(source), place, "m1", NOW, "1", dry_run=dry_run)


def contents(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*.jsonl")}


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob(".*") if path.is_file()]


def test_what_is_new_or_changed_comes_with_its_time_and_nothing_goes(
    source: Path, there: Path
) -> None:
    assert send(source, there, dry_run=True).sent.copied == 4
    assert [*there.iterdir()] == []
    first = send(source, there)
    assert (first.sent.copied, first.sent.copied_bytes) == (4, first.inventory.bytes)
    alice = there / "alice"
    assert contents(alice) == contents(source)
    assert send(source, there).sent.copied == 0
    one, two = (source / "-home-alice-app" / f"{name}.jsonl" for name in ("one", "two"))
    arrived = alice / "-home-alice-app" / "one.jsonl"
    assert arrived.stat().st_mtime_ns == one.stat().st_mtime_ns
    append(one, "more")
    # Rewritten, of the same size; and older, as by a clock that was put right.
    two.write_bytes(two.read_bytes()[:-10] + b"0123456789")
    set_mtime(two, datetime(2020, 1, 1, tzinfo=UTC))
    (source / "-home-alice-app" / "three.jsonl").unlink()
    assert send(source, there, dry_run=True).sent.copied == 2
    assert send(source, there).sent.copied == 2
    assert contents(source).items() < contents(alice).items()
    assert leftovers(there) == []


def test_a_file_that_was_emptied_empties_nothing_that_was_collected(
    source: Path, there: Path
) -> None:
    send(source, there)
    one = source / "-home-alice-app" / "one.jsonl"
    before = one.read_bytes()
    one.write_bytes(b"")
    again = send(source, there)
    assert (there / "alice" / "-home-alice-app" / "one.jsonl").read_bytes() == before
    assert [left.reason for left in again.inventory.left_out].count("empty") == 1
    one.write_bytes(before + b"{}\n")
    assert send(source, there).sent.copied == 1


def test_what_is_collected_is_what_the_pipeline_reads(source: Path, there: Path) -> None:
    send(source, there)
    scan = LocalSource((Root(there),)).scan()
    assert [file.key for file in scan.files] == sorted(f"alice/{key}" for key in contents(source))
    assert {(file.user, file.project) for file in scan.files} == {("alice", "-home-alice-app")}
    assert scan.left_out == []
    assert [file.key for file in scan.manifests] == ["alice/collected.m1.json"]


def test_the_manifest_says_what_the_machine_has(source: Path, there: Path) -> None:
    line = session_line("new")[:-2] + ',"version":"2.1.29"}\n'
    newest = source / "-home-alice-app" / "new.jsonl"
    newest.write_text(line + '{"version":"9.9", half', "utf-8")
    (source / "-home-alice-app" / "link.jsonl").symlink_to(newest)
    send(source, there)
    left = decoded((there / "alice" / "collected.m1.json").read_bytes(), "m1")
    assert (left.files, left.bytes) == (
        5,
        sum(map(len, contents(source).values())) - len(line) - 22,
    )
    assert left.newest is not None
    assert left.newest.timestamp() == pytest.approx(newest.stat().st_mtime, abs=1e-3)
    assert (left.client, left.collector, left.collected_at) == ("2.1.29", "1", NOW)
    assert left.left_out == 1
    stat = newest.stat()
    assert Listed("-home-alice-app/new.jsonl", stat.st_size, stat.st_mtime_ns) in left.sessions
    assert "SECRET" not in json.dumps(str(left))


def test_no_link_is_followed_out_of_the_source_or_in_the_place(
    source: Path, there: Path, tmp_path: Path
) -> None:
    secret = write_session(tmp_path / "secret", "p/secret.jsonl", "SECRET")
    (source / "-home-alice-app" / "link.jsonl").symlink_to(secret)
    (source / "-linked").symlink_to(secret.parent)
    (source / "-home-alice-app" / "fifo.jsonl").touch()
    (source / "-home-alice-app" / "fifo.jsonl").unlink()
    os.mkfifo(source / "-home-alice-app" / "fifo.jsonl")
    alice, outside = there / "alice", tmp_path / "outside"
    outside.mkdir()
    alice.mkdir()
    write_session(source, "-other/x.jsonl", "x")
    (alice / "-other").symlink_to(outside)
    (alice / "-home-alice-app").mkdir()
    (alice / "-home-alice-app" / "two.jsonl").symlink_to(outside / "two.jsonl")
    done = send(source, there)
    assert [*outside.iterdir()] == []
    assert done.sent.failed == [Failed("-other/x.jsonl", "cannot be put there: Not a directory")]
    assert not (alice / "-home-alice-app" / "two.jsonl").is_symlink()
    assert not list(there.rglob("*secret*"))
    # It has the file, so it says so, and `not_arrived` can say that it never came.
    left = decoded((alice / "collected.m1.json").read_bytes(), "m1")
    assert "-other/x.jsonl" in {one.key for one in left.sessions}


def test_a_file_that_shrinks_while_it_is_read_is_not_put_there(
    source: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = take(source)
    one = source / "-home-alice-app" / "one.jsonl"
    read = folder._blocks

    def shrinking(handle: BinaryIO, size: int) -> Iterator[bytes]:
        if os.fstat(handle.fileno()).st_ino == one.stat().st_ino:
            os.truncate(one, 5)
        return read(handle, size)

    monkeypatch.setattr(folder, "_blocks", shrinking)
    place = FolderPlace(there, "alice", "m1")
    done = collect(found, place, "m1", NOW, "1", dry_run=False)
    assert [one.reason for one in done.sent.failed] == ["became shorter while it was read"]
    assert not (there / "alice" / "-home-alice-app" / "one.jsonl").exists()
    assert leftovers(there) == []
    monkeypatch.undo()
    assert send(source, there).sent.copied == 1


@pytest.mark.slow(seconds=5)
def test_kills_leave_no_half_file_and_the_next_run_completes(tmp_path: Path, there: Path) -> None:
    source, alice = tmp_path / "many", there / "alice"
    for number in range(40):
        write_session(source, f"-p/{number:02}.jsonl", "x" * 500_000)
    whole, dice = contents(source), random.Random(7)  # noqa: S311  when to kill
    command = [PROGRAM, "collect", "--from", str(source), "--to", str(there)]
    command += ["--user", "alice", "--machine", "m1"]
    between = halves = 0
    for _ in range(6):
        shutil.rmtree(alice, ignore_errors=True)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as running:
            enough = dice.randrange(1, 35)
            while running.poll() is None and len([*alice.glob("-p/*.jsonl")]) < enough:
                time.sleep(0.0005)
            running.send_signal(signal.SIGKILL)
        found = contents(alice)
        assert found.items() <= whole.items()
        between += 0 < len(found) < len(whole)
        halves += bool(leftovers(there))
    assert between >= 3
    # One half-written file was left at least once, under a name that nobody reads.
    assert halves
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(alice) == whole
    assert leftovers(there) == []


@pytest.mark.slow(seconds=1)
def test_a_full_disk_is_said_and_leaves_no_half_file(source: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    write_session(source, "-z/big.jsonl", "x" * 3_000_000)
    script = 'mount -t tmpfs -o size=1m tmpfs "$1" || exit 77; "$2" collect --from "$3" --to "$1" '
    script += '--user alice; echo "exit $?"; find "$1" -type f'
    command = ["unshare", "-rm", "sh", "-c", script, "sh", str(small), PROGRAM, str(source)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("nobody but root may mount a small file system here")
    assert "no room is left in" in done.stderr
    assert "exit 2" in done.stdout
    assert [line for line in done.stdout.splitlines() if "big" in line or ".collect" in line] == []
    assert len([line for line in done.stdout.splitlines() if line.endswith(".jsonl")]) == 4


def test_two_at_once_do_not_work_on_one_folder(source: Path, there: Path) -> None:
    held = os.open(source, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(SettingsError, match="another `session-pipeline collect` is at work"):
            send(source, there)
    finally:
        os.close(held)
    send(source, there)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "no room is left"),
        (errno.EDQUOT, "no room is left"),
        (errno.EACCES, "may not write to"),
        (errno.EROFS, "may not write to"),
        (errno.EIO, "cannot be written to"),
    ],
)
def test_what_is_wrong_with_the_place_ends_it(
    code: int, said: str, source: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("session_pipeline_dagster.collect.folder.os.fsync", fails)
    with pytest.raises(TargetUnavailable, match=said):
        send(source, there)
    assert contents(there) == {}
    assert leftovers(there) == []


def test_a_place_that_is_missing_or_in_the_source_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetUnavailable, match="does not exist; mount it, or make it first"):
        send(source, tmp_path / "none")
    with pytest.raises(TargetUnavailable, match="is no folder"):
        send(source, Path(__file__))
    with pytest.raises(SettingsError, match="lies in --from"):
        send(source, source / "-home-alice-app")


def test_a_source_that_is_none_says_which_is(source: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"--from .*/none .*No such .*~/\.claude"):
        take(tmp_path / "none")
    with pytest.raises(SettingsError, match="take the folder that it lies in"):
        take(source / "-home-alice-app" / "one" / "subagents")
    above = tmp_path / "claude"
    shutil.copytree(source, above / "projects")
    with pytest.raises(SettingsError, match=r"one deeper: --from .*/claude/projects"):
        take(above)
    users = tmp_path / "users"
    shutil.copytree(source, users / "al ice")
    with pytest.raises(SettingsError, match=r"each of them: --from '.*/al ice' --user 'al ice'"):
        take(users)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/srv/sessions", Path("/srv/sessions")),
        ("./a:b", Path("a:b")),
        ("al@h.example.org:/srv/x", Host("al@h.example.org", "/srv/x")),
        ("h:", Host("h", "")),
        ("[::1]:x", Host("[::1]", "x")),
        ("s3://b/p/", Bucket("s3://b/p")),
    ],
)
def test_a_place_is_a_folder_a_host_or_a_bucket(text: str, found: object) -> None:
    assert parse_target(text) == found


@pytest.mark.parametrize(
    "text",
    ["", "-oProxyCommand=x:y", "h::module", "h:a b", "h:$(x)", "h:a;b", "ftp://x/y", "s3://"],
)
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--to"):
        parse_target(text)


@pytest.mark.parametrize("user", ["", "..", "a/b", ".hidden", "-x", "x.jsonl", "a\nb"])
def test_a_user_that_is_no_folder_is_refused(user: str) -> None:
    with pytest.raises(SettingsError, match="--user"):
        check_user(user, Path("/x"))


def test_a_machine_has_an_id_that_stays_and_is_not_its_own(tmp_path: Path) -> None:
    own = tmp_path / "machine-id"
    own.write_text("3d1219c7c4c5404aaa1f6d2a48adfda4\n")
    places = (str(tmp_path / "none"), str(own))
    first = machine_id(tmp_path, places)
    assert first == machine_id(tmp_path, places) != machine_id(tmp_path / "other", places)
    assert len(first) == 16
    assert "3d12" not in first
    with pytest.raises(SettingsError, match="--machine laptop"):
        machine_id(tmp_path, (str(tmp_path / "none"),))


def test_the_command_says_what_it_did_and_ends_with_the_codes_of_the_others(
    source: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SESSION_USER", "alice")

    def run(*more: str) -> tuple[int, str]:
        base = ["--from", str(source), "--to", str(there), "--machine", "m1"]
        done = CliRunner().invoke(collect_command, [*base, *more])
        return done.exit_code, done.output

    assert "4 of 4 session files would be copied" in run("--dry-run")[1]
    code, said = run("--json")
    document = json.loads(said)
    assert code == 0
    assert (document["copied"], document["user"], document["failed"]) == (4, "alice", [])
    assert document["manifest"] == "collected.m1.json"
    assert "0 of 4 session files copied" in run()[1]
    (there / "alice" / "-home-alice-app" / "new.jsonl").mkdir()
    write_session(source, "-home-alice-app/new.jsonl", "new")
    code, said = run()
    assert code == 1
    assert "-home-alice-app/new.jsonl: cannot be put there: Is a directory" in said
    for wrong in (["--machine", "a/b"], ["--user", ".."], ["--ssh", "'"], ["--ssh", " "]):
        assert isinstance(
            CliRunner().invoke(collect_command, ["--to", "x", *wrong]).exception,
            SettingsError | SourceUnavailable,
        )
    own = CliRunner().invoke(
        collect_command,
        ["--from", str(source), "--to", str(there), "--machine", "m", "--own-folder"],
    )
    assert own.exit_code == 0
    assert (there / "-home-alice-app" / "one.jsonl").exists()


def test_on_a_laptop_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, session_pipeline_dagster.cli.collect; "
        "sys.exit(any(m in sys.modules for m in ('duckdb', 'dagster', 'pyarrow', 'obstore')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
