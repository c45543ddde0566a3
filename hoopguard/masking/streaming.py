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
from hoopguard.masking.scan import DetectionGaveUp, Scan

if TYPE_CHECKING:
    from hoopguard.masking.masker import Masker

_CONTEXT_TO_TRIM: Final = 256
_FAIR_FEED_S: Final = 0.05
_FAIR_CHARS_PER_S: Final = 10_000
_MOST_DEBT_S: Final = 3.0
_CHEAP_SCAN_S: Final = 0.002
_REST_CHARS_PER_S: Final = 5_000


class TextStream:
    """One text that arrives in pieces; ``feed`` gives back what is safe to show, ``finish`` the rest."""

    def __init__(self, masker: "Masker") -> None:
        self._masker = masker
        self._window = ""
        self._starts: dict[Hashable, int] = {}
        self._released = 0
        self._pending = 0
        self._debt_s = 0.0
        self._rest_chars = 0.0
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
        began = time.thread_time()
        self._window += delta
        self._rest_chars -= len(delta)
        budget_s = self._budget_s()
        self._pending = self._masker.detector.pending_from(self._window, self._pending, budget_s=budget_s)
        out = self._advance(budget_s) if self._worth_a_scan() else ""
        self._charge(time.thread_time() - began - len(delta) / _FAIR_CHARS_PER_S)
        return out

    def _worth_a_scan(self) -> bool:
        # Where scans are dear (tables of numbers), fewer of them: what could be shown then waits a little longer.
        rested = self._rest_chars <= 0 or self.held_chars > self._masker.max_held_chars // 2
        return rested and self._pending > self._released

    def finish(self) -> str:
        """Say that the text is over; return what was held back.

        Raises:
            DetectionGaveUp: looking takes too long; what was held must not be shown.
        """
        self._pending = len(self._window)
        return self._advance(self._budget_s(), whole=True)

    def _advance(self, budget_s: float, *, whole: bool = False) -> str:
        text = self._window
        scan = Scan(time.monotonic() + budget_s, self._released, self._starts)
        began = time.thread_time()
        findings = self._masker.detector.scan(text, scan)
        self._rest_chars = (time.thread_time() - began - _CHEAP_SCAN_S) * _REST_CHARS_PER_S
        certain = self._pending
        if not whole:
            # A finding's context words include the word it begins in, which may not be complete.
            unsure = (f.start for f in findings if self._released <= f.start < certain and word_is_open(text, f.start))
            certain = min(unsure, default=certain)
        spans = merge(self._masker.claims(f for f in findings if self._released <= f.start < certain))
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

    def _budget_s(self) -> float:
        return 1.0 + len(self._window) / _FAIR_CHARS_PER_S

    def _charge(self, over_s: float) -> None:
        """Bound what the stream holds and how long it keeps everybody else waiting."""
        limit = self._masker.max_held_chars
        if self.held_chars > limit:
            raise DetectionGaveUp(f"more than {limit} characters would have to be held back")
        if len(self._window) > 4 * limit + _CONTEXT_TO_TRIM:
            raise DetectionGaveUp("the text has no place where it could be cut")
        self._debt_s += max(0.0, over_s - _FAIR_FEED_S)
        if self._debt_s > _MOST_DEBT_S:
            raise DetectionGaveUp("the text takes too long to look at")


def _end(span: tuple[int, int]) -> int:
    return span[1]
