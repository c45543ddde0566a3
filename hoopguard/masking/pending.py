"""From where on could a text that is still being written become a match of a pattern?

Every beginning of a match is searched right before the end of the text: left of the leftmost place where one stands,
more text changes nothing. ``regex`` itself offers partial matches, but misses some where quantifiers are nested (seen
with 2026.11.15).
"""

import re
from collections.abc import Callable
from typing import Any, Final

import re2
import regex

from hoopguard.beginnings import BACK_REFERENCE, TOKEN, beginnings, loose_beginnings

_PLAIN: Final = re.compile(r"[\t\n\r\x20-\x7e]*+")
"""Text of which RE2 and ``regex`` agree what is a letter, a digit, a space, a word's end."""

NOTHING: Final = r"[^\s\S]"
"""A pattern that never matches."""

_RE2_FLAGS: Final = {regex.DOTALL: "s", regex.MULTILINE: "m", regex.IGNORECASE: "i"}


def may_match_nothing(pattern: str, flags: int) -> bool:
    """Tell whether a pattern could match without taking a character, wherever its assertions hold."""
    out: list[str] = []
    depth = skipped_from = 0
    for match in TOKEN.finditer(pattern):
        kind, source = match.lastgroup, match.group()
        depth += kind in ("ahead", "behind", "scoped", "open")
        if kind in ("ahead", "behind") and not skipped_from:
            skipped_from = depth
        if not skipped_from:
            out.append("(?:)" if kind == "boundary" or source in ("^", r"\A") else source)
        if kind == "close":
            if skipped_from == depth:
                skipped_from = 0
                out.append("(?:)")
            depth -= 1
    return regex.compile("".join(out), flags).match("") is not None


class Pending:
    """The beginnings of all patterns of a detector, looked for at once."""

    def __init__(self, patterns: list[tuple[str, int]]) -> None:
        distinct = list(dict.fromkeys(patterns))
        self._quick = _Quick(distinct)
        self._all = _compiled(distinct)
        self._not_quick = _compiled(self._quick.others)

    def earliest(self, text: str, start: int, left_s: Callable[[], float]) -> int:
        """Return the first offset from ``start`` on at which more text could make a difference.

        ``left_s`` tells how much time there still is, for all patterns together.

        Raises:
            TimeoutError: one of the patterns takes too long.
        """
        if not self._quick.reads(text, start):
            return _earliest(self._all, text, start, left_s)
        at, certain = self._quick.earliest(text, start)
        if certain:
            return min(at, _earliest(self._not_quick, text, start, left_s)) if self._not_quick else at
        # What the quick ones might find before is not there for sure, but nothing of theirs is before it.
        return min(_earliest(self._all, text, at, left_s), _earliest(self._not_quick, text, start, left_s))


class _Quick:
    """The beginnings on RE2, which reads a text once from its end; for plain text, and often all that is needed.

    ``loose`` finds at least what is there, ``exact`` no more than that; where both say the same, it is so.
    ``others`` are the patterns that cannot be said there.
    """

    def __init__(self, patterns: list[tuple[str, int]]) -> None:
        loose: list[str] = []
        exact: list[str] = []
        self.others: list[tuple[str, int]] = []
        for pattern, flags in patterns:
            try:
                said, sure = loose_beginnings(pattern)
                source = f"(?{_re2_flags(flags)}:{said})"
                _at_end([source])
            except (ValueError, re2.error):
                self.others.append((pattern, flags))
            else:
                loose.append(source)
                exact += [f"(?{_re2_flags(flags)}:{sure})"] if sure is not None else []
        self._loose = _at_end([*loose, ""])
        self._exact = _as_far_as_there_is_room(exact)

    def reads(self, text: str, start: int) -> bool:
        """Tell whether a text is plain from an offset on, the character before it included."""
        return _PLAIN.fullmatch(text, start - 1 if start else 0) is not None

    def earliest(self, text: str, start: int) -> tuple[int, bool]:
        """Return the offset before which nothing is pending, and whether something certainly is there."""
        before = start - 1 if start else 0
        tail = text[before:].encode("ascii")
        found = self._loose.search(tail, start - before)
        at: int = before + found.start()
        return at, at == len(text) or self._exact.match(tail, at - before) is not None


def _compiled(patterns: list[tuple[str, int]]) -> list[Any]:
    together: dict[int, list[str]] = {}
    alone: list[tuple[str, int]] = []
    for pattern, flags in patterns:
        if BACK_REFERENCE.search(pattern):
            alone.append((beginnings(pattern), flags))
        else:
            together.setdefault(flags, []).append(beginnings(pattern))
    merged = [("|".join(sources), flags) for flags, sources in together.items()]
    return [regex.compile(rf"(?:{source})\Z", flags) for source, flags in merged + alone]


def _earliest(patterns: list[Any], text: str, start: int, left_s: Callable[[], float]) -> int:
    if any(pattern.match(text, start, timeout=left_s()) for pattern in patterns):
        return start
    earliest = len(text)
    for pattern in patterns:
        found = pattern.search(text, start, timeout=left_s())
        earliest = min(earliest, found.start()) if found else earliest
    return earliest


def _re2_flags(flags: int) -> str:
    if flags & ~sum(_RE2_FLAGS):
        raise ValueError("flags that RE2 does not have")
    return "".join(letter for flag, letter in _RE2_FLAGS.items() if flags & flag)


def _as_far_as_there_is_room(sources: list[str]) -> Any:
    try:
        return _at_end([*sources, NOTHING])
    except re2.error:
        return _as_far_as_there_is_room(sources[: len(sources) // 2])


def _at_end(sources: list[str]) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    return re2.compile(rf"(?:{'|'.join(sources)})\z", options)
