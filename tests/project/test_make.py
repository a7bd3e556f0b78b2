"""What `make` says before anything begins."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress

from places import ROOT


def test_a_taken_port_is_said_in_words_and_starts_no_daemon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        # -o: whatever is installed is taken as it is.
        command = ["make", "-o", ".venv/.runs", f"BIN={sys.prefix}/bin", f"PORT={port}", "dev"]
        pipe = subprocess.PIPE
        made = subprocess.Popen(
            command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True
        )
        try:
            said, complained = made.communicate(timeout=30)
        finally:
            # Should it have begun all the same, nothing of it stays.
            with suppress(ProcessLookupError):
                os.killpg(made.pid, signal.SIGKILL)
    assert made.returncode == 2
    assert f"Port {port} is taken" in complained
    assert "PORT=3001 make dev" in complained
    assert "Dagster" not in said
