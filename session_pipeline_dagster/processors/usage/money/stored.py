"""The rows that are kept of cost-states and trails, and from rows back to files of families.

What a row means is `cost_states.py` and `trails.py`; what follows from them is `baseline.py`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime

from session_pipeline_dagster.contract.derivation import Row
from session_pipeline_dagster.processors.usage.money.baseline import CostState, Trailed
from session_pipeline_dagster.processors.usage.money.cost_states import Billed, BilledModel
from session_pipeline_dagster.processors.usage.money.trails import Trail
from session_pipeline_dagster.transcripts.records import epoch_us

MAX_BILLS = 500
"""Of one file, the last ones: each is compared with all before it."""

TABLES: Mapping[str, str] = {
    "usage_billed": """
        session_file VARCHAR, session_id VARCHAR, username VARCHAR, line_number BIGINT,
        start_time TIMESTAMPTZ, total_cost DECIMAL(38,12), has_unknown_model_cost BOOLEAN,
        lines_added BIGINT, lines_removed BIGINT, api_duration_ms BIGINT, duration_ms BIGINT,
        tool_duration_ms BIGINT, trail_lines BIGINT""",
    "usage_billed_models": """
        session_file VARCHAR, session_id VARCHAR, line_number BIGINT, model VARCHAR,
        input_tokens BIGINT, output_tokens BIGINT, thinking_tokens BIGINT,
        cache_creation_tokens BIGINT, cache_creation_5m_tokens BIGINT,
        cache_creation_1h_tokens BIGINT, cache_read_tokens BIGINT, web_search_requests BIGINT,
        cost DECIMAL(38,12)""",
    "usage_trails": """
        session_file VARCHAR, session_id VARCHAR, username VARCHAR, project VARCHAR,
        began_at TIMESTAMPTZ, root VARCHAR, digests BLOB, asked_by VARCHAR""",
    "usage_trail_links": "session_file VARCHAR, link VARCHAR",
}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose file it is.

    Attributes:
        began_us: when its conversation began, microseconds since 1970-01-01 UTC.
    """

    session_file: str
    session_id: str
    username: str
    project: str | None
    began_us: int


def rows_of(owner: Owner, trail: Trail, bills: Mapping[int, Billed]) -> Mapping[str, Sequence[Row]]:
    """The rows of a main thread's file, for each of `TABLES`.

    Args:
        bills: line number -> what could be read there; others have no row.
    """
    key, session, user = owner.session_file, owner.session_id, owner.username
    kept = [(line, after, bills[line]) for line, after in trail.billed_after if line in bills]
    kept = kept[-MAX_BILLS:]
    links = trail.links(session)
    whose = (key, session, user, owner.project, owner.began_us)
    return {
        "usage_billed": [
            (key, session, user, line, *astuple(bill)[:-1], after) for line, after, bill in kept
        ],
        "usage_billed_models": [
            (key, session, line, *astuple(model)) for line, _, bill in kept for model in bill.models
        ],
        "usage_trails": [(*whose, trail.root, trail.digests, json.dumps(trail.asked_by))],
        "usage_trail_links": [(key, link) for link in links],
    }


TRAILS = """SELECT session_file, session_id, username, project, began_at,
        CASE WHEN session_file IN (
            SELECT session_file FROM usage_trail_links SEMI JOIN (
                SELECT link FROM usage_trail_links GROUP BY link HAVING count(*) > 1
            ) AS several USING (link)) THEN digests ELSE ''::BLOB END AS digests,
        asked_by, session_file IN ({gone}) AS gone
        FROM usage_trails WHERE session_file IN ({files})"""
"""Without the digests of a file that stands alone, as most do: it has nothing to be compared with.

SELECTs to be filled in: `files`, the files of whole families (`trails.files_of`), and for the
trails `gone`, the files that nobody has any more.
"""
BILLS = """SELECT session_file, line_number, trail_lines, start_time, total_cost,
        has_unknown_model_cost, lines_added, lines_removed, api_duration_ms, duration_ms,
        tool_duration_ms FROM usage_billed WHERE session_file IN ({files})"""
MODELS = """SELECT session_file, line_number, model, input_tokens, output_tokens, thinking_tokens,
        cache_creation_tokens, cache_creation_5m_tokens, cache_creation_1h_tokens,
        cache_read_tokens, web_search_requests, cost
        FROM usage_billed_models WHERE session_file IN ({files})"""
LINKS = "SELECT session_file, link FROM usage_trail_links WHERE session_file IN ({files})"


def families(
    trails: Iterable[Sequence[object]],
    bills: Iterable[Sequence[object]],
    models: Iterable[Sequence[object]],
    links: Iterable[Sequence[object]],
) -> Sequence[Sequence[Trailed]]:
    """The files that were read by `TRAILS`, `BILLS`, `MODELS` and `LINKS`, family by family."""
    of_line: dict[tuple[object, object], list[BilledModel]] = {}
    for file, line, *values in models:
        of_line.setdefault((file, line), []).append(BilledModel(*values))  # ty: ignore
    states: dict[object, list[tuple[int, CostState]]] = {}
    for file, line, after, start, *values in bills:
        named = sorted(of_line.get((file, line), ()), key=lambda model: model.model)
        bill = Billed(_us(start), *values, tuple(named))  # ty: ignore
        states.setdefault(file, []).append((line, CostState(after, bill)))  # ty: ignore
    found: dict[str, Trailed] = {}
    for file, session, user, project, began, digests, asked_by, gone in trails:
        ordered = sorted(states.get(file, ()), key=lambda state: state[0])
        found[str(file)] = Trailed(
            session_file=str(file),
            session_id=str(session),
            username=str(user),
            project=None if project is None else str(project),
            gone=bool(gone),
            began_us=_us(began) or 0,
            digests=bytes(digests),  # ty: ignore[invalid-argument-type]
            asked_by=json.loads(str(asked_by)),
            states=[state for _, state in ordered],
        )
    return _joined(found, links)


def _us(time: object) -> int | None:
    return epoch_us(time) if isinstance(time, datetime) else None


def _joined(
    files: Mapping[str, Trailed], links: Iterable[Sequence[object]]
) -> Sequence[Sequence[Trailed]]:
    """Files that share a link, or share one with a file that shares one, together."""
    above = {name: name for name in files}

    def top(name: str) -> str:
        while above[name] != name:
            above[name] = above[above[name]]
            name = above[name]
        return name

    first: dict[object, str] = {}
    for file, link in links:
        if (name := str(file)) in above:
            above[top(name)] = top(first.setdefault(link, name))
    together: dict[str, list[Trailed]] = {}
    for name, file in files.items():
        together.setdefault(top(name), []).append(file)
    return list(together.values())
