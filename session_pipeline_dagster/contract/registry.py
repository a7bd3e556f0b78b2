"""The door through which every processor enters: what is installed, what of it can be used.

A plugin that cannot is listed with its reason and costs nobody else.
"""

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from datetime import timedelta
from difflib import get_close_matches
from functools import cached_property, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import PurePosixPath
from typing import Any

import msgspec
from msgspec.structs import replace

from session_pipeline_dagster.contract.derivation import Derivation
from session_pipeline_dagster.contract.processor import (
    AUTOMATIC,
    ON_REQUEST,
    UNPAID,
    Extras,
    Processor,
    Summary,
    derived_names,
    extras,
    relations,
    under,
)
from session_pipeline_dagster.contract.quality import Quality
from session_pipeline_dagster.contract.report import Report
from session_pipeline_dagster.contract.retention import Retention
from session_pipeline_dagster.contract.rollup import Rollup
from session_pipeline_dagster.errors import ContractError, failure_of
from session_pipeline_dagster.guests import aside
from session_pipeline_dagster.plugins import FailedPlugin, load_plugins
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.transcripts.reader import installed_readers

ENTRY_POINT_GROUP = "session_pipeline_dagster.processors"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LATEST = 2**31 - 1
"""What the column of versions takes."""
_METHODS = ("process", "begin", "under")
_VALUES = ("name", "version", "cadence", "tables", *Extras.__struct_fields__)
_DECLARED_IN: Mapping[type, str] = {
    Rollup: "rollups",
    Derivation: "derivations",
    Quality: "quality",
    Report: "reports",
    Retention: "retention",
    Summary: "summaries",
}
_RESERVED: Mapping[str, str] = {
    "session_": "the pipeline's own tables and assets",
    "duckdb_": "DuckDB",
    "sqlite_": "DuckDB",
}
_CLOSE = 0.8
"""Two letters that changed places in a name of five."""


class Registry(msgspec.Struct, frozen=True):
    """The processors that loaded and the plugins that did not."""

    processors: Sequence[Processor]
    failed: Sequence[FailedPlugin] = ()

    def only(self, names: Iterable[str]) -> "Registry":
        """With the processors of these names; those that could not be loaded stay listed.

        Raises:
            ContractError: there is no such processor; the message lists those there are.
        """
        failed = {plugin.name for plugin in self.failed}
        chosen = [self.get(name) for name in dict.fromkeys(names) if name not in failed]
        return replace(self, processors=tuple(chosen))

    def under(self, settings: Settings) -> "Registry":
        """With the processors as things are set; one that fails at it is listed in `failed`."""
        good: list[Processor] = []

        def take(processor: Processor) -> None:
            made = under(processor, settings)
            if made is not processor:
                check_contract(made, good)
            good.append(made)

        return replace(tried(self, take), processors=tuple(good))

    def get(self, name: str) -> Processor:
        """The processor of that name.

        Raises:
            ContractError: unknown; the message lists the known ones.
        """
        for processor in self.processors:
            if processor.name == name:
                return processor
        for failed in self.failed:
            if failed.name == name:
                raise ContractError(f"processor {name!r} could not be loaded: {failed.error}")
        known = ", ".join(p.name for p in self.processors) or "none"
        raise ContractError(f"unknown processor {name!r}; known: {known}")


def load_processors(entries: Iterable[EntryPoint] | None = None) -> Registry:
    """Every processor behind the entry-point group, built-in ones first.

    A plugin that fails to import, breaks the contract or takes a name or table that is taken is
    listed in `failed`, and the others go on; so is a reader of transcripts that does not load.
    """
    loaded: list[Processor] = []

    def take(made: object) -> None:
        processor: Any = made
        check_contract(processor, loaded)
        loaded.append(processor)

    found = entry_points(group=ENTRY_POINT_GROUP) if entries is None else entries
    failed = load_plugins(found, take)
    return Registry(tuple(loaded), (*failed, *installed_readers().failed))


def check_contract(processor: Processor, loaded: Sequence[Processor] = ()) -> None:
    """Check what can be checked without a session.

    Raises:
        ContractError: says which attribute of which processor to change.
    """
    name = getattr(processor, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ContractError(f"{type(processor).__name__}.name must match {_NAME.pattern}")
    if any(p.name == name for p in loaded):
        raise ContractError(f"processor {name!r} is already loaded; choose another name")
    _check_spelling(processor)
    version = getattr(processor, "version", None)
    if not isinstance(version, int) or not 1 <= version <= _LATEST:
        raise ContractError(f"processor {name!r}: version must be an int from 1 to {_LATEST}")
    cadence = getattr(processor, "cadence", None)
    if not isinstance(cadence, timedelta) or cadence <= timedelta(0):
        raise ContractError(f"processor {name!r}: cadence must be a positive timedelta")
    if extras(processor).reprocess not in (AUTOMATIC, ON_REQUEST, UNPAID):
        takes = f"{AUTOMATIC!r}, {ON_REQUEST!r} or {UNPAID!r}"
        raise ContractError(f"processor {name!r}: reprocess is {takes}")
    if not callable(getattr(processor, "process", None)):
        raise ContractError(f"processor {name!r}: process(session) is missing")
    _check_tables(processor, loaded)


def _check_spelling(processor: Processor) -> None:
    """Declarations are optional: one under a name that nobody reads would be silently nothing."""
    for name in dir(processor):
        if name.startswith("_") or name in (*_METHODS, *_VALUES):
            continue
        if meant := _meant(processor, name):
            raise ContractError(
                f"processor {processor.name!r}: nobody reads {name!r}; rename it {meant!r} if that "
                f"is meant, else {'_' + name!r}"
            )


def _meant(processor: Processor, name: str) -> str | None:
    """What of the contract an attribute of another name seems to be meant as."""
    value = inspect.getattr_static(processor, name)
    # What an author computes on demand may cost something: its name alone is looked at.
    if not isinstance(value, property | cached_property):
        value = getattr(processor, name)
    for record in _values(value):
        place = next((p for kind, p in _DECLARED_IN.items() if isinstance(record, kind)), None)
        if place and record not in getattr(processor, place, ()):
            return place
    missing = [n for n in (_METHODS if callable(value) else _VALUES) if not hasattr(processor, n)]
    return next(iter(get_close_matches(name.lower(), missing, 1, _CLOSE)), None)


def _values(value: object) -> Iterable[object]:
    """What a collection holds, or the value itself."""
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, Sequence | Set) else (value,)


def _check_tables(processor: Processor, loaded: Sequence[Processor]) -> None:
    name, tables = processor.name, getattr(processor, "tables", None)
    if not isinstance(tables, Mapping) or not tables:
        raise ContractError(f"processor {name!r}: tables must name at least one table")
    reports = {report.name for p in loaded for report in extras(p).reports}
    taken = reports | {n for p in loaded for n in relations(p)}
    if name in reports or _generated(name) & {n for p in loaded for n in _generated(p.name)}:
        raise ContractError(f"processor {name!r}: jobs of another would have that name")
    for table in relations(processor):
        if why := _refused(table):
            raise ContractError(f"processor {name!r}: {table!r} cannot name a table: {why}")
        if table in taken:
            raise ContractError(
                f"processor {name!r}: table {table!r} belongs to another processor; rename it"
            )
    steps = [n for p in (processor, *loaded) for n in (p.name, *derived_names(p))]
    _check_steps(processor, steps)
    _check_references(processor)
    _check_reports(processor, loaded, {*relations(processor), *taken, *steps})
    for table, columns in {**tables, **extras(processor).journals}.items():
        if not re.search(r"(?:^|,)\s*session_file\s+VARCHAR\b", columns, re.IGNORECASE):
            raise ContractError(f"processor {name!r}: table {table!r} needs session_file VARCHAR")


def _check_steps(processor: Processor, steps: Sequence[str]) -> None:
    for derived in derived_names(processor):
        why = None if _NAME.fullmatch(derived) else _refused(derived)
        if steps.count(derived) > 1:
            why = "a processor or something else that is derived has that name; rename it"
        if why:
            raise ContractError(
                f"processor {processor.name!r}: {derived!r} cannot name what is derived: {why}"
            )


def _check_references(processor: Processor) -> None:
    """What is said of a table that is not there would be silently nothing."""
    more, own = extras(processor), {*relations(processor)}
    said = {
        "internal": (more.internal, own),
        "quality": ([rule.table for rule in more.quality], own - {*more.internal}),
    }
    for rollup in more.rollups:
        said[f"deps of {rollup.name!r}"] = (rollup.deps, own - {*more.internal})
        said[f"feeds of {rollup.name!r}"] = (rollup.feeds, {*derived_names(processor)})
    for kept in more.retention:
        said[f"retention of {kept.kind!r}"] = ([kept.table], {*processor.tables})
        there = {rollup.name for rollup in more.rollups}
        said[f"freezes of {kept.table!r}"] = (kept.freezes, there)
    for d in more.derivations:
        said[f"journals of {d.name!r}"] = (d.journals, {*more.journals})
    for where, (names, there) in said.items():
        for name in names:
            if name not in there:
                close = next(iter(get_close_matches(name, there, 1, _CLOSE)), None)
                meant = f"; {close!r} seems to be meant" if close else ""
                raise ContractError(
                    f"processor {processor.name!r}: {where}: there is no {name!r}{meant}"
                )


def _refused(name: str) -> str | None:
    """Why a name cannot be one of a table; None if it can."""
    for prefix, owner in _RESERVED.items():
        if name.startswith(prefix):
            return f"names that begin with {prefix} belong to {owner}; rename it"
    if _NAME.fullmatch(name):
        return None
    return "it takes small letters, digits and _, a letter first, 63 at most"


def _check_reports(
    processor: Processor, loaded: Sequence[Processor], taken: Collection[str]
) -> None:
    """Two assets of one name would end the whole location; two files, overwrite each other."""
    own = extras(processor).reports
    everyones = [r for p in (processor, *loaded) for r in extras(p).reports]
    names, files = [r.name for r in everyones], [f for r in everyones for f in r.files]
    taken = {*taken, *(n for p in (processor, *loaded) for n in _generated(p.name))}
    for name in (report.name for report in own):
        why = _refused(name)
        if name in taken or names.count(name) > 1:
            why = "a table, job or report has that name; rename it"
        if why:
            raise ContractError(
                f"processor {processor.name!r}: {name!r} cannot name a report: {why}"
            )
    for report in own:
        if report.trigger not in report.deps or not {*report.deps} <= {*relations(processor)}:
            raise ContractError(
                f"report {report.name!r}: deps must be tables of {processor.name!r}, "
                "and trigger one of them"
            )
        if not report.files:
            raise ContractError(f"report {report.name!r} declares no file")
    for file in (file for report in own for file in report.files):
        if PurePosixPath(file).name != file or not file.strip(".") or files.count(file) > 1:
            raise ContractError(f"processor {processor.name!r}: {file!r} cannot name a file")


def _generated(name: str) -> set[str]:
    """What Dagster's side makes of a processor's name; see `orchestration/names.py`."""
    ends = ("_job", "_sensor", "_health", "_health_job", "_report_sensor")
    return {name + end for end in ends}


def tried(registry: Registry, attempt: Callable[[Processor], object]) -> Registry:
    """The registry in which those that the attempt fails with count as not loaded."""
    good, failed = [], [*registry.failed]
    for processor in registry.processors:
        with aside():
            error = failure_of(partial(attempt, processor))
        if error:
            kind = type(processor)
            target = f"{kind.__module__}:{kind.__qualname__}"
            failed.append(FailedPlugin(processor.name, target, error))
        else:
            good.append(processor)
    return Registry(tuple(good), tuple(failed))
