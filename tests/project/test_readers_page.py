"""docs/readers.md: its reader works as written, and its list of what is recognised is whole."""

import re
import sys
from types import ModuleType

from helpers import EchoProcessor, make_pipeline
from places import ROOT
from session_pipeline_dagster.passes.options import Options
from session_pipeline_dagster.passes.runner import run_batch
from session_pipeline_dagster.sources.local import LocalSource
from session_pipeline_dagster.transcripts import looks
from session_pipeline_dagster.transcripts.claude_code import ClaudeCodeReader
from session_pipeline_dagster.transcripts.reader import ENTRY_POINT_GROUP, Readers

PAGE = (ROOT / "docs" / "readers.md").read_text("utf-8")


def test_the_reader_of_the_page_reads_what_it_says(tmp_path, monkeypatch) -> None:
    # So that it can be sent to other processes, as of an installed module.
    module = ModuleType("page_of_readers")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    namespace = module.__dict__
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(code, namespace)  # noqa: S102  the page's own code
    pipeline = make_pipeline(tmp_path)
    file = pipeline.root / "alice" / "x.jsonl"
    file.parent.mkdir()
    line = b'{"who": "user", "text": "hello", "at": "2026-05-01T10:00:00Z"}\n'
    file.write_bytes(line + b"odd\n" + line)
    readers = Readers((namespace["PlainReader"](), ClaudeCodeReader()))
    source = LocalSource(pipeline.settings.roots, readers=readers)
    report = run_batch(EchoProcessor(), source, pipeline.store, pipeline.settings, Options())
    assert (report.processed, report.lines, report.unreadable_lines) == (1, 3, 1)
    assert pipeline.rows() == [("alice/x.jsonl", 1, 5), ("alice/x.jsonl", 3, 5)]


def test_the_page_names_the_group_and_everything_that_is_recognised() -> None:
    assert f'[project.entry-points."{ENTRY_POINT_GROUP}"]' in PAGE
    text = " ".join(PAGE.split())
    for agent in ("`codex exec --json`", *looks.AGENTS.values()):
        assert agent in text, "name the new one on the page"
