"""Ledger and segments as one record: a flow is on the disk before the entry that names it.

Plain and single-threaded; it also keeps law 4's books: which exchanges are open, and which outcomes a
full disk still owes the ledger. :mod:`hoopguard.recorder.commit` is the way in from the event loop.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from hoopguard.recorder.entry import plain
from hoopguard.recorder.errors import RecordError
from hoopguard.recorder.history import History
from hoopguard.recorder.ledger import Draft, Ledger
from hoopguard.recorder.recovery import find_surplus, loss_as_json
from hoopguard.recorder.segments import FlowRecord, SegmentWriter, SessionKey
from hoopguard.recorder.state import Layout, take

UNKNOWN_OUTCOME = "gateway stopped before the outcome was known"


@dataclass(frozen=True, slots=True)
class Settings:
    """How the record is written; the policy's ``[record]`` says it."""

    durability: Literal["fsync", "flush"] = "fsync"
    segment_bytes: int = 16_000_000
    idle_s: float = 900.0
    max_open_files: int = 64


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event's place in the ledger, and its flow's place in the segments if it came with one."""

    seq: int
    flow: FlowRecord | None = None


@dataclass(slots=True, eq=False)
class Job:
    """One event to record; after :meth:`Journal.write` it holds either ``recorded`` or ``error``."""

    time_us: int
    type: str
    exchange: str
    data: dict[str, Any]
    session: SessionKey | None = None
    flow: bytes | None = None
    placed: FlowRecord | None = None
    recorded: Recorded | None = None
    error: Exception | None = None


@dataclass(slots=True)
class _Books:
    """Which exchanges have an intent and no outcome, as it will be once the running batch stands."""

    open_exchanges: set[str]
    opened: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)

    def enter(self, job: Job) -> bool:
        """Take the job in, or give it its error: law 4 allows one intent and one outcome."""
        is_open = job.exchange not in self.closed and (
            job.exchange in self.open_exchanges or job.exchange in self.opened
        )
        if job.type == "intent" and (is_open or job.exchange in self.closed):
            job.error = ValueError(f"exchange {job.exchange} already has its intent")
        elif job.type == "outcome" and not is_open:
            job.error = LookupError(f"exchange {job.exchange} has no intent, or already has its outcome")
        elif job.type == "intent":
            self.opened.add(job.exchange)
        elif job.type == "outcome":
            self.closed.add(job.exchange)
        return job.error is None

    def settle(self) -> None:
        """Make the batch's changes stand."""
        self.open_exchanges |= self.opened
        self.open_exchanges -= self.closed


class Journal:
    """Writes batches of events with their flows; a batch stands whole or not at all."""

    def __init__(self, held: int, ledger: Ledger, segments: SegmentWriter, *, durable: bool) -> None:
        self._held = held
        self._ledger = ledger
        self._segments = segments
        self._durable = durable
        self._open: set[str] = set()
        self._owed: dict[str, Job] = {}
        self._doubtful = False

    @classmethod
    def open(cls, state: Path, settings: Settings, now: Callable[[], float], about: Mapping[str, Any]) -> Self:
        """Take the state folder, repair what a crash left, and record both and the start.

        Raises:
            StateError: another gateway runs on it, a newer one wrote it, or the ledger is damaged.
            RecordError: the start cannot be written.
            OSError: the folder cannot be made, read or repaired.
        """
        held = take(state)
        try:
            layout = Layout(state)
            durable = settings.durability == "fsync"
            ledger, history = Ledger.open(layout, durable=durable)
            segments = SegmentWriter(layout.sessions, settings.segment_bytes, settings.idle_s, settings.max_open_files)
            journal = cls(held, ledger, segments, durable=durable)
            journal._begin(layout, history, int(now() * 1e6), plain(about))
        except BaseException:
            os.close(held)
            raise
        return journal

    @property
    def owed(self) -> int:
        """Return the number of outcomes that could not be written yet."""
        return len(self._owed)

    def write(self, jobs: Sequence[Job]) -> None:
        """Write the jobs as one batch and give each its ``recorded`` or its ``error``.

        Outcomes that an earlier failure left owed go first, unless this batch brings a newer one.
        """
        books = _Books(self._open)
        newer = {job.exchange for job in jobs if job.type == "outcome"}
        owed = [job for job in self._owed.values() if job.exchange not in newer]
        batch = [job for job in (*owed, *jobs) if books.enter(job)]
        if not batch:
            return
        try:
            first = self._put(batch)
        except OSError as error:
            self._give_up(batch, books, error)
        else:
            for seq, job in enumerate(batch, first):
                job.recorded = Recorded(seq, job.placed)
            books.settle()
            self._owed.clear()

    def close(self, time_us: int, data: Mapping[str, Any]) -> None:
        """Give every open exchange its outcome, record the stop, and let the state folder go.

        Raises:
            RecordError: that could not be written; the next start will do it.
        """
        unknown = [_unknown_outcome(exchange, time_us) for exchange in sorted(self._open - self._owed.keys())]
        stop = Job(time_us, "stop", "", plain(data))
        try:
            self.write([*unknown, stop])
            self._segments.close()
            self._ledger.close()
        except OSError as error:
            raise RecordError(_failure(error)) from error
        finally:
            os.close(self._held)
        if stop.error is not None:
            raise stop.error

    def _begin(self, layout: Layout, history: History, time_us: int, about: dict[str, Any]) -> None:
        """Record start, repairs and outcomes before any repair is made: no repair goes unrecorded."""
        surplus = find_surplus(layout, history)
        repairs = [*loss_as_json(history), *(found.as_json() for found in surplus)]
        start = Job(time_us, "start", "", about)
        jobs = [start, *(Job(time_us, "repair", "", data) for data in repairs)]
        self._open = set(history.open_exchanges)
        self.write([*jobs, *(_unknown_outcome(exchange, time_us) for exchange in history.open_exchanges)])
        if start.error is not None:
            raise start.error
        for found in surplus:
            found.remove()

    def _put(self, batch: Iterable[Job]) -> int:
        """Write flows, then entries; nothing is trusted until the whole batch went through."""
        if self._doubtful:
            self._take_back()
        self._doubtful = True
        drafts = [self._draft(job) for job in batch]
        if self._durable:
            self._segments.sync()
        first = self._ledger.append(drafts)
        self._segments.commit()
        self._doubtful = False
        return first

    def _draft(self, job: Job) -> Draft:
        if job.type != "outcome":
            return Draft(job.time_us, job.type, job.exchange, job.data)
        folder, job.placed = "", None
        if job.session is not None:
            if job.flow is not None:
                job.placed = self._segments.append(job.session, job.flow, job.time_us / 1e6)
            folder = self._segments.folder_of(job.session, job.time_us / 1e6)
        flow = job.placed.as_json() if job.placed else None
        return Draft(job.time_us, job.type, job.exchange, {**job.data, "session": folder, "flow": flow})

    def _take_back(self) -> None:
        self._segments.rollback()
        self._ledger.rollback()
        self._doubtful = False

    def _give_up(self, batch: Iterable[Job], books: _Books, error: OSError) -> None:
        """Fail the batch; keep the outcomes of exchanges whose intents stand, without their flows."""
        message = _failure(error)
        for job in batch:
            job.error = RecordError(message)
            job.error.__cause__ = error
            if job.type == "outcome" and job.exchange not in books.opened:
                late = {"unrecorded": plain(message), **job.data}
                self._owed[job.exchange] = Job(job.time_us, "outcome", job.exchange, late, job.session)
        try:
            self._take_back()
        except OSError:
            self._doubtful = True


def _unknown_outcome(exchange: str, time_us: int) -> Job:
    return Job(time_us, "outcome", exchange, {"outcome": "failed", "reason": UNKNOWN_OUTCOME, "status": 0})


def _failure(error: OSError) -> str:
    return f"the record cannot be written: {error}"
