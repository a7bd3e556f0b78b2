"""Health rules: pure functions from a Snapshot to a Finding.

Put a rule here when it can be decided from what a scan and one read of the store have found.
docs/operations.md says what each finding means to a person.
"""

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from datetime import timedelta

from session_pipeline_dagster.health.findings import Finding, Limits, Snapshot, Status
from session_pipeline_dagster.health.wording import (
    clock,
    failed,
    newer_format,
    percent,
    span,
    standing,
    unread,
)
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.passes.plan import oldest_seconds
from session_pipeline_dagster.passes.veiled import failures_shown
from session_pipeline_dagster.people.veil import Shown
from session_pipeline_dagster.sources.files import SessionFile
from session_pipeline_dagster.store.states import Failure, OddLines

_FEWEST_LATE = 20
_PLAIN = re.compile(r"[\w/.][\w/.-]*")
"""Keys that YAML reads as they are, in a list."""
_LATE_SHARE = 0.1
_FEWEST_LINES = 100
_WORST = 10
_MANY_VANISHED = 5
_SEVERAL = 3
_MANY_KINDS = 5
NOT_SEEN, NOT_COMPARED = "cannot be looked at", "cannot be compared with the database"
"""Causes: a root, or the database, that is not there. One thing, whoever misses it."""


def judge(s: Snapshot, limits: Limits) -> list[Finding]:
    """What every rule says."""
    return [
        freshness(s, limits),
        backlog(s, limits),
        fifo_stuck_file(s, limits),
        quarantine(s),
        unreadable_lines(s, limits),
        unknown_record_types(s, limits),
        vanished_files(s, limits),
    ]


def about(limits: Limits) -> dict[str, str]:
    """What each rule makes sure of, in the order of `judge`."""
    grace, stuck = (span(g.total_seconds()) for g in (limits.grace, limits.stuck_grace))
    lines = f"lines of files written in the last {limits.window.days} days"
    passes = "Otherwise it passes, and its text begins with `info:`."
    return {
        "freshness": f"Session files that land are processed within {grace}.",
        "backlog": f"Fewer than {_FEWEST_LATE} files, or {100 * _LATE_SHARE:g} % of all, are "
        f"pending for over {stuck}: an old backlog does not hide behind newer files.",
        "fifo_stuck_file": f"No file is pending for over {stuck} while newer ones are processed. "
        + passes,
        "quarantine": f"No file was given up. {passes} Its table lists the files that failed, the "
        "newest 50, also those that are tried again by themselves; `session-pipeline status "
        "--json` lists all.",
        "unreadable_lines": f"At most {100 * limits.unreadable_share:g} % of the {lines} cannot be "
        "read.",
        "unknown_record_types": f"At most {100 * limits.unknown_share:g} % of the {lines} are of a "
        "type that this version does not know.",
        "vanished_files": "No user and no root has lost all files at once while their rows are to "
        "be purged: a folder that is not mounted looks the same.",
    }


def unknown(cause: str, limits: Limits, ails: str) -> list[Finding]:
    """What every rule says when it was not possible to look.

    Args:
        ails: `NOT_SEEN` or `NOT_COMPARED`.
    """
    return [cannot_look(check, cause, ails) for check in about(limits)]


def cannot_look(check: str, cause: str, ails: str) -> Finding:
    """The same of one check; the arguments as of `unknown`."""
    return Finding(check, Status.UNKNOWN, f"cannot look: {cause}", causes=(ails,))


def partly(findings: Sequence[Finding], causes: Sequence[str]) -> list[Finding]:
    """The findings where some roots could not be looked at: that the others are well is not ok."""
    if not causes:
        return [*findings]
    cause = "; ".join(causes)
    return [
        Finding(f.check, Status.UNKNOWN, f"cannot look everywhere: {cause}", causes=(NOT_SEEN,))
        if f.status is Status.OK
        else f
        for f in findings
    ]


def freshness(s: Snapshot, limits: Limits) -> Finding:
    """Warns when files have landed since the last one was processed, and wait for longer than
    the grace."""
    o = s.outlook
    lag = _lag(s)
    numbers = {
        "lag_seconds": round(lag, 1),
        "session_files": o.files,
        "pending": len(o.waiting),
        "oldest_pending_seconds": round(_oldest(s, o.waiting), 1),
    }

    def say(status: Status, detail: str, causes: Sequence[str] = ()) -> Finding:
        return Finding("freshness", status, detail, numbers, causes=causes)

    if not o.files:
        return say(Status.OK, _no_files(s) + unread(o))
    late = _older(s, o.pending, limits.grace)
    # A failed file from before the last success is no sign that the pipeline stands still.
    missed = [f for f in late if s.processed is None or f.signature.mtime_ns / 1e9 > s.processed]
    given_up = {file.key for file in o.quarantined}
    if len(missed) < _SEVERAL:
        # One that was given up waits for nothing, `quarantine` speaks of it; several, and no
        # success since, are a sign.
        missed = [file for file in missed if file.key not in given_up]
    # One file may have landed just after the last processing and be the last for days.
    forgotten = _older(s, missed, limits.stuck_grace)
    if missed and (s.processed is None or lag > limits.grace.total_seconds() or forgotten):
        last = "nothing was ever processed"
        if s.processed is not None:
            last = f"nothing was processed since {clock(s.processed)}"
        return say(
            Status.WARNING,
            f"{standing(o)}{failed(o)}, {len(missed)} for too long (the oldest, "
            f"{s.veil.file(_oldest_key(missed))}, for {span(_oldest(s, missed))}); {last}. "
            f"Stage: processing. See whether `{s.sensor}` is on and what the last run of "
            f"`{s.job}` says, or launch `{s.job}`",
            _causes(s, missed),
        )
    if o.newer:
        return say(
            Status.WARNING,
            f"{standing(o)}; {o.newer} of all have rows "
            f"of a newer version of `{s.processor}`, which are left as they are. This installation "
            "is older: upgrade it",
        )
    if not o.waiting:
        if o.quarantined:
            done = f"{o.files - len(o.quarantined)} of {o.files} session files are processed"
            return say(Status.OK, f"{done}{failed(o)}{unread(o)}")
        return say(Status.OK, f"all {o.files} session files are processed{unread(o)}")
    when = "not yet" if s.processed is None else clock(s.processed)
    oldest = f", the oldest for {span(_oldest(s, o.waiting))}"
    return say(
        Status.OK,
        f"{standing(o)}{failed(o)}{oldest}; last processed: {when}",
    )


def backlog(s: Snapshot, limits: Limits) -> Finding:
    """Warns when many files have been pending for very long, however fresh the newest are."""
    o = s.outlook
    late = _older(s, o.pending, limits.stuck_grace)
    numbers = {
        "backlog": len(late),
        "pending": len(o.waiting),
        "session_files": o.files,
        "oldest_pending_seconds": round(_oldest(s, o.waiting), 1),
    }
    grace = span(limits.stuck_grace.total_seconds())
    if len(late) < _FEWEST_LATE or len(late) < _LATE_SHARE * o.files:
        detail = f"{len(late)} of {o.files} session files have been pending for over {grace}"
        return Finding("backlog", Status.OK, detail, numbers)
    detail = (
        f"{len(late)} of {o.files} session files have been pending for over {grace}{failed(o)}; "
        f"the oldest ({s.veil.file(_oldest_key(late))}) for {span(_oldest(s, late))}. "
        "Stage: processing. "
        f"Launch `{s.job}`, or see in `session-pipeline status` why they fail"
    )
    return Finding("backlog", Status.WARNING, detail, numbers, causes=_causes(s, late))


def fifo_stuck_file(s: Snapshot, limits: Limits) -> Finding:
    """Names the oldest pending file when a newer one was processed before it."""
    late = _older(s, s.outlook.pending, limits.stuck_grace)
    passed = s.newest_processed
    skipped = [f for f in late if passed is not None and f.signature.mtime_ns / 1e9 < passed]
    age = _oldest(s, skipped)
    numbers = {"stuck_file_age_seconds": round(age, 1), "stuck_files": len(skipped)}
    if not skipped:
        return Finding("fifo_stuck_file", Status.OK, "no file is skipped", numbers)
    key = _oldest_key(skipped)
    failure, name = s.failures.get(key), s.veil.file(key)
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    detail = (
        f"{name}{more} is being skipped: not processed for {span(age)} while newer files were "
        f"processed. Stage: processing. {_why(failure, name, s)}"
    )
    reason = s.veil.said(failure.error, [key]) if failure else None
    causes = _causes(s, skipped)
    return Finding("fifo_stuck_file", Status.INFO, detail, numbers, name, reason, causes=causes)


def _why(failure: Failure | None, name: Shown, s: Snapshot) -> str:
    if failure is None:
        return f"No failure is on record; see the last run of `{s.job}`"
    what = f"It failed {failure.attempts} times, last with {failure.error_class}"
    if failure.quarantined_at:
        return f"{what}, and was given up; {_release(name, s)}"
    if failure.next_attempt_at:
        what += f"; next attempt {clock(failure.next_attempt_at.timestamp())}"
    return f"{what}. `session-pipeline retry {as_word(name)}` tries at once"


def _release(name: Shown, s: Snapshot) -> str:
    # People paste these, and a file's name is somebody else's choice.
    command = f"`session-pipeline retry {as_word(name)} --processor {s.processor}`"
    config = name if _PLAIN.fullmatch(name) else json.dumps(name)
    return f"{command}, or `{s.job}` with the config `retry: [{config}]`, releases it"


def as_word(text: str) -> str:
    """The text as one word of a shell, of characters that show themselves: what cannot be printed
    is written as its bytes, `$'\\x1b'`."""
    if printable(text) == text:
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    if character == "\n":
        return "\\n"
    if printable(character) == character and character != "\ufffd":
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))


def quarantine(s: Snapshot) -> Finding:
    """Lists the files that were given up, and beside them those that are tried again."""
    given_up = [s.failures[file.key] for file in s.outlook.quarantined]
    waiting = {*s.outlook.failed, *(file.key for file in s.outlook.backing_off)}
    again = [s.failures[key] for key in waiting]
    numbers = {"quarantined": len(given_up), "failing": len(again)}
    order = sorted([*given_up, *again], key=lambda f: (f.last_failed_at, f.session_file))[::-1]
    listed = failures_shown(s.veil, order)
    if not given_up:
        detail = "no file was given up"
        if again:
            detail += f"; {len(again)} failed and will be tried again"
        return Finding("quarantine", Status.OK, detail, numbers, failures=listed)
    first = min(given_up, key=lambda failure: (failure.last_failed_at, failure.session_file))
    many, name = len(given_up) > 1, s.veil.file(first.session_file)
    detail = (
        f"{len(given_up)} session file{'s were' if many else ' was'} given up{', first' * many}: "
        f"{name} after {_attempts(first)}, last with {first.error_class}. "
        f"Stage: processing. {_release(name, s)}; "
        "`session-pipeline retry --all-quarantined` releases all"
    )
    causes = failing(failure.error_class for failure in given_up)
    return Finding("quarantine", Status.INFO, detail, numbers, failures=listed, causes=causes)


def _attempts(failure: Failure) -> str:
    return f"{failure.attempts} attempt{'s' * (failure.attempts != 1)}"


def unreadable_lines(s: Snapshot, limits: Limits) -> Finding:
    """Warns when many of the lines written lately could not be read."""
    what = "could not be read and were left out"
    odd = [(file, file.unreadable) for file in s.lines.odd if file.unreadable]
    count, limit = s.lines.unreadable, limits.unreadable_share
    return _share("unreadable_lines", s, count, limit, limits.window, what, odd)


def unknown_record_types(s: Snapshot, limits: Limits) -> Finding:
    """Warns when many of the lines written lately are of types this version does not know."""
    what = "are of a type that this version does not know"
    odd = [(file, file.unknown) for file in s.lines.odd if file.unknown]
    count, limit = s.lines.unknown, limits.unknown_share
    return _share("unknown_record_types", s, count, limit, limits.window, what, odd)


def _share(
    check: str,
    s: Snapshot,
    count: int,
    limit: float,
    window: timedelta,
    what: str,
    odd: Sequence[tuple[OddLines, int]],
) -> Finding:
    lines = s.lines.lines
    share = count / lines if lines else 0.0
    numbers = {check: count, "lines": lines, "share_percent": round(100 * share, 3)}
    named = [(s.veil.file(file.session_file), number) for file, number in odd]
    named.sort(key=lambda file: (-file[1], file[0]))
    detail = (
        f"{count:,} of {lines:,} lines of files written in the last {window.days} days {what} "
        f"({percent(count, lines)} %, limit {100 * limit:g} %)"
    )
    if share <= limit or lines < _FEWEST_LINES:
        first = f": {_most(named, 1)}" if named else ""
        return Finding(check, Status.OK, detail + first, numbers, files=named[:_WORST])
    detail += f": {_most(named, _WORST)}. Stage: reading. {newer_format(odd, s.packages)}"
    causes = (f"have lines that {what}",)
    return Finding(check, Status.WARNING, detail, numbers, files=named[:_WORST], causes=causes)


def _most(odd: Sequence[tuple[Shown, int]], many: int) -> str:
    """The worst files, and how many more there are."""
    more = f" and {len(odd) - many:,} more files" if len(odd) > many else ""
    return ", ".join(f"{key} ({count:,})" for key, count in odd[:many]) + more


def vanished_files(s: Snapshot, limits: Limits) -> Finding:
    """Warns when all files of a user or a root are gone and their rows will be purged."""
    lost = sum(vanished.files for vanished in s.vanished)
    numbers = {"deleted_files": s.gone, "vanished_files": lost}
    if limits.purge_after is None:
        detail = f"rows are kept of {s.gone} deleted files"
        return Finding("vanished_files", Status.OK, detail, numbers)
    if not s.vanished:
        detail = f"{s.gone} deleted files wait for their purge"
        return Finding("vanished_files", Status.OK, detail, numbers)
    named = [
        f"{v.files} file{'s' * (v.files != 1)} of {v.who} would be purged on "
        f"{clock(v.since + limits.purge_after.total_seconds())}"
        for v in s.vanished[:_MANY_VANISHED]
    ]
    if len(s.vanished) > _MANY_VANISHED:
        named.append(f"and {len(s.vanished) - _MANY_VANISHED} more")
    detail = (
        f"{'; '.join(named)}. Stage: collecting. No file of them is left: see that the folder is "
        "mounted, or set SESSION_PIPELINE_ON_DELETE=keep"
    )
    return Finding("vanished_files", Status.WARNING, detail, numbers)


# --- words and numbers -------------------------------------------------------------------------


def failing(kinds: Iterable[str]) -> tuple[str, ...]:
    """What files that fail have in common, as a cause: their kinds of error."""
    return tuple(f"fail with {printable(kind)}" for kind in sorted({*kinds})[:_MANY_KINDS])


def _causes(s: Snapshot, files: Sequence[SessionFile]) -> tuple[str, ...]:
    """Why the files wait, if all of them have failed; else there is more to it."""
    failures = [s.failures.get(file.key) for file in files]
    return failing(f.error_class for f in failures if f) if all(failures) else ()


def _older(s: Snapshot, files: Iterable[SessionFile], grace: timedelta) -> list[SessionFile]:
    before = (s.now - grace.total_seconds()) * 1e9
    return [file for file in files if file.signature.mtime_ns < before]


def _oldest(s: Snapshot, files: Sequence[SessionFile]) -> float:
    return oldest_seconds(files, s.now)


def _oldest_key(files: Sequence[SessionFile]) -> str:
    return min(files, key=lambda file: (file.signature.mtime_ns, file.key)).key


def _lag(s: Snapshot) -> float:
    """How far processing is behind the newest file, in seconds; 0 where nothing is pending."""
    if not s.outlook.pending or s.newest is None:
        return 0.0
    if s.processed is None:
        return _oldest(s, s.outlook.pending)
    return max(0.0, s.newest - s.processed)


def _no_files(s: Snapshot) -> str:
    if s.processed is None:
        return "no session files"
    return "no session files, though some were processed earlier; is the right folder mounted?"
