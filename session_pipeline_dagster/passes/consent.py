"""Consent: session files that are counted, and never read for what people said in them.

Whoever is named by the setting has not agreed, and whoever put a mark beside their sessions keeps
them private. For a processor that needs consent such a file is not there, and what it has of it
goes at the next pass.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache

from session_pipeline_dagster.contract.processor import Processor, extras
from session_pipeline_dagster.settings import Settings
from session_pipeline_dagster.sources.files import Scan, SessionFile


def consented(processor: Processor, scan: Scan, settings: Settings) -> Scan:
    """The scan as the processor may know it; a second time it changes nothing."""
    if scan.withheld or not extras(processor).needs_consent:
        return scan
    words = settings.people.opt_out
    if not (scan.marks or words):
        return scan
    withheld = private(scan.files, scan.marks, words)
    if not withheld:
        return scan
    files = [file for file in scan.files if file.key not in withheld]
    return replace(scan, files=files, withheld=withheld)


def private(
    files: Iterable[SessionFile], marks: Iterable[str], words: Sequence[str]
) -> frozenset[str]:
    """The keys of the files that must not be read. Pure.

    Args:
        marks: what the keys of all files begin with that lie beside or below a mark.
        words: of users who opted out, by name; and globs of users, project folders and keys.
    """
    marked = frozenset(marks)

    @cache
    def is_below(folder: str) -> bool:
        if folder in marked:
            return True
        above = folder.rstrip("/").rpartition("/")[0]
        if above:
            return is_below(f"{above}/")
        root, colon, _ = folder.partition(":")
        return folder not in ("", f"{root}:") and is_below(f"{root}:" if colon else "")

    @cache
    def is_named(name: str) -> bool:
        return any(name == word or fnmatchcase(name, word) for word in words)

    def is_private(file: SessionFile) -> bool:
        folder = file.key.rpartition("/")[0]
        if marked and is_below(f"{folder}/"):
            return True
        named = (file.user, file.project or "", file.key)
        return bool(words) and any(map(is_named, filter(None, named)))

    return frozenset(file.key for file in files if is_private(file))
