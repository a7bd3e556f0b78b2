"""What `make` says before anything begins."""

import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_a_taken_port_is_said_in_words_and_starts_no_daemon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        # -o: whatever is installed is taken as it is.
        command = ["make", "-o", ".venv/.runs", f"BIN={sys.prefix}/bin", f"PORT={port}", "dev"]
        made = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
        )
    assert made.returncode == 2
    assert f"Port {port} is taken" in made.stderr
    assert "PORT=3001 make dev" in made.stderr
    assert "Dagster" not in made.stdout
