"""Quality rules over the store and the files: gathers what `quality.py` lets a rule look at."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.contract.quality import Data, Measured, Quality
from session_pipeline_dagster.errors import ContractError, PipelineError
from session_pipeline_dagster.guests import hosting
from session_pipeline_dagster.health.findings import Finding, Status
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.people.veil import Veil, rows_shown
from session_pipeline_dagster.settings import PeopleMode
from session_pipeline_dagster.sources.files import SessionFile, SessionSource
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.transcripts.records import Transcript


def inspect(
    processor: Processor,
    rule: Quality,
    source: SessionSource,
    store: Store,
    veil: Veil | None = None,
) -> Measured:
    """What the rule finds now, people named as they may be shown.

    Raises:
        SourceUnavailable, StoreError: it could not be looked at; not the same as no violation.
        ContractError: a SELECT of the rule is not valid, or it fails.
    """
    files = _Files(processor, source, store)
    # To open the database again costs more than a quick rule; of the others, nobody shall wait.
    with store.held() if rule.glance else nullcontext():
        store.prepare(processor)
        with hosting(f"rule {rule.name!r}"):
            found = rule.measure(Data(lambda sql: store.query(sql)[0][1], files.transcript))
    if not isinstance(found, Measured):
        raise ContractError(f"rule {rule.name!r} found {type(found).__name__}, not a Measured")
    return measured_shown(found, veil or Veil())


def measured_shown(found: Measured, veil: Veil) -> Measured:
    """What a rule found, with the names in its rows replaced wherever it says them. Where nothing
    below a team is shown, rows of people are not, nor are sentences and numbers about them."""
    if not veil.hides:
        return found
    rows, instead = rows_shown(veil, found.listed)
    said = veil.unquoted(veil.without(found.said, instead))
    occasions = found.occasions
    if occasions is not None:
        occasions = {veil.without(name, instead): status for name, status in occasions.items()}
    if veil.mode is not PeopleMode.TEAM or not instead:
        return replace(found, listed=rows, said=said, occasions=occasions)
    hidden = f"{len(rows)} row{'s' * (len(rows) != 1)} of single people or sessions, not shown here"
    numbers = {name: n for name, n in found.numbers.items() if name not in found.of_one}
    return replace(found, listed=(), said=hidden, occasions=occasions, numbers=numbers)


def glances(processor: Processor, store: Store, veil: Veil | None = None) -> list[Finding]:
    """What the quick rules of a processor say, for whoever only looks; none where its tables are
    not there yet."""

    def select(sql: str) -> Sequence[tuple[object, ...]]:
        return store.query(sql)[0][1]

    findings = []
    for rule in extras(processor).quality:
        if rule.glance:
            try:
                with hosting(f"rule {rule.name!r}"):
                    measured = rule.measure(Data(select, lambda _: None))
            except PipelineError:
                # A database that cannot be looked at is said by every other finding.
                continue
            found = measured_shown(measured, veil or Veil())
            status = Status(found.stands)
            said = printable(found.said) or f"{found.violations} violations"
            findings.append(Finding(rule.name, status, said, found.numbers))
    return findings


class _Files:
    """Transcripts by session file; nothing is scanned before one is asked for."""

    def __init__(self, processor: Processor, source: SessionSource, store: Store) -> None:
        self._processor, self._source, self._store = processor, source, store
        self._found: dict[str, SessionFile] | None = None
        self._hashes: dict[str, str | None] = {}

    def transcript(self, key: str) -> Transcript | None:
        if self._found is None:
            self._found = {file.key: file for file in self._source.scan().files}
            states = self._store.known(self._processor).states
            self._hashes = {name: state.file_hash for name, state in states.items()}
        file = self._found.get(key)
        if file is None:
            return None
        try:
            content = self._source.read(file)
        except FileNotFoundError:
            return None
        if content.file_hash != self._hashes.get(key):
            return None
        return self._source.readers.parse(key, content.complete)
