"""One pass over one text: its deadline, where it begins, and what was matched on the way.

Presidio counts a pattern that times out as one that found nothing. Here it is the other way round: whatever
cannot finish raises :class:`DetectionGaveUp`, which Presidio does not know and therefore does not swallow.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

import regex

from hoopguard.pace import Budget as Budget
from hoopguard.pace import DetectionGaveUp as DetectionGaveUp


@dataclass(slots=True)
class Scan:
    """One pass: how long it may take, from which offset, and what was passed over on the way.

    Each *seeker* (a pattern, or phonenumbers for one region) takes a text from left to right, going on where its
    last match ended; ``starts`` says who begins before ``start``, because it was in the middle of a match there.
    Patterns that are ``impossible`` match nowhere in the text, so nobody searches for them. Where the rest of the text
    ``may_wait``, a seeker that is dear may stop early, and says where it ``stopped``.
    """

    budget: Budget
    start: int = 0
    starts: dict[Hashable, int] = field(default_factory=dict)
    seekers: dict[Hashable, list[tuple[int, int]]] = field(default_factory=dict)
    impossible: frozenset[Hashable] = frozenset()
    may_wait: bool = False
    stopped: int | None = None

    def stop(self, offset: int) -> None:
        """Leave the text from an offset on for another pass.

        Raises:
            DetectionGaveUp: there will be none.
        """
        if not self.may_wait:
            raise DetectionGaveUp("language models have taken too much of everybody's time")
        self.stopped = offset if self.stopped is None else min(self.stopped, offset)

    @property
    def earliest(self) -> int:
        """Return the first offset at which some seeker begins."""
        return min(self.starts.values(), default=self.start)

    def start_of(self, seeker: Hashable) -> int:
        """Return where a seeker begins."""
        return self.starts.get(seeker, self.start)

    def passed(self, seeker: Hashable) -> list[tuple[int, int]]:
        """Return the list in which a seeker notes what it matched, found or rejected, in order."""
        return self.seekers.setdefault(seeker, [])

    def starts_at(self, offset: int) -> dict[Hashable, int]:
        """Return who would have to begin before an offset, to go on from there as if it had never stopped."""
        starts: dict[Hashable, int] = {}
        for seeker, passed in self.seekers.items():
            at = bisect_left(passed, (offset, 0)) - 1
            if at >= 0 and passed[at][1] > offset:
                starts[seeker] = passed[at][0]
        return starts

    def left_s(self) -> float:
        """Return the seconds that remain.

        Raises:
            DetectionGaveUp: none do.
        """
        return self.budget.left_s()


_CURRENT: Final[ContextVar[Scan]] = ContextVar("hoopguard_scan")


def current_scan() -> Scan:
    """Return the pass that this thread or task is in."""
    return _CURRENT.get()


@contextmanager
def scanning(scan: Scan) -> Iterator[Scan]:
    """Make ``scan`` the pass that guarded patterns obey while the block runs."""
    token = _CURRENT.set(scan)
    try:
        yield scan
    finally:
        _CURRENT.reset(token)


class GuardedPattern:
    """A compiled ``regex`` pattern that obeys the current pass instead of Presidio's own time-out."""

    __slots__ = ("_compiled",)

    def __init__(self, compiled: "regex.Pattern[str]") -> None:
        self._compiled = compiled

    def finditer(self, text: str, timeout: float | None = None) -> Iterator[Any]:
        """Yield the matches from the pass's start on; Presidio's ``timeout`` is ignored.

        Raises:
            DetectionGaveUp: the pass's time ran out.
        """
        scan = current_scan()
        if self in scan.impossible:
            return
        try:
            passed = scan.passed(self)
            for match in self._compiled.finditer(text, scan.start_of(self), timeout=scan.left_s()):
                scan.left_s()
                passed.append(match.span())
                yield match
        except TimeoutError as error:
            raise DetectionGaveUp("a pattern did not finish in time") from error
