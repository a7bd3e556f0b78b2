"""`session-pipeline knowledge labels`: what people decided, to look at and to train on."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import mkstemp

import click

from session_pipeline_dagster.cli.context import Context, common, say
from session_pipeline_dagster.cli.knowledge import deciding
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.processors.verification.knowledge import rows
from session_pipeline_dagster.processors.verification.knowledge.heard import Heard
from session_pipeline_dagster.processors.verification.knowledge.labelled import (
    LabelledTurn,
    labelled,
)
from session_pipeline_dagster.processors.verification.knowledge.labels import Settled, precision


@click.command("labels")
@click.option("--export", "target", metavar="FILE", help="Write them as labelled turns; -: stdout.")
@click.option("--json", "as_json", is_flag=True, help="How many, as one JSON document.")
@common
def command(context: Context, target: str | None, as_json: bool) -> int:
    """Decisions of people about what was found. Their words stay on this machine."""
    if target == "-" and as_json:
        raise ContractError("--export - and --json both write to stdout; give a file")
    there = deciding.readable(context)
    made = rows.labels(there) if there else []
    decided = Settled(made).last
    of_items = precision(made)
    summary: dict[str, object] = {
        "decisions": len(decided),
        **dict(sorted(Counter(label.decision for label in decided).items())),
        "precision": round(of_items.share, 3) if of_items.decisions else None,
    }
    if target is not None:
        # Its forms take 0.1 s to compile, which counting labels need not pay.
        from session_pipeline_dagster.processors.verification.redaction import redact  # noqa: PLC0415

        clean = partial(redact, personal=context.settings.personal)
        heard = Heard(lambda: context.source, context.settings.personal)
        turns, whole = labelled(made, rows.detected(there) if there else (), heard.around, clean)
        _write(turns, target)
        summary |= {"turns": len(turns), "whole_turns": whole}
    if as_json:
        click.echo(json.dumps(summary, indent=1))
    elif target != "-":
        for name, number in summary.items():
            say(f"{name.replace('_', ' ')}: {'-' if number is None else number}")
    return 0


def _write(turns: Sequence[LabelledTurn], target: str) -> None:
    # Escaped: a terminal obeys some of what people paste, and some of it ends a line.
    lines = [json.dumps(asdict(turn)) + "\n" for turn in turns]
    if target == "-":
        for line in lines:
            click.echo(line, nl=False)
        return
    path = Path(target)
    try:
        # For its owner alone from its first moment, and whole or not there.
        descriptor, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
                handle.writelines(lines)
            Path(name).replace(path)
        finally:
            # Gone already, if it is in its place.
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise ContractError(f"{target} cannot be written to ({error.strerror})") from error
