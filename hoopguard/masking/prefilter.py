r"""Which patterns could match in a text at all, told for all of them by one look at it.

Of each pattern a looser one is made that RE2 knows: without its assertions, with every character beyond ASCII taken
for any other that matters. Whatever the pattern matches, the looser one matches too, so a pattern whose looser one
is not found need not be searched for. RE2 looks for all of them in one pass, in time linear in the text.
"""

import re
from collections.abc import Hashable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Final

import re2
import regex

from hoopguard.beginnings import TOKEN

_MOST_BYTES: Final = 1 << 26
_MOST_CHARS: Final = 30_000
_MOST_REPEATS: Final = 8
_TOGETHER: Final = 12
"""Patterns that are looked for at once: the states that RE2 has to build for hostile texts grow with their number."""

_KNOWN_FLAGS: Final = regex.IGNORECASE | regex.DOTALL | regex.MULTILINE
_INLINE_FLAGS: Final = re.compile(r"\(\?[ims]+(?:-[ims]+)?[:)]|\(\?:")
_IGNORE_CASE: Final = re.compile(r"\(\?[ms]*i")
_ANYTHING: Final = r"(?s:.*)"
_BEYOND_ASCII: Final = r"\x{80}-\x{10ffff}"
_PLAIN: Final = re.compile(r"[^.\x80-\U0010ffff]|\\d|\[(?:[^\\\[\]^\x80-\U0010ffff]|\\d|\\[^\w\x80-\U0010ffff])+\]")
"""What matches no more beyond ASCII than digits, and letters that count as ASCII's whatever the case."""
_LONG_REFERENCE: Final = re.compile(r"\\[1-9][0-9]")
_CLASSES: Final = frozenset("dDsSwWpPxuUNabfnrtv")
_SYNTAX: Final = frozenset("(){*+?[")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_EVERYTHING: Final = "".join(map(chr, range(0x80, 0x110000)))


class Unclear(Exception):
    """A pattern holds something of which no looser form is known."""


class Prefilter:
    """Many patterns, and which of them a text may hold."""

    def __init__(self, patterns: Mapping[Any, tuple[str, int]]) -> None:
        """Take the source and flags of each pattern; those that cannot be made looser are always possible."""
        self._sets = [_Set()]
        for key, (source, flags) in patterns.items():
            if len(self._sets[-1].keys) > _TOGETHER:
                self._sets.append(_Set())
            with suppress(Unclear, re2.error):
                self._sets[-1].add(key, looser(source, flags))
        for each in self._sets:
            each.compile()

    def impossible(self, text: str, start: int) -> frozenset[Hashable]:
        """Return the keys of those patterns that match nowhere in a text from an offset on."""
        part = text[start:] if start else text
        if not part.isascii():
            part = _SURROGATE.sub("\ufffd", part)  # which is no UTF-8, and as far beyond ASCII as any other
        return frozenset().union(*[each.missing(part) for each in self._sets])


class _Set:
    """A few patterns, looked for at once."""

    def __init__(self) -> None:
        options = re2.Options()
        options.log_errors = False
        options.max_mem = _MOST_BYTES
        self._set = re2.Set.SearchSet(options)
        self._set.Add("")  # always there: if it is not, RE2 has failed
        self._is_ready = False
        self.keys: list[Hashable] = [None]
        self.missing_without = cache(self._missing_without)

    def add(self, key: Hashable, source: str) -> None:
        self._set.Add(source)
        self.keys.append(key)

    def compile(self) -> None:
        with suppress(re2.error):  # they are too much for RE2, and so are always possible
            self._set.Compile()
            self._is_ready = True

    def missing(self, text: str) -> frozenset[Hashable]:
        found = self._set.Match(text) if self._is_ready else None
        return self.missing_without(frozenset(found)) if found else frozenset()

    def _missing_without(self, found: frozenset[int]) -> frozenset[Hashable]:
        return frozenset(key for number, key in enumerate(self.keys) if number not in found)


def looser(pattern: str, flags: int) -> str:
    """Return a pattern for RE2 that is found in every text in which ``regex`` finds this one.

    Raises:
        Unclear: none is known.
    """
    if len(pattern) > _MOST_CHARS or _LONG_REFERENCE.search(pattern):
        raise Unclear(pattern)
    either = cases_of(pattern, flags)
    out: list[str] = []
    asserted = depth = 0  # how deep in brackets, and from which depth on in an assertion
    for kind, source in tokens(pattern):
        depth += kind in ("ahead", "behind", "scoped", "open")
        if kind in ("ahead", "behind") and not asserted:
            asserted = depth
        if not asserted:
            out.append(_loose(kind, source, either))
        if kind == "close":
            if asserted == depth:
                asserted = 0
                out.append("(?:)")
            depth -= 1
    return "".join(out)


def cases_of(pattern: str, flags: int) -> tuple[int, ...]:
    """Return how parts of a pattern may take upper and lower case: by its flags, and those within it.

    Raises:
        Unclear: there are flags that change what it matches in other ways.
    """
    unknown = any(
        kind in ("start", "scoped") and source.startswith("(?") and not _INLINE_FLAGS.fullmatch(source)
        for kind, source in tokens(pattern)
    )
    if flags & ~_KNOWN_FLAGS or unknown:
        raise Unclear(pattern)
    return tuple(sorted({flags & regex.IGNORECASE, *[regex.IGNORECASE for _ in _IGNORE_CASE.findall(pattern)]}))


def tokens(pattern: str) -> list[tuple[str, str]]:
    """Return the kind and source of each part of a pattern."""
    return [(match.lastgroup or "", str(match.group())) for match in TOKEN.finditer(pattern)]


def _loose(kind: str, source: str, cases: tuple[int, ...]) -> str:
    if kind in ("boundary", "start"):
        return "(?:)"
    if kind in ("open", "scoped"):
        return "(?:"
    if kind == "repeat":
        return _repeat(source)
    return source if kind in ("close", "or") else one_char(kind, source, cases)


def _repeat(source: str) -> str:
    if not source.startswith("{"):
        return source[0]
    least, _, most = source.rstrip("?+")[1:-1].partition(",")
    if int(least or 0) > _MOST_REPEATS or int(most or 0) > _MOST_REPEATS:
        return f"{{{min(int(least or 0), _MOST_REPEATS)},}}"
    return f"{{{least or 0},{most}}}" if "," in source else f"{{{least}}}"


def one_char(kind: str, source: str, cases: tuple[int, ...]) -> str:
    """Return a pattern for at least what a part of a pattern matches that takes one character.

    Raises:
        Unclear: none is known.
    """
    if kind == "char" and source in _SYNTAX:
        raise Unclear(source)
    if kind == "atom" and source[1].isalnum() and source[1] not in _CLASSES:
        if source[1] in "123456789":
            return _ANYTHING  # whatever it refers to
        raise Unclear(source)
    return _class(source, cases)


@cache
def _class(source: str, cases: tuple[int, ...]) -> str:
    """Return the class of at least those characters that a part of a pattern matches, which takes one."""
    ones: list[Any] = [regex.compile(source, case | regex.DOTALL) for case in cases]
    chars = [char for char in (*map(chr, range(0x80)), *_like_ascii()) if any(one.fullmatch(char) for one in ones)]
    ranges = "".join(f"\\x{{{ord(char):x}}}" for char in chars)
    if not _PLAIN.fullmatch(source):
        ranges += _BEYOND_ASCII
    if not ranges:
        raise Unclear(source)
    return f"[{ranges}]"


@cache
def _like_ascii() -> tuple[str, ...]:
    """Return the characters beyond ASCII that count as a digit or, whatever the case, as an ASCII letter."""
    return tuple(regex.findall(r"\d|(?i:[a-z])", _EVERYTHING))
