"""One pass over one text: its deadline, where it begins, and what was matched on the way.

Presidio counts a pattern that times out as one that found nothing. Here it is the other way round: whatever
cannot finish raises :class:`DetectionGaveUp`, which Presidio does not know and therefore does not swallow.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

import regex


class DetectionGaveUp(Exception):
    """A text could not be looked at completely, so it must not pass."""


@dataclass(slots=True)
class Scan:
    """One pass: until when (``time.monotonic``), from which offset, and the raw matches met so far."""

    deadline: float
    start: int = 0
    spans: list[tuple[int, int]] = field(default_factory=list)

    def left_s(self) -> float:
        """Return the seconds that remain.

        Raises:
            DetectionGaveUp: none do.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise DetectionGaveUp("the time for this text has run out")
        return left


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
        try:
            for match in self._compiled.finditer(text, scan.start, timeout=scan.left_s()):
                scan.spans.append(match.span())
                yield match
        except TimeoutError as error:
            raise DetectionGaveUp("a pattern did not finish in time") from error
