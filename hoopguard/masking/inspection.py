"""Where a body is looked at: at once if it is small, else by worker processes, while everybody else goes on.

A body's known and small texts cost the event loop a few milliseconds at most. What is left goes to a worker of the
quick ones; what is too much for those starts again among the dear ones, which wait for each other only. A body that
has very many values is walked through in a thread, for even the walk takes time.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Final

from hoopguard.masking.lanes import Lane
from hoopguard.masking.masker import MOST_S, Masker
from hoopguard.masking.prepared import Known, PreparedMasker
from hoopguard.masking.scan import Budget, DetectionGaveUp
from hoopguard.masking.workers import Unwanted, WorkerPool
from hoopguard.pace import WorkClock

_AT_ONCE_S: Final = 0.012
_AT_ONCE_CHARS: Final = 8_192
_QUICK_S: Final = 0.5
_LEAST_S: Final = 1.0
_S_PER_CHAR: Final = 0.0001
_MOST_WORKERS: Final = 4


class Inspection:
    """Runs the work on bodies; owned by the masking station, and ended with it."""

    def __init__(self, workers: int | None = None) -> None:
        """Start nothing yet; ``workers`` processes for each lane, by default a quarter as many as there are cores."""
        size = workers or min(max(1, (os.cpu_count() or 1) // 4), _MOST_WORKERS)
        self._quick, self._dear = Lane("quick", size + 1), Lane("dear", size + 1)
        self._quick_pool, self._dear_pool = WorkerPool(size), WorkerPool(size)

    @property
    def pids(self) -> list[int]:
        """Return the ids of the worker processes."""
        return self._quick_pool.pids + self._dear_pool.pids

    async def run[Result](
        self, masker: Masker, work: Callable[[Masker], Result], *, principal: str, unwanted: Unwanted, small: bool
    ) -> Result:
        """Return what ``work`` returns with a masker to which every text it asks for is known.

        ``work`` may be called several times, also in a thread, so it must keep nothing of one call for the next.
        A body with few values is ``small``, however long they are.

        Raises:
            DetectionGaveUp: a text could not be looked at, so the body must not pass; or nobody waits any more.
        """
        known = Known(masker.detector)
        if small:
            if not masker.detector.has_model:
                # By the work done: a busy machine must not send every small body to workers that may still be starting.
                known.look_at_once(Budget(_AT_ONCE_S, WorkClock()), _AT_ONCE_CHARS)
            result = work(PreparedMasker(masker, known))
            if not known.missing:
                return result
        quick = partial(_work, self._quick_pool, masker, known, work, _quick_s, unwanted)
        dear = partial(_work, self._dear_pool, masker, known, work, _dear_s, unwanted)
        try:
            return await self._quick.run(principal, unwanted, quick)
        except DetectionGaveUp:
            return await self._dear.run(principal, unwanted, dear)

    def start(self, maskers: Sequence[Masker]) -> list[Future[None]]:
        """Start the workers before they are needed; each future is done when its lane is ready."""
        detectors = list({id(masker.detector): masker.detector for masker in maskers}.values())
        lanes = ((self._quick, self._quick_pool), (self._dear, self._dear_pool))
        return [lane.submit(partial(pool.start, detectors)) for lane, pool in lanes]

    def stop(self) -> None:
        """End the workers for good, whatever they are doing; what would need one is refused from now on."""
        self._quick_pool.stop()
        self._dear_pool.stop()


def _work[Result](
    pool: WorkerPool,
    masker: Masker,
    known: Known,
    work: Callable[[Masker], Result],
    budget_s: Callable[[Sequence[str]], float],
    unwanted: Unwanted,
) -> Result:
    """Do the work on a body in a thread, its texts being looked at in a worker."""
    if not known.missing:
        work(PreparedMasker(masker, known))
    if known.missing:
        texts = list(known.missing)
        with pool.borrow() as worker:
            found = worker.look(known.detector, texts, budget_s(texts), unwanted)
        known.add(dict(zip(texts, found, strict=True)))
    result = work(PreparedMasker(masker, known))
    if known.missing:
        raise DetectionGaveUp("the body did not ask for the same texts again")
    return result


def _quick_s(texts: Sequence[str]) -> float:
    return _QUICK_S


def _dear_s(texts: Sequence[str]) -> float:
    return min(_LEAST_S + sum(map(len, texts)) * _S_PER_CHAR, MOST_S)
