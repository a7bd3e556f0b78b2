"""`python -m benchmarks.money`: what prices cost, on responses that are made up in the store.

Every step is a process of its own, and its answer is checked. The join with the prices takes the
CPU of a SELECT with it, less that of the same SELECT of responses without.
"""

import argparse
import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.measuring import Pass, measure
from session_pipeline_dagster.passes.runner import recompute
from session_pipeline_dagster.processors.usage import UsageProcessor, unique
from session_pipeline_dagster.processors.usage.money.costing import NEEDS, PARTS, priced
from session_pipeline_dagster.settings import read_settings
from session_pipeline_dagster.store.database import open_store

_MODELS = {
    "anthropic": """claude-opus-4-8 claude-opus-4-7 claude-opus-4-6 claude-opus-4-5-20251101
        claude-opus-4-1-20250805 claude-opus-4-20250514 claude-opus-5-5 claude-sonnet-5
        claude-sonnet-4-6 claude-sonnet-4-5-20250929 claude-sonnet-4-20250514 claude-fable-5
        claude-3-7-sonnet-20250219 claude-haiku-5-5 claude-haiku-4-5-20251001
        claude-3-5-haiku-20241022 claude-unheard-of""".split(),
    "aws": """claude-opus-4-8 claude-sonnet-4-6 claude-haiku-4-5-20251001
        claude-sonnet-4-5-20250929""".split(),
    "google": """gemini-2.5-pro gemini-2.5-flash gemini-3-pro-preview claude-opus-4-8
        claude-sonnet-4-6 claude-haiku-4-5-20251001 claude-opus-4-7 claude-opus-4-6
        claude-sonnet-4-5-20250929""".split(),
}
_PAIRS = [(provider, model) for provider, models in _MODELS.items() for model in models]
_DISCOUNT = '[[discount]]\npercent = 12.5\nfrom = "2025-01-01"\n'
_LEFT = Decimal("0.875")
_TOKENS = (*unique.COUNTERS[:7],)
_ROUNDS = 5
_START = 1_735_689_600
"""2025-01-01, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Made:
    """What is made up: `a_day` responses a day of so many people, `span` days to a session."""

    name: str
    users: int
    days: int
    a_day: int
    span: int

    @property
    def responses(self) -> int:
        """How many there are."""
        return self.users * self.days * self.a_day


JOIN = Made("join", 1000, 100, 10, 1)
"""A million responses; 100,000 sessions of ten quarters of an hour."""
QUARTER = Made("quarter", 5000, 91, 1, 7)
YEAR = Made("year", 5000, 365, 1, 7)
_ALL = {made.name: made for made in (JOIN, QUARTER, YEAR)}


def _responses(made: Made) -> str:
    """SELECT of rows of usage_messages, made by chance, the same each time."""
    providers, models = zip(*_PAIRS, strict=True)
    return f"""
        WITH numbered AS (
            SELECT n, n // {made.users * made.a_day} AS nth,
                n // {made.a_day} % {made.users} AS who,
                n % {made.a_day} AS quarter, (hash(n) >> 8)::BIGINT AS chance,
                1 + chance % {len(_PAIRS)} AS pair
            FROM range({made.responses}) AS numbers(n))
        SELECT format('user{{}}', who) AS username,
            md5(format('{{}} {{}}', who, nth // {made.span})) AS session_id,
            format('{{}}/{{}}.jsonl', username, session_id) AS session_file,
            'msg_' || md5(n::VARCHAR) AS message_key, message_key AS message_id,
            md5(format('line {{}}', n)) AS line_digest, format('project{{}}', who % 200) AS project,
            {[*providers]}[pair] AS provider, {[*models]}[pair] AS model, false AS is_sidechain,
            to_timestamp({_START} + nth * 86400 + quarter * 900 + chance % 900) AS sent_at,
            sent_at AS began_at, sent_at AS file_started_at, false AS sent_at_inferred,
            chance % 3000 AS input_tokens, chance % 1777 AS output_tokens,
            CASE WHEN chance % 41 = 0 THEN 250000 ELSE chance % 20011 END AS cache_read_tokens,
            chance % 5003 AS cache_creation_tokens, cache_creation_tokens // 5
                AS cache_creation_5m_tokens,
            cache_creation_tokens - cache_creation_5m_tokens AS cache_creation_1h_tokens,
            (chance % 100 = 0)::BIGINT AS web_search_requests,
            CASE WHEN chance % 23 = 0 THEN 'fast' ELSE 'standard' END AS speed,
            CASE WHEN chance % 29 = 0 THEN 'batch' ELSE 'standard' END AS service_tier,
            chance % 50 = 0 AS output_partial, chance % 999 AS output_characters,
            chance % 97 AS line_number, 'claude' AS agent,
            format('branch{{}}', who % 5) AS git_branch
        FROM numbered"""


def make(made: Made) -> object:
    """Fill a store as passes over files would, and bring it up to date."""
    settings, processor = read_settings(made=None), UsageProcessor()
    store = open_store(settings)
    store.prepare(processor)
    files = "FROM (SELECT DISTINCT session_file, session_id, username, project FROM usage_messages)"
    with store.transaction() as connection:
        for sql in (
            f"INSERT INTO usage_messages BY NAME {_responses(made)}",
            f"""INSERT INTO usage_sessions BY NAME SELECT *, format('org/{{}}', project)
                AS repository {files}""",
            f"""INSERT INTO session_processor_state BY NAME SELECT session_file, username,
                'usage' AS processor_name, {processor.version} AS processor_version {files}""",
            """INSERT INTO session_rollup_changes SELECT 'usage_slots', day FROM (
                SELECT DISTINCT make_timestamp(epoch_us(sent_at))::DATE::VARCHAR AS day
                FROM usage_messages)""",
            "INSERT INTO session_rollup_changes VALUES ('model_prices', 'models')",
        ):
            connection.execute(sql)
    recompute(processor.under(settings), store, settings)
    return _cost()


def again(_made: Made) -> object:
    """Bring all up to date under the settings as they are now."""
    settings = read_settings(made=None)
    store, processor = open_store(settings), UsageProcessor().under(settings)
    store.prepare(processor)
    recompute(processor, store, settings)
    return _cost()


def _cost() -> object:
    sql = "SELECT sum(cost), sum(unpriced_messages), count(*) FROM usage_slots"
    ((_, (row,)),) = open_store(read_settings(made=None)).query(sql)
    return row


def _seconds(sql: str) -> float:
    """CPU of a SELECT whose rows are all made, and thrown away."""
    began = time.process_time()
    open_store(read_settings(made=None)).query(sql)
    return time.process_time() - began


def join(_made: Made) -> object:
    """CPU seconds of responses with prices, and without; the median of alternating rounds."""
    sums = [f"sum({name})" for name in (*_TOKENS, *PARTS, "cost")]
    beside = "max(provider), max(model), max(sent_at), max(speed), max(service_tier)"
    with_prices = f"SELECT {', '.join(sums)}, {beside} FROM ({priced(())})"
    tokens = ", ".join(sums[: len(_TOKENS)])
    without = f"SELECT {tokens}, {beside} FROM ({unique.messages(NEEDS)})"
    pairs = [(_seconds(with_prices), _seconds(without)) for _ in range(_ROUNDS)]
    return [statistics.median(both) for both in zip(*pairs, strict=True)]


def bill(_made: Made) -> None:
    """Give every session a bill: what its lines say, and for each third one a tenth more."""
    more = "CASE WHEN hash(session_id) % 3 = 0 THEN 1.1 ELSE 1 END"
    names = (*_TOKENS, "cost")
    sums = ", ".join(f"sum({name} * {more})::DECIMAL(38, 12) AS {name}" for name in names)
    with open_store(read_settings(made=None)).transaction() as connection:
        connection.execute(f"""INSERT INTO usage_own_billed BY NAME SELECT session_id, username,
            min(project) AS project, model, false AS unknown_model_cost, max(day) AS last_day,
            {sums} FROM usage_slots WHERE unpriced_messages = 0 GROUP BY ALL""")


def reconciled(_made: Made) -> object:
    """Everything of the view."""
    sql = """SELECT status, count(DISTINCT session_id), count(*), sum(unlogged_cost),
            sum(logged_input_tokens), any_value(project), any_value(reason)
        FROM usage_reconciled GROUP BY ALL ORDER BY ALL"""
    ((_, rows),) = open_store(read_settings(made=None)).query(sql)
    return {row[0]: row[1:3] for row in rows}


_STEPS: Mapping[str, Callable[[Made], object]] = {
    step.__name__: step for step in (make, again, join, bill, reconciled)
}


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder, and the steps that were measured there."""

    folder: Path
    smaller: int
    passes: list[Pass]

    def run(self, name: str, made: Made, command: Sequence[str], **settings: object) -> str:
        """One process over the store of `made`; what it printed."""
        answer = self.folder / "answer.txt"
        environment = {
            "SESSION_PIPELINE_DATABASE": str(self.folder / f"{made.name}.duckdb"),
            **{f"SESSION_PIPELINE_{key}": str(value) for key, value in settings.items()},
        }
        self.passes.append(measure(name, command, answer, 0, environment))
        return answer.read_text()

    def step(self, name: str, made: Made, step: str, **settings: object) -> Any:
        """A step of this module."""
        command = [sys.executable, "-m", "benchmarks.money", "--step", step, "--of", made.name]
        command += ["--smaller", str(self.smaller)]
        return json.loads(self.run(name, made, command, **settings))

    def recost(self, made: Made, memory_mb: int) -> None:
        """Take a discount, with no session file anywhere; every digit must be right."""
        prices = self.folder / "prices.toml"
        prices.write_text("")
        before = self.step(f"{made.name}: made", made, "make", DATABASE_MEMORY_MB=2000)
        prices.write_text(_DISCOUNT)
        name = f"{made.name}: costed again, {memory_mb} MB"
        after = self.step(name, made, "again", PRICES=prices, DATABASE_MEMORY_MB=memory_mb)
        wanted = [str(Decimal(before[0]) * _LEFT), *before[1:]]
        if [Decimal(after[0]), *after[1:]] != [Decimal(wanted[0]), *wanted[1:]]:
            raise SystemExit(f"{name}: {after}, it should be {wanted}")
        (self.folder / f"{made.name}.duckdb").unlink()

    def show(self) -> None:
        """The table."""
        print(f"{'step':44}{'wall s':>10}{'CPU s':>10}{'peak MB':>10}")
        for one in self.passes:
            print(f"{one.name:44}{one.wall:10.2f}{one.cpu:10.2f}{one.peak_mb:10.0f}")


def main() -> None:
    """Every step over every store; or one step, for the process that it has of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", choices=_STEPS)
    parser.add_argument("--of", choices=_ALL)
    parser.add_argument("--smaller", type=int, default=1, help="divides the number of people")
    given = parser.parse_args()
    if given.step:
        made = replace(_ALL[given.of], users=_ALL[given.of].users // given.smaller)
        print(json.dumps(_STEPS[given.step](made), default=str))
        return
    folder = Path("var/bench-money").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    bench = Bench(folder, given.smaller, [])
    bench.step(f"{JOIN.name}: made", JOIN, "make", DATABASE_MEMORY_MB=2000)
    prices = folder / "prices.toml"
    prices.write_text(_DISCOUNT)
    program = str(Path(sys.executable).with_name("session-pipeline"))
    diff = [program, "prices", "diff", "--json"]
    bench.run("prices diff, nothing changes", JOIN, diff)
    changed = json.loads(bench.run("prices diff, everything does", JOIN, diff, PRICES=prices))
    with_prices, without = bench.step("responses with and without prices", JOIN, "join")
    bench.step("bills", JOIN, "bill")
    found = bench.step("usage_reconciled", JOIN, "reconciled")
    for memory_mb in (128, 512):
        for made in (QUARTER, YEAR):
            bench.recost(made, memory_mb)
    bench.show()
    print(f"pricing join: {with_prices - without:.2f} s of CPU ({with_prices:.2f} - {without:.2f})")
    print(f"usage_reconciled: {found}; prices diff: {len(changed['rows'])} months of models")


if __name__ == "__main__":
    main()
