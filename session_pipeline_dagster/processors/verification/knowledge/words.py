"""Words that decide whether two statements say the same: numbers, units, negations, opposites.

Only the vocabulary, for English; how it is used is in `text.py`.
"""


def _table(text: str) -> dict[str, str]:
    """`a=b c, d=e`: b, c and a itself stand for a; a key that starts with a sign is no word."""
    found = {}
    for entry in text.split(","):
        key, _, words = entry.strip().partition("=")
        found |= dict.fromkeys(words.split(), key)
        if key[0] not in "+-":
            found[key] = key
    return found


NUMBERS = _table(
    "0=zero, 1=one once single, 2=two twice double, 3=three triple third, 4=four fourth,"
    "5=five fifth, 6=six sixth, 7=seven seventh, 8=eight eighth, 9=nine ninth, 10=ten tenth,"
    "11=eleven, 12=twelve dozen, 13=thirteen, 14=fourteen, 15=fifteen, 20=twenty, 24=twenty-four,"
    "30=thirty, 40=forty, 50=fifty, 60=sixty, 90=ninety, 100=hundred, 1000=thousand,"
    "1000000=million, half=halves"
)

UNITS = _table(
    "ms=millisecond milliseconds, s=sec secs second seconds, min=mins minute minutes,"
    "hour=hours hourly h hr hrs, day=days daily nightly, week=weeks weekly,"
    "fortnight=biweekly fortnightly bi-weekly, month=months monthly, quarter=quarters quarterly,"
    "year=years yearly annual annually, byte=bytes, bit=bits, kb=kib kilobyte kilobytes,"
    "mb=mib megabyte megabytes, gb=gib gigabyte gigabytes, tb=tib terabyte terabytes,"
    "%=percent pct, bps=, euro=eur euros €, dollar=usd dollars $, pound=gbp pounds £, cent=cents,"
    "crown=czk crowns, km=kilometers kilometres, meter=meters metres, mile=miles, kg=kilograms,"
    "gram=grams, celsius=°c, fahrenheit=°f, core=cores, cpu=cpus,"
    "january=jan, february=feb, march=, april=apr, june=jun, july=jul, august=aug,"
    "september=sep sept, october=oct, november=nov, december=dec, monday=mondays,"
    "tuesday=tuesdays, wednesday=wednesdays, thursday=thursdays, friday=fridays,"
    "saturday=saturdays, sunday=sundays, weekend=weekends, weekday=weekdays, q1=, q2=, q3=, q4=,"
    "morning=mornings, evening=evenings, noon=, midnight=, utc=gmt, cet=cest, est=edt, pst=pdt"
)

NEGATIONS = frozenset(
    "not no never none nobody nothing neither nor without cannot non unless except".split()
)

POLES = _table(
    "+when=after later, -when=before earlier prior, +rank=last final latest, -rank=first initial,"
    "+size=max maximum most, -size=min minimum least, +state=enabled enable on active,"
    "-state=disabled disable off inactive, +sum=gross, -sum=net,"
    "+set=include includes included including inclusive with,"
    "-set=exclude excludes excluded excluding exclusive,"
    "+side=start starts begin begins starting beginning, -side=end ends ending finish finishes,"
    "+level=above over more greater higher upper increase increases up,"
    "-level=below under less fewer lower decrease decreases down, +order=ascending asc,"
    "-order=descending desc, +see=public, -see=private, +how=always, -how=sometimes rarely,"
    "+may=allowed allow allows can permitted, -may=forbidden forbid prohibited denied deny denies,"
    "+must=required mandatory must, -must=optional, +in=internal inbound incoming,"
    "-in=external outbound outgoing, +is=true, -is=false, +env=production prod, -env=staging,"
    "+year=fiscal, -year=calendar, +hand=left, -hand=right, +auto=automatic automatically,"
    "-auto=manual manually, +flow=debit, -flow=credit, +sync=synchronous synchronously,"
    "-sync=asynchronous asynchronously async, +keep=keep keeps kept retain retains,"
    "-keep=delete deletes deleted drop drops dropped remove removed"
)
"""Word -> `+axis` or `-axis`."""

COMMON = frozenset(
    "the a an our this that these those we all every each in for when if it its i my your their "
    "yes no and or of to is are be was were by at on as from with you they he she there here "
    "please so but which who what how use uses used using".split()
)
"""Words without a meaning of their own."""
