"""Whether words stand in a text: the proof behind every detection."""

import re
import unicodedata

SHORTEST = 8
_SAME = str.maketrans({
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'", "`": "'", "´": "'",
    "“": '"', "”": '"', "„": '"', "‟": '"', "«": '"', "»": '"', "″": '"',
    "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-",
    "…": "...", "\u200b": "", "\u00ad": "",
})  # fmt: skip
_SPACE = re.compile(r"\s+")


def folded(text: str) -> str:
    """The text without what people and models change when they quote: NFKC, quotes, dashes,
    white space, case."""
    plain = unicodedata.normalize("NFKC", text).translate(_SAME)
    return _SPACE.sub(" ", plain).strip().casefold()


def stands_in(quote: str, folded_text: str) -> bool:
    """Whether a quote of at least SHORTEST characters occurs in a text that is already folded."""
    wanted = folded(quote)
    return len(wanted) >= SHORTEST and wanted in folded_text
