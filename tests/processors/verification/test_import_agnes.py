"""A database of the web app Agnes, taken over: what comes, what not, and what happens then."""

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from agnes import AT, SCHEMAS, Agnes, item_id
from helpers import Pipeline, append, make_pipeline, set_mtime, write_session
from places import ROOT
from session_pipeline_dagster.cli.import_agnes import command as import_command
from session_pipeline_dagster.contract.derivation import Inputs
from session_pipeline_dagster.errors import SettingsError, StoreBusy, StoreUnusable
from session_pipeline_dagster.health.checkup import examine
from session_pipeline_dagster.health.findings import Status
from session_pipeline_dagster.passes.options import BatchReport
from session_pipeline_dagster.passes.runner import recompute
from session_pipeline_dagster.passes.takeover import TABLES, TakenOver, take_over
from session_pipeline_dagster.processors.verification import VerificationProcessor
from session_pipeline_dagster.processors.verification.knowledge import rows
from session_pipeline_dagster.processors.verification.knowledge.contradictions import unchecked
from session_pipeline_dagster.processors.verification.knowledge.declared import derivations
from session_pipeline_dagster.processors.verification.knowledge.items import item_id as own_id
from session_pipeline_dagster.processors.verification.takeover.taking import LONGEST
from session_pipeline_dagster.settings import Root
from session_pipeline_dagster.store import derive

pytestmark = pytest.mark.slow(seconds=13)
CHURN = ("Churn is monthly", "Churn is computed per calendar month")
WEEKLY = ("Churn is weekly", "Churn is computed per calendar week, on Mondays")
DONE = {
    "states_found": 4, "states_signed": 2, "states_unsigned": 1, "states_to_be_read": 1,
    "items_found": 7, "items_approved": 1, "items_pending": 1, "items_rejected": 2,
    "items_personal": 1, "items_not_from_sessions": 1, "items_not_understood": 1,
    "items_without_evidence": 2, "evidence_found": 3, "evidence_taken": 5,
    "contradictions_found": 2, "contradictions_taken": 1, "contradictions_left_out": 1,
}  # fmt: skip


class Company:
    """Sessions, a database of Agnes that has read them, and a pipeline over them."""

    def __init__(self, folder: Path, schema: int) -> None:
        self.pipeline: Pipeline = make_pipeline(folder)
        self.agnes = agnes = Agnes(folder / "system.duckdb", schema)
        root = self.pipeline.root
        for key in ("alice/one.jsonl", "alice/two.jsonl", "bob/three.jsonl"):
            agnes.state(key, write_session(root, key, "hello"), f"{key.split('/')[0]}@example.org")
        agnes.state("carol/gone.jsonl", None)
        # Grown since Agnes has read it.
        append(root / "alice/two.jsonl", "more")
        self.churn = agnes.item(*CHURN, "approved", user="alice@example.org")
        agnes.evidence(self.churn, "alice@example.org", "one", quote="no, per month")
        agnes.evidence(self.churn, "bob@example.org", "three", "confirmation", "per month, yes", 1)
        self.weekly = agnes.item(*WEEKLY, user="bob@example.org", stem="three", days=2)
        agnes.evidence(self.weekly, "bob@example.org", "three", quote="weekly!", days=2)
        agnes.item("Old", "Refunds were booked in March", "revoked", days=-9)
        agnes.item("No", "All customers are in Brno", "rejected", user="carol", stem="gone")
        private = agnes.item("Mine", "I like tea in the morning", is_personal=True)
        agnes.item("Local", "We deploy on Fridays", source_type="claude_local_md", source_ref=None)
        agnes.item("Odd", "It has a status of its own", "parked")
        agnes.contradiction(self.weekly, self.churn, suggested_resolution='{"action":"kept_b"}')
        agnes.contradiction(private, self.churn)

    def take(self, *, dry_run: bool = False, pipeline: Pipeline | None = None) -> TakenOver:
        self.agnes.close()
        p = pipeline or self.pipeline
        verification = VerificationProcessor()
        return take_over(
            self.agnes.path, verification, p.source, p.store, p.settings, prefix="",
            dry_run=dry_run,
        )  # fmt: skip

    def passes(self) -> BatchReport:
        """What `session-pipeline run` does."""
        p, verification = self.pipeline, VerificationProcessor()
        report = p.run(verification)
        recompute(verification, p.store, p.settings)
        return report

    def items(self) -> dict[str, str]:
        found = self.pipeline.select("SELECT content, status FROM knowledge_items")
        return dict(found)

    def everything(self) -> dict[str, list]:
        tables = [*TABLES, "knowledge_relations", "knowledge_checks", "knowledge_labels"]
        return {name: self.pipeline.rows(name) for name in tables}


@pytest.fixture(params=SCHEMAS)
def company(tmp_path: Path, request: pytest.FixtureRequest) -> Company:
    return Company(tmp_path, request.param)


@pytest.fixture
def newest(tmp_path: Path) -> Company:
    return Company(tmp_path, SCHEMAS[-1])


def test_what_people_taught_is_taken_over_with_who_said_it(company: Company) -> None:
    done = company.take()
    assert done.counts == DONE
    assert done.before == dict.fromkeys(TABLES, 0)
    assert done.after == {
        "session_processor_state": 3, "verifications": 5, "knowledge_items": 4,
        "verification_evidence": 5, "knowledge_contradictions": 1,
    }  # fmt: skip
    assert company.items() == {
        CHURN[1]: "approved",
        WEEKLY[1]: "pending",
        "Refunds were booked in March": "rejected",
        "All customers are in Brno": "rejected",
    }
    select = company.pipeline.select
    assert select(f"""SELECT source_user, source_ref, domain, entities, tags, reviewed_by
        FROM knowledge_items WHERE id = '{company.churn}'""") == [
        ("alice", "alice/one.jsonl:0", "finance", ["churn", "crm"], ["Churn"], "agnes")
    ]
    said = select(f"""SELECT source_user, session_file, detection_type, user_quote
        FROM verification_evidence WHERE item_id = '{company.churn}' ORDER BY ALL""")
    assert said == [
        ("alice", "alice/one.jsonl", "correction", "no, per month"),
        ("bob", "bob/three.jsonl", "confirmation", "per month, yes"),
    ]
    assert select("""SELECT item_a_id, item_b_id, severity, suggested_resolution, found_by
        FROM knowledge_contradictions""") == [
        (company.weekly, company.churn, "hard", '{"action":"kept_b"}', "agnes")
    ]
    # Current is what a view says of them as of any other.
    assert select(f"SELECT verifiers FROM knowledge_current WHERE id = '{company.churn}'") == [(2,)]


def test_nothing_that_was_taken_over_is_processed_again_and_all_is_well(newest: Company) -> None:
    company = newest
    company.take()
    verification = VerificationProcessor()
    items = company.items()
    first = company.passes()
    # The one that has grown since.
    assert (first.scanned, first.processed, first.errors) == (1, 1, 0)
    assert company.passes().processed == 0
    for key in ("alice/one.jsonl", "bob/three.jsonl"):
        # Written to without a change: hashed, not processed.
        set_mtime(company.pipeline.root / key, datetime(2027, 1, 1, tzinfo=UTC))
    assert company.passes().processed == 0
    assert company.items() == items
    p = company.pipeline
    found = examine([verification], p.source, p.store, p.settings, datetime.now(UTC))
    statuses = {f.check: f.status for f in found.findings["verification"]}
    assert set(statuses.values()) == {Status.OK}, statuses


def test_a_second_time_changes_nothing_before_or_after_a_pass(newest: Company) -> None:
    newest.take()
    before = newest.everything()
    again = newest.take()
    assert newest.everything() == before
    assert again.before == again.after
    assert again.counts["states_here"] == 3
    assert again.counts["evidence_here"] == 5
    assert again.counts["contradictions_here"] == 1
    assert "evidence_taken" not in again.counts
    newest.passes()
    after = newest.everything()
    newest.take()
    assert newest.everything() == after


def test_what_is_merged_again_stays_as_it_was_taken(newest: Company) -> None:
    """The rows are what the derivations make of them themselves."""
    newest.take()
    before = newest.everything()
    p = newest.pipeline
    with p.store.connect() as connection:
        connection.execute("INSERT INTO session_rollup_changes VALUES ('knowledge', 'sessions')")
    recompute(VerificationProcessor(), p.store, p.settings)
    assert newest.everything() == before


def test_a_dry_run_counts_the_same_and_makes_nothing(newest: Company) -> None:
    looking = newest.take(dry_run=True)
    assert looking.counts == DONE
    assert looking.before == looking.after == dict.fromkeys(TABLES, 0)
    assert not newest.pipeline.settings.database.exists()
    newest.take()
    before = newest.everything()
    again = newest.take(dry_run=True)
    assert again.counts["states_here"] == 3
    assert newest.everything() == before


def test_the_original_is_not_written_to(newest: Company, tmp_path: Path) -> None:
    path = newest.agnes.path
    newest.agnes.close()
    # Killed while it was written: its log is still there.
    script = """if 1:
        import duckdb, os, sys
        c = duckdb.connect(sys.argv[1])
        c.execute("PRAGMA disable_checkpoint_on_shutdown")
        c.execute("INSERT INTO users VALUES ('u', 'e')")
        os._exit(0)"""
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    logs = [*tmp_path.glob("system.duckdb*")]
    assert len(logs) == 2
    before = {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in logs}
    newest.take(dry_run=True)
    newest.take()
    logs = [*tmp_path.glob("system.duckdb*")]
    assert {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in logs} == before


@pytest.mark.parametrize(
    ("ddl", "said"),
    [
        ("CREATE TABLE x (a INTEGER)", "no knowledge_items, no verification_evidence"),
        ("CREATE VIEW knowledge_items AS SELECT 1 AS id", "no knowledge_items, "),
    ],
)
def test_a_database_of_another_schema_is_refused(
    newest: Company, tmp_path: Path, ddl: str, said: str
) -> None:
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute(ddl)
    newest.agnes.path = other
    with pytest.raises(SettingsError, match=said) as refused:
        newest.take()
    assert "session_processor_state or session_extraction_state" in str(refused.value)
    assert "schemas 28 and newer" in str(refused.value)


def test_a_column_that_is_missing_is_named(newest: Company) -> None:
    newest.agnes.write("DROP INDEX by_item")
    newest.agnes.write("ALTER TABLE verification_evidence DROP COLUMN user_quote")
    with pytest.raises(SettingsError, match=r"no verification_evidence\(user_quote\)"):
        newest.take()


def test_a_file_that_cannot_be_read_is_said(newest: Company, tmp_path: Path) -> None:
    for content, said in ((None, "there is no file"), (b"PK no database", "is no DuckDB file")):
        newest.agnes.path = tmp_path / "broken.duckdb"
        if content:
            newest.agnes.path.write_bytes(content)
        with pytest.raises(StoreUnusable, match=said):
            newest.take()


def test_columns_of_other_types_are_not_said_to_be_damage(newest: Company) -> None:
    newest.agnes.write("DROP INDEX by_item")
    newest.agnes.write("ALTER TABLE verification_evidence DROP COLUMN created_at")
    newest.agnes.write("ALTER TABLE verification_evidence ADD COLUMN created_at INTEGER")
    with pytest.raises(StoreUnusable, match="of other types"):
        newest.take()


def test_a_database_that_is_damaged_is_not_said_to_be_open(newest: Company) -> None:
    """DuckDB says which block it is."""
    newest.agnes.close()
    content = bytearray(newest.agnes.path.read_bytes())
    content[100] ^= 0xFF
    newest.agnes.path.write_bytes(content)
    with pytest.raises(StoreUnusable, match="damaged"):
        newest.take()


def test_a_database_that_the_app_has_open_is_said(newest: Company) -> None:
    newest.agnes.close()
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); input()"
    command = [sys.executable, "-c", hold, str(newest.agnes.path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with pytest.raises(StoreBusy, match="take over a copy"):
            newest.take()
        holder.communicate("\n")


def test_secrets_and_what_acts_on_a_terminal_do_not_come(newest: Company) -> None:
    secret = "ghp_" + "a1B2" * 9
    key = newest.agnes.item("Token", f"The token is {secret}", "approved")
    newest.agnes.evidence(key, quote=f"use \x1b[31m{secret}")
    newest.agnes.contradiction(key, newest.churn, explanation=secret, suggested_resolution=secret)
    newest.take()
    said = repr(newest.everything())
    assert secret not in said
    assert "\\x1b" not in said
    assert "REDACTED" in said


def test_pending_facts_that_are_one_here_keep_their_contradiction(newest: Company) -> None:
    twin = newest.agnes.item("Weekly", f"{WEEKLY[1]}.", user="bob@example.org", days=9)
    newest.agnes.evidence(twin, "bob@example.org", "three", quote="again", days=9)
    newest.agnes.contradiction(twin, newest.churn)
    done = newest.take()
    assert done.counts["items_pending"] == 1
    assert done.counts["contradictions_left_out"] == 2
    assert len(newest.pipeline.rows("knowledge_contradictions")) == 1
    evidence = "SELECT count(*) FROM verification_evidence WHERE item_id = "
    assert newest.pipeline.select(f"{evidence}'{newest.weekly}'") == [(2,)]


def test_no_model_is_asked_about_what_was_compared_there(newest: Company) -> None:
    newest.take()
    _, checking = derivations()
    answers = newest.pipeline.store.query(*checking.reads.values())
    found = {name: read for name, (_, read) in zip(checking.reads, answers, strict=True)}
    inputs = Inputs(frozenset(), found, datetime.now(UTC))
    assert unchecked(rows.items(inputs), rows.checks(inputs), 2**62) == []


def test_all_of_it_is_written_or_nothing(newest: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    insert = derive.insert_rows

    def breaks(connection: object, table: str, given: list) -> None:
        insert(connection, table, given)
        if table == "knowledge_checks":
            raise OSError(5, "killed here")

    monkeypatch.setattr(derive, "insert_rows", breaks)
    with pytest.raises(OSError, match="killed here"):
        newest.take()
    monkeypatch.undo()
    assert {name: len(found) for name, found in newest.everything().items() if found} == {}
    assert newest.take().counts == DONE


def test_what_was_decided_stays_when_its_session_grows_and_goes_with_who_is_forgotten(
    newest: Company,
) -> None:
    newest.take()
    append(newest.pipeline.root / "alice/one.jsonl", "and more")
    assert newest.passes().processed == 2
    assert newest.items()[CHURN[1]] == "approved"
    left = newest.pipeline.select("SELECT DISTINCT source_user FROM verification_evidence")
    assert {user for (user,) in left} == {"bob", "carol"}
    p = newest.pipeline
    p.store.forget([VerificationProcessor()], ["bob/three.jsonl"])
    recompute(VerificationProcessor(), p.store, p.settings)
    assert WEEKLY[1] not in newest.items()
    assert "bob" not in repr(newest.everything())


def test_of_sessions_that_were_read_here_only_decisions_come(newest: Company) -> None:
    newest.passes()
    done = newest.take()
    assert done.counts["states_here"] == 3
    assert done.counts["evidence_of_sessions_read_here"] == 4
    assert newest.items() == {
        CHURN[1]: "approved",
        "Refunds were booked in March": "rejected",
        "All customers are in Brno": "rejected",
    }
    before = newest.everything()
    newest.take()
    recompute(VerificationProcessor(), newest.pipeline.store, newest.pipeline.settings)
    assert newest.everything() == before


def test_what_was_decided_here_is_not_decided_again(newest: Company) -> None:
    newest.take()
    with newest.pipeline.store.connect() as connection:
        connection.execute(
            "UPDATE knowledge_items SET status = 'rejected' WHERE id = ?", [newest.churn]
        )
    assert newest.take().counts["items_here"] == 3
    assert newest.items()[CHURN[1]] == "rejected"


@pytest.mark.parametrize(
    ("hash_there", "at", "counted"),
    [
        (None, AT, "states_signed"),
        (None, datetime(2025, 1, 1, tzinfo=UTC), "states_to_be_read"),
        ("0" * 32, AT, "states_to_be_read"),
        ("its own", datetime(2025, 1, 1, tzinfo=UTC), "states_signed"),
        ("sha256:of-another-version", AT, "states_signed"),
    ],
)
def test_a_file_counts_as_read_if_its_bytes_say_so_else_its_time(
    tmp_path: Path, hash_there: str | None, at: datetime, counted: str
) -> None:
    company = Company(tmp_path, SCHEMAS[-1])
    company.agnes.write("DELETE FROM session_processor_state")
    own = company.pipeline.root / "alice/one.jsonl" if hash_there == "its own" else None
    company.agnes.state("alice/one.jsonl", own, at=at)
    if own is None:
        company.agnes.write("UPDATE session_processor_state SET file_hash = ?", hash_there)
    assert company.take().counts[counted] == 1


def test_states_of_usage_are_not_taken_for_its_tables_are_made_anew(newest: Company) -> None:
    newest.agnes.state("alice/one.jsonl", None, processor="usage")
    assert newest.take().counts["states_of_others"] == 1
    (names,) = zip(
        *newest.pipeline.select("SELECT DISTINCT processor_name FROM session_processor_state"),
        strict=True,
    )
    assert names == ("verification",)


def test_the_command_prints_counts_and_takes_the_name_of_a_root(
    newest: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest.agnes.close()
    p, path = newest.pipeline, str(newest.agnes.path)
    given = ["--sessions", str(p.root), "--database", str(p.settings.database)]
    monkeypatch.setenv("SESSION_LAYOUT", "users")

    def run(*arguments: str, roots: list[str] | None = None) -> tuple[int, str]:
        done = CliRunner().invoke(import_command, [path, *(roots or given), *arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    code, said = run("--dry-run")
    assert code == 0
    assert "would be taken over" in said
    assert "2 sessions count as read; their files are as they were" in said
    code, said = run("--json")
    document = json.loads(said)
    assert (code, document["counts"]) == (0, DONE)
    assert document["after"]["knowledge_items"] == 4
    code, said = run()
    assert "knowledge_items: 4 rows before, 4 now" in said
    named = ["--sessions", f"lab={p.root}", "--database", f"{p.settings.database}.named"]
    with pytest.raises(SettingsError, match="--root lab"):
        run(roots=named)
    assert run("--root", "lab", "--json", roots=named)[0] == 0
    lab = replace(p.settings, database=Path(f"{p.settings.database}.named"))
    found = Pipeline(p.root, replace(lab, roots=(Root(p.root, "lab"),)))
    assert "lab:alice/one.jsonl" in found.states(VerificationProcessor())
    assert found.run(VerificationProcessor()).processed == 1
    with pytest.raises(SettingsError, match="layout users"):
        run("--layout", "projects")


def test_a_fact_that_is_found_again_is_the_same_item() -> None:
    assert own_id(*CHURN) == item_id(*CHURN)


def test_the_commands_of_the_page_run_as_they_are_written(
    newest: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest.agnes.close()
    p = newest.pipeline
    monkeypatch.chdir(newest.agnes.path.parent)
    monkeypatch.setenv("SESSION_DATA_DIR", str(p.root))
    monkeypatch.setenv("SESSION_PIPELINE_DATABASE", str(p.settings.database))
    page = (ROOT / "docs" / "import-agnes.md").read_text("utf-8")
    found = re.findall(r"^session-pipeline import-agnes ([^#\n]+)", page, re.MULTILINE)
    assert [line.strip() for line in found] == ["system.duckdb --dry-run", "system.duckdb"]
    for line in found:
        assert CliRunner().invoke(import_command, shlex.split(line)).exit_code == 0
    assert newest.items()[CHURN[1]] == "approved"
    assert f"over {LONGEST:,}" in page
