"""How a wire format's stream is cut up: which text goes on in the next event, when it ends, how an answer ends."""

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any, Final, Protocol

import orjson

from hoopguard.payload.errors import error_of
from hoopguard.payload.framing import Event
from hoopguard.payload.sse import EventParser
from hoopguard.payload.tables import Fields, Path

Body = dict[str, Any]
Group = Hashable
Place = tuple[Any, ...]
"""A channel's name: the group that it ends with, then what tells it from the others in it."""

EVERYTHING: Final = frozenset({"everything"})
"""What :meth:`StreamShape.ended` returns when all texts of the stream end."""


class Parser(Protocol):
    """Bytes in, as the network cuts them; whole events out."""

    @property
    def waiting(self) -> int:
        """Return how many characters of an event there are that is not complete."""
        ...

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that the bytes complete."""
        ...

    def finish(self) -> list[Event]:
        """Return what is left at the end."""
        ...


class StreamShape:
    """Server-sent events of JSON objects in which every text stands alone; formats say where theirs differ."""

    api = "openai"
    media = "text/event-stream"
    event_names: frozenset[str] = frozenset({"error", "message"})
    """Events' names that may pass; an ``id`` never does, for nobody could tell what it says."""

    stateless = False
    """Whether what an event means depends on nothing but itself."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields

    def begin(self) -> "StreamShape":
        """Return the shape of one stream: itself, unless it has to remember what the stream has said."""
        return self

    def answering(self, request: Any) -> "StreamShape":
        """Return the shape of the stream that answers a request's body: itself, unless it has to know of it."""
        return self

    def parser(self) -> Parser:
        """Return what cuts the stream into events."""
        return EventParser()

    def write(self, event: Event) -> bytes:
        """Return an event as bytes of the stream."""
        return event.encode()

    def is_done(self, event: Event) -> bool:
        """Tell whether an event says nothing but that the stream is over."""
        return event.data.strip() == "[DONE]"

    def place(self, body: Body, path: Path) -> Place | None:
        """Return the channel to which the text at ``path`` belongs; None if it stands alone."""
        return None

    def told_at(self, body: Body, path: Path) -> Path:
        """Return where in a whole answer the text at ``path`` would stand; rules that name fields go by that."""
        return path

    def ended(self, body: Body) -> Collection[Group]:
        """Return the groups whose texts end with this event."""
        return ()

    def seal(self, body: Body, number: int) -> None:
        """Adapt the ``number``-th event to its place among those that the caller gets."""

    def carry(self, last: Body, place: Place, text: str) -> Event:
        """Return an event of our own that carries held text of a channel; ``last`` is its latest event.

        Raises:
            NotImplementedError: every text of this format stands alone, so nothing is ever held.
        """
        raise NotImplementedError

    def stop(self, last: Body, open_groups: Iterable[Group], final: Mapping[str, Any]) -> list[Event]:
        """Return the events with which the answer ends properly when a rule stops it; ``final`` says why."""
        return self.fail(str(final.get("message", "stopped by policy")), final)

    def fail(self, message: str, about: Mapping[str, Any]) -> list[Event]:
        """Return the events that say the answer failed."""
        code, exchange = str(about.get("code", "hoopguard_stream_failed")), str(about.get("exchange", ""))
        body = error_of(self.api, int(about.get("status", 502)), code, message, exchange)
        return [event_of(body, "error" if "error" in self.event_names else "")]


def event_of(body: Body, name: str = "") -> Event:
    """Return an event that holds a JSON object."""
    return Event(orjson.dumps(body).decode(), name)
