"""Histories of resumes, forks and crashes with known truth, through reader, trails and SQL."""

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from random import Random

import pytest

from billed_files import trail, trailed
from billed_histories import HAIKU, NAMES, OPUS, RATES, RISE, Counts, History, Truth, plus, rates
from billed_tables import insert, price, reconciled, slot, store, write
from session_pipeline_dagster.processors.usage.money.baseline import Trailed, own_billed
from session_pipeline_dagster.processors.usage.money.trails import TOUCHED, files_of

HISTORIES = 1_200
COLUMNS = (
    "input_tokens output_tokens cache_creation_5m_tokens cache_creation_1h_tokens "
    "cache_read_tokens web_search_requests"
).split()
TOUCHED_LINKS = f"FROM ({TOUCHED}) AS touched(link)"
Row = dict[str, object]


def prices() -> list[tuple[object, ...]]:
    def per_million(model: str, factor: int = 1) -> list[str]:
        fresh, out, short, long, read, _ = (Decimal(rate) * factor for rate in RATES[model])
        return [str(rate) for rate in (fresh, out, read, short, long)]

    before = RISE - timedelta(days=1)
    return [
        price(OPUS, per_million(OPUS), valid_to=before),
        price(OPUS, per_million(OPUS, 2), valid_from=RISE),
        price(OPUS, per_million(OPUS, 9), variant="fast"),
        price(HAIKU, per_million(HAIKU), upto_input=1_000),
        price(HAIKU, per_million(HAIKU, 5), over_input=1_000),
    ]


def family(history: History) -> list[Trailed]:
    return [
        trailed(f"dev/{name}.jsonl", name, file.text())
        for name, file in history.files.items()
        if not file.deleted
    ]


def slots(history: History) -> list[tuple[object, ...]]:
    return [
        slot(
            one.session, one.model, one.counts,
            cost=one.cost, partial_messages=int(one.partial), day=one.day,
        )
        for one in history.slots
    ]  # fmt: skip


@pytest.fixture(scope="module")
def histories() -> list[History]:
    return [History(seed) for seed in range(HISTORIES)]


@pytest.fixture(scope="module")
def found(histories: list[History]) -> dict[str, list[Row]]:
    return view_of(histories, [own for h in histories for own in own_billed(family(h))])


def view_of(histories: list[History], own: list) -> dict[str, list[Row]]:
    with store(prices()) as connection:
        insert(connection, "usage_slots", [row for h in histories for row in slots(h)])
        write(connection, own)
        rows: dict[str, list[Row]] = {}
        for row in reconciled(connection):
            rows.setdefault(str(row["session_id"]), []).append(row)
    return rows


def expected(truth: Truth) -> list[Row]:
    """The rows of one session, from what the simulator knows."""
    day = truth.last_day or truth.start_day
    if truth.unknown:
        logged = [tally.counts for tally in truth.logged.values()]
        total = {name: sum(counts[i] for counts in logged) for i, name in enumerate(COLUMNS)}
        cost = sum((tally.cost for tally in truth.logged.values()), Decimal(0))
        said = {f"logged_{name}": value for name, value in total.items()}
        return [{"status": "unknown", "model": None, "billed_cost": None, "logged_cost": cost}
                | said]  # fmt: skip
    rows, conflict, some, billed_sum, list_sum = [], False, False, Decimal(0), Decimal(0)
    for model in sorted(truth.recorded.keys() | truth.logged.keys()):
        billed = truth.recorded.get(model)
        logged = truth.logged.get(model)
        of_bill: Counts = billed.counts if billed else (0,) * 6
        of_lines: Counts = logged.counts if logged else (0,) * 6
        left = plus(of_bill, of_lines, -1)
        conflict |= contradicts(of_bill, of_lines)
        missing = [max(0, n) for n in left]
        written = max(0, left[2] + left[3])
        missing[3] = min(written, missing[3])
        missing[2] = written - missing[3]
        completed = missing[1] if model in truth.partial else 0
        missing[1] -= completed
        at = rates(model, day or date.min)
        unlogged_cost = sum((n * r for n, r in zip(missing, at, strict=True)), Decimal(0))
        some |= any(missing)
        billed_cost = billed.cost if billed else Decimal(0)
        logged_cost = logged.cost if logged else Decimal(0)
        billed_sum += billed_cost
        list_sum += logged_cost + unlogged_cost + completed * at[1]
        row: Row = {"model": model, "day": day, "billed_cost": billed_cost,
                    "logged_cost": logged_cost, "unlogged_cost": unlogged_cost,
                    "completed_output_tokens": completed,
                    "completed_cost": completed * at[1]}  # fmt: skip
        for i, name in enumerate(COLUMNS):
            row |= {f"billed_{name}": of_bill[i], f"logged_{name}": of_lines[i],
                    f"unlogged_{name}": missing[i]}  # fmt: skip
        rows.append(row)
    status = "unlogged" if some else "ok"
    if abs(billed_sum - list_sum) * 100 > list_sum:
        status = "contract"
    if conflict:
        status = "conflict"
    for row in rows:
        row["status"] = status
        if status in ("contract", "conflict"):
            row |= {"unlogged_cost": None, "completed_cost": None}
    return rows


def contradicts(billed: Counts, logged: Counts) -> bool:
    def beyond(of_bill: int, of_lines: int) -> bool:
        return of_lines - of_bill > max(10, of_lines / 100)

    parts = [0, 1, 4, 5] + ([2, 3] if billed[3] else [])
    whole = beyond(billed[2] + billed[3], logged[2] + logged[3])
    return whole or any(beyond(billed[i], logged[i]) for i in parts)


def agrees(rows: list[Row], wanted: list[Row]) -> bool:
    return len(rows) == len(wanted) and all(
        row[name] == value
        for row, want in zip(rows, wanted, strict=True)
        for name, value in want.items()
    )


def on_disk(history: History) -> dict[str, Truth]:
    return {n: t for n, t in history.truth.items() if not history.files[n].deleted}


def test_every_session_is_reconciled_as_it_was_billed(histories, found):
    wrong = {}
    for seed, history in enumerate(histories):
        for name, truth in on_disk(history).items():
            if not truth.ambiguous and not agrees(found.get(name, []), expected(truth)):
                wrong[seed] = (name, sorted(history.kinds), found.get(name), expected(truth))
    assert not wrong, f"{len(wrong)} of {len(histories)}: {next(iter(wrong.items()))}"


def test_what_has_no_line_is_what_the_simulator_billed_without_one(histories, found):
    for history in histories:
        for name, truth in on_disk(history).items():
            if truth.unknown or truth.lost or truth.ambiguous:
                continue
            for row in found[name]:
                model = str(row["model"])
                calls = truth.unlogged.get(model)
                want = list(calls.counts) if calls else [0] * 6
                completed = truth.cut.get(model, 0)
                if model in truth.partial:
                    # Nobody can tell the one from the other here.
                    completed, want[1] = completed + want[1], 0
                assert [row[f"unlogged_{name}"] for name in COLUMNS] == want
                assert row["completed_output_tokens"] == completed


def test_a_sum_that_went_past_the_last_one_is_never_billed_twice(histories, found):
    for history in histories:
        for name, truth in on_disk(history).items():
            if truth.ambiguous == "went past" and not truth.unknown:
                billed = sum((t.cost for t in truth.recorded.values()), Decimal(0))
                assert sum(row["billed_cost"] for row in found[name]) <= billed


def test_of_sessions_that_are_not_on_disk_no_bill_is_known(histories, found):
    """Only their forks have lines of them."""
    gone = {n for h in histories for n, file in h.files.items() if file.deleted}
    assert gone
    rows = [row for name in gone & found.keys() for row in found[name]]
    assert {(row["status"], row["billed_cost"]) for row in rows} == {("unknown", None)}


def test_every_kind_of_history_is_among_them(histories, found):
    kinds = Counter(kind for history in histories for kind in history.kinds)
    wanted = (
        "resume", "fork", "fork of a fork", "fork in the middle", "fork with a baseline", "crash",
        "fork after compaction", "compaction", "missing parent", "from zero", "side by side",
        "unlogged", "subagent", "partial",
    )  # fmt: skip
    assert all(kinds[kind] >= 50 for kind in wanted), kinds
    statuses = Counter(rows[0]["status"] for rows in found.values())
    assert all(statuses[s] >= 50 for s in ("ok", "unlogged", "contract", "conflict", "unknown"))
    ambiguous = sum(t.ambiguous != "" for h in histories for t in h.truth.values())
    assert ambiguous < 0.15 * sum(len(h.truth) for h in histories)
    assert len(NAMES) == len(COLUMNS)


def test_copies_change_nobodys_numbers(histories, found):
    """Of another person, renamed, older and cut anywhere, in any order of files."""
    some = histories[:300]
    own = []
    for seed, history in enumerate(some):
        random = Random(seed)  # noqa: S311
        files = family(history)
        for name, file in list(history.files.items()):
            if file.deleted or not file.lines:
                continue
            lines = file.text().splitlines(keepends=True)
            whole = file.text()
            part = b"".join(lines[: random.randrange(1, len(lines) + 1)])
            content = random.choice((whole, part))
            key = random.choice(("dev/0-", "dev/renamed-", "zed/", "zoe/"))
            files.append(trailed(f"{key}{name}.jsonl", name, content))
        random.shuffle(files)
        own += own_billed(files)
    again = view_of(some, own)
    assert {name: rows for name, rows in again.items() if rows != found[name]} == {}
    assert again.keys() >= {name for history in some for name in on_disk(history)}


def test_the_family_of_a_file_is_all_that_its_bill_depends_on(histories):
    """What SQL finds for one file of a batch gives the same bill as everything together."""
    some = histories[:60]
    links = []
    for history in some:
        for name, file in history.files.items():
            if not file.deleted:
                links += [(name, link) for link in trail(file.text()).links(name)]
    with store([]) as connection:
        connection.execute("CREATE TABLE usage_trail_links(session_file VARCHAR, link VARCHAR)")
        connection.execute("CREATE TABLE batch(session_file VARCHAR)")
        insert(connection, "usage_trail_links", links)
        for history in some:
            name = next(n for n, file in history.files.items() if not file.deleted)
            connection.execute("DELETE FROM batch")
            insert(connection, "batch", [(name,)])
            files = {file for (file,) in connection.execute(files_of(TOUCHED_LINKS)).fetchall()}
            touched = {link for (link,) in connection.execute(TOUCHED).fetchall()}
            assert {f"session:{file}" for file in files} <= touched
            assert files <= history.files.keys()
            whole = {own.session_id: own for own in own_billed(family(history))}
            part = [file for file in family(history) if file.session_id in files]
            assert own_billed(part) == [whole[name] for name in sorted(files)]
