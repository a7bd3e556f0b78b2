"""Words that decide whether two statements say the same: numbers, units, negations, opposites.

Only the vocabulary, for English; how it is used is in `measures.py`, `canonical.py`, `text.py` and
`likeness.py`.
"""

from fractions import Fraction


def table(text: str) -> dict[str, str]:
    """`a=b c, d=e`: b, c and a itself stand for a; a key that starts with a sign is no word."""
    found = {}
    for entry in text.split(","):
        key, _, words = entry.strip().partition("=")
        found |= dict.fromkeys(words.split(), key)
        if key[0] not in "+-":
            found[key] = key
    return found


DIGITS: dict[str, int] = {
    word: n
    for n, words in enumerate(
        (
            *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
            *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
            *("seventeen", "eighteen", "nineteen"),
        )
    )
    for word in words.split()
} | {"twice": 2, "thrice": 3, "dozen": 12}
TENS: dict[str, int] = {
    word: 10 * n
    for n, word in enumerate(
        "twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2
    )
}
POWERS = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}

ORDINALS = {
    word: n
    for n, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
        "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth "
        "twentieth".split(),
        start=1,
    )
} | {"thirtieth": 30}

UNITS = table(
    "ms=millisecond milliseconds msec, s=sec secs seconds, min=mins minute minutes,"
    "hour=hours h hr hrs, day=days d, week=weeks wk, fortnight=fortnights, month=months,"
    "quarter=quarters, year=years yr yrs,"
    "byte=bytes, kb=kilobyte kilobytes, mb=megabyte megabytes, gb=gigabyte gigabytes,"
    "tb=terabyte terabytes, kib=kibibyte kibibytes, mib=mebibyte mebibytes,"
    "gib=gibibyte gibibytes, tib=tebibyte tebibytes,"
    "%=percent pct, bps=, eur=euro euros €, usd=dollar dollars $ us$, gbp=£,"
    "cent=cents, czk=kč, chf=, yen=jpy ¥,"
    "m=meter meters metre metres, km=kilometer kilometers kilometre kilometres,"
    "cm=centimeter centimeters centimetre centimetres, mm=millimeter millimeters millimetre"
    " millimetres, mile=miles, g=gram grams, kg=kilogram kilograms kilo kilos,"
    "celsius=°c, fahrenheit=°f, core=cores, cpu=cpus"
)
"""Word -> unit."""
CURRENCIES = frozenset({"eur", "usd", "gbp", "czk", "chf", "yen"})
AMBIGUOUS = frozenset({"m", "g", "d", "h", "s", "b", "min"})
"""Units only where a number stands before them."""

SIZES = {
    **{"ms": ("ms", Fraction(1)), "s": ("ms", Fraction(1000)), "min": ("ms", Fraction(60_000))},
    **{"hour": ("ms", Fraction(3_600_000)), "day": ("ms", Fraction(86_400_000))},
    **{"week": ("ms", Fraction(604_800_000)), "fortnight": ("ms", Fraction(1_209_600_000))},
    **{"month": ("month", Fraction(1)), "quarter": ("month", Fraction(3))},
    "year": ("month", Fraction(12)),
    **{u: ("byte", Fraction(1000**n)) for n, u in enumerate(("byte", "kb", "mb", "gb", "tb"))},
    **{u: ("byte", Fraction(1024 ** (n + 1))) for n, u in enumerate(("kib", "mib", "gib", "tib"))},
    **{"mm": ("mm", Fraction(1)), "cm": ("mm", Fraction(10)), "m": ("mm", Fraction(1000))},
    **{"km": ("mm", Fraction(1_000_000)), "g": ("g", Fraction(1)), "kg": ("g", Fraction(1000))},
}
"""Unit -> what it is measured in, and how many of those it is."""
WRITTEN = {
    "ms": ("week", "day", "hour", "min", "s", "ms"),
    "month": ("year", "month"),
    "byte": ("tb", "gb", "mb", "kb", "tib", "gib", "mib", "kib", "byte"),
    "mm": ("km", "m", "cm", "mm"),
    "g": ("kg", "g"),
}
"""The units in which a size is written: the first that divides it."""
PERIODS = {
    "hourly": (1, "hour"),
    "daily": (1, "day"),
    "weekly": (1, "week"),
    "fortnightly": (2, "week"),
    "monthly": (1, "month"),
    "quarterly": (3, "month"),
    **dict.fromkeys(("yearly", "annually", "annual"), (12, "month")),
}
MONTHS = table(
    "january=jan, february=feb, march=, april=apr, june=jun, july=jul, august=aug,"
    "september=sep sept, october=oct, november=nov, december=dec"
)
CALENDAR = table(
    "monday=mondays mon, tuesday=tuesdays tue, wednesday=wednesdays wed, thursday=thursdays thu,"
    "friday=fridays fri, saturday=saturdays, sunday=sundays, weekend=weekends,"
    "weekday=weekdays, q1=, q2=, q3=, q4=, morning=mornings, evening=evenings,"
    "utc=, gmt=, cet=, cest=, est=, edt=, pst=, pdt="
)
CALENDAR |= MONTHS

NEGATIONS = frozenset(
    "not no never none nobody nothing neither nor without cannot non unless except".split()
)

POLES = table(
    "+when=after later, -when=before earlier prior, +rank=last final latest, -rank=initial,"
    "+size=max maximum most, -size=min minimum least, +state=enabled enable active,"
    "-state=disabled disable off inactive, +sum=gross, -sum=net,"
    "+set=include includes included including inclusive with,"
    "-set=exclude excludes excluded excluding exclusive,"
    "+side=start starts begin begins starting beginning, -side=end ends ending finish finishes,"
    "+level=above over more greater higher upper increase increases up >,"
    "-level=below under less fewer lower decrease decreases down <, +order=ascending asc,"
    "-order=descending desc, +see=public, -see=private, +how=always, -how=sometimes rarely,"
    "+may=allowed allow allows can permitted, -may=forbidden forbid prohibited denied deny denies,"
    "+must=required mandatory must, -must=optional, +in=internal inbound incoming,"
    "-in=external outbound outgoing, +is=true, -is=false, +env=production prod, -env=staging,"
    "+year=fiscal, -year=calendar, +hand=left, -hand=right, +auto=automatic automatically,"
    "-auto=manual manually, +flow=debit, -flow=credit, +sync=synchronous synchronously,"
    "-sync=asynchronous asynchronously async, +keep=keep keeps kept retain retains,"
    "-keep=delete deletes deleted drop drops dropped remove removed purge purged,"
    "+load=upload uploads uploaded, -load=download downloads downloaded,"
    "+trade=import imports imported, -trade=export exports exported, +bound=≥, -bound=≤"
)
"""Word -> `+axis` or `-axis`."""

COMMON = frozenset(
    "the a an our this that these those we all every each in for when if it its i my your their "
    "yes no and or of to is are be was were by at on as from with you they he she there here "
    "please so but which who what how use uses used using".split()
)
"""Words without a meaning of their own."""
