"""What was billed, from the files to `usage_own_billed`: rows of a file, and the derivation.

A fork goes on from its parent's bill, so the files of a family are looked at together, and only
those of the families that commits have touched.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from session_pipeline_dagster.contract.derivation import (
    Changes,
    Derivation,
    DerivedTable,
    Inputs,
    Row,
)
from session_pipeline_dagster.contract.processor import Session
from session_pipeline_dagster.names import short
from session_pipeline_dagster.processors.usage.money.baseline import (
    CostState,
    Trailed,
    own_billed,
)
from session_pipeline_dagster.processors.usage.money.cost_states import Billed, BilledModel, read
from session_pipeline_dagster.processors.usage.money.reconciled import (
    OWN_BILLED_COLUMNS,
    own_billed_rows,
)
from session_pipeline_dagster.processors.usage.money.trails import trail_of
from session_pipeline_dagster.processors.usage.unique import GONE
from session_pipeline_dagster.transcripts.records import Transcript

NAME = "usage_own_billed"
_RECORDS_BILLS = (2, 1, 155)
"""Claude Code 2.1.154 wrote no cost-state, 2.1.330 did: older files can be nobody's parent whose
bill is known."""
_SESSION = "session:"

TABLES: Mapping[str, str] = {
    "usage_billed": """
        session_file VARCHAR, session_id VARCHAR, username VARCHAR, line_number BIGINT,
        start_time TIMESTAMPTZ, total_cost DECIMAL(38, 12), has_unknown_model_cost BOOLEAN,
        lines_added BIGINT, lines_removed BIGINT, api_duration_ms BIGINT, duration_ms BIGINT,
        tool_duration_ms BIGINT""",
    "usage_billed_models": """
        session_file VARCHAR, session_id VARCHAR, line_number BIGINT, model VARCHAR,
        input_tokens BIGINT, output_tokens BIGINT, thinking_tokens BIGINT,
        cache_creation_tokens BIGINT, cache_creation_5m_tokens BIGINT,
        cache_creation_1h_tokens BIGINT, cache_read_tokens BIGINT, web_search_requests BIGINT,
        cost DECIMAL(38, 12)""",
    "usage_trails": """
        session_file VARCHAR, session_id VARCHAR, username VARCHAR, project VARCHAR,
        began_us BIGINT, digests BLOB, billed_after VARCHAR, asked_by VARCHAR[]""",
    "usage_trail_links": "session_file VARCHAR, link VARCHAR",
}
TRAILS = ("usage_trails", "usage_trail_links")


def billed_rows(
    session: Session, session_id: str, project: str | None, began_us: int
) -> dict[str, list[Row]]:
    """What a file of a main thread says was billed, and what ties it to others of its family."""
    transcript, key = session.transcript, session.key
    asides = transcript.asides.get("cost-state", ())
    rows: dict[str, list[Row]] = {table: [] for table in TABLES}
    read_well: set[int] = set()
    for aside in asides:
        billed = read(aside.line)
        if billed is None:
            continue
        read_well.add(aside.number)
        whose = (key, session_id, session.user, aside.number)
        rows["usage_billed"].append((*whose, *_said(billed)))
        rows["usage_billed_models"] += [
            (key, session_id, aside.number, *_model(model)) for model in billed.models
        ]
    if not (asides or _may_be_a_parent(transcript)):
        return rows
    trail = trail_of(transcript)
    after = " ".join(f"{line}:{at}" for line, at in trail.billed_after if line in read_well)
    asked = [short(name) for name in trail.asked_by]
    of = (key, session_id, session.user, project, began_us)
    rows["usage_trails"].append((*of, trail.digests, after, asked))
    rows["usage_trail_links"] += [(key, short(link)) for link in trail.links(session_id)]
    return rows


def _said(billed: Billed) -> Row:
    return (
        billed.start_us,
        billed.total_cost,
        billed.has_unknown_model_cost,
        billed.lines_added,
        billed.lines_removed,
        billed.api_duration_ms,
        billed.duration_ms,
        billed.tool_duration_ms,
    )


def _model(model: BilledModel) -> Row:
    return (
        model.model,
        model.input_tokens,
        model.output_tokens,
        model.thinking_tokens,
        model.cache_creation_tokens,
        model.cache_creation_5m_tokens,
        model.cache_creation_1h_tokens,
        model.cache_read_tokens,
        model.web_search_requests,
        model.cost,
    )


def _may_be_a_parent(transcript: Transcript) -> bool:
    """Whether a version wrote it that records bills, though this file has none."""
    version = next((r.version for r in reversed(transcript.records) if r.version), "")
    parts = version.split(".")[:3]
    return all(p.isascii() and p.isdigit() for p in parts) and (
        tuple(int(p[:9]) for p in parts) >= _RECORDS_BILLS
    )


def _compute(inputs: Inputs) -> Changes:
    """The own bills of all sessions of the families that were touched."""
    models: dict[tuple[str, int], list[BilledModel]] = {}
    for key, line, *values in inputs.rows["models"]:
        made = BilledModel(*values)  # ty: ignore[invalid-argument-type]
        models.setdefault((str(key), _n(line)), []).append(made)
    billed: dict[str, dict[int, Billed]] = {}
    for key, line, start, cost, *rest in inputs.rows["billed"]:
        found = tuple(models.get((str(key), _n(line)), ()))
        one = Billed(start, Decimal(str(cost)), *rest, found)  # ty: ignore[invalid-argument-type]
        billed.setdefault(str(key), {})[_n(line)] = one
    files = {
        str(row[0]): _trailed(row, billed.get(str(row[0]), {})) for row in inputs.rows["trails"]
    }
    rows: list[Row] = []
    for family in _families(files, inputs.rows["links"]):
        for own in own_billed(family):
            rows += own_billed_rows(own)
    return Changes(
        removed={NAME: [str(key) for (key,) in inputs.rows["stood"]]},
        added={NAME: rows},
        notes={"budget_status": ["billed"]},
        numbers={"sessions_billed": len({(row[0], row[1]) for row in rows})},
    )


def _trailed(row: Row, billed: Mapping[int, Billed]) -> Trailed:
    key, session_id, user, project, gone, began, digests, asked, after = row
    places = [part.split(":") for part in str(after or "").split()]
    states = [CostState(int(at), billed[int(line)]) for line, at in places if int(line) in billed]
    return Trailed(
        str(key),
        str(session_id),
        str(user),
        None if project is None else str(project),
        gone is True,
        _n(began),
        digests if isinstance(digests, bytes) else b"",
        [str(name) for name in asked] if isinstance(asked, list) else [],
        states,
    )


def _families(files: Mapping[str, Trailed], links: Iterable[Row]) -> Sequence[Sequence[Trailed]]:
    """The files that share a name, directly or over others."""
    leader = {key: key for key in files}

    def of(key: str) -> str:
        while leader[key] != key:
            leader[key] = key = leader[leader[key]]
        return key

    first: dict[str, str] = {}
    for key, link in links:
        name, other = str(key), first.setdefault(str(link), str(key))
        if name in leader and other in leader:
            leader[of(name)] = of(other)
    found: dict[str, list[Trailed]] = {}
    for key in sorted(files):
        found.setdefault(of(key), []).append(files[key])
    return [*found.values()]


def _n(value: object) -> int:
    return value if isinstance(value, int) else 0


_PARTS = f"SELECT part FROM session_rollup_changes WHERE rollup = '{NAME}'"
_FILES = f"SELECT session_file FROM usage_trail_links WHERE link IN ({_PARTS})"
_OWN = DerivedTable(
    OWN_BILLED_COLUMNS, "concat_ws(chr(31), session_id, username, coalesce(model, ''))"
)

OWN_BILLED = Derivation(
    name=NAME,
    tables={NAME: _OWN},
    reads={
        # Only those that share something with another file are compared line by line.
        "trails": f"""SELECT session_file, session_id, username, project,
                session_file IN ({GONE}) AS gone, began_us,
                CASE WHEN session_file IN (
                    SELECT session_file FROM usage_trail_links WHERE link IN (
                        SELECT link FROM usage_trail_links WHERE link IN ({_PARTS})
                        GROUP BY link HAVING count(DISTINCT session_file) > 1)
                ) THEN digests ELSE ''::BLOB END AS digests, asked_by, billed_after
            FROM usage_trails WHERE session_file IN ({_FILES})""",
        "links": f"SELECT session_file, link FROM usage_trail_links WHERE link IN ({_PARTS})",
        "billed": f"""SELECT session_file, line_number, epoch_us(start_time), total_cost,
                has_unknown_model_cost, lines_added, lines_removed, api_duration_ms, duration_ms,
                tool_duration_ms
            FROM usage_billed WHERE session_file IN ({_FILES})
            ORDER BY session_file, line_number""",
        "models": f"""SELECT * EXCLUDE (session_id) FROM usage_billed_models
            WHERE session_file IN ({_FILES}) ORDER BY session_file, line_number, model""",
        "stood": f"""SELECT {_OWN.key} FROM {NAME}
            WHERE concat('{_SESSION}', session_id) IN ({_PARTS})""",
    },
    compute=_compute,
    # Whole families, by the names that their files share: before and after a commit.
    changed="""WITH RECURSIVE family AS (
            SELECT link FROM usage_trail_links SEMI JOIN batch USING (session_file)
            UNION
            SELECT found.link
            FROM family
            JOIN usage_trail_links AS shared ON shared.link = family.link
            JOIN usage_trail_links AS found ON found.session_file = shared.session_file)
        SELECT link FROM family""",
    deps=("usage_billed",),
)
