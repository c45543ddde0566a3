"""How much of everybody's time looking at streams may take: one turn, one exchange, all of them together.

Short pieces of streams are looked at on the event loop, where everybody waits meanwhile, and long ones in a thread,
which shares the interpreter with everybody. So a turn has a budget however long its piece is; an exchange that takes
more than its share runs up a debt, which time redeems and beyond which it ends; and all exchanges share one load: the
higher it is, the rarer are scans and the smaller the debt allowed. Prose costs less than its share, so it runs up no
debt and is never ended, whatever others do.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

_TURN_S: Final = 0.5
_TURN_IF_CROWDED: Final = 0.5
_FAIR_CHARS_PER_S: Final = 40_000
_MOST_DEBT_S: Final = 1.0
_MOST_DEBT_IF_CROWDED_S: Final = 0.1
_REDEEMED_PER_S: Final = 0.25
_BUSY_S: Final = 0.05
_CROWDED_S: Final = 1.0
_MOST_LOAD_S: Final = 2.0

_SHORT_S: Final = 0.0003

Clock = Callable[[], float]


class DetectionGaveUp(Exception):
    """A text could not be looked at completely, so it must not pass."""


class Taken(Protocol):
    """Seconds that some kind of work has taken lately; less as time goes by."""

    @property
    def seconds(self) -> float:
        """Return what is left of the seconds taken."""

    def add(self, seconds: float) -> float:
        """Note that so much time was taken; return what there is now."""


class Budget:
    """The time that some work may take, on one clock; whoever does the work asks every now and then.

    ``by_models`` is what language models took of it, where that is bounded for itself: on the event loop.
    """

    __slots__ = ("_clock", "_until", "_unwanted", "by_models")

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        unwanted: Callable[[], bool] | None = None,
        by_models: Taken | None = None,
    ) -> None:
        """Begin now; ``unwanted`` tells whether nobody waits for the result any more."""
        self.by_models = by_models
        self._clock = clock
        self._until = clock() + seconds
        self._unwanted = unwanted

    def add(self, seconds: float) -> None:
        """Allow some more time."""
        self._until += seconds

    def left_s(self) -> float:
        """Return the seconds that remain.

        Raises:
            DetectionGaveUp: none do.
        """
        left = self._until - self._clock()
        if left <= 0 or (self._unwanted is not None and self._unwanted()):
            raise DetectionGaveUp("the time for this text has run out")
        return left


class Load:
    """The seconds that streams took lately, all together; less as time goes by."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()
        self._seconds = 0.0

    @property
    def seconds(self) -> float:
        """Return what is left of the seconds taken."""
        now = self._clock()
        self._seconds = max(0.0, self._seconds - (now - self._at) * _REDEEMED_PER_S)
        self._at = now
        return self._seconds

    @property
    def is_redeemed(self) -> bool:
        """Tell whether nothing was left of the seconds taken when they were last looked at."""
        return self._seconds == 0.0

    @property
    def busy(self) -> bool:
        """Tell whether streams should look at more characters at a time."""
        return self._seconds > _BUSY_S and self.seconds > _BUSY_S

    @property
    def crowded(self) -> bool:
        """Tell whether streams that take more than their share have to make room."""
        return self._seconds > _CROWDED_S and self.seconds > _CROWDED_S

    def add(self, seconds: float) -> float:
        """Note that so much time was taken, less than none if it was less than fair; return what there is now."""
        self._seconds = max(0.0, min(_MOST_LOAD_S, self.seconds + seconds))
        return self._seconds

    def like(self) -> "Load":
        """Return an empty one that goes by the same clock."""
        return Load(self._clock)


class WorkClock:
    """Seconds of work in a turn: as the wall clock has it while the turn is short, then as the processor has it.

    What is short is not worth the ten times dearer look at the processor's clock; what is long may only have waited.
    """

    __slots__ = ("_began", "_cpu", "_cpu_from", "_short", "_wall")

    def __init__(self, wall: Clock = time.monotonic, cpu: Clock = time.thread_time) -> None:
        self._wall = wall
        self._cpu = cpu
        self._began = wall()
        self._short = 0.0
        self._cpu_from: float | None = None

    def start(self) -> None:
        """Begin a turn."""
        self._began = self._wall()
        self._cpu_from = None

    def __call__(self) -> float:
        """Return the seconds since the turn began, those of waiting not counted once it is long."""
        if self._cpu_from is not None:
            return self._short + self._cpu() - self._cpu_from
        elapsed = self._wall() - self._began
        if elapsed >= _SHORT_S:
            self._short, self._cpu_from = elapsed, self._cpu()
        return elapsed


class Pace:
    """What the texts of one exchange may take of the event loop; ``cpu`` is another clock to go by."""

    def __init__(self, load: Load | None = None, *, cpu: Clock | None = None, turn_s: float = _TURN_S) -> None:
        self.load = Load() if load is None else load
        work = WorkClock()
        self._work = work if cpu is None else None
        self._cpu: Clock = work if cpu is None else cpu
        self._debt = Load() if load is None else load.like()
        self._by_models = self._debt.like()
        self._budget: Budget | None = None
        self._turn_s = turn_s

    @property
    def busy(self) -> bool:
        """Tell whether to look at more characters at a time."""
        return self.load.busy

    def turn(self, chars: int) -> AbstractContextManager[Budget]:
        """Give the budget for so many characters; a turn within a turn is part of it.

        Raises:
            DetectionGaveUp: at the turn's end, the exchange has taken too much of everybody's time.
        """
        return _Turn(self, chars) if self._budget is None else nullcontext(self._budget)

    def begin(self) -> tuple[Budget, float]:
        """Begin a turn: return its budget, and the time on its clock."""
        if self._work is not None:
            self._work.start()
        seconds = self._turn_s * _TURN_IF_CROWDED if self.load.crowded else self._turn_s
        self._budget = Budget(seconds, self._cpu, by_models=self._by_models)
        return self._budget, self._cpu()

    def end(self, began: float) -> float:
        """End the turn; return the seconds that it took."""
        self._budget = None
        taken = self._cpu() - began
        self.load.add(taken)
        return taken

    def charge(self, seconds: float) -> None:
        """Note how much more than its share a turn took.

        Raises:
            DetectionGaveUp: the exchange has taken too much of everybody's time.
        """
        if seconds <= 0 and self._debt.is_redeemed:
            return
        debt = self._debt.add(seconds)
        if debt > _MOST_DEBT_IF_CROWDED_S and debt > (_MOST_DEBT_IF_CROWDED_S if self.load.crowded else _MOST_DEBT_S):
            raise DetectionGaveUp("the text takes too long to look at")


class _Turn(AbstractContextManager[Budget]):
    """A turn while it lasts; one that failed counts for all, but not against its own exchange, which ends anyway."""

    __slots__ = ("_began", "_chars", "_pace")

    def __init__(self, pace: Pace, chars: int) -> None:
        self._pace = pace
        self._chars = chars

    def __enter__(self) -> Budget:
        budget, self._began = self._pace.begin()
        return budget

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        taken = self._pace.end(self._began)
        if failed is None:
            self._pace.charge(taken - self._chars / _FAIR_CHARS_PER_S)


class Unhurried(Pace):
    """The pace of a text that is whole, and has one budget whatever it consists of."""

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self._whole = budget

    def turn(self, chars: int) -> AbstractContextManager[Budget]:
        """Give the one budget."""
        return nullcontext(self._whole)
