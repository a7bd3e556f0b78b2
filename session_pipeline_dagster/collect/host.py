"""Transcripts to another machine, with rsync over ssh.

rsync writes each file under another name and renames it, so a line that breaks leaves no half file.
Which files there are is not left to it: it is given their names. What it says on stderr is put into
words; where it says nothing that is known, its own first line is shown.
"""

import errno
import re
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from session_pipeline_dagster.collect.inventory import Inventory
from session_pipeline_dagster.collect.place import Failed, Host, Sent
from session_pipeline_dagster.errors import TargetUnavailable
from session_pipeline_dagster.sources.keys import key_of

SSH = "ssh"
_SSH_OPTIONS = "-o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=30"
"""Nobody is asked for a password by a timer, and a line that is dead ends."""
_SILENT = 300
_SENT = re.compile(rb"[<>c]f\S* (\d+)")
_UNREADABLE = re.compile(
    r'(?:send_files failed to open|link_stat) "(.+)"(?: failed)?: (.+) \((\d+)\)'
)
"""What rsync says of a file that it cannot open or does not find here."""
_NAMED = re.compile(r'^rsync: .*"(.+)"|^could not make way for .*: (.+)')
"""What it says of one that it cannot put there; other lines may be a server's greeting."""
_LONGEST = 300
_GONE = 24
_PARTIAL = 23
_NO_SSH = 14
_NO_FILE = 11
_SAID = (
    ("Host key verification failed", "its host key is not known, or another one: run `ssh {host}` "
     "once and compare the fingerprint"),
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "its host key is another one than before: ask who "
     "runs it, then `ssh-keygen -R {host}`"),
    ("mkdir", "its folder does not exist, or may not be made: have it made first"),
    ("Permission denied (13)", "its folder may not be written to by you"),
    ("Permission denied (", "it takes none of your keys: have your public key put into its "
     "authorized_keys, or name the key: --ssh 'ssh -i KEY'"),
    ("Could not resolve hostname", "no machine has that name here"),
    ("Connection refused", "no ssh server answers there"),
    ("No route to host", "it cannot be reached from here"),
    ("Network is unreachable", "it cannot be reached from here"),
    ("timed out", "it does not answer in time"),
    ("timeout in data", "it does not answer in time"),
    ("No space left on device", "no room is left there; when there is some, start it again: it "
     "goes on where it was"),
    ("Disk quota exceeded", "no room is left there for you; start it again when there is some"),
    ("Read-only file system", "its folder cannot be written to"),
    ("rsync: command not found", "rsync is not installed there"),
    ("rsync: not found", "rsync is not installed there"),
    ("Could not chdir", "its folder does not exist"),
    ("does not exist", "its folder does not exist"),
)  # fmt: skip
"""What ssh or rsync says, and what it means; the first that is found counts."""


@dataclass(frozen=True, slots=True)
class HostPlace:
    """The folder of one user on another machine.

    Attributes:
        ssh: how ssh is started, as a shell would read it.
    """

    folder: Host
    ssh: str = SSH

    def send(self, inventory: Inventory, *, dry_run: bool) -> Sent:
        """See `Place.send`."""
        names = b"\0".join(file.path.encode("utf-8", "surrogateescape") for file in inventory.files)
        options = ["--times", "--omit-dir-times", "--files-from=-", "--from0"]
        # Without names: a line of it is one of ours, whatever a file is called.
        said = ["--out-format=%i %l", *(["--dry-run"] if dry_run else [])]
        code, out, err = self._asked([*options, *said], f"{inventory.top}/", names)
        failed = _failures(err, f"{inventory.top}/") if code == _PARTIAL else []
        if code not in (0, _GONE, _PARTIAL):
            raise TargetUnavailable(self._in_words(code, err))
        sizes = [int(found[1]) for line in out.splitlines() if (found := _SENT.match(line))]
        return Sent(len(sizes), sum(sizes), failed)

    def leave(self, name: str, content: bytes) -> None:
        """See `Place.leave`."""
        with tempfile.TemporaryDirectory(prefix="session-pipeline-") as folder:
            path = Path(folder, name)
            path.write_bytes(content)
            # Without --times: its mtime is then of the other machine's clock.
            code, _, err = self._asked(["--ignore-times"], str(path), b"")
        if code:
            raise TargetUnavailable(self._in_words(code, err))

    def _asked(self, options: Sequence[str], what: str, given: bytes) -> tuple[int, bytes, str]:
        command = [
            "rsync",
            "--chmod=D2750,F640",
            f"--timeout={_SILENT}",
            f"--rsh={self.ssh} {_SSH_OPTIONS}",
            *options,
            "--",
            what,
            f"{self.folder}/" if self.folder.path else f"{self.folder}",
        ]
        try:
            done = subprocess.run(  # noqa: S603  no shell
                command, input=given, capture_output=True, check=False
            )
        except FileNotFoundError:
            raise TargetUnavailable(
                "rsync is not installed on this machine; install it (apt install rsync, brew "
                "install rsync)"
            ) from None
        return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")

    def _in_words(self, code: int, said: str) -> str:
        host = self.folder.host
        # Its code is another one where it sees first that nobody answers.
        if "Failed to exec" in said or (code == _NO_SSH and "exec" in said):
            program = (shlex.split(self.ssh) or [SSH])[0]
            return f"{program} is not installed on this machine, or cannot be started"
        meaning = next((text for mark, text in _SAID if mark in said), None)
        if meaning is not None:
            return f"{self.folder}: {meaning.format(host=host)}"
        if code == _NO_FILE:
            # Its own words may be lost when the other side ends first.
            return (
                f"{self.folder}: its folder does not exist, or cannot be written to: have it made "
                "first, or see whether it is full"
            )
        # What a server greets with is no reason.
        lines = [line for line in said.splitlines() if line.startswith(("rsync", "ssh", "kex"))]
        reason = (lines or said.splitlines() or ["it says nothing"])[0][:_LONGEST]
        return f"{self.folder}: rsync ended with {code}: {reason}"


def _failures(said: str, top: str) -> list[Failed]:
    """The files that did not come while others did: not readable here, or not to be put there.

    Where nothing can be put there, the manifest cannot either, which ends it.
    """
    found: dict[str, str] = {}
    gone = False
    for line in said.splitlines():
        match, named = _UNREADABLE.search(line), _NAMED.search(line)
        if match is not None:
            # One that is gone was deleted since it was listed.
            gone = int(match[3]) == errno.ENOENT
            if not gone:
                found[key_of(match[1].removeprefix(top))] = f"cannot be read: {match[2]}"
        elif named is not None:
            key = key_of(named[1] or named[2])
            found[key] = line.removeprefix("rsync: ")[:_LONGEST]
    if not found and not gone:
        found["?"] = "rsync says no more than that some files were not transferred"
    return [Failed(key, reason) for key, reason in found.items()]
