"""Threads of masking's own, so that dear bodies keep neither the event loop nor anybody else's threads busy."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final
from weakref import WeakValueDictionary

from hoopguard.masking.scan import DetectionGaveUp

_THREADS: Final = 2


class Lane:
    """A few threads; of each principal only one job at a time, so that nobody's many jobs keep others waiting."""

    def __init__(self, name: str, threads: int = _THREADS) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=f"masking-{name}")
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def run[Result](self, principal: str, unwanted: Callable[[], bool], job: Callable[[], Result]) -> Result:
        """Return what a job returns, once its principal's earlier ones are done.

        Raises:
            DetectionGaveUp: nobody wanted it any more when it would have begun, or the job raised it.
        """
        turn = self._turns.get(principal)
        if turn is None:
            turn = self._turns[principal] = asyncio.Lock()
        async with turn:
            if unwanted():
                raise DetectionGaveUp("nobody waits for this any more")
            return await asyncio.get_running_loop().run_in_executor(self._threads, job)

    def submit[Result](self, job: Callable[[], Result]) -> Future[Result]:
        """Have a job of the station's own done, which waits for nobody."""
        return self._threads.submit(job)
