"""What links a name to its value, and from where to where the value goes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

QUOTE = r"""(?:\\{0,3}["'`]|&quot;|&\#0?3[49];|%22|[“”„‚‘’«»「『])"""
_CLOSING = {"“": "”", "„": "“”", "‚": "‘’", "‘": "’", "«": "»", "»": "«", "「": "」", "『": "』"}
# "for the database", "k databázi", "provisoire": between a name and "is" or a colon. Its words hold
# no digits, or few: else it would go past the value.
_FILLER = r"""
    (?:\s(?:for|of|to|on|at|in|from|fürs?|fuer|zu[mr]?|der|des|vom|von|bei|pour|du|de|la|sur|à|para
    |da|do|del|na|no|al|per|di|della|dla|k|ke|pro|od|voor|van|op|для|от|к|на|в|від|до|hash
    |root|admin|provisoire|temporaire|temporal|nueva|actual|temporanea|nuova|tymczasowe|nowe|nové
    |dočasné|временный|новый)
    (?:\s(?:[^\s:：;=\[\d]{1,24}|[a-z-]{1,8}\d{1,3})(?![^\s:：;=])){0,8}?)
"""
_IS = r"""
    (?:is|are|was|were|(?:will|should|shall|must)\sbe|ist|lautete?t?|war|wäre|hei(?:ß|ss)t|est|était
    |c'est|es|era|será|é|è|je|zní|byl[oa]?|bude|jest|brzmi|było|luidt|wordt|это|был|есть|є|on|är|er
    |used\sto\sbe|este|είναι|هي|هو|là|היא|הוא|คือ|adalah|(?<=hasło[ ])to)(?![a-zà-ž])
    (?:\s(?:now|currently|still|just|always|jetzt|nun|(?:set|changed|reset|updated)\sto))?
"""
_SET_TO = r"(?:(?:was\s|been\s)?(?:set|changed|reset|rotated|updated)\s)"
_BEGINNING = rf"""
    (?:(?<=[a-z])(?P<suffix>(?:[a-z0-9_-]|\.(?=\w)){{0,40}}+))?
    (?P<end>{QUOTE}?[ ]?\]?[*_~]{{0,3}}(?:[ ]?\([^()\n"']{{1,40}}\))?)
"""
# Groups: how sure a value is one. After `equals` there is little doubt, after `beside` much.
_NEAR = re.compile(
    rf"""
    {_BEGINNING}
    (?:
      (?P<equals>[ \t]{{0,20}}(?:=>|:=|\?=|={{1,3}}|->|→|➜|＝|%3d)[ \t]{{0,8}}
        |[ ]?:[ ]?[a-z][\w.<>\[\]?|]{{0,40}}[ ]?=[ ]?(?=["'])
        |[\s,;]{{1,40}}{QUOTE}?(?:value|default|content|val|wert){QUOTE}?\s{{0,3}}[:=]\s{{0,3}}
        |\s{{0,3}}\{{[^{{}}]{{0,200}}?\bdefault\s{{0,3}}=\s{{0,3}}
        |\s{{0,2}}[:：]\s?[|>][+-]?\s{{1,20}})
      |(?P<element>(?:\s[^<>\n]{{0,80}})?>\s{{0,9}}(?:<[\w:]{{1,30}}>\s{{0,9}})?)
      |(?P<colon>\s{{0,2}}[:：]{{1,2}}[*_]{{0,3}}[ \t]{{0,8}}(?:\r?\n[ \t>*-]{{0,12}}){{0,2}}
        (?:!!?(?:vault|str|string|binary|unsafe|encrypted|sops|sensitive)[ \t]{{1,3}})?)
      |(?P<said>(?:\s{{1,2}}{_IS}\s{{0,2}}[:=]?|['’]s\s|[ ][–—-][ ]
          |\s{{0,2}}(?:は|是|为|為|은|는|이|가)\s{{0,2}}[:：]?)\s{{0,3}}
        |\s{_SET_TO}?from\s(?:\S{{1,80}}\sto\s(?!\[redacted))?|\s{_SET_TO}to\s)
      |(?P<beside>\sto\s|[ \t]{{0,3}}[,|][ \t]{{0,3}}|[ \t]{{0,2}}\((?=["'])|[ \t]{{1,3}}(?:\d[ ])?
        |(?<=[^\x00-\u024f])(?=[!-~]))
    )
    """,
    re.VERBOSE,
)
_FAR = re.compile(
    rf"""
    {_BEGINNING}
    (?:(?P<said>{_FILLER}(?:\s{{1,2}}{_IS}\s{{0,2}}[:=]?|\s{{0,2}}[:：=])\s{{0,3}})
      |(?P<beside>{_FILLER}\sto\s|\s(?:от|для|к|від|до)(?:\s[^\s\d]{{1,20}}){{1,4}}?\s(?=[!-~])))
    """,
    re.VERBOSE,
)
_KINDS = ("equals", "element", "colon", "said", "beside")
_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Link:
    """What stands between a name and a value.

    Attributes:
        kind: one of `_KINDS`.
        suffix: what belongs to the name still, as in `password_file`.
        bare: the name is not closed by a quote or a bracket.
        text: the link itself.
        start, end: its place; the value begins at `end`.
    """

    kind: str
    suffix: str
    bare: bool
    text: str
    start: int
    end: int


def links(lower: str, at: int) -> Iterator[Link]:
    """The links from a name that ends at `at`, the nearest first."""
    for pattern in (_NEAR, _FAR):
        found = pattern.match(lower, at)
        if found is not None:
            groups = found.groupdict()
            kind = next(kind for kind in _KINDS if groups.get(kind) is not None)
            yield Link(
                kind, found["suffix"] or "", not found["end"], found[kind], *found.span(kind)
            )


_OPENING = re.compile(QUOTE, re.VERBOSE)
_IN_QUOTES = {
    quote: re.compile(rf"((?:[^{quote}\\\n]++|\\.)*+){quote}") for quote in ('"', "'", "`")
}
# Whatever is no space, no quote, no letter of a script without spaces, and no end of a list.
_BARE = re.compile(
    r"""(?:[^\s"'`<>\\&,;。、，；！？）」』】»”\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]++
    |\\(?![nrt"'\\])|&(?!(?:[\w.-]{1,40}=|quot;|\#|amp;))
    |[,;](?!\s|$|["'\\}\])]|[\w.-]{1,40}\s?[:=]))++""",
    re.VERBOSE,
)
_AFTERWARDS = ".,:;?*"
_NO_BEGINNING = " +.,;:)]}&|"


def extent(text: str, start: int) -> tuple[int, int, bool]:
    """From where to where a value goes, and whether it is in quotes."""
    opening = _OPENING.match(text, start)
    if opening:
        inside = opening.end()
        end = _closing(text, inside, opening[0])
        if end >= 0 and opening[0] in _CLOSING:
            value = text[inside:end]
            return end - len(value.lstrip()), inside + len(value.rstrip()), True
        if end >= 0:
            # A quote that closes what the name stands in opens no value.
            empty = text[inside] in _NO_BEGINNING
            return (inside, inside, True) if empty else (inside, end, True)
        start = inside
    bare = _BARE.match(text, start, start + _LONGEST)
    value = bare[0].rstrip(_AFTERWARDS) if bare else ""
    if value.endswith((")", "]", "}")) and not any(bracket in value for bracket in "([{"):
        value = value.rstrip(")]}" + _AFTERWARDS)
    return start, start + len(value), False


def _closing(text: str, inside: int, quote: str) -> int:
    """Where the quote is closed on the same line; -1 = nowhere near."""
    if quote in _IN_QUOTES:
        closed = _IN_QUOTES[quote].match(text, inside, inside + _LONGEST)
        return closed.end(1) if closed else -1
    ends = (text.find(c, inside, inside + _LONGEST) for c in _CLOSING.get(quote, (quote,)))
    end = min((end for end in ends if end >= 0), default=-1)
    return -1 if "\n" in text[inside:end] else end
