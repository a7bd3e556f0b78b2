"""From the bytes of a session file to what the bill of its family is decided from."""

from session_pipeline_dagster.processors.usage.money import cost_states
from session_pipeline_dagster.processors.usage.money.baseline import CostState, Trailed
from session_pipeline_dagster.processors.usage.money.trails import Trail, trail_of
from session_pipeline_dagster.transcripts.claude_code import parse
from session_pipeline_dagster.transcripts.records import epoch_us


def trail(content: bytes) -> Trail:
    """The trail of a file."""
    return trail_of(parse(content))


def trailed(
    key: str, session: str, content: bytes, *, gone: bool = False, project: str | None = "work"
) -> Trailed:
    """A file as the derivation reads it back from the store.

    Args:
        key: `user/name.jsonl`.
    """
    transcript = parse(content)
    found = trail_of(transcript)
    lines = content.split(b"\n")
    states = [(after, cost_states.read(lines[number - 1])) for number, after in found.billed_after]
    times = [epoch_us(record.timestamp) for record in transcript.records if record.timestamp]
    return Trailed(
        session_file=key,
        session_id=session,
        username=key.split("/")[0],
        project=project,
        gone=gone,
        began_us=min(times, default=0),
        digests=found.digests,
        asked_by=found.asked_by,
        states=[CostState(after, billed) for after, billed in states if billed],
    )
