"""What findings tell people to do about a format: the right thing for each agent's files."""

from pathlib import Path

import pytest

from health_location import HealthLocation
from helpers import set_mtime
from session_pipeline_dagster.health.wording import newer_format
from session_pipeline_dagster.store.states import OddLines
from session_pipeline_dagster.transcripts.reader import Readers, installed_readers
from session_pipeline_dagster.transcripts.records import Transcript

UPGRADE = "may write a newer format: upgrade session-pipeline-dagster, where there is a newer"


class PlainReader:
    """As a plugin's."""

    agent = "plain"

    def claims(self, key: str, head: bytes) -> bool:
        return False

    def parse(self, content: bytes) -> Transcript:
        return Transcript([], [])


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("claude-code", f"Claude Code {UPGRADE}"),
        ("codex", f"Codex {UPGRADE}"),
        ("copilot-cli", f"GitHub Copilot CLI {UPGRADE}"),
        ("gemini-cli", f"Gemini CLI {UPGRADE}"),
        (None, f"Their agent {UPGRADE}"),
        (
            "plain",
            "plain may write a newer format: its reader is of `test_health_wording`",
        ),
        ("gone", "No reader of gone is installed any more"),
    ],
)
def test_who_has_lines_that_make_no_sense_is_told_what_helps(agent: str | None, said: str) -> None:
    ours = dict.fromkeys(("claude-code", "codex", "copilot-cli", "gemini-cli"))
    known = Readers((*installed_readers().readers, PlainReader())).packages
    packages = {**dict.fromkeys(ours, "session_pipeline_dagster"), **known}
    assert newer_format([(OddLines("x", 9, 0, 7, agent), 7)], packages).startswith(said)


def test_of_several_agents_the_one_with_most_such_lines_is_first() -> None:
    odd = [
        (OddLines("a", 9, 0, 3, "codex"), 3),
        (OddLines("b", 9, 0, 4, "claude-code"), 4),
        (OddLines("c", 9, 0, 2, "codex"), 2),
    ]
    first, second = newer_format(odd, installed_readers().packages).split("; ")
    assert first.startswith("Codex may write")
    assert second.startswith("Claude Code may write")


@pytest.mark.parametrize(
    ("line", "agent"),
    [
        ('{"type":"user"}', "Claude Code"),
        ('{"type":"event_msg","payload":{"type":"x"},"timestamp":"2026-01-01T00:00:00Z"}', "Codex"),
    ],
)
def test_a_finding_names_the_agent_whose_lines_they_are(
    tmp_path: Path, line: str, agent: str
) -> None:
    location = HealthLocation(tmp_path)
    path = location.file("x/a.jsonl", 3600)
    path.write_text(f"{line}\n" * 90 + '{"type":"new-in-2027"}\n' * 10)
    set_mtime(path, location.before(3600))
    location.pipeline.run(location.processors[0])
    findings = location.examine().findings["verification"]
    (said,) = (one.detail for one in findings if one.check == "unknown_record_types")
    assert f"Stage: reading. {agent} {UPGRADE}" in said
