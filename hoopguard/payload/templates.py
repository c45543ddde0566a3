"""Events that differ in one text only: most of a stream is the same event over and over, with another word in it.

What has been learnt of one such event, by reading it as carefully as any, is true of every other that is spelt alike
to the letter, but for plain characters between the same two quotation marks. So only those are looked at then.
"""

import re
import secrets
from typing import Final, NamedTuple

import orjson

from hoopguard.payload.fields import read
from hoopguard.payload.framing import Event
from hoopguard.payload.shapes import Body, Place, StreamShape
from hoopguard.payload.tables import Kind

_MARK: Final = secrets.token_hex(16)
"""What stands for the text while a template is made; no model can know it."""

_PLAIN: Final = re.compile(r'[^"\\\x00-\x1f]++')
"""What means itself inside a JSON string."""


class Template(NamedTuple):
    """An event but for its one text: how it is spelt around it, and what the caller gets around it."""

    name: str
    before: str
    after: str
    shown_before: bytes
    shown_after: bytes
    place: Place
    kind: Kind
    body: Body

    def text_in(self, event: Event) -> str | None:
        """Return the text of an event that is spelt like this one; None if it is not."""
        data = event.data
        if event.event != self.name or not data.startswith(self.before) or not data.endswith(self.after):
            return None
        text = data[len(self.before) : len(data) - len(self.after)]
        return text if _PLAIN.fullmatch(text) else None

    def show(self, text: str) -> bytes:
        """Return the event as bytes of the caller's stream, with a text."""
        return b"".join((self.shown_before, orjson.dumps(text)[1:-1], self.shown_after))


def learn(shape: StreamShape, event: Event, text: str, place: Place, *, drop_repeats: bool) -> Template | None:
    """Return the template of an event that has one text, which goes on; None if its like may mean something else."""
    at = event.data.find(f'"{text}"') + 1
    if not at or not _PLAIN.fullmatch(text):
        return None
    before, after = event.data[:at], event.data[at + len(text) :]
    try:
        body = orjson.loads(before + _MARK + after)
    except orjson.JSONDecodeError:  # it stood between two strings: a comma or a colon does, too
        return None
    reading = read(body, shape.fields, indexed=True)
    found = [found for _, _, found in reading.texts if found.value]
    if reading.opaque or shape.ended(body) or [each.value for each in found] != [_MARK]:
        return None
    if shape.place(body, found[0].path) != place:
        return None
    for node, key in reading.repeats if drop_repeats else ():
        node[key] = None
    name = event.event if event.event in shape.event_names else ""
    shown = shape.write(Event(orjson.dumps(body).decode(), name)).split(_MARK.encode())
    return (
        Template(event.event, before, after, shown[0], shown[1], place, found[0].kind, body)
        if len(shown) == 2
        else None
    )
