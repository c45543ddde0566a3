"""The recorder's way in from the event loop: group commit.

Under ``fsync`` all that arrives while the disk works on one batch shares the next one, in a thread of
its own: the event loop never waits for the disk. Under ``flush`` a small event is handed to the
operating system at once, which costs less than changing threads.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Self

from hoopguard.recorder.entry import EntryType, plain
from hoopguard.recorder.errors import RecordError
from hoopguard.recorder.journal import Job, Journal, Recorded, Settings
from hoopguard.recorder.segments import SessionKey

_GATHER_S: Final = 0.005
_INLINE_FLOW_BYTES: Final = 262_144


class Recorder:
    """Records events; a call returns once its event is as safe as ``durability`` promises."""

    def __init__(self, journal: Journal, now: Callable[[], float], *, inline: bool) -> None:
        self._journal = journal
        self._now = now
        self._inline = inline
        self._waiting: list[tuple[Sequence[Job], asyncio.Future[None]]] = []
        self._draining: asyncio.Task[None] | None = None
        self._crowd = 0
        self._thread = ThreadPoolExecutor(1, "hoopguard-record")
        self._closed = False

    @classmethod
    def open(cls, state: Path, settings: Settings, now: Callable[[], float], about: Mapping[str, Any]) -> Self:
        """Take the state folder, repair it and record the start, whose data is ``about``; blocks.

        Raises:
            StateError: another gateway runs on it, a newer one wrote it, or the ledger is damaged.
            RecordError: the start cannot be written.
            OSError: the folder cannot be made, read or repaired.
        """
        return cls(Journal.open(state, settings, now, about), now, inline=settings.durability == "flush")

    async def append(self, type_: EntryType, exchange: str, data: Mapping[str, Any]) -> int:
        """Record an event that is neither intent nor outcome (``approval``, ``policy``); return its ``seq``.

        Raises:
            RecordError: it is not recorded, so what it stands for must not happen.
            TypeError: ``data`` holds something that canonical JSON cannot (a float).
        """
        return (await self._record(self._job(type_, exchange, data))).seq

    async def intent(self, exchange: str, data: Mapping[str, Any]) -> int:
        """Record that a request was accepted, before its first byte goes upstream; return the ``seq``.

        Raises:
            RecordError: it is not recorded: answer 503.
            ValueError: the exchange has an intent already.
        """
        return (await self._record(self._job("intent", exchange, data))).seq

    async def outcome(
        self, exchange: str, data: Mapping[str, Any], session: SessionKey | None = None, flow: bytes | None = None
    ) -> Recorded:
        """Record how an exchange ended; ``flow`` goes to ``session``'s segment first.

        The entry's ``data`` gets two more keys: ``session`` (the folder) and ``flow`` (the record or null).

        Raises:
            RecordError: it could not be recorded now. The outcome is kept and written, without
                its flow, before the next event that the disk takes; call again to change what it says.
            LookupError: the exchange has no intent, or its outcome is recorded already.
        """
        return await self._record(self._job("outcome", exchange, data, session, flow))

    async def refusal(
        self,
        exchange: str,
        intent: Mapping[str, Any],
        outcome: Mapping[str, Any],
        session: SessionKey | None = None,
        flow: bytes | None = None,
    ) -> Recorded:
        """Record intent and outcome of an exchange that never went upstream, in one go.

        An intent that is there already (its caller hung up while it was written) stands; the outcome is its.

        Raises:
            RecordError: neither is recorded; the outcome of an intent that stands is owed, as :meth:`outcome` says.
        """
        last = self._job("outcome", exchange, outcome, session, flow)
        await self._submit([self._job("intent", exchange, intent), last])
        return _result(last)

    async def settle(self) -> int:
        """Try to write the outcomes that are owed; return how many still are. Cheap when none are."""
        if self._journal.owed:
            await self._submit([])
        return self._journal.owed

    async def close(self, data: Mapping[str, Any] | None = None) -> None:
        """Write what waits, outcomes of open exchanges and the stop; let the state folder go. Only once.

        Raises:
            RecordError: the stop could not be written; the next start repairs that.
        """
        if self._closed:
            return
        self._closed = True
        while self._draining is not None:
            await asyncio.wait([self._draining])
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._journal.close, self._time_us(), data or {})
        finally:
            self._thread.shutdown()

    def _time_us(self) -> int:
        return int(self._now() * 1e6)

    def _job(
        self,
        type_: EntryType,
        exchange: str,
        data: Mapping[str, Any],
        session: SessionKey | None = None,
        flow: bytes | None = None,
    ) -> Job:
        return Job(self._time_us(), type_, exchange, plain(data), session, flow)

    async def _record(self, job: Job) -> Recorded:
        await self._submit([job])
        return _result(job)

    async def _submit(self, jobs: Sequence[Job]) -> None:
        """Return once the jobs' batch was written or given up; order of calls is order of entries."""
        if self._closed:
            raise RecordError("the recorder is closed")
        small = sum(len(job.flow or b"") for job in jobs) <= _INLINE_FLOW_BYTES
        if self._inline and small and self._draining is None:
            self._journal.write(jobs)
            return
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((jobs, done))
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        await done

    async def _drain(self) -> None:
        """Write batch after batch until nobody waits; callers that were cancelled are written, too."""
        loop = asyncio.get_running_loop()
        batch: list[tuple[Sequence[Job], asyncio.Future[None]]] = []
        try:
            while self._waiting:
                if self._crowd > 1:
                    # Where several ask at once, others will in a moment: one sync serves them all.
                    await asyncio.sleep(_GATHER_S)
                batch, self._waiting = self._waiting, []
                self._crowd = len(batch)
                jobs = [job for group, _ in batch for job in group]
                await loop.run_in_executor(self._thread, self._journal.write, jobs)
                for _, done in batch:
                    _release(done)
        finally:
            self._draining = None
            left, self._waiting = [*batch, *self._waiting], []
            for _, done in left:
                _release(done)


def _release(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def _result(job: Job) -> Recorded:
    if job.error is not None:
        raise job.error
    if job.recorded is None:
        raise RecordError("the recorder failed before it wrote this")
    return job.recorded
