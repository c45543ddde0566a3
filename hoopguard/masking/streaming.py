"""Masking a text while it is being written: the same result as on the whole, holding back as little as possible.

A stream knows three things about its window. Everything before ``released`` has been given out; what is kept of
it serves look-behinds and context words. From ``pending`` on, text that is yet to come can change what is found;
before it nothing can. ``starts`` says which patterns were in the middle of a match at ``released`` and have to
begin before it, so that each finds what it would find on the whole text.
"""

import time
from collections import Counter
from collections.abc import Hashable
from typing import TYPE_CHECKING, Final

from hoopguard.masking.findings import left_context, word_is_open
from hoopguard.masking.operators import merge
from hoopguard.masking.scan import Budget, DetectionGaveUp, Scan
from hoopguard.pace import Pace

if TYPE_CHECKING:
    from hoopguard.masking.masker import Masker

_CONTEXT_TO_TRIM: Final = 256
_MOST_AT_ONCE: Final = 1_024
_AT_ONCE_IF_BUSY: Final = 96
_CHEAP_SCAN_S: Final = 0.0005
_REST_CHARS_PER_S: Final = 40_000
_REST_S_PER_S: Final = 10


class TextStream:
    """One text that arrives in pieces; ``feed`` gives back what is safe to show, ``finish`` the rest."""

    def __init__(self, masker: "Masker", pace: Pace | None = None) -> None:
        self._masker = masker
        self._pace = Pace() if pace is None else pace
        self._window = ""
        self._starts: dict[Hashable, int] = {}
        self._released = 0
        self._pending = 0
        self._rest_chars = 0.0
        self._rest_until = 0.0
        self._unseen = 0
        self.scans = 0
        self.counts: Counter[str] = Counter()

    @property
    def held_chars(self) -> int:
        """Return how many characters are held back."""
        return len(self._window) - self._released

    def feed(self, delta: str) -> str:
        """Take the next piece of the text; return what can be shown now.

        Raises:
            DetectionGaveUp: too much is held, or looking takes too long; the stream must end.
        """
        if not delta:
            return ""
        with self._pace.turn(len(delta)) as budget:
            if len(delta) <= _MOST_AT_ONCE:
                return self._take(delta, budget)
            parts = (delta[at : at + _MOST_AT_ONCE] for at in range(0, len(delta), _MOST_AT_ONCE))
            return "".join([self._take(part, budget) for part in parts])

    def finish(self) -> str:
        """Say that the text is over; return what was held back.

        Raises:
            DetectionGaveUp: looking takes too long; what was held must not be shown.
        """
        self._pending = len(self._window)
        with self._pace.turn(0) as budget:
            return self._advance(budget, whole=True)

    def _take(self, part: str, budget: Budget) -> str:
        left_s = budget.left_s()
        self._window += part
        self._unseen += len(part)
        limit = self._masker.max_held_chars
        if self._resting() and self.held_chars <= limit:
            return ""
        began = time.monotonic()
        self._unseen = 0
        self._pending = self._masker.detector.pending_from(self._window, self._pending, budget=budget)
        out = self._advance(budget) if self._pending > self._released else ""
        if self._rest_until or time.monotonic() - began > _CHEAP_SCAN_S:
            self._rest(left_s - budget.left_s() - _CHEAP_SCAN_S)
        if self.held_chars > limit:
            raise DetectionGaveUp(f"more than {limit} characters would have to be held back")
        if len(self._window) > 4 * limit + _CONTEXT_TO_TRIM:
            raise DetectionGaveUp("the text has no place where it could be cut")
        return out

    def _resting(self) -> bool:
        """Tell whether to wait for more characters before looking again, so that dear scans are rare."""
        if self._rest_until and self._unseen < self._rest_chars and time.monotonic() < self._rest_until:
            return True
        return self._unseen < _AT_ONCE_IF_BUSY and self._pace.busy

    def _rest(self, dear_s: float) -> None:
        dear_s = max(0.0, dear_s)
        self._rest_chars = min(dear_s * _REST_CHARS_PER_S, self._masker.max_held_chars / 4)
        self._rest_until = time.monotonic() + dear_s * _REST_S_PER_S if dear_s else 0.0

    def _advance(self, budget: Budget, *, whole: bool = False) -> str:
        self.scans += 1
        text = self._window
        scan = Scan(budget, self._released, self._starts, may_wait=not whole)
        findings = self._masker.detector.scan(text, scan)
        certain = self._pending if scan.stopped is None else min(self._pending, scan.stopped)
        if certain <= self._released and not whole:
            return ""
        if not whole:
            # A finding's context words include the word it begins in, which may not be complete.
            unsure = (f.start for f in findings if self._released <= f.start < certain and word_is_open(text, f.start))
            certain = min(unsure, default=certain)
        spans = (
            merge(self._masker.claims(f for f in findings if self._released <= f.start < certain)) if findings else []
        )
        release = certain
        if spans and spans[-1].end > release and not whole:
            release = spans.pop().start
        out = self._masker.render(text, self._released, release, spans, self.counts)
        self._released = release
        self._starts = scan.starts_at(release)
        self._trim()
        return out

    def _trim(self) -> None:
        needed = min(self._starts.values(), default=self._released)
        if needed <= _CONTEXT_TO_TRIM:
            return
        cut = left_context(self._window, needed)
        self._window = self._window[cut:]
        self._released -= cut
        self._pending -= cut
        self._starts = {seeker: start - cut for seeker, start in self._starts.items()}
