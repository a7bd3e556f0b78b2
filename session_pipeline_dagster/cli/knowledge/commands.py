"""`session-pipeline knowledge`: look at what was learned, decide about it, hand it on.

Each command is imported when it is asked for, because what decides takes ten times as long to
import as what looks. What is printed is in `output.py` and `json.py`, how a decision is written in
`deciding.py`, the review at a terminal in `reviewing.py`, what a decision does in
`processors/verification/knowledge/`.
"""

from collections.abc import Mapping
from importlib import import_module

import click

_COMMANDS: Mapping[str, tuple[str, str]] = {
    "approve": ("decisions", "approve"),
    "edit": ("decisions", "edit"),
    "export": ("looking", "export"),
    "labels": ("labels", "command"),
    "list": ("looking", "list_items"),
    "reject": ("decisions", "reject"),
    "resolve": ("decisions", "resolve"),
    "review": ("review", "command"),
    "same": ("decisions", "same"),
    "show": ("looking", "show"),
}
"""Name -> its module here, and what it is called there."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"{__package__}.{module}"), name)
        return command


@click.group(
    "knowledge",
    cls=_Commands,
    help="What people corrected, confirmed and defined: review it, hand it on.",
)
def command() -> None:
    """The commands."""
