"""The sessions that `benchmarks.agents` makes are what their readers read."""

from pathlib import Path

from benchmarks import agents
from session_pipeline_dagster.transcripts.reader import installed_readers


def test_every_session_is_read_by_its_agents_reader_with_all_that_is_in_it(tmp_path: Path) -> None:
    truths = agents.make(tmp_path, agents.AGENTS, files=6, megabytes=0.1)
    found = {agent: [0, 0, 0] for agent in truths}
    for path in tmp_path.rglob("*.jsonl"):
        transcript = installed_readers().parse(path.name, path.read_bytes())
        assert transcript is not None
        assert (transcript.unreadable_lines, transcript.unknown_lines) == (0, 0)
        sums = found[transcript.agent]
        responses = {
            record.message.id or record.uuid: record.message.usage
            for record in transcript.records
            if record.message and record.message.usage
        }
        sums[0] += len(responses)
        sums[1] += sum(usage.input_tokens or 0 for usage in responses.values())
        sums[2] += sum(usage.output_tokens or 0 for usage in responses.values())
    wanted = {a: [t.messages, t.input_tokens, t.output_tokens] for a, t in truths.items()}
    assert found == wanted
