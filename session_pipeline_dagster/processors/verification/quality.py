"""Rules that the rows of `verifications` must keep."""

from collections.abc import Mapping, Sequence

from session_pipeline_dagster.contract.quality import Data, Measured, Quality, counted
from session_pipeline_dagster.errors import Permanent

_MOST_FILES = 500
_NEWEST = f"""SELECT session_file, list(struct_pack(line_number, user_quote))
    FROM verifications GROUP BY session_file ORDER BY max(detected_at) DESC, session_file
    LIMIT {_MOST_FILES}"""


def quotes_verbatim(data: Data) -> Measured:
    """Look every stored quote up in the line it is said to be of, in the newest files."""
    # A declaration is read by every start; this runs in a check.
    from session_pipeline_dagster.processors.verification.detection.quotes import (  # noqa: PLC0415
        folded,
        stands_in_original,
    )
    from session_pipeline_dagster.processors.verification.detection.turns import HUMAN, read_turns  # noqa: PLC0415

    checked = missing = files = 0
    for key, found in data.select(_NEWEST):
        try:
            transcript = data.transcript(str(key))
        except Permanent:
            # Read when the limits were others.
            continue
        if transcript is None:
            continue
        files += 1
        # As it was said: which secrets are taken out changes with versions and a setting.
        texts: dict[int, list[str]] = {}
        for turn in read_turns(transcript, clean=str):
            if turn.role == HUMAN:
                texts.setdefault(turn.line_number, []).append(folded(turn.text))
        for line, quote in _quotes(found):
            checked += 1
            missing += not any(stands_in_original(quote, text) for text in texts.get(line, ()))
    return Measured(missing, {"quotes_checked": checked, "files_read": files})


def _quotes(found: object) -> Sequence[tuple[int, str]]:
    rows = found if isinstance(found, list) else []
    return [(row["line_number"], row["user_quote"]) for row in rows if isinstance(row, Mapping)]


QUALITY = (
    Quality(
        "quotes_verbatim",
        "verifications",
        "Every quote stands in the line it names, as the person wrote it (secrets replaced). Reads "
        f"the newest {_MOST_FILES} files with detections that have not changed since. If it fails, "
        "the rows are not what people said: run `session-pipeline run --processor verification "
        "--full-refresh`.",
        quotes_verbatim,
    ),
    Quality(
        "rejected_quote_share",
        "verifications",
        "A model's quotes that stand in no turn are dropped. Fails if it is more than a fifth of "
        "at least 20: the model makes things up; choose another one with `SESSION_PIPELINE_MODEL`.",
        counted(
            """SELECT CASE WHEN quotes >= 20 AND rejected > quotes / 5 THEN rejected ELSE 0 END,
                quotes, rejected, CASE WHEN quotes > 0 THEN rejected / quotes ELSE 0 END
            FROM (SELECT coalesce(sum(quotes), 0)::BIGINT AS quotes,
                coalesce(sum(rejected_quotes), 0)::BIGINT AS rejected
                FROM verification_readings)""",
            "quotes",
            "rejected_quotes",
            "share",
        ),
    ),
)
