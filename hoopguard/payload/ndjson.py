"""JSON values one a line (NDJSON, ``application/x-ndjson``): a stream without any framing but the line feed."""

from hoopguard.payload.framing import Event, StreamParser
from hoopguard.payload.shapes import StreamShape


class LineParser(StreamParser):
    """Bytes in, as the network cuts them; one event for each line out. Blank lines say nothing and are dropped."""

    def _take(self, text: str) -> list[Event]:
        """Split at LF alone: a line separator of Unicode may stand inside a JSON string."""
        lines = self._lines(text)
        self._bound(max(self._waiting, *map(len, lines), 0), "a line")
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
