"""A batch in its transaction: rows and records of its files replaced, what is derived told."""

from datetime import datetime

import duckdb

from session_pipeline_dagster.contract.processor import Processor
from session_pipeline_dagster.errors import StatementFailed
from session_pipeline_dagster.store import forget, frozen, retaining, rolling, write
from session_pipeline_dagster.store.batch import Batch
from session_pipeline_dagster.store.declare import in_words


def replace_rows(
    connection: duckdb.DuckDBPyConnection,
    processor: Processor,
    batch: Batch,
    now: datetime,
    run_id: str | None,
) -> frozenset[str]:
    """Write the batch, but what was overtaken or forgotten since its pass began.

    Returns:
        The done files that were written.
    """
    appended = {d.session_file: d.appended_to for d in batch.done if d.appended_to}
    overtaken = write.overtaken(connection, processor.name, appended) if appended else frozenset()
    rest = batch.without(overtaken)
    if batch.begun and (is_forgotten := forget.forgotten(connection, batch.begun, now)):
        rest = rest.forgetting(is_forgotten)
    _write(connection, processor, rest, now, run_id)
    return frozenset(done.session_file for done in rest.done)


def _write(
    connection: duckdb.DuckDBPyConnection,
    processor: Processor,
    batch: Batch,
    now: datetime,
    run_id: str | None,
) -> None:
    name = processor.name
    written = [done.session_file for done in batch.done]
    replaced = [done.session_file for done in batch.done if not done.appended_to]
    settled = written + [signed.session_file for signed in batch.signed]
    failed = [failure.session_file for failure in batch.failures]
    write.register(connection, "batch", written)
    # Looking for old rows means reading whole tables; a file without a state row has none.
    if known := write.known(connection, name):
        write.register(connection, "batch", known)
        _note_changes(connection, processor)
        write.delete_rows(connection, processor.tables, replaced)
        write.delete_records(connection, "session_processor_state", name, written)
        write.register(connection, "batch", written)
    gone = frozen.horizons(connection, name)
    for table, parts in [*batch.rows.items(), *batch.journal.items()]:
        retaining.insert(connection, processor, table, parts, gone)
    _note_changes(connection, processor, keep=True)
    write.insert_states(connection, processor, batch.done, now, run_id)
    write.sign(connection, processor, batch.signed)
    write.delete_records(connection, "session_processor_failures", name, settled + failed)
    write.insert_failures(connection, name, batch.failures)


def _note_changes(
    connection: duckdb.DuckDBPyConnection, processor: Processor, *, keep: bool = False
) -> None:
    try:
        if keep:
            rolling.keep(connection, processor)
        rolling.note_changes(connection, processor)
    except duckdb.ProgrammingError as error:
        said = f"{processor.name}: a statement of `changed` failed: {in_words(error)}"
        raise StatementFailed(said) from None
