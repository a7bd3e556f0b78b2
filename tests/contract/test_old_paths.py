"""What a plugin imported before 0.2 still works until 0.3, and says what to write instead."""

import importlib
import sys

import pytest

NAME = "session_pipeline_dagster"


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("processor", "contract.processor", "Processor ProcessorResult Session Summary Notes"),
        ("processor", "contract.rollup", "Rollup"),
        ("processor", "contract.registry", "load_processors check_contract Registry"),
        ("derivation", "contract.derivation", "Derivation DerivedTable Changes Inputs Row"),
        ("quality", "contract.quality", "Quality Measured Data counted"),
        ("reporting", "contract.report", "Report Rendered Asked"),
        ("records", "transcripts.records", "Record Message Usage Block"),
        ("transcript", "transcripts.records", "Transcript"),
        ("transcript", "transcripts.claude_code", "agent_progress parse"),
    ],
)
def test_an_old_path_hands_on_the_very_same_names_and_warns(old: str, new: str, names: str) -> None:
    sys.modules.pop(f"{NAME}.{old}", None)
    with pytest.warns(DeprecationWarning, match=f"{NAME}.{old} moved to .*; the old path goes"):
        module = importlib.import_module(f"{NAME}.{old}")
    for name in names.split():
        assert getattr(module, name) is getattr(importlib.import_module(f"{NAME}.{new}"), name)


def test_the_warning_points_at_the_plugin(tmp_path) -> None:
    plugin = tmp_path / "some_plugin.py"
    plugin.write_text(f"from {NAME}.processor import Session\n", "utf-8")
    sys.modules.pop(f"{NAME}.processor", None)
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.warns(DeprecationWarning, match="the old path goes") as found:
            importlib.import_module("some_plugin")
    finally:
        sys.path.remove(str(tmp_path))
    assert [w.filename for w in found] == [str(plugin)]
