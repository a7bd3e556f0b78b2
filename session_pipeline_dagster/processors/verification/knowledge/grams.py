"""Which of many texts may be like one by their letters: asked of all of them at once.

A set of texts is an int with a bit for each, so one operation on two of them is one on thousands of
texts. Nothing that is like a text is left out: texts of one ratio share so many pairs of letters.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import ceil

_LETTERS = 127
"""Letters beyond ASCII are folded onto so many: that only makes texts look more alike."""
_ABOUT = 0.95
"""Of its length: texts that are shorter or longer are asked for by themselves."""
_ZONE = 16
"""Letters; where a pair stands is known so well."""
_KEPT_BYTES = 1 << 25
_ROUNDING = 1e-6


def members(numbers: Iterable[int]) -> int:
    """The set of these texts."""
    held = bytearray()
    for number in numbers:
        place = number >> 3
        if place >= len(held):
            held.extend(bytes(place + 1 - len(held)))
        held[place] |= 1 << (number & 7)
    return int.from_bytes(held, "little")


def numbers(texts: int) -> list[int]:
    """The numbers of the texts in a set, ascending."""
    found = []
    for place, byte in enumerate(texts.to_bytes((texts.bit_length() + 7) // 8, "little")):
        if byte:
            found += [place * 8 + bit for bit in range(8) if byte >> bit & 1]
    return found


def counted(sets: Iterable[int]) -> list[int]:
    """In how many of the sets each text is: bit n of each count, the lowest first."""
    planes = []
    left = list(sets)
    while left:
        carried = []
        while len(left) > 2:
            a, b, c = left.pop(), left.pop(), left.pop()
            one = a ^ b
            left.append(one ^ c)
            carried.append((a & b) | (one & c))
        if len(left) > 1:
            a, b = left.pop(), left.pop()
            left.append(a ^ b)
            carried.append(a & b)
        planes.append(left[0])
        left = carried
    return planes


def at_least(least: int, planes: Sequence[int], among: int) -> int:
    """Those whose count is so high."""
    if least <= 0:
        return among
    if least >> len(planes):
        return 0
    more, level = 0, among
    for place in reversed(range(len(planes))):
        with_bit = level & planes[place]
        if least >> place & 1:
            level = with_bit
        else:
            more |= with_bit
            level ^= with_bit
    return more | level


def most_shared(most: int, planes: Sequence[int], among: int) -> int:
    """At least so many of those with the highest counts; all, where there are no more."""
    least, found = 0, among
    for place in reversed(range(len(planes))):
        higher = at_least(least | 1 << place, planes, among)
        if higher.bit_count() >= most:
            least, found = least | 1 << place, higher
    return found


class Grams:
    """Texts by the pairs of letters in them, and by where these stand."""

    def __init__(self, texts: Sequence[str]) -> None:
        held: dict[tuple[str, int], list[int]] = defaultdict(list)
        of_length: dict[int, list[int]] = defaultdict(list)
        for number, text in enumerate(texts):
            of_length[len(text)].append(number)
            for gram in set(_grams(text)):
                held[gram].append(number)
        self._held = {gram: members(by) for gram, by in held.items()}
        self._lengths = sorted(of_length)
        # No longer than each of the lengths; none at all before the first.
        self._up_to = [0]
        for length in self._lengths:
            self._up_to.append(self._up_to[-1] | members(of_length[length]))
        self._around: dict[tuple[str, int, int], int] = {}
        self._most_kept = max(1000, _KEPT_BYTES // (len(texts) // 8 + 1))

    def near(self, text: str, ratio: float, among: int) -> int:
        """Those that may have this `fuzz.ratio` with a text; none that has it is missing.

        Of two texts with n letters, n * ratio / 2 are common and in order. Each that is not takes
        two pairs from its own text and one from the other, and moves the rest by one place.
        """
        share, own = ratio / 100, len(text)
        steps = (share / (2 - share), _ABOUT, 1 / _ABOUT, (2 - share) / share)
        found = 0
        for least, most in pairwise(sorted(step * own for step in steps)):
            within = among & self._of_lengths(least - _ROUNDING, most + _ROUNDING)
            if within:
                common = share * (own + least) / 2
                missing, more = own - common, most - share * (own + most) / 2
                pairs = ceil(3 * common - own - least - 1 - _ROUNDING)
                planes = self.shared(text, ceil(missing + _ROUNDING), ceil(more + _ROUNDING))
                found |= at_least(pairs, planes, within)
        return found

    def shared(self, text: str, back: int, ahead: int) -> list[int]:
        """How many pairs of a text each has about where they stand, as `counted` has it.

        Args:
            back, ahead: so many letters before and after, at least.
        """
        back, ahead = -(-back // _ZONE), -(-ahead // _ZONE)
        return counted(
            self._near_by(pair, zone - back, zone + ahead) for pair, zone in _grams(text)
        )

    def _near_by(self, pair: str, first: int, last: int) -> int:
        key = (pair, first, last)
        found = self._around.get(key)
        if found is None:
            found = 0
            for zone in range(max(first, 0), last + 1):
                found |= self._held.get((pair, zone), 0)
            if len(self._around) >= self._most_kept:
                self._around.clear()
            self._around[key] = found
        return found

    def _of_lengths(self, least: float, most: float) -> int:
        first, last = bisect_left(self._lengths, least), bisect_right(self._lengths, most)
        return self._up_to[last] & ~self._up_to[first] if last > first else 0


def _grams(text: str) -> list[tuple[str, int]]:
    """Pairs of letters, and the zone in which each stands."""
    plain = text if text.isascii() else "".join(chr(ord(c) % _LETTERS) for c in text)
    return [(plain[i : i + 2], i // _ZONE) for i in range(len(plain) - 1)]
