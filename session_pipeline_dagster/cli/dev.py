"""`session-pipeline dev`: Dagster for whoever has installed the program and has no clone.

Makes the folder of its history and begins; what follows is in `orchestration/dev.py`.
"""

import os
import socket
import sys
from importlib.resources import files

import click

from session_pipeline_dagster.cli.context import own_history, say
from session_pipeline_dagster.errors import SettingsError
from session_pipeline_dagster.setting_values import in_clone
from session_pipeline_dagster.settings import read_settings, state_home

_WING = "session_pipeline_dagster.orchestration"


@click.command("dev")
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True)
@click.option("--home", "only_home", is_flag=True, help="Make Dagster's folder and print it.")
def command(port: int, only_home: bool) -> None:
    """Dagster with sensors on, on 127.0.0.1, its history below XDG_STATE_HOME.

    The same by Dagster's own program:
    DAGSTER_HOME=$(session-pipeline dev --home) dagster dev -m session_pipeline_dagster.definitions
    """
    if in_clone():
        raise click.UsageError("this program is that of a clone: use make dev there")
    settings = read_settings()
    home = state_home()
    home.mkdir(parents=True, exist_ok=True)
    instance = home / "dagster.yaml"
    if not instance.exists():
        # Whoever changes it keeps the changes.
        instance.write_bytes(files(_WING).joinpath("dagster.yaml").read_bytes())
    if only_home:
        click.echo(home)
        return
    check_free(port)
    say(f"Starting Dagster (about 20 s); its history: {home}, data: {settings.folder}")
    if hint := own_history(settings):
        say(f"There are no session files in {settings.folder / 'user_sessions'}. {hint}")
    sys.stdout.flush()
    started = [sys.executable, "-P", "-m", f"{_WING}.dev", str(port), str(home)]
    # By env, for Dagster is to find its home in the environment, and only settings.py reads ours.
    os.execvp("env", ["env", f"DAGSTER_HOME={home}", *started])  # noqa: S606, S607  no shell


def check_free(port: int) -> None:
    """Else Dagster's daemon would go on without its web server, beside the one that has the port.

    Raises:
        SettingsError: somebody listens there.
    """
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as error:
            said = f"port {port} cannot be had ({error.strerror})"
            raise SettingsError(f"{said}; choose another: --port 3001") from None
