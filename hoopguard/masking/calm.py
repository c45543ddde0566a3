r"""Calm text: letters, spaces and the marks of prose, of which most entities cannot be made.

A card number has digits, an e-mail address an ``@``. Which patterns cannot do without such a *telling* character is
read off the patterns themselves, so that a text that has none (most of what people and models write) is searched for
the others only.
"""

import re
from typing import Final

import re2

from hoopguard.masking.prefilter import Unclear, cases_of, one_char, tokens

_CALM: Final = re.compile(r"""[A-Za-z\t\n\r ,.'"!?()\u00c0-\u024f-]*+""")
"""Listed one by one, and possessive, this is read ten times as fast as a search for anything else."""

_EXAMPLES: Final = "".join(char for char in map(chr, range(0x80)) if _CALM.fullmatch(char)) + "é"
"""All calm characters of ASCII, and one that stands for those beyond it."""


def is_calm(text: str, start: int = 0) -> bool:
    """Tell whether a text is calm from an offset on."""
    return _CALM.fullmatch(text, start) is not None


def may_match_calm(pattern: str, flags: int) -> bool:
    """Tell whether a pattern could match in a calm text; it may say so of one that cannot."""
    try:
        return _Reader(cases_of(pattern, flags)).read(pattern)
    except Unclear:
        return True


class _Reader:
    """Reads a pattern from left to right: every part of a sequence has to match something, one way of several."""

    def __init__(self, cases: tuple[int, ...]) -> None:
        self._cases = cases
        self._outer: list[tuple[bool, bool]] = []
        self._begin()

    def _begin(self) -> None:
        self._ways = False
        self._before = self._last = True

    def read(self, pattern: str) -> bool:
        asserted = 0  # from which depth on the pattern only looks ahead or behind
        for kind, source in tokens(pattern):
            if kind in ("ahead", "behind") and not asserted:
                asserted = len(self._outer) + 1
            if kind in ("ahead", "behind", "scoped", "open"):
                self._open()
            elif kind == "close":
                self._close(as_if=True if asserted == len(self._outer) else None)
                asserted = 0 if len(self._outer) < asserted else asserted
            elif kind == "or":
                self._ways, self._before, self._last = self._way(), True, True
            elif kind == "repeat":
                self._last = self._last or source[0] in "*?" or source.startswith(("{0", "{,"))
            elif kind not in ("boundary", "start"):
                self._item(self._one(kind, source))
        if self._outer:
            raise Unclear(pattern)
        return self._way()

    def _way(self) -> bool:
        return self._ways or (self._before and self._last)

    def _item(self, matches: bool) -> None:
        self._before, self._last = self._before and self._last, matches

    def _open(self) -> None:
        self._outer.append((self._ways, self._before and self._last))
        self._begin()

    def _close(self, as_if: bool | None) -> None:
        inside = self._way() if as_if is None else as_if
        self._ways, self._before = self._outer.pop()
        self._last = inside

    def _one(self, kind: str, source: str) -> bool:
        return re2.search(one_char(kind, source, self._cases), _EXAMPLES) is not None
