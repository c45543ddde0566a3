"""JSON values one a line (NDJSON, ``application/x-ndjson``): a stream without any framing but the line feed."""

import codecs
from typing import Final

from hoopguard.payload.shapes import StreamShape
from hoopguard.payload.sse import Event, FramingError

_MAX_LINE_CHARS: Final = 4_000_000


class LineParser:
    """Bytes in, as the network cuts them; one event for each line out. Blank lines say nothing and are dropped."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="strict")
        self._line: list[str] = []
        self._waiting = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the lines that ``chunk`` completes.

        Raises:
            FramingError: not UTF-8, or a line beyond all measure.
        """
        return self._take(self._decode(chunk, final=False))

    def finish(self) -> list[Event]:
        """Return what is left at the end; the last line needs no line feed."""
        return self._take(self._decode(b"", final=True) + "\n")

    def _decode(self, chunk: bytes, *, final: bool) -> str:
        try:
            return self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            raise FramingError("the stream is not UTF-8") from error

    def _take(self, text: str) -> list[Event]:
        """Split at LF alone: a line separator of Unicode may stand inside a JSON string."""
        first, *rest = text.split("\n")
        self._line.append(first)
        self._waiting += len(first)
        lines: list[str] = []
        if rest:
            lines = ["".join(self._line), *rest[:-1]]
            self._line, self._waiting = [rest[-1]], len(rest[-1])
        if max(self._waiting, *map(len, lines), 0) > _MAX_LINE_CHARS:
            raise FramingError(f"a line of the stream is longer than {_MAX_LINE_CHARS} characters")
        return [Event(line) for line in (each.strip(" \t\r") for each in lines) if line]


class LineShape(StreamShape):
    """A stream of JSON objects, one a line."""

    media = "application/x-ndjson"
    event_names: frozenset[str] = frozenset()

    def parser(self) -> LineParser:
        """Return what cuts the stream into lines."""
        return LineParser()

    def write(self, event: Event) -> bytes:
        """Return an event as a line."""
        return event.data.encode() + b"\n"

    def is_done(self, event: Event) -> bool:
        """Tell that no line says only that the stream is over."""
        return False
