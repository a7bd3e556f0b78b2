"""`session-pipeline`: its commands, each a module of this folder, imported when it is asked for.

Works without Dagster, on the same core and store.
"""

import gc
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from session_pipeline_dagster.cli.ending import ended

COMMANDS: Mapping[str, tuple[str, str]] = {
    "budget": ("money.budget", "How budgets stand: this period and the last ones."),
    "collect": ("collect", "Bring this machine's transcripts to where they are collected."),
    "copy-store": ("copy_store", "Copy a store: a file into a lake, or a lake into a file."),
    "dev": ("dev", "Dagster for an installed program: its pages, its sensors, its history."),
    "directory": ("directory", "Who is in which team: check a directory, or make one."),
    "export": ("export", "Usage as files: Parquet, CSV, as ccusage, FOCUS, Prometheus."),
    "forget": ("forget", "Delete every row of a user or of sessions, for good."),
    "health": ("health", "Whether what lands is processed."),
    "import-agnes": ("import_agnes", "Take over knowledge from the web app Agnes."),
    "knowledge": (
        "knowledge.commands",
        "What people corrected, confirmed and defined: review it, hand it on.",
    ),
    "people": ("people", "Who is meant by p-... and f-..., and a new key of pseudonyms."),
    "prices": ("money.prices", "How a price is found, what it is, and what another would change."),
    "processors": ("processors", "The processors that loaded and the plugins that did not."),
    "report": ("report", "Usage as a page to look at: HTML, and a PNG for a chat."),
    "retention": ("retention", "Let old detail go as it is set, or say what would; roll-ups stay."),
    "retry": ("retry", "Try failed files again at the next run: KEY..., or --all-quarantined."),
    "run": ("run", "Process everything that is pending, once."),
    "status": ("status", "What is processed, what is pending, what failed and what is left out."),
    "upkeep": ("upkeep", "What a lake needs once a day: few files of many."),
    "usage": ("money.usage", "Tokens and what they cost, by user, project, model, day and more."),
}
"""Name -> its module here, which has it as `command`, and the beginning of its help."""


class _Commands(click.Group):
    """Imports a command when it is called: `--help` needs no database, `run --json` no tables."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        given = list(sys.argv[1:] if args is None else args)

        def work() -> object:
            # What is imported stays, and what a pass makes holds no cycles: looking for some after
            # every 700 objects is a tenth of both.
            gc.set_threshold(50_000, 50, 100)
            # Not standalone: how it ends is ours to say.
            return super(_Commands, self).main(
                given,
                prog_name,
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )

        if not standalone_mode:
            return work()
        return sys.exit(ended(work, as_json="--json" in given))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"{__package__}.{COMMANDS[cmd_name][0]}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, 1)
            more = f" Did you mean {near[0]}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{more}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        limit = formatter.width - 6 - max(map(len, COMMANDS))
        helps = [(n, click.Command(n, help=text)) for n, (_, text) in sorted(COMMANDS.items())]
        with formatter.section("Commands"):
            formatter.write_dl([(name, shown.get_short_help_str(limit)) for name, shown in helps])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="session-pipeline-dagster")
def main() -> None:
    """Coding-agent session transcripts, turned into trusted data."""
