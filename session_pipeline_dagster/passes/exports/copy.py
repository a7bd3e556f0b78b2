"""The published copy: which tables of the database are in it, as people are shown."""

import re
from collections.abc import Sequence
from pathlib import Path

from session_pipeline_dagster.contract.processor import Processor, derived_tables, extras
from session_pipeline_dagster.passes.exports.folder import remember
from session_pipeline_dagster.passes.shown import bring_up
from session_pipeline_dagster.processors.usage.people.published import published
from session_pipeline_dagster.processors.usage.people.shown import TABLES as SHOWN_TABLES
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.store import published_copy
from session_pipeline_dagster.store.database import Store
from session_pipeline_dagster.store.published_copy import Copy, Made, Shown

_FILES_GONE = Shown(
    "session_processor_state",
    "SELECT processor_name, session_file, gone_at FROM session_processor_state "
    "WHERE processor_name = 'usage'",
    "Which files are gone: what the views ask.",
)


def publish(store: Store, usage: Processor, settings: Settings, target: Path) -> Made:
    """Make the file that dashboards open.

    Where nobody is hidden it has all of `usage`, else what is published of it.

    Raises:
        StoreError, SettingsError, ContractError: as `published_copy.make`; there is the file of
            before, if any.
    """
    bring_up(usage, store, settings)
    store.ready(usage)

    tables = [Shown(table.name, table.select, table.description) for table in published(settings)]
    views: Sequence[str] = ()
    people = settings.people
    if not people.hides:
        tables, views = _everything(usage, tables)
    # The shared file has what is published, and nothing else.
    said = "" if target == settings.shared else people.mode.value
    copy = Copy(tables, views, said)
    with store.exclusive("export"):
        remember(store, target)
        return published_copy.make(store, target, copy, settings.database_memory_mb)


def _everything(usage: Processor, published: Sequence[Shown]) -> tuple[list[Shown], list[str]]:
    """All tables of the processor but those that only it reads, and its views over them."""
    more = extras(usage)
    asked = {word for sql in more.views.values() for word in re.findall(r"\w+", sql)}
    own = dict.fromkeys([*usage.tables, *derived_tables(usage)])
    # What is shown in place of names is nobody's business, also where it is empty.
    inside = {*more.internal, *SHOWN_TABLES} - asked
    kept = [name for name in own if name not in inside]
    tables = [Shown(name, f"FROM {name}", _first(more.descriptions.get(name, ""))) for name in kept]
    tables += [one for one in published if one.name not in {*own, *more.views}]
    return [*tables, _FILES_GONE], [*more.views]


def _first(text: str) -> str:
    """The first paragraph of a description."""
    return text.strip().partition("\n\n")[0].replace("\n", " ")
