"""A process that looks at texts for the gateway; ``workers.py`` starts it and speaks with it.

It is a fresh interpreter with nothing of the gateway's but one channel: no open files, no environment, no keys.
Whatever happens to it, each job ends: it asks its budget as it goes, and a timer whose signal ends the process at
once goes off where something does not ask. It ends when the channel does, so it does not outlive the gateway.
"""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Final

import orjson

from hoopguard.masking.detector import Detector, DetectorSpec
from hoopguard.masking.scan import Budget, DetectionGaveUp, Scan

GRACE_S: Final = 1.0
"""How much longer than its budget a job may take before its process is ended."""

_NICE: Final = 5
_ASK_EVERY_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Learn:
    """Build a detector, and remember it by a number."""

    number: int
    spec: DetectorSpec


@dataclass(frozen=True, slots=True)
class Look:
    """Find what the detector with a number finds in some texts, within a budget for all of them."""

    number: int
    texts: Sequence[str]
    budget_s: float


@dataclass(frozen=True, slots=True)
class Leave:
    """Give up the job at hand: nobody waits for it any more."""


def main(file_descriptor: int) -> None:
    """Serve the channel at a file descriptor until the other side closes it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the texts
    os.nice(_NICE)
    with contextlib.suppress(EOFError, OSError), Connection(file_descriptor) as channel:
        _serve(channel)


def _serve(channel: "Connection[Any, Any]") -> None:
    detectors: dict[int, Detector] = {}
    while True:
        message = channel.recv()
        if not isinstance(message, Leave):
            channel.send_bytes(orjson.dumps(_answer(channel, detectors, message)))


def _answer(channel: "Connection[Any, Any]", detectors: dict[int, Detector], message: Learn | Look) -> dict[str, Any]:
    """Do what a message asks; whatever goes wrong is an answer, in words that quote no text."""
    try:
        if isinstance(message, Learn):
            detectors[message.number] = detector = Detector(*message.spec)
            detector.warm_up()
            return {"found": []}
        return {"found": _found(channel, detectors[message.number], message)}
    except DetectionGaveUp as error:
        return {"gave_up": str(error)}
    except Exception as error:  # noqa: BLE001 - reported to the gateway, which refuses the text
        return {"gave_up": f"a recogniser failed with {type(error).__name__}"}


def _found(channel: "Connection[Any, Any]", detector: Detector, job: Look) -> list[list[tuple[str, int, int, float]]]:
    budget = Budget(job.budget_s, unwanted=_Unwanted(channel))
    signal.setitimer(signal.ITIMER_REAL, job.budget_s + GRACE_S)  # SIGALRM, which nobody handles, ends the process
    try:
        return [
            [(each.entity, each.start, each.end, each.score) for each in detector.scan(text, Scan(budget))]
            for text in job.texts
        ]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


class _Unwanted:
    """Tells, asking every now and then, whether the gateway has something new to say, or nothing ever again."""

    __slots__ = ("_channel", "_next")

    def __init__(self, channel: "Connection[Any, Any]") -> None:
        self._channel = channel
        self._next = time.monotonic() + _ASK_EVERY_S

    def __call__(self) -> bool:
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + _ASK_EVERY_S
        return self._channel.poll()
