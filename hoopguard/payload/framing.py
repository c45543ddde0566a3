"""Streams of bytes cut into lines of text, and what goes wrong with them; each framing says what its lines mean."""

import codecs
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Final

_MAX_CHARS: Final = 4_000_000


class FramingError(Exception):
    """The stream is not made of events that can be inspected."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it stood in the stream: its data lines joined, and its other fields."""

    data: str
    event: str = ""
    id: str | None = None
    retry: int | None = None

    def encode(self) -> bytes:
        """Return the event as bytes of a stream."""
        lines = [f"event: {self.event}"] if self.event else []
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.retry is not None:
            lines.append(f"retry: {self.retry}")
        lines += [f"data: {line}" for line in self.data.split("\n")]
        return ("\n".join(lines) + "\n\n").encode("utf-8")


class StreamParser(ABC):
    """Bytes in, as the network cuts them; whole events out."""

    _end: ClassVar[str] = "\n"
    """What completes the last event when the stream has ended."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="strict")
        self._line: list[str] = []
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Return how many characters of an event there are that is not complete."""
        return self._waiting

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that ``chunk`` completes.

        Raises:
            FramingError: not UTF-8, or an event beyond all measure.
        """
        return self._take(self._decode(chunk, final=False))

    def finish(self) -> list[Event]:
        """Return what is left at the end, complete or not: it was sent.

        Raises:
            FramingError: as :meth:`feed`.
        """
        return self._take(self._decode(b"", final=True) + self._end)

    @abstractmethod
    def _take(self, text: str) -> list[Event]:
        """Return the events that more text completes."""

    def _decode(self, chunk: bytes, *, final: bool) -> str:
        try:
            return self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            raise FramingError("the stream is not UTF-8") from error

    def _lines(self, text: str) -> list[str]:
        """Return the lines that are complete; one that is not waits in pieces, so that none is copied twice."""
        first, *rest = text.split("\n")
        self._line.append(first)
        self._waiting += len(first)
        if not rest:
            return []
        lines = ["".join(self._line), *rest[:-1]]
        self._line, self._waiting = [rest[-1]], len(rest[-1])
        return lines

    def _bound(self, chars: int, what: str) -> None:
        if chars > _MAX_CHARS:
            raise FramingError(f"{what} of the stream is longer than {_MAX_CHARS} characters")
