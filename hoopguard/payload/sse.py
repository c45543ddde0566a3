"""Server-sent events, read and written as the WHATWG HTML standard says (§9.2)."""

import codecs
from dataclasses import dataclass
from typing import Final

_MAX_EVENT_CHARS: Final = 4_000_000


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
        self._rest = ""
        self._started = False
        self._lines: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that ``chunk`` completes.

        Raises:
            FramingError: not UTF-8, or an event beyond all measure.
        """
        return self._take(self._decode(chunk, final=False), final=False)

    def finish(self) -> list[Event]:
        """Return what is left at the end; an event without its blank line counts, for it was sent."""
        events = self._take(self._decode(b"", final=True), final=True)
        last = self._dispatch()
        return [*events, last] if last is not None else events

    def _decode(self, chunk: bytes, *, final: bool) -> str:
        try:
            return self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            raise FramingError("the stream is not UTF-8") from error

    def _take(self, text: str, *, final: bool) -> list[Event]:
        if not self._started and text:
            text, self._started = text.removeprefix("\ufeff"), True
        events: list[Event] = []
        for line in self._complete_lines(text, final=final):
            if line:
                self._lines.append(line)
                self._size += len(line)
            elif (event := self._dispatch()) is not None:
                events.append(event)
        if self._size + len(self._rest) > _MAX_EVENT_CHARS:
            raise FramingError(f"an event of the stream is longer than {_MAX_EVENT_CHARS} characters")
        return events

    def _complete_lines(self, text: str, *, final: bool) -> list[str]:
        """Split at CR, LF and CRLF; a CR at the very end waits, for an LF may follow."""
        text = self._rest + text
        held = "\r" if text.endswith("\r") and not final else ""
        *lines, self._rest = text.removesuffix(held).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest += held
        if final and self._rest:
            lines.append(self._rest)
            self._rest = ""
        return lines

    def _dispatch(self) -> Event | None:
        lines, self._lines, self._size = self._lines, [], 0
        data: list[str] = []
        fields: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data.append(value)
            elif name in ("event", "id", "retry"):
                fields[name] = value
        if not data:
            return None
        retry = fields.get("retry", "")
        return Event(
            data="\n".join(data),
            event=fields.get("event", ""),
            id=fields.get("id"),
            retry=int(retry) if retry.isascii() and retry.isdigit() and len(retry) < 10 else None,
        )
