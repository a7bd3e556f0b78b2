"""Small groups: under which team what a team did is shown, so that no few people are seen.

A cell is what one team did in one span of time. Cells are never shown beside a sum that holds them,
so what is merged can only be told apart by somebody who knows one of its parts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

ROOT = "(org)"
"""The parent of teams that have none."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a team did.

    Attributes:
        active: how many people did it.
        counted: how many of them are counted with this team where several are put together: each
            person once, whose folders are of two teams too.
    """

    team: str
    active: int
    counted: int


def labels(
    cells: Iterable[Cell], parents: Mapping[str, str], least: int
) -> Mapping[str, str | None]:
    """Team -> the team it is shown as: itself, or one above it; None: not at all.

    A cell of fewer than `least` active people is merged into its parent's. Where it is the only one
    of its siblings, the next smallest goes with it, or it would follow from their sum. What has
    come together at the root and is still too small takes further ones with it, the smallest
    first; if there are none, it is shown nowhere.

    Args:
        parents: team -> the one above it; a team that is missing stands below `ROOT`.
    """
    own = {cell.team: cell for cell in cells if cell.active}

    def people(teams: Sequence[str]) -> int:
        if len(teams) == 1:
            return own[teams[0]].active
        return sum(own[team].counted for team in teams)

    above = _tree(own, parents)
    found: dict[str, str | None] = {}
    below: dict[str, dict[str, Sequence[str]]] = {}
    for team in above:
        kids = below.pop(team, {})
        # The smallest last, so that it is the next to go.
        sizes = sorted(((people(teams), kid) for kid, teams in kids.items()), reverse=True)
        shown = [kid for size, kid in sizes if size >= least]
        merged = [team] if team in own else []
        merged += [one for size, kid in sizes if size < least for one in kids[kid]]
        if len(kids) - len(shown) == 1 and shown:
            merged += kids[shown.pop()]
        while team == ROOT and merged and people(merged) < least and shown:
            merged += kids[shown.pop()]
        found |= {one: kid for kid in shown for one in kids[kid]}
        if team == ROOT:
            found |= dict.fromkeys(merged, ROOT if merged and people(merged) >= least else None)
        elif merged:
            below.setdefault(above[team], {})[team] = merged
    return found


def _tree(teams: Iterable[str], parents: Mapping[str, str]) -> Mapping[str, str]:
    """Each of the teams, and each above them -> its parent; before its parent, the root last. A
    circle of parents is cut where it closes, and hangs below the root."""
    above: dict[str, str] = {}
    depths = {ROOT: 0}
    for team in teams:
        way: list[str] = []
        while team not in depths and team not in way:
            way.append(team)
            above[team] = parents.get(team) or ROOT
            team = above[team]
        if way and team not in depths:
            above[way[-1]] = ROOT
        depth = depths.get(team, 0)
        depths |= {one: depth + n for n, one in enumerate(reversed(way), 1)}
    above[ROOT] = ROOT
    return {team: above[team] for team in sorted(depths, key=lambda one: (-depths[one], one))}
