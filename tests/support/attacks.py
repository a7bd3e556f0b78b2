"""The attacks of a forger by name: those that move nothing, and those that must be seen."""

from datetime import timedelta
from itertools import chain

from forger import (
    FIRST,
    LAST,
    Attack,
    Change,
    backwards,
    claims_sessions,
    envelope,
    failed,
    first_line_at,
    fresh_ids,
    fresh_tools,
    fresh_uuids,
    many_times,
    one_answer_at,
    one_id,
    only,
    other_model,
    other_tools,
    shifted,
    sidechain,
    succeeded,
    swapped_uuids,
    synthetic,
    times_all,
    tokens,
    uuids_all,
    wrapped,
)

HOUR, DAY, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)
ANCIENT, FAR = "0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.000Z"

_LIES: dict[str, tuple[Change, ...]] = {
    "plain": (),
    "raised": (tokens(1000, 7),),
    "huge": (tokens(1, 10**15),),
    "lowered": (tokens(0, 1),),
    "zero": (tokens(0),),
    "negative": (tokens(-1, -5),),
    "failed": (failed,),
    "succeeded": (succeeded,),
    "other model": (other_model,),
    "synthetic": (synthetic,),
    "other tools": (other_tools, failed),
    "main thread": (sidechain(False), tokens(1, 99)),
    "sidechain": (sidechain(True), tokens(1, 99)),
    "other ids": (fresh_ids, tokens(3)),
    "other tool ids": (fresh_tools, failed),
    "one id": (one_id("msg_forged"),),
    "one gateway id": (one_id("chatcmpl-1"), tokens(0, 3)),
    "no request": (envelope(requestId=None),),
    "claims sessions": (claims_sessions,),
    "meta": (envelope(isMeta=True),),
    "other folder": (envelope(cwd="/home/forger/loot"), tokens(2)),
    "only answers": (only("assistant"), tokens(2)),
    "only user lines": (only("user"), failed),
    "wrapped": (wrapped, tokens(2)),
    "many times": (many_times, tokens(2)),
    "backwards": (backwards, tokens(2)),
}
"""What the copies say that the originals do not."""

_OTHER_UUIDS: dict[str, tuple[Change, ...]] = {
    "uuids new": (fresh_uuids,),
    "uuids missing": (uuids_all(...),),
    "uuids null": (uuids_all(None),),
    "uuids empty": (uuids_all(""),),
    "uuids one": (uuids_all("00000000-0000-4000-8000-000000000000"),),
}
"""Ways to have no uuid of another's line: whatever is said then is the forger's own."""

_EARLIER: dict[str, tuple[Change, ...]] = {
    "hour earlier": (shifted(-HOUR),),
    "two days earlier": (shifted(-2 * DAY),),
    "year earlier": (shifted(-YEAR),),
    "ancient": (times_all(ANCIENT),),
    "first line hour earlier": (first_line_at(-HOUR),),
    "two old first lines": (first_line_at(-YEAR, -YEAR),),
}
"""Claims of an earlier time that the other lines of the file bear out."""

_NO_CLAIM: dict[str, tuple[Change, ...]] = {
    "hour later": (shifted(HOUR),),
    "year later": (shifted(YEAR),),
    "far future": (times_all(FAR),),
    "one old first line": (shifted(HOUR), first_line_at(-YEAR)),
    "one ancient first line": (shifted(HOUR), first_line_at(ANCIENT)),
    "one old answer": (shifted(HOUR), one_answer_at(-YEAR)),
    "unreadable first line": (shifted(HOUR), first_line_at("yesterday", "0000-00-00")),
}
"""Times that win nothing against the original: later, or so old that the file speaks against it."""

_TIES: dict[str, tuple[Change, ...]] = {
    "same times": (),
    "no times": (times_all(None),),
    "unreadable times": (times_all("never"),),
}
"""Times that win nothing either, but for a smaller name."""


def _attacks() -> list[Attack]:
    made = [
        Attack(f"{uuids}, {lie}", (*how, *what), own_names=lie == "plain")
        for uuids, how in _OTHER_UUIDS.items()
        for lie, what in _LIES.items()
        if uuids == "uuids new" or lie in ("plain", "raised", "failed", "one gateway id")
    ]
    made += [
        Attack(f"uuids new, {time}, {lie}", (fresh_uuids, *what, *when))
        for time, when in chain(_EARLIER.items(), _NO_CLAIM.items(), _TIES.items())
        for lie, what in _LIES.items()
        if lie in ("raised", "failed")
    ]
    made += [
        Attack(f"uuids kept, {time}, {lie}", (*what, *when))
        for time, when in _NO_CLAIM.items()
        for lie, what in _LIES.items()
        if time == "hour later" or lie in ("raised", "failed")
    ]
    made += [
        Attack(f"uuids kept, {time}, {lie}", (*what, *when), names=(LAST,), own_names=True)
        for time, when in _TIES.items()
        for lie, what in _LIES.items()
        if time == "same times" or lie in ("raised", "failed")
    ]
    made += [
        Attack("uuids swapped, hour later", (swapped_uuids, tokens(5), shifted(HOUR))),
        Attack(
            "early work under the same ids, copies an hour later",
            (shifted(HOUR), tokens(5)),
            also=(fresh_uuids, shifted(-YEAR), tokens(9)),
        ),
        Attack(
            "early work under the same ids, copies as they are",
            (failed,),
            names=(LAST,),
            also=(fresh_uuids, shifted(-YEAR), tokens(9)),
        ),
        Attack("uuids swapped, other ids", (swapped_uuids, fresh_ids, tokens(5), shifted(HOUR))),
    ]
    return made


ATTACKS = _attacks()
TAKEOVERS = [
    Attack(f"takeover, {time}, {lie}", (*what, *when))
    for time, when in _EARLIER.items()
    for lie, what in _LIES.items()
    if time == "hour earlier" or lie in ("plain", "raised")
] + [Attack("takeover, smaller name", (), names=(FIRST,))]
"""Copies with their uuids that win by the rule as written. Expected of the check on responses that
several users hold: it names the forger beside each victim."""
