"""Numbers and what they measure in one form: "24 hours" is "#1 day", "daily" is "#/1 day".

Put here what makes two spellings of one quantity equal. A measure is a word that starts with `#`;
how often something happens is another measure than how long it takes. Ordinals and a "one" that
measures nothing are no numbers; what cannot be converted exactly (a version) stays as it is.
"""

import re
from collections.abc import Sequence
from fractions import Fraction

from session_pipeline_dagster.processors.verification.knowledge.words import (
    AMBIGUOUS,
    CALENDAR,
    CURRENCIES,
    DIGITS,
    MONTHS,
    ORDINALS,
    PERIODS,
    POWERS,
    SIZES,
    TENS,
    UNITS,
    WRITTEN,
)

MARK = "#"
EACH = "#/"
"""How often: a period, or "a minute" after a number."""
_PLAIN = re.compile(r"\d+(?:\.\d+)?")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_QUANTITY = re.compile(r"([$€£¥]?)(\d[\d.,]*)(k|bn)?([a-z%°$€£¥]*)")
_CLOCK = re.compile(r"(\d{1,2})(?:[:.](\d{2}))?(am|pm)?")
_NTH = re.compile(r"(\d+)(?:st|nd|rd|th)")
_HALVES = {"hour": (30, "min"), "day": (12, "hour"), "year": (6, "month")}
_ONE = frozenset({"a", "an", "one"})
_EACH = frozenset({"per", "each", "every"})
_TELLING = frozenset(
    (
        *("half", "once", "noon", "midnight", *_ONE, *_EACH),
        *(*PERIODS, *MONTHS, *CALENDAR, *ORDINALS, *UNITS, *DIGITS, *TENS, *POWERS),
    )
)
"""All words of letters alone with which a measure begins."""
_COUNTING = frozenset({"exactly", "only", "least", "most", "than", "≥", "≤", ">", "<"})


def measured(words: Sequence[str]) -> list[str]:
    """The words, with every number, period, date and time of day in its one form."""
    found: list[str] = []
    place = 0
    while place < len(words):
        word = words[place]
        if word not in _TELLING and word.isalpha():
            found.append(word)
            place += 1
            continue
        taken, made = _at(words, place, found)
        found += made
        place += taken
    return [word for word in found if word != EACH]


def _at(words: Sequence[str], i: int, before: Sequence[str]) -> tuple[int, list[str]]:
    """What stands at this place: how many words it takes, and what they become."""
    word, rest = words[i], words[i + 1 :]
    if word in PERIODS:
        return 1, [_often(Fraction(PERIODS[word][0]), PERIODS[word][1])]
    found = _date(words, i) or _clock(words, i) or _fraction(words, i) or _each(words, i, before)
    if found:
        return found
    taken, number, unit = _quantity(words, i)
    if taken:
        return _with_unit(words, i, taken, number, unit)
    if word in ORDINALS or _NTH.fullmatch(word):
        # "30 second" and "per second" are taken above.
        return 1, [f"{ORDINALS.get(word) or int(word[:-2])}."]
    if word == "one" and before and before[-1] in _COUNTING:
        return 1, ["#1"]
    if word == "once" and rest and rest[0] in _EACH | _ONE:
        # "once a day" is daily.
        return 1, [EACH]
    if word == "half":
        return 1, ["#50 %"]
    if word in UNITS and word not in AMBIGUOUS:
        return 1, [UNITS[word]]
    return 1, [CALENDAR.get(word, word)]


def _each(words: Sequence[str], i: int, before: Sequence[str]) -> tuple[int, list[str]] | None:
    """ "every day", "every 7 days", "every other week"; "a week", also as in "twice a week"."""
    if words[i] not in _EACH | _ONE or i + 1 == len(words):
        return None
    after = words[i + 1]
    if words[i] == "every" and after == "other" and i + 2 < len(words):
        unit = UNITS.get(words[i + 2])
        return (3, [_often(Fraction(2), unit)]) if _is_time(unit) else None
    if words[i] == "every":
        quantity = _quantity(words, i + 1)
        taken, (size,) = _with_unit(words, i + 1, *quantity) if quantity[0] else (0, [""])
        if _is_time(size.rpartition(" ")[2]):
            return 1 + taken, [size.replace(MARK, EACH, 1)]
    unit = UNITS.get(after) if after not in AMBIGUOUS else None
    if after == "second" and words[i] in {"one", "per"}:
        # "A second" and "every second" may be the other one.
        unit = "s"
    if not _is_time(unit):
        return None
    rate = words[i] in _EACH or bool(before and before[-1].startswith(MARK))
    return 2, [(_often if rate else _size)(Fraction(1), unit)]


def _often(number: Fraction, unit: str | None) -> str:
    return _size(number, unit).replace(MARK, EACH, 1)


def _date(words: Sequence[str], i: int) -> tuple[int, list[str]] | None:
    """ "1 February", "the first of February", "February 1st"."""
    day = _day(words[i])
    if day:
        after = i + 1 + (words[i + 1 : i + 2] == ["of"])
        if after < len(words) and words[after] in MONTHS:
            return after - i + 1, [f"#{MONTHS[words[after]]} {day}"]
    if words[i] in MONTHS and i + 1 < len(words):
        after = i + 1 + (words[i + 1] == "the")
        day = _day(words[after]) if after < len(words) else None
        if day:
            return after - i + 1, [f"#{MONTHS[words[i]]} {day}"]
    return None


def _day(word: str) -> int | None:
    nth = _NTH.fullmatch(word)
    day = int(nth[1]) if nth else ORDINALS.get(word) or (int(word) if word.isdecimal() else 0)
    return day if 1 <= day <= 31 else None


def _clock(words: Sequence[str], i: int) -> tuple[int, list[str]] | None:
    """ "02:00", "2 am", "2.30 p.m.", "noon"."""
    if words[i] in {"noon", "midnight"}:
        return 1, ["#12:00" if words[i] == "noon" else "#00:00"]
    found = _CLOCK.fullmatch(words[i])
    if not found:
        return None
    half, taken = found[3], 1
    if not half and i + 1 < len(words) and words[i + 1].replace(".", "") in {"am", "pm"}:
        half, taken = words[i + 1].replace(".", ""), 2
    if not half and ":" not in words[i]:
        return None
    hour = int(found[1])
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return taken, [f"#{hour:02}:{found[2] or '00'}"]


def _fraction(words: Sequence[str], i: int) -> tuple[int, list[str]] | None:
    """ "half an hour"."""
    if words[i] == "half" and i + 2 < len(words) and words[i + 1] in {"a", "an"}:
        half = _HALVES.get(UNITS.get(words[i + 2], ""))
        return (3, [_size(Fraction(half[0]), half[1])]) if half else None
    return None


def _quantity(words: Sequence[str], i: int) -> tuple[int, str, str]:
    """Words taken, the number, and the unit that is written to it."""
    found = _QUANTITY.fullmatch(words[i])
    if found:
        sign, digits, power, tail = found.groups()
        unit = UNITS.get(sign or tail, "")
        if tail == "m" and sign:
            power = "m"
        elif tail and not unit:
            return 0, "", ""
        number, taken = digits.rstrip(".,"), 1
        # 10 000
        while (
            not tail and taken + i < len(words) and _is_thousands(number, words[i + taken], taken)
        ):
            number, taken = number + words[i + taken], taken + 1
        if power:
            number = _times(number, {"k": 1000, "m": 10**6, "bn": 10**9}[power])
        if i + taken < len(words) and words[i + taken] in POWERS:
            number, taken = _times(number, POWERS[words[i + taken]]), taken + 1
        return taken, _plain(number), unit
    taken, value = _spelled(words, i)
    return taken, str(value), ""


def _is_thousands(number: str, after: str, taken: int) -> bool:
    whole = number if taken > 1 else number.lstrip("0")
    return bool(
        whole.isdecimal()
        and (taken > 1 or len(whole) < len("1000"))
        and after.isdecimal()
        and len(after) == len("000")
    )


def _spelled(words: Sequence[str], i: int) -> tuple[int, int]:
    """ "two hundred and fifty", "twenty-five", "a dozen": words taken, and the number."""
    total = part = place = 0
    seen = False
    while i + place < len(words):
        word = words[i + place]
        tens, _, ones = word.partition("-")
        if tens in TENS and (not ones or ones in DIGITS):
            part += TENS[tens] + DIGITS.get(ones, 0)
        elif word in DIGITS and (word != "one" or _is_counted(words, i + place, seen)):
            part += DIGITS[word]
        elif word in POWERS and (seen or word != "hundred" or place == 0):
            part = max(part, 1) * POWERS[word]
            if POWERS[word] > POWERS["hundred"]:
                total, part = total + part, 0
        elif not (seen and word == "and" and _is_number_word(words, i + place + 1)):
            break
        seen, place = True, place + 1
    return (place, total + part) if seen else (0, 0)


def _is_number_word(words: Sequence[str], i: int) -> bool:
    word = words[i] if i < len(words) else ""
    return i > 1 and words[i - 2] in POWERS and (word in DIGITS or word.partition("-")[0] in TENS)


def _is_counted(words: Sequence[str], i: int, seen: bool) -> bool:
    """Whether this "one" is a number: it measures, or is part of one."""
    after = words[i + 1] if i + 1 < len(words) else ""
    return seen or after in POWERS or (after in UNITS and after not in AMBIGUOUS)


def _with_unit(
    words: Sequence[str], i: int, taken: int, number: str, unit: str
) -> tuple[int, list[str]]:
    after = words[i + taken] if i + taken < len(words) else ""
    if not unit and (after in UNITS or after == "second"):
        unit, taken = UNITS.get(after, "s"), taken + 1
    elif not unit and after in {"times", "time", "x"}:
        taken += 1
    before = words[i - 1] if i else ""
    if not unit and UNITS.get(before) in CURRENCIES:
        # "EUR 500": the currency before it stays a word, and is taken out by `canonical`.
        unit = UNITS[before]
    exact = _PLAIN.fullmatch(number)
    if unit and exact and not _could_be_thousands(number):
        return taken, [_size(Fraction(number), unit)]
    return taken, [f"{MARK}{number} {unit}".rstrip()]


def _could_be_thousands(number: str) -> bool:
    """1.000 is a thousand to some and one to others."""
    return bool(re.fullmatch(r"[1-9]\d{0,2}\.\d{3}", number))


def _is_time(unit: str | None) -> bool:
    return SIZES.get(unit or "", ("", 0))[0] in {"ms", "month"}


def _size(number: Fraction, unit: str | None) -> str:
    """The quantity in the largest unit that divides it."""
    if unit not in SIZES:
        return f"{MARK}{_decimal(number)} {unit}"
    dimension, factor = SIZES[unit]
    total = number * factor
    for larger in WRITTEN[dimension]:
        count = total / SIZES[larger][1]
        if count.denominator == 1 and count:
            return f"{MARK}{count} {larger}"
    return f"{MARK}{_decimal(number)} {unit}"


def _decimal(number: Fraction) -> str:
    return str(number) if number.denominator == 1 else f"{float(number):.10g}"


def _times(number: str, by: int) -> str:
    plain = _plain(number)
    return _decimal(Fraction(plain) * by) if _PLAIN.fullmatch(plain) else f"{number}*{by}"


def _plain(number: str) -> str:
    """1,000 is a thousand; 3.10, 1.5 and 2024-01-02 stay as they are."""
    return number.replace(",", "") if _GROUPED.fullmatch(number) else number
