"""What the tables and columns of money mean, for the catalog."""

from collections.abc import Mapping

DESCRIPTIONS: Mapping[str, str] = {
    "model_prices": """Look up what a model costs, by provider, variant, days and band: USD a token.

Of the models that were seen. `valid_from` and `valid_to` are inclusive, NULL is open; a band holds
where `over_input` < input + cache write + cache read <= `upto_input`, for the whole request.
`assumed`: no such variant is published, and the standard price stands. See `docs/money.md`.

```sql
SELECT model, variant, valid_from, input * 1000000 AS input, output * 1000000 AS output
FROM model_prices ORDER BY model, variant, valid_from
```""",
    "usage_costs": """What every API response cost, each **once** over all files: USD at list price.

**Not an invoice** (`docs/money.md`). `cost` is NULL where the model has no known price, and
`price_table` names the table that it was computed with.

```sql
SELECT cost_basis, price_table, count(*), sum(cost) FROM usage_costs GROUP BY ALL
```""",
    "usage_billed": """See what Claude Code says was billed: a row for each cost-state line.

One is written when a process ends. It is the sum of the session so far, so do **not** add rows up;
what is a session's own is in the view `usage_reconciled`.

```sql
SELECT session_id, max(total_cost) FROM usage_billed GROUP BY ALL ORDER BY 2 DESC LIMIT 20
```""",
    "usage_billed_models": """See what was billed for each model, with its tokens.

```sql
SELECT model, max(cost) FROM usage_billed_models GROUP BY session_id, model ORDER BY 2 DESC
```""",
    "usage_reconciled": """What was billed for a session beside what its lines say, for each model.

`unlogged_...` was billed without a line: compaction, titles, searches. `status`: ok; unlogged;
contract (billed is not tokens times list price); conflict (lines say more than was billed); unknown
(`reason` says why).

```sql
SELECT status, count(DISTINCT session_id) AS sessions, sum(billed_cost), sum(unlogged_cost)
FROM usage_reconciled GROUP BY ALL
```""",
    "usage_own_billed": """See what was billed for a session itself, not for what it is forked from.

The view `usage_reconciled` sets it beside the lines. `unknown` says why nothing is known.

```sql
SELECT unknown, count(DISTINCT session_id), sum(cost) FROM usage_own_billed GROUP BY ALL
```""",
    "seats": """Look up subscription seats, as the file of seats says (SESSION_PIPELINE_SEATS).

```sql
SELECT * FROM seats ORDER BY person, valid_from
```""",
    "budget_status": """See how each budget stands, and stood in each of its periods.

`level`: ok, warn, over, or unknown where something in its scope has no price. `forecast` begins
with the third day of a period.

```sql
SELECT budget, period_start, spent, percent, level FROM budget_status ORDER BY ALL
```""",
    "usage_seats": """What subscription seats cost each month, and what their use would have cost.

```sql
SELECT month, sum(seat_cost), sum(api_equivalent) FROM usage_seats GROUP BY ALL ORDER BY month
```""",
    "*.slot": "when the quarter of an hour begins",
    "*.cost": "USD at API list price, not an invoice; NULL where nothing has a price",
    "*.unpriced_messages": "responses without a known price, or input; not in cost",
    "*.unknown_input_messages": "of these, those of which nobody says what went in",
    "*.assumed_messages": "responses priced as standard though they were not",
    "*.final_characters": "output_characters of the responses that are whole",
    "*.price_table": "the table of prices: the library and its version, the file of own prices",
    "*.price_model": "the model as the price list names it",
    "*.variant": "standard, fast or batch",
    "*.valid_from": "first day; NULL: since ever",
    "*.valid_to": "last day; NULL: until now",
    "*.over_input": "the band begins above so many tokens of input",
    "*.upto_input": "the band ends at so many tokens of input",
    "*.source": "list or custom (own price or discount)",
    "*.assumed": "a price of another variant, or the dearest of a day, stands in",
    "model_prices.input": "USD per token",
    "model_prices.output": "USD per token",
    "*.cache_read": "USD per token",
    "*.cache_write_5m": "USD per token, kept for 5 minutes",
    "*.cache_write_1h": "USD per token, kept for an hour",
    "*.web_search": "USD per search",
    "*.cost_basis": "list, custom, recorded or unpriced",
    "*.price_assumed": "a variant without a published price: that of another stands in",
    "*.start_time": "when the sum was begun, UTC",
    "*.total_cost": "USD, of the session so far",
    "*.has_unknown_model_cost": "Claude Code itself did not know a price",
    "*.lines_added": "of code",
    "*.lines_removed": "of code",
    "*.api_duration_ms": "time spent in calls of the API",
    "*.duration_ms": "time the processes ran",
    "*.tool_duration_ms": "time spent in tools",
    "*.billed_cost": "USD of the session itself, as Claude Code counted",
    "*.logged_cost": "USD of its lines, at list price",
    "*.unlogged_cost": "USD of what was billed without a line, at list price",
    "*.completed_output_tokens": "output of responses whose last line is missing",
    "*.completed_cost": "USD of that output",
    "*.status": "ok, unlogged, contract, conflict or unknown",
    "*.reason": "why it is unknown",
    "*.period_start": "first day of the period, in the budget's time zone",
    "*.budget": "its name in the file",
    "*.spent": "USD; a lower bound where something has no price",
    "*.forecast": "USD at the end of the period",
    "*.percent": "spent of amount",
    "*.level": "ok, warn, over or unknown",
    "*.amount": "USD a period",
    "*.threshold": "the highest percentage that was reached",
    "*.unpriced_models": "models without a price in the scope",
    "*.plan": "the subscription",
    "usage_billed.trail_lines": "lines with a uuid that stand before it",
    "usage_pull_requests.url": "as the line says it",
    "usage_pull_requests.number": "of the pull request in its repository",
    "seats.person": "as the directory or the folder is called; NULL for those of a team",
    "seats.team": "each of its members has one; NULL for that of a person",
    "seats.price": "USD a month",
    "usage_own_billed.unknown": "why nothing is known of the bill",
    "usage_own_billed.unknown_model_cost": "Claude Code itself did not know a price",
    "usage_own_billed.last_day": "UTC day on which the last of its sums was begun",
    "*.seat_cost": "USD of the month, whole months",
    "*.api_equivalent": "USD at list price of what the person used in the month",
}
