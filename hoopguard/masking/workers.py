"""Processes in which texts are looked at that could hold the event loop: started, asked, ended and replaced.

A worker that cannot start, dies, or hangs over its deadline means :class:`DetectionGaveUp`: the text is refused.
The next text gets a new one.
"""

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final
from weakref import WeakKeyDictionary, finalize

import orjson

import hoopguard
from hoopguard.masking.detector import Detector
from hoopguard.masking.findings import Finding
from hoopguard.masking.scan import DetectionGaveUp
from hoopguard.masking.worker import GRACE_S, Learn, Leave, Look

_START_S: Final = 60.0
_SEND_S: Final = 10
_ASK_EVERY_S: Final = 0.05
_MOST_DETECTORS: Final = 32
_KEPT: Final = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")
"""What a worker gets of the gateway's environment, where keys and tokens are."""

_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Presidio brings numpy, which would start as many threads as there are cores."""

_PROGRAM: Final = "import sys; sys.path.insert(0, sys.argv[1]); from hoopguard.masking.worker import main; main(0)"

Unwanted = Callable[[], bool]
"""Tells whether nobody waits for the result any more."""


class Worker:
    """One process, and the detectors that it has been told of; for one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Connection[Any, Any] | None = None
        self._end: Callable[[], object] = _nothing
        self._known: WeakKeyDictionary[Detector, int] = WeakKeyDictionary()
        self._learned = 0
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """Return the process's id, or None while there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process unless it runs, without waiting for it.

        Raises:
            DetectionGaveUp: it does not start.
        """
        if self._is_ready():
            return
        self.stop()
        if self._is_closed:
            raise DetectionGaveUp("the gateway is ending")
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _SEND_S, 0))
                self._channel = Connection(ours.detach())
                self._process = _spawn(theirs)
        except OSError as error:
            raise DetectionGaveUp("no process could be started to look at the text") from error
        self._end = finalize(self, _end, self._process, self._channel)
        if self._is_closed:
            self._process.kill()

    def _is_ready(self) -> bool:
        """Tell whether the process runs, can learn more, and says nothing unasked: its end would be to be read."""
        if self._process is None or self._channel is None:
            return False
        return self._process.poll() is None and self._learned < _MOST_DETECTORS and not self._channel.poll()

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self._end()
        self._process = self._channel = None
        self._known.clear()
        self._learned = 0

    def close(self) -> None:
        """End the process, and start none any more; whichever thread has borrowed the worker learns of it by that."""
        self._is_closed = True
        if (process := self._process) is not None:
            process.kill()

    def learn(self, detector: Detector) -> None:
        """Have the process build a detector and warm it up, unless it has.

        Raises:
            DetectionGaveUp: it could not.
        """
        self.start()
        if detector not in self._known:
            self._ask(Learn(self._learned, detector.spec), _START_S, _always_wanted)
            self._known[detector] = self._learned
            self._learned += 1

    def look(
        self, detector: Detector, texts: Sequence[str], budget_s: float, unwanted: Unwanted
    ) -> list[tuple[Finding, ...]]:
        """Return what a detector finds in each of some texts.

        Raises:
            DetectionGaveUp: the time for all of them ran out, nobody wants to know, or the process failed.
        """
        self.learn(detector)
        answer = self._ask(Look(self._known[detector], texts, budget_s), budget_s + 2 * GRACE_S, unwanted)
        return [tuple([Finding(*finding) for finding in findings]) for findings in answer]

    def _ask(self, message: Learn | Look, most_s: float, unwanted: Unwanted) -> list[Any]:
        try:
            answer = orjson.loads(self._exchange(message, most_s, unwanted))
        except (EOFError, OSError, ValueError) as error:
            self.stop()
            raise DetectionGaveUp("the process that looked at the text failed") from error
        if "found" not in answer:
            raise DetectionGaveUp(answer["gave_up"])
        found: list[Any] = answer["found"]
        return found

    def _exchange(self, message: Learn | Look, most_s: float, unwanted: Unwanted) -> bytes:
        if self._channel is None:
            raise EOFError
        until = time.monotonic() + most_s
        self._channel.send(message)
        left = False
        while not self._channel.poll(_ASK_EVERY_S):
            if time.monotonic() > until:
                raise TimeoutError
            if not left and unwanted():
                self._channel.send(Leave())
                left = True
        return self._channel.recv_bytes()


def _spawn(channel: socket.socket) -> "subprocess.Popen[bytes]":
    root = str(Path(hoopguard.__file__).parent.parent)
    return subprocess.Popen(  # noqa: S603 - our own interpreter and program
        [sys.executable, "-I", "-c", _PROGRAM, root],
        stdin=channel.fileno(),
        stdout=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _KEPT if name in os.environ} | _ONE_THREAD,
        start_new_session=True,  # a Ctrl-C in the terminal is for the gateway, which then ends it
    )


def _end(process: "subprocess.Popen[bytes]", channel: "Connection[Any, Any]") -> None:
    process.kill()
    process.wait()
    channel.close()


def _nothing() -> None:
    """End what has not been started."""


def _always_wanted() -> bool:
    return False


class WorkerPool:
    """A few workers; a thread borrows one, waiting until there is one to borrow."""

    def __init__(self, size: int) -> None:
        self._workers = [Worker() for _ in range(size)]
        self._idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)

    @property
    def pids(self) -> list[int]:
        """Return the ids of the processes that have been started."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    @contextmanager
    def borrow(self) -> Iterator[Worker]:
        """Lend an idle worker."""
        worker = self._idle.get()
        try:
            yield worker
        finally:
            self._idle.put(worker)

    def start(self, detectors: Sequence[Detector]) -> None:
        """Start every idle process, and have it learn some detectors.

        Raises:
            DetectionGaveUp: one does not start, or cannot learn.
        """
        borrowed = [self._idle.get() for _ in self._workers]
        try:
            for worker in borrowed:
                worker.start()
            for worker in borrowed:
                for detector in detectors:
                    worker.learn(detector)
        finally:
            for worker in borrowed:
                self._idle.put(worker)

    def stop(self) -> None:
        """End all processes for good; whoever waits for one of them is told that it failed."""
        for worker in self._workers:
            worker.close()
        idle: list[Worker] = []
        with suppress(Empty):
            while True:
                idle.append(self._idle.get_nowait())
        for worker in idle:
            worker.stop()
            self._idle.put(worker)
