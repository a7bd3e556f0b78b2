"""The door: what comes in through an entry point, and what is turned away by name."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from helpers import EchoProcessor, echo_report
from session_pipeline_dagster.contract.derivation import Changes, Derivation
from session_pipeline_dagster.contract.processor import (
    Extras,
    Summary,
    asset_tables,
    extras,
    relations,
)
from session_pipeline_dagster.contract.quality import Measured, Quality
from session_pipeline_dagster.contract.registry import (
    ENTRY_POINT_GROUP,
    Registry,
    check_contract,
    load_processors,
)
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.processors.usage import UsageProcessor

GOOD = """
from datetime import timedelta

class Plugin:
    name, version, cadence = "mine", 1, timedelta(seconds=60)
    tables = {"mine_rows": "session_file VARCHAR, n BIGINT"}

    def process(self, session):
        ...
"""
BUILT_IN = EntryPoint(
    "usage", "session_pipeline_dagster.processors.usage:UsageProcessor", ENTRY_POINT_GROUP
)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch):
    """Makes an entry point of a module that holds GOOD and then `more`."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(module: str, more: str = "", target: str = "Plugin") -> EntryPoint:
        monkeypatch.delitem(sys.modules, module, raising=False)
        (tmp_path / f"{module}.py").write_text(GOOD + more, "utf-8")
        return EntryPoint(module, f"{module}:{target}", ENTRY_POINT_GROUP)

    return make


def names(registry: Registry) -> list[str]:
    return [processor.name for processor in registry.processors]


def test_the_installed_entry_point_finds_usage() -> None:
    registry = load_processors()
    assert isinstance(registry.get("usage"), UsageProcessor)
    assert names(registry)[0] == "usage"


def test_built_in_processors_come_first_and_plugins_by_name(plugin) -> None:
    a = plugin("a_plugin", 'Plugin.name = "zed"')
    b = plugin("b_plugin", 'Plugin.tables = {"b_rows": "session_file VARCHAR"}')
    assert names(load_processors([b, a, BUILT_IN])) == ["usage", "zed", "mine"]


BROKEN = [
    ("raise ValueError('boom')", "ValueError: boom"),
    ("import no_such_module", "ModuleNotFoundError"),
    ("this is no python", "SyntaxError"),
    ("raise SystemExit('go away')", "SystemExit"),
    ("del Plugin", "AttributeError"),
    ("Plugin.__init__ = lambda self: 1 / 0", "ZeroDivisionError"),
    ("Plugin = 5", "TypeError"),
    ("del Plugin.name", "name must match"),
    ("Plugin.name = 'Mine'", "name must match"),
    ("Plugin.name = 'a-b'", "name must match"),
    ("Plugin.name = 5", "name must match"),
    ("Plugin.name = 'a' * 64", "name must match"),
    ("del Plugin.version", "version must be"),
    ("Plugin.version = 0", "version must be"),
    ("Plugin.version = '1'", "version must be"),
    ("Plugin.cadence = 60", "cadence must be"),
    ("Plugin.cadence = timedelta(0)", "cadence must be"),
    ("del Plugin.process", "process"),
    ("Plugin.tables = {}", "at least one table"),
    ("Plugin.tables = ['mine_rows']", "at least one table"),
    ("Plugin.tables = {'x; DROP TABLE y': 'session_file VARCHAR'}", "cannot name a table"),
    ("Plugin.tables = {'session_mine': 'session_file VARCHAR'}", "cannot name a table"),
    ("Plugin.views = {'Mine': 'SELECT 1'}", "cannot name a table"),
    ("Plugin.tables = {'mine_rows': 'n BIGINT'}", "needs session_file VARCHAR"),
    ("Plugin.tables = {'mine_rows': 'my_session_file VARCHAR'}", "needs session_file VARCHAR"),
    ("Plugin.tables = {'mine_rows': 5}", "TypeError"),
    ("Plugin.name = 'usage'", "already loaded"),
    ("Plugin.tables = {'usage_messages': 'session_file VARCHAR'}", "belongs to another"),
    ("Plugin.tables = {'usage_daily': 'session_file VARCHAR'}", "belongs to another"),
    ("Plugin.views = {'usage_events_unique': 'SELECT 1'}", "belongs to another"),
    ("Plugin.table = Plugin.tables; del Plugin.tables", "rename it 'tables' if that is meant"),
    ("Plugin.view = {'mine_view': 'FROM mine_rows'}", "rename it 'views' if that is meant"),
    ("Plugin.descripton = 'Mine.'", "rename it 'description' if that is meant, else '_descripton'"),
    ("Plugin.Owners = ['team:data']", "rename it 'owners' if that is meant"),
    ("Plugin.rollup = property(lambda self: ())", "rename it 'rollups' if that is meant"),
    ("Plugin.begins = lambda self, settings, run_id: self", "rename it 'begin' if that is meant"),
    ("Plugin.__init__ = lambda self: setattr(self, 'thread', 4)", "rename it 'threads' if that"),
]


@pytest.mark.parametrize(("more", "error"), BROKEN, ids=[more for more, _ in BROKEN])
def test_a_broken_plugin_is_listed_and_the_others_go_on(plugin, more: str, error: str) -> None:
    broken, good = plugin("broken", more), plugin("good")
    registry = load_processors([broken, good, BUILT_IN])
    assert names(registry) == ["usage", "mine"]
    (failed,) = registry.failed
    assert (failed.name, failed.target) == ("broken", "broken:Plugin")
    assert error in failed.error


def test_of_two_plugins_with_one_name_the_first_is_kept(plugin) -> None:
    registry = load_processors([plugin("second"), plugin("first")])
    assert names(registry) == ["mine"]
    assert [failed.name for failed in registry.failed] == ["second"]


@pytest.mark.parametrize(
    "columns",
    ["session_file VARCHAR", "n BIGINT, Session_File  varchar", "\n  session_file VARCHAR"],
)
def test_session_file_may_stand_anywhere_among_the_columns(plugin, columns: str) -> None:
    entry = plugin("mine", f"Plugin.tables = {{'mine_rows': {columns!r}}}")
    assert names(load_processors([entry])) == ["mine"]


def test_without_plugins_nothing_is_loaded() -> None:
    assert load_processors([]) == Registry(())


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ContractError, match=r"unknown processor 'x'; known: usage"):
        Registry((UsageProcessor(),)).get("x")
    with pytest.raises(ContractError, match="known: none"):
        Registry(()).get("x")


def test_what_a_processor_does_not_declare_is_empty(plugin) -> None:
    processor = plugin("mine").load()()
    assert extras(processor) == Extras()
    assert relations(processor) == asset_tables(processor) == ["mine_rows"]


def test_what_a_processor_declares_is_found() -> None:
    usage = UsageProcessor()
    check_contract(usage)
    assert "usage_tool_results" in relations(usage)
    assert "usage_tool_results" not in asset_tables(usage)
    assert {"usage_messages_unique", "usage_events_unique", "usage_daily"} <= set(relations(usage))
    assert extras(usage).owners == ("team:session-pipeline",)


def test_a_plugin_is_imported_anew_in_each_test(plugin) -> None:
    """Guards the tests above: a module cached under the same name would hide a change."""
    assert plugin("mine", "Plugin.version = 3").load().version == 3


@pytest.mark.parametrize(
    "taken",
    [
        {"name": "usage_report"},
        {"name": "usage_health"},
        {"tables": {"usage_report": "session_file VARCHAR"}},
        {"reports": [echo_report(name="session_files")]},
        {"reports": [echo_report(name="echo_health")]},
        {"reports": [echo_report(name="usage_job")]},
        {"reports": [echo_report(name="usage_report")]},
    ],
    # Not by str: a function's differs from process to process.
    ids=["sensor", "job", "table", "session_files", "own check", "other job", "other report"],
)
def test_a_name_that_dagster_would_have_twice_costs_its_plugin_and_not_the_location(
    taken: dict[str, object],
) -> None:
    usage, plugin = UsageProcessor(), EchoProcessor()
    check_contract(plugin, [usage])
    for name, value in taken.items():
        setattr(plugin, name, value)
    with pytest.raises(ContractError):
        check_contract(plugin, [usage])


@pytest.mark.parametrize(
    "wrong",
    [
        {"trigger": "echo_other"},
        {"deps": ("usage_daily",), "trigger": "usage_daily"},
        {"deps": ()},
        {"files": ()},
        {"files": ("..",)},
        {"files": ("",)},
        {"files": ("below/page.html",)},
    ],
    ids=["trigger", "table of another", "no table", "no file", "parent", "empty", "folder"],
)
def test_a_report_that_could_not_be_made_or_forgotten_is_refused(wrong: dict[str, object]) -> None:
    plugin = EchoProcessor()
    plugin.reports = [echo_report()]
    check_contract(plugin, [UsageProcessor()])
    plugin.reports = [echo_report(**wrong)]
    with pytest.raises(ContractError):
        check_contract(plugin, [UsageProcessor()])


RECORDS = {
    "rollups": Rollup("echo_lengths", "day DATE", "day", "SELECT 1", "SELECT 1"),
    "derivations": Derivation("echo_texts", {}, {}, lambda _: Changes()),
    "quality": Quality("echo_rule", "echo_rows", "", lambda _: Measured(0)),
    "reports": echo_report(),
    "summaries": Summary("Echoes", "FROM echo_rows"),
}


@pytest.mark.parametrize("place", RECORDS)
def test_a_record_of_the_contract_under_any_other_name_is_refused(place: str) -> None:
    record = RECORDS[place]
    for value in (record, [record], ("x", record), {"x": record}):
        echo = EchoProcessor()
        echo.nightly = value
        with pytest.raises(ContractError, match=f"nobody reads 'nightly'; rename it '{place}'"):
            check_contract(echo)


@pytest.mark.parametrize("place", RECORDS)
def test_a_record_may_have_a_name_of_its_own_beside_its_declaration(place: str) -> None:
    echo = EchoProcessor()
    echo.nightly = RECORDS[place]
    setattr(echo, place, (echo.nightly,))
    check_contract(echo)


def test_what_an_author_keeps_on_a_processor_is_the_authors_own() -> None:
    class Mine(EchoProcessor):
        prices = {"opus": 15.0}
        processed = 0
        names = ["x"]
        _rollup = RECORDS["rollups"]

        @property
        def client(self) -> object:
            raise RuntimeError("costs something, and is not asked for")

        def report(self) -> str:
            return "a method cannot be meant as a value"

    check_contract(Mine())
