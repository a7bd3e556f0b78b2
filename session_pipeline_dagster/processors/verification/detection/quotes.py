"""Whether words stand in a text: the proof behind every detection."""

import re
import unicodedata

from session_pipeline_dagster.names import plain

SHORTEST = 8
_INVISIBLE = "\u00ad\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff"
_SAME = str.maketrans({
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'", "`": "'", "´": "'",
    "“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"', "″": '"',
    "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-",
    "…": "...", **dict.fromkeys(_INVISIBLE, ""),
})  # fmt: skip
_MARK = re.compile(r"\[redacted:[a-z-]*(?:\]|$)")
_SPACE = re.compile(r"\s+")


def folded(text: str) -> str:
    """The text without what people and models change when they quote: NFKC, quotes, dashes,
    white space, case."""
    same = plain(unicodedata.normalize("NFKC", plain(text))).translate(_SAME)
    return _SPACE.sub(" ", same).strip().casefold()


def stands_in(quote: str, folded_text: str) -> bool:
    """Whether a quote of at least SHORTEST characters occurs in a text that is already folded."""
    wanted = folded(quote)
    return len(wanted) >= SHORTEST and wanted in folded_text


def stands_in_original(quote: str, folded_text: str) -> bool:
    """Whether a quote whose secrets were taken out occurs in what was said, already folded.

    What stands between the secrets must be there in its order, whichever rules took them out.
    """
    at = 0
    for piece in _MARK.split(folded(quote)):
        at = folded_text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return True
