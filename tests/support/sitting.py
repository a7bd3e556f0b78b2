"""Shared by the tests of a review: a person at a terminal."""

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path

_UNHEARD = 15
_PATIENCE = 240


class Sitting:
    """The program at a terminal of its own, and what it shows there."""

    def __init__(
        self,
        command: Sequence[object],
        folder: Path,
        env: dict[str, str],
        columns: int = 80,
    ) -> None:
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self.process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env={k: v for k, v in env.items() if k != "COLUMNS"} | {"TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        self._theirs = theirs
        self.raw = b""
        self._seen = 0

    @property
    def shown(self) -> str:
        """Without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.raw.decode("utf-8", "replace")).replace("\r", "")

    @property
    def cards(self) -> str:
        """What is shown before a bar moves, which takes itself away again."""
        return self.shown.partition("\x1b[?25l")[0]

    def expect(self, text: str) -> str:
        """Wait until it is shown after what was expected last; what was shown until then."""
        end = time.monotonic() + _PATIENCE
        while text not in self.shown[self._seen :]:
            assert time.monotonic() < end, f"{text!r} is not in {self.shown[self._seen :]}"
            assert self._more(), f"it ended without {text!r}: {self.shown[self._seen :]}"
        at = self.shown.index(text, self._seen) + len(text)
        found, self._seen = self.shown[self._seen : at], at
        return found

    def press(self, keys: str) -> None:
        """Press a key once the program waits for one; a key before that is none."""
        self.expect(" q  quit")
        end = time.monotonic() + _PATIENCE
        while termios.tcgetattr(self._theirs)[3] & termios.ICANON:
            assert time.monotonic() < end
            self._more(0.005)
        self.write(keys)

    def write(self, text: str) -> None:
        """At once."""
        os.write(self._ours, text.encode())

    def end(self, again: str = "") -> int:
        """Wait for it; its exit code.

        Args:
            again: pressed now and then. A signal that falls between Python's look for signals and
                the read that follows is heard only once that read ends: a person presses again.
        """
        begun = time.monotonic()
        pressed = begun
        while self.process.poll() is None:
            assert time.monotonic() < begun + _PATIENCE, self.shown
            if again and time.monotonic() > pressed + _UNHEARD:
                pressed = time.monotonic()
                self.write(again)
            self._more(0.05)
        while self._more(0):
            pass
        return self.process.returncode

    def close(self) -> None:
        """Whatever became of it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    @property
    def is_as_before(self) -> bool:
        """Whether the terminal shows what is typed and takes lines."""
        wanted = termios.ICANON | termios.ECHO
        return termios.tcgetattr(self._theirs)[3] & wanted == wanted

    def _more(self, patience: float = 1.0) -> bool:
        """Read what there is; False once it ended and everything is read."""
        if select.select([self._ours], [], [], patience)[0]:
            self.raw += os.read(self._ours, 1 << 16)
            return True
        return self.process.poll() is None and patience > 0


def _take_terminal() -> None:
    # Who starts the tests in the background of a shell has interrupts ignored; no terminal has.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
