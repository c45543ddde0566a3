"""Server-sent events, read and written as the WHATWG HTML standard says (§9.2)."""

import codecs
import re
from dataclasses import dataclass
from typing import Final

_MAX_EVENT_CHARS: Final = 4_000_000
_RETRY: Final = re.compile(r"[0-9]{1,9}")


class FramingError(Exception):
    """The stream is not server-sent events that can be inspected."""


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


class EventParser:
    """Bytes in, as the network cuts them; whole events out. Comments are dropped: nobody inspects them."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="strict")
        self._started = False
        self._after_cr = False
        self._line: list[str] = []
        self._data: list[str] = []
        self._fields: dict[str, str] = {}
        self._size = 0
        self._waiting = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that ``chunk`` completes.

        Raises:
            FramingError: not UTF-8, or an event beyond all measure.
        """
        return self._take(self._decode(chunk, final=False))

    def finish(self) -> list[Event]:
        """Return what is left at the end; unlike the standard, an event without its blank line counts: it was sent."""
        return self._take(self._decode(b"", final=True) + "\n\n")

    def _decode(self, chunk: bytes, *, final: bool) -> str:
        try:
            return self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            raise FramingError("the stream is not UTF-8") from error

    def _take(self, text: str) -> list[Event]:
        events = []
        for line in self._complete_lines(text):
            if line:
                self._field(line)
            elif (event := self._dispatch()) is not None:
                events.append(event)
        if self._size + self._waiting > _MAX_EVENT_CHARS:
            raise FramingError(f"an event of the stream is longer than {_MAX_EVENT_CHARS} characters")
        return events

    def _complete_lines(self, text: str) -> list[str]:
        """Split at CR, LF and CRLF; a line that has not ended waits in pieces, so that none is copied twice."""
        if not text:
            return []
        if not self._started:
            text, self._started = text.removeprefix("\ufeff"), True
        if self._after_cr:
            text, self._after_cr = text.removeprefix("\n"), False
        self._after_cr = text.endswith("\r")
        first, *rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._line.append(first)
        self._waiting += len(first)
        if not rest:
            return []
        lines = ["".join(self._line), *rest[:-1]]
        self._line, self._waiting = [rest[-1]], len(rest[-1])
        return lines

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(line)
        elif name == "event" or (name == "id" and "\0" not in value) or (name == "retry" and _RETRY.fullmatch(value)):
            self._fields[name] = value

    def _dispatch(self) -> Event | None:
        data, fields = self._data, self._fields
        self._data, self._fields, self._size = [], {}, 0
        if not data:
            return None
        return Event(
            data="\n".join(data),
            event=fields.get("event", ""),
            id=fields.get("id"),
            retry=int(fields["retry"]) if "retry" in fields else None,
        )
