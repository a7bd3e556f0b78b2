"""Numbers and addresses of people: payment cards, bank accounts, mail, telephone.

Cards and accounts carry a checksum, so that an order number is not taken for one.
"""

import re
from collections.abc import Callable, Collection, Mapping

from session_pipeline_dagster.processors.verification.redaction.finding import mark
from session_pipeline_dagster.settings import Personal

# What stands in front is looked at afterwards: a search that begins with digits is faster.
_CARD = re.compile(
    r"[2-6]\d\d\d(?:([ -]?)\d{4}\1\d{4}\1\d{1,7}|([ -]?)\d{6}\2\d{4,5})(?![\w/-]|[.,]\d)"
)
_INSIDE = re.compile(r"[\w.+/-]")
_IBAN = re.compile(r"[A-Z]{2}\d\d(?:[ -]?[A-Z0-9]{2,4}){3,8}(?![a-z0-9])")
_IBAN_SIZES = {
    entry[:2]: int(entry[2:])
    for entry in """
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18
    DO28 EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23
    IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31
    MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24
    SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30
    """.split()
}
_MAIL = re.compile(
    r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])"
)
_PHONE = re.compile(
    r"(?<![\w+.])(?:\+[1-9]\d{0,2}(?:[ ./-]?\(?\d{2,4}\)?){2,5}"
    r"|\(\d{3}\) ?\d{3}-\d{4}|\d{3}-\d{3}-\d{4})(?![\w-]|\.\d)"
)


def redact_personal(text: str, kinds: Collection[Personal]) -> str:
    """The text without personal data of these kinds."""
    for kind in Personal:
        if kind in kinds:
            text = _FIND[kind](text)
    return text


def _cards(text: str) -> str:
    return _CARD.sub(lambda m: mark("card") if _stands_alone(m) and _is_card(m[0]) else m[0], text)


def _stands_alone(match: re.Match[str]) -> bool:
    return not _INSIDE.match(match.string, match.start() - 1) if match.start() else True


def _is_card(text: str) -> bool:
    """Luhn's checksum."""
    digits = [int(c) for c in text if c.isdigit()][::-1]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return len(set(digits)) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _ibans(text: str) -> str:
    return _IBAN.sub(_iban, text)


def _iban(match: re.Match[str]) -> str:
    """Cut to the length of its country, and checked modulo 97."""
    size, found = _IBAN_SIZES.get(match[0][:2], 0), match[0]
    ends = [at + 1 for at, character in enumerate(found) if character.isalnum()]
    if not (0 < size <= len(ends) and _stands_alone(match)):
        return found
    account = "".join(character for character in found[: ends[size - 1]] if character.isalnum())
    number = int("".join(str(int(c, 36)) for c in account[4:] + account[:4]))
    return mark("iban") + found[ends[size - 1] :] if number % 97 == 1 else found


def _mail(text: str) -> str:
    return _MAIL.sub(mark("mail"), text) if "@" in text else text


def _phones(text: str) -> str:
    return _PHONE.sub(mark("phone"), text)


_FIND: Mapping[Personal, Callable[[str], str]] = {
    Personal.CARDS: _cards,
    Personal.IBANS: _ibans,
    Personal.MAIL: _mail,
    Personal.PHONES: _phones,
}
