"""When an alert goes out, and what it says: pure decisions from what checks say and what was told.

Level-triggered: an alert is the difference between what a check says and what was last told of it,
once that has lasted for a while. A check may also name occasions (a threshold of a budget in this
month, a session): each is told once for ever, whatever its status does between. Sending is
`sinks.py`; gathering is `orchestration/alerts.py`.

A check that speaks of what ails session files names it: the same of every check and processor is
one thing, told once, again when it gets worse, and when no check speaks of it any more.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from session_pipeline_dagster.health.findings import Status, at_least, worst
from session_pipeline_dagster.names import printable
from session_pipeline_dagster.passes.pacing import Moment

LONGEST_QUEUE = 1000
"""Alerts kept for a sink that fails; weeks of them. Then the oldest goes."""

MOST_OCCASIONS = 50
"""Of a check, remembered although it does not name them now. Then the oldest is forgotten."""

_CALLS = str.maketrans("@<>", "\uff20\u2039\u203a")
"""`@here`, `<!channel>`, `<@U1>` and `<at>` call people in Slack, Discord, Teams and others."""


def quiet(text: str) -> str:
    """The text in one line that acts nowhere and calls nobody."""
    return printable(text).translate(_CALLS)


_MILD = (Status.OK, Status.INFO)
_FILES = "session files "
"""Before a cause, in the memory."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a check, or the last run of a processor, says now.

    Attributes:
        subject: names it in the memory.
        at: when it said so, in seconds since the epoch.
        delay: how many seconds a change must last before it is told.
        occasions: what it is about, and how bad each is; None: the status alone is told, as it is
            of a check that names none though it is not ok.
        causes: what ails session files, where that is all that it says.
    """

    subject: str
    processor: str
    check: str
    status: Status
    detail: str
    at: float
    delay: float = 0.0
    link: str | None = None
    occasions: Mapping[str, Status] | None = None
    causes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """One change worth telling: of one check, or of several that belong together.

    Attributes:
        was: what was told before; of several checks each status once.
        now: of several checks the worst.
        shown_as: the mark of the veil under which people are named in it.
    """

    processor: str
    checks: Sequence[str]
    was: Sequence[Status]
    now: Status
    detail: str
    link: str | None = None
    resolved: bool = False
    shown_as: str = ""

    @property
    def title(self) -> str:
        """One line: what, where."""
        what = "resolved" if self.resolved else self.now.value
        return quiet(f"{what}: {self.processor} {', '.join(self.checks)}")

    @property
    def text(self) -> str:
        """Processor, checks, was → now, detail and link."""
        where = f"{self.processor} {', '.join(self.checks)}"
        change = f"{', '.join(self.was)} → {self.now}" if self.was else self.now.value
        lines = [f"{where}: {change}", *self.detail.split("\n")]
        # The address is ours.
        link = [printable(self.link)] if self.link else []
        return "\n".join([*(quiet(line) for line in lines if line), *link])


@dataclass(frozen=True, slots=True)
class Told:
    """What was last told of a subject, since when it says something else, and of which occasions
    was told, the oldest first."""

    status: Status = Status.OK
    differs_since: Moment | None = None
    occasions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """What is kept between ticks (the cursor).

    Attributes:
        told: by subject.
        queues: sink -> alerts that it has not taken yet.
        runs_seen: processor -> when the last run that was looked at ended.
    """

    told: Mapping[str, Told] = field(default_factory=dict)
    queues: Mapping[str, Sequence[Alert]] = field(default_factory=dict)
    runs_seen: Mapping[str, Moment] = field(default_factory=dict)


def decide(
    told: Mapping[str, Told], sightings: Sequence[Sighting], now: float, level: Status
) -> tuple[list[Alert], dict[str, Told]]:
    """The alerts that are due, and what has then been told.

    What is milder than `level` counts as ok. Sightings of one subject are taken in their order.
    Subjects that are not sighted keep what was told of them.
    """
    after = dict(told)
    alerts: list[Alert] = []
    ailing = [s for s in sightings if s.causes and _heard(s.status, level) is not Status.OK]
    for seen in sightings:
        if seen in ailing:
            continue
        last = after.get(seen.subject, Told())
        news = _news(seen, last, level)
        if not news and not _differs(seen, last, level):
            after[seen.subject] = replace(last, differs_since=None)
            continue
        since = Moment(min(seen.at, now)) if last.differs_since is None else last.differs_since
        # A clock that was set back must not keep an alert for ever.
        if 0 <= now - since < seen.delay:
            after[seen.subject] = replace(last, differs_since=since)
            continue
        says = worst((seen.status, *news.values()))
        # The occasion may be of a month that is over: then the check is ok, and stays as told.
        status = last.status if news and seen.status is Status.OK else says
        after[seen.subject] = Told(status, occasions=_remembered(seen, last, level))
        alerts.append(
            Alert(
                seen.processor,
                (seen.check,),
                (last.status,),
                says,
                seen.detail,
                seen.link,
                resolved=_heard(says, level) is Status.OK,
            )
        )
    slowest = max((seen.delay for seen in sightings), default=0.0)
    alerts += _of_causes(ailing, after, now, slowest)
    # Of most checks there is nothing to remember, and people look at the cursor.
    return _together(alerts), {name: told for name, told in after.items() if told != Told()}


def _of_causes(
    ailing: Sequence[Sighting], told: dict[str, Told], now: float, slowest: float
) -> Iterator[Alert]:
    """Alerts of what ails session files; `told` is brought up to date.

    Args:
        slowest: how long nobody must have spoken of a cause for it to be over, in seconds.
    """
    found: dict[str, list[Sighting]] = {}
    for seen in ailing:
        for cause in seen.causes:
            found.setdefault(cause, []).append(seen)
    before = (name.removeprefix(_FILES) for name in told if name.startswith(_FILES))
    for cause in dict.fromkeys([*found, *before]):
        group, last = found.get(cause, ()), told.get(_FILES + cause, Told())
        says = worst(seen.status for seen in group)
        # What gets milder goes on.
        if says is last.status or (group and at_least(last.status, says)):
            told[_FILES + cause] = replace(last, differs_since=None)
            continue
        since = last.differs_since
        if since is None:
            since = Moment(min(now, *(seen.at for seen in group)) if group else now)
        if 0 <= now - since < min((seen.delay for seen in group), default=slowest):
            told[_FILES + cause] = replace(last, differs_since=since)
            continue
        told[_FILES + cause] = Told(says)
        yield _of_cause(cause, group, last.status, says)


def _of_cause(cause: str, group: Sequence[Sighting], was: Status, now: Status) -> Alert:
    if not group:
        detail = "no check speaks of it any more"
        return Alert("session files", (cause,), (was,), now, detail, resolved=True)
    # In a stable order, so that the same is told in the same words: of each processor the worst.
    told: dict[str, Sighting] = {}
    for seen in group:
        known = told.get(seen.processor)
        if known is None or not at_least(known.status, seen.status):
            told[seen.processor] = seen
    # Of a missing root all say the same.
    names: dict[str, list[str]] = {}
    for name, seen in told.items():
        names.setdefault(seen.detail, []).append(name)
    details = [f"{', '.join(who)}: {detail}" for detail, who in names.items()]
    first = next(seen for seen in told.values() if seen.status is now)
    return Alert("session files", (cause,), (was,), now, "\n".join(details), first.link)


def _news(seen: Sighting, last: Told, level: Status) -> Mapping[str, Status]:
    """The occasions to hear of that nobody was told of."""
    found = seen.occasions or {}
    return {
        name: status
        for name, status in found.items()
        if name not in last.occasions and at_least(status, level)
    }


def _differs(seen: Sighting, last: Told, level: Status) -> bool:
    """Whether the status alone is worth telling: of a check with occasions only that what was told
    is over, if it was more than information. Not being able to look is no end."""
    heard, was = _heard(seen.status, level), _heard(last.status, level)
    if seen.occasions is None or (not seen.occasions and heard is not Status.OK):
        return heard is not was
    return was not in _MILD and heard is Status.OK and seen.status in _MILD


def _remembered(seen: Sighting, last: Told, level: Status) -> tuple[str, ...]:
    named = seen.occasions or {}
    now = [name for name, status in named.items() if at_least(status, level)]
    before = [name for name in last.occasions if name not in now]
    return (*before[-MOST_OCCASIONS:], *now)


def _heard(status: Status, level: Status) -> Status:
    return status if at_least(status, level) else Status.OK


def _together(alerts: Sequence[Alert]) -> list[Alert]:
    """One alert for checks of a processor that say the very same, and one for those resolved."""
    found: dict[tuple[object, ...], list[Alert]] = {}
    times: Counter[tuple[object, ...]] = Counter()
    for alert in alerts:
        same = alert.resolved or (alert.now, alert.detail)
        # Runs of one tick are changes one after the other.
        subject = (alert.processor, *alert.checks)
        found.setdefault((alert.processor, same, times[subject]), []).append(alert)
        times[subject] += 1
    return [group[0] if len(group) == 1 else _merge(group) for group in found.values()]


def _merge(group: Sequence[Alert]) -> Alert:
    checks = tuple(check for alert in group for check in alert.checks)
    details = dict.fromkeys(alert.detail for alert in group)
    return replace(
        group[0],
        checks=checks,
        was=tuple(dict.fromkeys(status for alert in group for status in alert.was)),
        now=worst(alert.now for alert in group),
        detail="\n".join(details),
    )


def enqueue(
    queues: Mapping[str, Sequence[Alert]],
    sinks: Iterable[str],
    alerts: Sequence[Alert],
    mark: str = "",
) -> dict[str, list[Alert]]:
    """What each sink has to take now; the queues of sinks that are gone go with them.

    Args:
        mark: how people are shown now; of what waits since they were shown otherwise, no detail is
            told.
    """
    now = [replace(alert, shown_as=mark) for alert in alerts]
    return {
        sink: [*(_as_now(alert, mark) for alert in queues.get(sink, ())), *now][-LONGEST_QUEUE:]
        for sink in sinks
    }


def _as_now(alert: Alert, mark: str) -> Alert:
    if alert.shown_as == mark:
        return alert
    return replace(alert, detail="its page has the details", shown_as=mark)
