"""What was found in a text, and how surrounding words raise its score, as Presidio does but in near-linear time."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

import regex

WORDS_OF_CONTEXT: Final = 5
_CONTEXT_BONUS: Final = 0.35
_LEAST_WITH_CONTEXT: Final = 0.4

_WORD: Final = regex.compile(r"\w+")
_WORDS_BACKWARDS: Final = regex.compile(r"\w+", regex.REVERSE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One entity in a text: its type, its span and how sure Presidio is."""

    entity: str
    start: int
    end: int
    score: float


class Surroundings:
    """A text's words; for findings that come in order, what is between words is looked at once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._ahead: tuple[int, int, str] = (0, -1, "")

    def words(self, start: int) -> frozenset[str]:
        """Return, in lower case, the word at an offset or the next one, and those before it that count as context."""
        at = _WORD.match(self._text, start)
        end = at.end() if at else start
        before = islice(_WORDS_BACKWARDS.finditer(self._text, 0, end), WORDS_OF_CONTEXT + 1)
        words = [match.group().lower() for match in before]
        return frozenset(words if at else [*words, self._next_word(start)])

    def _next_word(self, start: int) -> str:
        since, until, word = self._ahead
        if not since <= start <= until:
            ahead = _WORD.search(self._text, start)
            word = ahead.group().lower() if ahead else ""
            self._ahead = (start, ahead.start() if ahead else len(self._text), word)
        return word


def with_context(score: float) -> float:
    """Return the score that a finding has when a context word stands before it."""
    return min(max(score + _CONTEXT_BONUS, _LEAST_WITH_CONTEXT), 1.0)


def left_context(text: str, offset: int) -> int:
    """Return from where on a text has to be kept so that findings at or after an offset see their context."""
    nearest = list(islice(_WORDS_BACKWARDS.finditer(text, 0, offset), WORDS_OF_CONTEXT + 2))
    return int(nearest[-1].start()) if len(nearest) == WORDS_OF_CONTEXT + 2 else 0


def word_is_open(text: str, start: int) -> bool:
    """Tell whether the word at an offset, or the next one, reaches the end of the text or is yet to come."""
    at = _WORD.search(text, start)
    return at is None or at.end() == len(text)


def without_contained(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Drop what lies within a finding of the same entity with at least the same score; order by place."""
    kept: list[Finding] = []
    skylines: dict[str, Skyline] = {}
    for finding in sorted(set(findings), key=lambda f: (-f.score, f.start, f.start - f.end)):
        if finding.score > 0 and skylines.setdefault(finding.entity, Skyline()).add(finding.start, finding.end):
            kept.append(finding)
    return tuple(sorted(kept, key=lambda f: (f.start, f.end, f.entity, f.score)))


class Skyline:
    """Spans of which none contains another, so that starts and ends both rise."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> bool:
        """Add a span unless one that is here contains it; say whether it was added."""
        at = bisect_right(self._starts, start)
        if at and self._ends[at - 1] >= end:
            return False
        first = at - 1 if at and self._starts[at - 1] == start else at
        last = bisect_right(self._ends, end)
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        return True
