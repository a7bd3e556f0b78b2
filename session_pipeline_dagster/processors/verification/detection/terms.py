"""Words of a fact: which domain it is of, which things it names."""

import re

from session_pipeline_dagster.processors.verification.remembered import Remembered

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_./&-]*[A-Za-z0-9]|[A-Za-z]")
_NAME = re.compile(
    r"[A-Za-z0-9]+(?:[_./-][A-Za-z0-9]+)*[_][A-Za-z0-9_]+|[A-Z][A-Z0-9&]{1,7}s?\b|[a-z]+[A-Z]\w+"
    r"|[A-Z][a-z0-9]+[A-Z]\w*|\w+\.(?:py|sql|yml|yaml|json|csv|md|ts|go|tf|toml)\b|\b\w+-\d+\b"
)
_NUMBER = re.compile(r"\d+")
_NOTHING = frozenset({""})
_STOP = frozenset(
    """
    about above after again also always another because been before being below between
    both but cannot could does doing done down during each every from further have here
    into itself just like made make many more most much must need never none only other
    over same should since some such than that their them then there these they this those
    through under until very were what when where which while whom will with without would
    your yours ours really actually right correct wrong exactly yes means mean still used
    using use the and for are was not but you our all any can has had its out per too get
    got one two see new now yes let his her she him who how why did
    """.split()
)
_DOMAINS = {
    "finance": """
        revenue invoice tax vat mrr arr ebitda ebit margin refund billing bill bills
        billed payment price pricing discount cost budget ledger accounting booked
        depreciation currency fiscal credit debit commission profit cash euro eur usd
        gmv rebate rate audit gross net cents amount booking
    """,
    "engineering": """
        code api endpoint test tests library client class function module merge branch
        commit deploy release review pull refactor bug typescript python java async lock
        retry sdk feature flag flags idempotent cache config test http json schema
        migration version
    """,
    "product": """
        user users customer feature churn retention conversion trial onboarding checkout
        nps signup plan seat workspace variant experiment cohort dau mau lead
        opportunity subscription qualified household adoption activation session visitor
        tier
    """,
    "data": """
        table column row rows dbt model warehouse query sql dataset snapshot partition
        event events null timestamp timestamps schema join dedup deduplicated kafka
        parquet mart etl dag pipeline metric median mean aggregate column columns tables
        field fields id ids
    """,
    "operations": """
        order orders shipping parcel warehouse stock support ticket tickets sla supplier
        delivery contract store incident incidents on-call oncall process approval
        partner site inventory logistics shipment return returns sku closed hours
    """,
    "infrastructure": """
        cluster region server database replica backup vault kubernetes pod pods node
        load balancer tls vpn bucket terraform s3 latency memory cpu volume volumes
        queue cron gateway dns certificate instance staging production pool connection
        connections ttl standby alert alerts pagerduty
    """,
}
_DOMAIN_WORDS = {name: frozenset(text.split()) for name, text in _DOMAINS.items()}
_TERMS = frozenset(word for found in _DOMAIN_WORDS.values() for word in found)


def words(text: str) -> frozenset[str]:
    """The words that carry content, lower case, cut to a stem, numbers as they are."""
    found = set(_NUMBER.findall(text))
    if text.isascii():
        found.update(_WORD.findall(text.lower()))
    else:
        found.update(word.lower() for word in _WORD.findall(text))
    return frozenset(map(_STEMS.__getitem__, found)) - _NOTHING


def domain_of(content: str, context: str = "") -> str | None:
    """The domain whose words it holds most of; the words of the context break a tie."""
    own, around = _singulars(content), _singulars(context[-400:])
    scores = {
        name: (len(own & known), len(around & known)) for name, known in _DOMAIN_WORDS.items()
    }
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best][0] else None


def entities_of(content: str) -> tuple[str, ...]:
    """Identifiers, acronyms and terms of a domain, lower case and sorted."""
    names = {match.lower().rstrip("s") for match in _NAME.findall(content)}
    return tuple(sorted(names | (_singulars(content) & _TERMS)))


def _singulars(text: str) -> frozenset[str]:
    found = {w.lower() for w in _WORD.findall(text)}
    return frozenset(w.removesuffix("s") if w.removesuffix("s") in _TERMS else w for w in found)


def _stem(word: str) -> str:
    """Of a word in lower case; empty where it carries no content."""
    if not word.isdigit() and (len(word) <= 2 or word in _STOP):
        return ""
    for ending in ("ing", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    return word.removesuffix("e")[:7]


_STEMS = Remembered(_stem)
