"""The collector over ssh, to a real sshd on loopback: what comes, and in which words what not."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from helpers import append, set_mtime, write_session
from places import ROOT
from session_pipeline_dagster.collect.collecting import Collected, collect
from session_pipeline_dagster.collect.host import HostPlace, _failures
from session_pipeline_dagster.collect.inventory import take
from session_pipeline_dagster.collect.manifest import decoded
from session_pipeline_dagster.collect.place import Failed, Host
from session_pipeline_dagster.errors import TargetUnavailable
from session_pipeline_dagster.sources.keys import ENDINGS
from sshd import SshServer, sshd

__all__ = ["sshd"]
pytestmark = pytest.mark.slow(seconds=8)
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "projects"
    for name in ("one", "two", "three"):
        write_session(root, f"-home-alice-app/{name}.jsonl", name)
    return root


@pytest.fixture
def there(tmp_path: Path) -> Path:
    folder = tmp_path / "sessions"
    folder.mkdir()
    return folder


def send(source: Path, folder: Path | str, server: SshServer, ssh: str | None = None) -> Collected:
    place = HostPlace(Host(server.host, str(folder)), ssh or server.ssh())
    return collect(take(source), place, "m1", NOW, "1", dry_run=False)


def contents(root: Path) -> dict[str, bytes]:
    found = (p for p in root.rglob("*") if p.name.endswith(ENDINGS))
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in found}


def test_over_ssh_what_is_new_or_changed_comes_with_its_time_and_nothing_goes(
    sshd: SshServer, source: Path, there: Path
) -> None:
    alice = there / "alice"
    dry = HostPlace(Host(sshd.host, str(alice)), sshd.ssh())
    counted = collect(take(source), dry, "m1", NOW, "1", dry_run=True)
    assert (counted.sent.copied, alice.exists()) == (3, False)
    first = send(source, alice, sshd)
    assert (first.sent.copied, first.sent.copied_bytes) == (3, first.inventory.bytes)
    assert contents(alice) == contents(source)
    one = source / "-home-alice-app" / "one.jsonl"
    arrived = alice / "-home-alice-app" / "one.jsonl"
    assert arrived.stat().st_mtime_ns == one.stat().st_mtime_ns
    assert arrived.stat().st_mode & 0o007 == 0
    assert send(source, alice, sshd).sent.copied == 0
    append(one, "more")
    two = source / "-home-alice-app" / "two.jsonl"
    two.write_bytes(two.read_bytes()[:-10] + b"0123456789")
    set_mtime(two, datetime(2020, 1, 1, tzinfo=UTC))
    (source / "-home-alice-app" / "three.jsonl").unlink()
    assert send(source, alice, sshd).sent.copied == 2
    assert contents(source).items() < contents(alice).items()
    manifest = alice / "collected.m1.json"
    left = decoded(manifest.read_bytes(), "m1")
    assert (left.files, left.collected_at) == (2, NOW)


def test_the_manifests_time_is_of_who_keeps_it_whatever_the_laptops_clock_says(
    sshd: SshServer, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def years_ago(path: Path, content: bytes) -> int:
        written = write(path, content)
        set_mtime(path, datetime(2020, 1, 1, tzinfo=UTC))
        return written

    monkeypatch.setattr(Path, "write_bytes", years_ago)
    HostPlace(Host(sshd.host, str(there)), sshd.ssh()).leave("collected.m1.json", b"{}\n")
    assert abs((there / "collected.m1.json").stat().st_mtime - time.time()) < 60


def test_odd_names_come_as_they_are_and_links_do_not(
    sshd: SshServer, source: Path, there: Path, tmp_path: Path
) -> None:
    odd = ["-a b/x y.jsonl", "-ü/*?$(id).jsonl", "-n/new\nline.jsonl", "-n/--delete.jsonl"]
    for name in odd:
        write_session(source, name, "odd")
    secret = tmp_path / "secret"
    write_session(secret, "p/secret.jsonl", "SECRET")
    (source / "-home-alice-app" / "link.jsonl").symlink_to(secret / "p" / "secret.jsonl")
    (source / "-linked").symlink_to(secret / "p")
    (source / "-home-alice-app" / "notes.txt").write_text("no session")
    assert send(source, there / "alice", sshd).sent.copied == 7
    assert {*odd} < contents(there / "alice").keys()
    assert not [p for p in there.rglob("*") if "secret" in p.name or p.suffix == ".txt"]


def test_a_file_that_cannot_be_read_costs_itself_and_one_that_is_gone_nothing() -> None:
    """In rsync's own words; root, who runs most tests, reads everything."""
    said = (
        'rsync: [sender] link_stat "/home/a/p/-p/c.jsonl" failed: No such file or directory (2)\n'
        'rsync: [sender] send_files failed to open "/home/a/p/-p/b "x.jsonl": Permission denied'
        " (13)\nrsync error: some files/attrs were not transferred (see previous errors)\n"
    )
    found = _failures(said, "/home/a/p/")
    assert found == [Failed('-p/b "x.jsonl', "cannot be read: Permission denied")]


def test_one_that_cannot_be_put_there_costs_itself_and_a_place_that_cannot_be_written_to_is_said(
    sshd: SshServer, source: Path, there: Path
) -> None:
    (there / "alice" / "-home-alice-app" / "two.jsonl" / "x").mkdir(parents=True)
    done = send(source, there / "alice", sshd)
    assert done.sent.copied >= 2
    (failed,) = done.sent.failed
    assert failed.key == "-home-alice-app/two.jsonl"
    assert (there / "alice" / "collected.m1.json").exists()
    (unknown,) = _failures("Welcome to this server\nrsync error: some files\n", "/home/a/p/")
    assert unknown.key == "?"
    theirs = 'rsync: [receiver] mkstemp "/s/.x.gAfs" failed: Permission denied (13)\n'
    said = HostPlace(Host("h", "/s"))._in_words(23, theirs)
    assert said == "h:/s: its folder may not be written to by you"


def test_a_key_of_rrsync_writes_to_ones_own_folder_alone(
    sshd: SshServer, source: Path, there: Path
) -> None:
    rrsync = shutil.which("rrsync")
    if rrsync is None:
        pytest.skip("no rrsync; it comes with rsync 3.2.4 and newer")
    (there / "alice").mkdir()
    page = (ROOT / "docs" / "collecting.md").read_text("utf-8")
    (options,) = re.findall(r"^(restrict,command=\".*\") ssh-ed25519 AAAA", page, re.MULTILINE)
    sshd.allow(options.replace("rrsync", rrsync).replace("/srv/sessions", str(there)))
    done = send(source, "", sshd)
    assert done.sent.copied == 3
    assert contents(there / "alice") == contents(source)
    (there / "bob").mkdir()
    for elsewhere in (there / "bob", "../bob"):
        with suppress(TargetUnavailable):
            send(source, elsewhere, sshd)
    assert [*(there / "bob").iterdir()] == []
    (there / "secret.jsonl").write_text("not for alice")
    # Nor is anything read with it.
    asked = ["rsync", f"--rsh={sshd.ssh()} -o BatchMode=yes", f"{sshd.host}:-home-alice-app/", "x"]
    read = subprocess.run(asked, cwd=there, capture_output=True, check=False)
    assert (read.returncode != 0, (there / "x").exists()) == (True, False)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("unknown host key", "its host key is not known"),
        ("another key", "takes none of your keys"),
        ("no folder", "have it made first"),
        ("no server", "no ssh server answers there"),
        ("no ssh", "is not installed on this machine"),
        ("no rsync there", "rsync is not installed there"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(
    fault: str, said: str, sshd: SshServer, source: Path, there: Path
) -> None:
    folder, ssh = there / "alice", sshd.ssh()
    if fault == "unknown host key":
        ssh = sshd.ssh(known=False)
    elif fault == "another key":
        ssh = sshd.ssh(key="other")
    elif fault == "no folder":
        folder = there / "no" / "alice"
    elif fault == "no server":
        ssh = ssh.replace(f"-p {sshd.port}", "-p 1")
    elif fault == "no ssh":
        ssh = "no-such-ssh"
    else:
        sshd.allow('restrict,command="PATH=/nowhere; rsync --server"')
    with pytest.raises(TargetUnavailable, match=said):
        send(source, folder, sshd, ssh)


def test_without_rsync_it_says_which_package_has_it(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    place = HostPlace(Host("h", "/s"))
    with pytest.raises(TargetUnavailable, match="rsync is not installed on this machine"):
        place.leave("x", b"")


def test_kills_leave_no_half_file_and_the_next_run_completes(
    sshd: SshServer, tmp_path: Path, there: Path
) -> None:
    source, alice = tmp_path / "many", there / "alice"
    for number in range(30):
        path = write_session(source, f"-p/{number:02}.jsonl", "x" * 300_000)
        set_mtime(path, datetime(2026, 1, 1, tzinfo=UTC))
    whole, dice = contents(source), random.Random(7)  # noqa: S311  when to kill
    command = [str(Path(sys.executable).parent / "session-pipeline"), "collect", "--from"]
    command += [str(source), "--to", f"{sshd.host}:{there}", "--user", "alice", "--machine", "m1"]
    command += ["--ssh", sshd.ssh()]
    between = 0
    for _ in range(4):
        shutil.rmtree(alice, ignore_errors=True)
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        ) as running:
            enough = dice.randrange(1, 25)
            while running.poll() is None and len([*alice.glob("-p/*.jsonl")]) < enough:
                time.sleep(0.001)
            os.killpg(running.pid, signal.SIGKILL)
        found = contents(alice)
        assert found.items() <= whole.items()
        between += 0 < len(found) < len(whole)
    assert between >= 2
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert contents(alice) == whole
    assert (alice / "collected.m1.json").exists()
