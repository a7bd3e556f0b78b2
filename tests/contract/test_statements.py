"""What an author declares is tried before a session is read, and what is wrong is said in words."""

from dataclasses import replace
from datetime import timedelta

import pytest

from session_pipeline_dagster.contract.derivation import Changes, Derivation, DerivedTable
from session_pipeline_dagster.contract.processor import ProcessorResult, Session, Summary
from session_pipeline_dagster.contract.quality import Measured, Quality, counted
from session_pipeline_dagster.contract.registry import check_contract, load_processors
from session_pipeline_dagster.contract.report import Rendered, Report
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.errors import ContractError
from session_pipeline_dagster.store.declare import check_declarations
from session_pipeline_dagster.testing import assert_contract

ROLLUP = Rollup(
    "daily",
    "day VARCHAR, n BIGINT",
    "day",
    "SELECT day FROM mine SEMI JOIN batch USING (session_file)",
    "SELECT day, count(*) FROM mine WHERE day IN (SELECT part FROM parts) GROUP BY day",
)
DERIVATION = Derivation(
    "sums",
    {"totals": DerivedTable("id VARCHAR, n BIGINT", "id")},
    {"rows": "SELECT * FROM mine"},
    lambda _: Changes(),
    changed="SELECT day FROM mine SEMI JOIN batch USING (session_file)",
)
REPORT = Report(
    "page", ("mine",), "mine", lambda _: ["SELECT 1"], lambda *_: Rendered({}, {}), ("p.html",)
)


class Plugin:
    """One that is in order."""

    name, version, cadence = "plugin", 1, timedelta(seconds=60)
    tables = {"mine": "session_file VARCHAR, day VARCHAR"}
    rollups, derivations, reports = (ROLLUP,), (DERIVATION,), (REPORT,)
    views = {"seen": "SELECT day FROM mine"}
    summaries = (Summary("Days", "SELECT day, count(*) FROM mine GROUP BY day"),)
    quality = (Quality("kept", "mine", "", counted("SELECT count(*) FROM mine WHERE day IS NULL")),)
    descriptions = {"mine": "", "seen.day": "", "*.day": "", "daily": ""}

    def __init__(self, **changes: object) -> None:
        for name, value in changes.items():
            setattr(self, name, value)

    def process(self, session: Session) -> ProcessorResult:
        return ProcessorResult({"mine": [(session.key, f"{session.day}")]}, 1)


def rule(sql: str) -> tuple[Quality]:
    return (Quality("kept", "mine", "", counted(sql)),)


WRONG = [
    ({"rollups": (replace(ROLLUP, changed="SELECT dya FROM mine"),)}, ("'daily', changed", "dya")),
    ({"rollups": (replace(ROLLUP, refresh="SELECT day FROM mine"),)}, ("'daily', refresh", "1")),
    ({"rollups": (replace(ROLLUP, refresh="SELECT * FRM x"),)}, ("'daily', refresh", "syntax")),
    ({"rollups": (replace(ROLLUP, part="dya"),)}, ("'daily', part", "dya")),
    ({"derivations": (replace(DERIVATION, changed="FROM nix"),)}, ("'sums', changed", "nix")),
    ({"derivations": (replace(DERIVATION, reads={"x": "FROM nix"}),)}, ("reads 'x'", "nix")),
    ({"summaries": (Summary("Days", "FROM nix"),)}, ("summary 'Days'", "nix")),
    ({"views": {"seen": "SELECT dya FROM mine"}}, ("seen", "dya")),
    ({"quality": rule("SELECT count(*) FROM nix")}, ("quality rule 'kept'", "nix")),
    ({"reports": (replace(REPORT, selects=lambda _: ["FROM nix"]),)}, ("report 'page', S", "nix")),
    ({"tables": {"order": "session_file VARCHAR"}}, ("order", "a reserved word of SQL")),
    ({"descriptions": {"mine.dya": ""}}, ("descriptions", "'mine.dya'")),
]
REFUSED = [
    ({"tables": {"session_x": "session_file VARCHAR"}}, ("session_", "pipeline's own tables")),
    ({"tables": {"duckdb_x": "session_file VARCHAR"}}, ("duckdb_", "belong to DuckDB")),
    ({"tables": {"Mine": "session_file VARCHAR"}}, ("'Mine'", "small letters")),
    ({"internal": ("mines",)}, ("internal", "'mine' seems to be meant")),
    ({"quality": (Quality("kept", "nix", "", lambda _: Measured(0)),)}, ("quality", "'nix'")),
    ({"derivations": (replace(DERIVATION, journals=("nix",)),)}, ("journals of 'sums'", "'nix'")),
    ({"reports": (replace(REPORT, name="session_x"),)}, ("'session_x'", "pipeline's own")),
    ({"reports": (replace(REPORT, name="mine"),)}, ("'mine'", "has that name")),
]


def test_what_is_in_order_is_taken() -> None:
    check_contract(Plugin())
    for processor in (Plugin(), *load_processors().processors):
        check_declarations(processor)


@pytest.mark.parametrize(("changes", "words"), WRONG)
def test_every_statement_of_a_plugin_is_tried_and_the_databases_words_are_shown(
    changes: dict[str, object], words: tuple[str, ...]
) -> None:
    plugin = Plugin(**{"descriptions": {}, **changes})
    if "tables" in changes:
        none = dict.fromkeys(("rollups", "derivations", "reports", "quality"), ())
        plugin = Plugin(**none | changes, views={}, descriptions={})
    with pytest.raises(ContractError) as refused:
        check_declarations(plugin)
    for word in ("processor 'plugin'", *words):
        assert word in str(refused.value)
    with pytest.raises(AssertionError, match="declarations are valid"):
        assert_contract(plugin)


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_a_name_that_is_reserved_or_of_nothing_is_explained(
    changes: dict[str, object], words: tuple[str, ...]
) -> None:
    with pytest.raises(ContractError) as refused:
        check_contract(Plugin(**changes))
    for word in words:
        assert word in str(refused.value)
