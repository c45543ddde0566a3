"""Streams whose events are objects of one shape in which a text or two grow: Ollama, llama.cpp, TGI, KServe."""

import copy
from collections.abc import Collection

from hoopguard.payload.framing import Event
from hoopguard.payload.openai_stream import put
from hoopguard.payload.shapes import Body, Place, StreamShape, event_of
from hoopguard.payload.tables import Fields, Path


class ObjectStream(StreamShape):
    """Every text of an event grows, known or not, but those below the keys that stand ``alone``."""

    def __init__(self, fields: Fields, alone: Collection[str] = ()) -> None:
        super().__init__(fields)
        self._alone = frozenset(alone)

    def place(self, body: Body, path: Path) -> Place | None:
        """Return the group, of which there is one, and the path."""
        return None if not path or path[0] in self._alone else (0, *path)

    def frame(self, last: Body) -> Body:
        """Return an event without any text, like ``last``."""
        return {}

    def carry(self, last: Body, place: Place, text: str) -> Event:
        """Return an event that holds the one text.

        Raises:
            FramingError: the text stood where no text of such an event stands.
        """
        body = copy.deepcopy(self.frame(last))  # nothing that is put into this event may come with a later one
        put(body, place[1:], text)
        return event_of(body)
