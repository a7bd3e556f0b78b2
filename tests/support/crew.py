"""People of three teams at work, small ones among them, with names that can be searched for."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from lines import UsagePipeline, assistant, encode, result, tool, usage, user

LAST = date(2026, 5, 17)
"""A Sunday, and the last day with usage."""
BEGINS = LAST - timedelta(days=20)
MODELS = ("claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5")


@dataclass(frozen=True, slots=True)
class Member:
    """Who it is. Everything but the team and the repositories names them."""

    folder: str
    person: str
    email: str
    team: str
    repositories: tuple[str, ...]
    days: tuple[date, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What no page may hold where people are hidden."""
        mail = self.email.partition("@")[0]
        return (self.folder, self.person, mail, f"-home-{self.folder}", f"{self.folder}/fix")


def crew() -> list[Member]:
    """Six of one team, five of another, two of a third. All work on weekdays, eight on Sundays,
    where weeks end, two on a Saturday. The first has a repository alone, and one of their name."""
    found = []
    weekdays = [day for n in range(21) if (day := BEGINS + timedelta(n)).weekday() < 5]
    saturday = LAST - timedelta(days=1)
    sundays = [LAST - timedelta(weeks=ago) for ago in range(3)]
    for number in range(13):
        team = "alpha" if number < 6 else "beta" if number < 11 else "gamma"
        repositories = ["monolith"]
        if number < 7:
            repositories.append("checkout")
        if number in (0, 1):
            repositories.append("duo-notes")
        if number == 0:
            repositories += ["solo-notes", "zq00-notes"]
        days = (
            *weekdays,
            *([saturday] if number in (0, 12) else ()),
            *(sundays if number < 8 else ()),
        )
        found.append(
            Member(
                f"zq{number:02}",
                f"Zora Quill{number:02}",
                f"mailof{number:02}@example.org",
                team,
                tuple(repositories),
                days,
            )
        )
    return found


def write_directory(path: Path, members: Iterable[Member]) -> None:
    rows = [f"{m.folder},{m.person},{m.email},{m.team}" for m in members]
    path.write_text("\n".join(["folder,person,email,team", *rows]) + "\n", "utf-8")


def write_sessions(pipeline: UsagePipeline, members: Iterable[Member]) -> None:
    """A session a person, repository and day, of one response that calls tools; most of it is in
    the first repository."""
    for member in members:
        for place, repository in enumerate(member.repositories):
            for number, day in enumerate(member.days):
                if place and number % 3:
                    continue
                folder = f"{member.folder}/-home-{member.folder}-{repository}"
                lines = _session(member, repository, day, number)
                pipeline.write_bytes(f"{folder}/{member.folder}-{day}.jsonl", encode(*lines))


def _session(
    member: Member, repository: str, day: date, number: int
) -> Iterator[dict[str, object]]:
    name = f"{member.folder}-{repository}-{day}"
    at = f"{day}T{9 + number % 6:02}:10:00.000Z"
    where = {
        "sessionId": name,
        "cwd": f"/home/{member.folder}/{repository}",
        "gitBranch": f"{member.folder}/fix" if number % 2 else "main",
    }
    calls = [tool("Bash", f"{name}-1"), tool("Skill", f"{name}-2", skill="deploy")]
    if member.folder == "zq00":
        calls += [
            tool("Skill", f"{name}-3", skill="zq00-own"),
            tool("mcp__only-mine__run", f"{name}-4"),
        ]
    skill = {"attributionSkill": "deploy"} if number % 2 else {}
    yield user(at=at, **where)
    yield assistant(
        f"msg-{name}",
        usage(100 + number, 200 + len(repository) + int(member.folder[2:])),
        content=calls,
        model=MODELS[0 if number % 4 else 1 + int(member.folder == "zq00")],
        at=at,
        **where,
        **skill,
    )
    yield user([result(f"{name}-1", error=number % 5 == 0)], at=at, **where)


@dataclass(frozen=True, slots=True)
class Response:
    """What a response cost and whose it is, from what was written, not from any view."""

    member: Member
    day: date
    repository: str
    model: str
    cost: Decimal


def responses(pipeline: UsagePipeline, members: Iterable[Member]) -> list[Response]:
    """Every response that was written; its price alone is asked of the database."""
    costs = dict(pipeline.select("SELECT session_id, cost FROM usage_costs"))
    models = dict(pipeline.select("SELECT session_id, model FROM usage_costs"))
    found = []
    for member in members:
        for place, repository in enumerate(member.repositories):
            for number, day in enumerate(member.days):
                if place and number % 3:
                    continue
                name = f"{member.folder}-{repository}-{day}"
                cost = costs[name]
                assert isinstance(cost, Decimal)
                found.append(Response(member, day, repository, str(models[name]), cost))
    return found


def spent(found: Iterable[Response], key: str) -> Mapping[str, tuple[Decimal, Decimal, Decimal]]:
    """Name -> USD of the last seven days, of the seven before, and in all."""
    sums: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    for one in found:
        name = {
            "team": one.member.team,
            "person": one.member.person,
            "project": one.repository,
            "model": one.model,
        }[key]
        ago = (LAST - one.day).days
        for place, within in enumerate((ago < 7, 7 <= ago < 14, True)):
            if within:
                sums[name][place] += one.cost
    return {name: (a, b, c) for name, (a, b, c) in sums.items()}
