"""What known transcripts cost, to the last digit, whatever the order of files and passes."""

import os
from decimal import Decimal
from pathlib import Path

import pytest
from xxhash import xxh3_64_hexdigest

from lines import UsagePipeline
from places import DATA, ROOT
from session_pipeline_dagster.settings import Layout

ORDERS = int(os.environ.get("ORDERS", "1"))
GOLDEN = DATA / "golden"
EXAMPLES = ROOT / "examples" / "sessions"
COSTS = {
    "cases/01_simple": "0.0004545",
    "cases/02_block_per_line": "0.0031545",
    "cases/03_streaming_partial": "0.0025395",
    "cases/04_partial_after_final": "0.0025395",
    "cases/06_gateway_reused_id": "0.00363",
    "cases/07_fork_copies_history": "0.00142965",
    "cases/08_subagents_dir": "0.0006336",
    "cases/09_legacy_agent_file": "0.000522",
    "cases/16_cache_ttl_prices": "13.80",
    "cases/23_advisor_iterations": "0.05283",
    "cases/31_split_disagrees_with_total": "0.00489675",
    "cases/32_resume_copy_drops_requestId": "0.000168",
    "cases/33_never_final_output": "0.004425",
    "real/1.0.30": "0.023148",
    "real/2.0.77": "0.127458",
    "real/2.1.154": "0.128700",
    "real/2.1.330": "0.103224",
}
_COST = """SELECT (SELECT sum(cost) FROM usage_daily), (SELECT sum(cost) FROM usage_slots),
    (SELECT sum(cost) FROM usage_costs)"""


@pytest.fixture
def pipeline(tmp_path: Path) -> UsagePipeline:
    return UsagePipeline(tmp_path, Layout.PROJECTS)


def files(case: str) -> list[tuple[str, bytes]]:
    root = GOLDEN / case / "projects"
    found = sorted(root.rglob("*.jsonl"))
    return [(path.relative_to(root).as_posix(), path.read_bytes()) for path in found]


@pytest.mark.slow
@pytest.mark.parametrize("case", COSTS)
def test_a_known_transcript_costs_what_it_costs(pipeline: UsagePipeline, case: str) -> None:
    for key, content in files(case):
        pipeline.write_bytes(key, content)
    pipeline.run()
    assert pipeline.select(_COST) == [(Decimal(COSTS[case]),) * 3]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(ORDERS))
@pytest.mark.parametrize("case", [case for case in COSTS if len(files(case)) > 1])
def test_the_order_of_files_and_passes_changes_no_cost(
    pipeline: UsagePipeline, case: str, seed: int
) -> None:
    """Each file comes in two parts, and every part is a pass of its own."""
    parts = [(key, content, half) for key, content in files(case) for half in (True, False)]
    parts.sort(key=lambda part: xxh3_64_hexdigest(f"{seed} {part[0]} {part[2]}".encode()))
    whole: set[str] = set()
    for key, content, half in parts:
        if key in whole:
            continue
        lines = content.splitlines(keepends=True)
        pipeline.write_bytes(key, b"".join(lines[: len(lines) // 2]) if half else content)
        whole |= set() if half else {key}
        pipeline.run()
    assert pipeline.select(_COST) == [(Decimal(COSTS[case]),) * 3]


def test_what_a_cache_is_written_for_decides_the_price_by_the_day(pipeline: UsagePipeline) -> None:
    for key, content in files("cases/16_cache_ttl_prices"):
        pipeline.write_bytes(key, content)
    pipeline.run()
    days = pipeline.select("SELECT sum(cost) FROM usage_daily GROUP BY day ORDER BY day")
    assert days == [(Decimal(cost),) for cost in ("3.75", "6.00", "3.75", "0.30")]


def test_the_examples_cost_what_was_computed_by_hand(tmp_path: Path) -> None:
    pipeline = UsagePipeline(tmp_path)
    for path in sorted(EXAMPLES.rglob("*.jsonl")):
        pipeline.write_bytes(path.relative_to(EXAMPLES).as_posix(), path.read_bytes())
    pipeline.run()
    found = pipeline.select("SELECT username, sum(cost) FROM usage_daily GROUP BY ALL ORDER BY ALL")
    assert found == [("alice", Decimal("0.59211205")), ("bob", Decimal("0.63361225"))]
