"""A streamed answer, rewritten event by event while the model is still talking.

Every string that grows over several events is a *channel* (choice 0's content, its reasoning, the arguments of tool
call 1, …). Stages transform a channel's text piece by piece and may hold some of it back; what they held comes out
before the event that ends the channel. What stands in one event only is transformed as a whole.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import orjson

from hoopguard.payload.channels import Channel, NameCheck, Stage, StopStream
from hoopguard.payload.fields import Text, read
from hoopguard.payload.framing import Event, FramingError
from hoopguard.payload.shapes import EVERYTHING, Body, Group, Parser, Place, StreamShape
from hoopguard.payload.strict_json import BodyError
from hoopguard.payload.tables import Kind
from hoopguard.payload.templates import Template, learn

_MAX_CHANNELS: Final = 512
_MAX_NAMES: Final = 4_096
_MAX_VALUES: Final = 8_192
"""Of one event; each is looked at on the event loop."""
LONG_PIECE: Final = 8_192
"""Bytes that are inspected in a thread; of fewer even hostile ones are, before anybody notices."""

_MAX_LESSONS: Final = 6
"""Events of a stream of which a template is tried; each costs as much as reading it once more."""

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*+"')


@dataclass(slots=True)
class _Piece:
    """A string of the event at hand, as the model had it in ``said``; ``over`` if nothing of its channel is to come."""

    node: Any
    key: Any
    channel: Channel
    said: str
    over: bool = False


@dataclass(slots=True)
class _Growing:
    """A channel that has begun; ``last`` is the latest event that had text of it."""

    channel: Channel
    last: Body
    is_open: bool = True


@dataclass
class AnswerStream:
    """Bytes of the model's stream in, bytes of the caller's out.

    ``unmasking``, if there is one, changes what only the caller may see; ``recorded`` then holds the stream as it
    was before that. ``opaque`` are the kinds of content that may pass uninspected.
    """

    shape: StreamShape
    stages: Sequence[Stage]
    drop_repeats: bool
    unmasking: Stage | None = None
    opaque: Collection[str] = ()
    ended: bool = False
    recorded: bytearray = field(default_factory=bytearray)
    _parser: Parser = field(init=False)
    _growing: dict[tuple[Place, Kind], _Growing] = field(default_factory=dict)
    _finished: set[Group] = field(default_factory=set)
    _names: set[str] = field(default_factory=set)
    _last: Body = field(default_factory=dict)
    _written: int = 0
    _templates: list[Template] = field(default_factory=list)
    _lessons: int = _MAX_LESSONS

    def __post_init__(self) -> None:
        self.shape = self.shape.begin()
        self._parser = self.shape.parser()
        self._checks = [stage for stage in self.stages if isinstance(stage, NameCheck)]

    @property
    def waiting(self) -> int:
        """Return how many characters of an event there are that is not complete."""
        return self._parser.waiting

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes as they come; return what the caller may have now.

        Raises:
            FramingError: the stream cannot be read; it has to end here.
        """
        return self._run(self._parser.feed(chunk))

    def finish(self) -> bytes:
        """Return what is left once the model has closed the stream."""
        if self.ended:
            return b""
        out = self._run(self._parser.finish())
        if not self.ended:
            self.ended = True
            out += self._or_stop(partial(self._flush, self._open()))
        return out

    def fail(self, status: int, code: str, message: str, exchange_id: str) -> bytes:
        """End the stream as a failed one; return the last bytes for the caller."""
        self.ended = True
        return self._write(self.shape.fail(message, {"status": status, "code": code, "exchange": exchange_id}))

    def take_recorded(self, shown: bytes) -> bytes:
        """Return what is to be recorded of what was ``shown``; it is the same, unless there is an unmasking."""
        if self.unmasking is None:
            return shown
        recorded = bytes(self.recorded)
        self.recorded.clear()
        return recorded

    def forget_finished(self) -> None:
        """Forget the texts that have ended, for a conversation that goes on and on; they may begin anew."""
        self._growing = {channel: growing for channel, growing in self._growing.items() if growing.is_open}
        self._finished.clear()

    def _run(self, events: list[Event]) -> bytes:
        out = []
        for event in events:
            if self.ended:
                break
            out.append(self._or_stop(partial(self._event, event)))
        return b"".join(out)

    def _or_stop(self, step: Callable[[], bytes]) -> bytes:
        """Return what a step lets out, or the stream's proper end if a stage stops it there."""
        try:
            return step()
        except StopStream as stop:
            self.ended = True
            groups = dict.fromkeys(place[0] for place, _ in self._growing) or {0: None}
            unfinished = [group for group in groups if group not in self._finished]
            return self._write(self.shape.stop(self._last, unfinished, stop.final))

    def _event(self, event: Event) -> bytes:
        if self.shape.is_done(event):
            self.ended = True
            return self._flush(self._open()) + self._write([Event(event.data.strip())])
        for template in self._templates:
            text, growing = template.text_in(event), self._growing.get((template.place, template.kind))
            if text is not None and growing is not None and growing.is_open:
                return self._again(template, growing, text)
        body = _parse(event.data)
        pieces = self._read(body)
        ended = self.shape.ended(body)
        before = self._finish_groups(ended, {piece.channel: piece for piece in pieces}) if ended else b""
        self._last = body
        name = event.event if event.event in self.shape.event_names else ""
        shown = before + self._show(body, name, pieces)
        if ended:
            self._finished |= {place[0] for place, _ in self._growing} if ended is EVERYTHING else set(ended)
        elif self._lessons and self.shape.stateless and len(pieces) == 1 and not pieces[0].over:
            self._lessons -= 1
            place, said = pieces[0].channel.place, pieces[0].said
            learnt = learn(self.shape, event, said, place, drop_repeats=self.drop_repeats)
            self._templates += [learnt] if learnt is not None else []
        return shown

    def _again(self, template: Template, growing: _Growing, text: str) -> bytes:
        """Return an event that differs from an earlier one in its text only."""
        self._last = growing.last = template.body
        self._written += 1
        said = self._feed(growing.channel, text)
        shown = template.show(said)
        if self.unmasking is None:
            return shown
        self.recorded += shown
        return template.show(self._unmask(growing.channel, said, over=False))

    def _read(self, body: Body) -> list[_Piece]:
        """Pass an event's strings through the stages."""
        try:
            reading = read(body, self.shape.fields, indexed=True)
        except BodyError as error:
            raise FramingError(f"an event of the stream cannot be read: {error}") from error
        if not reading.opaque.keys() <= set(self.opaque):
            raise FramingError(f"an event of the stream holds content that cannot be inspected: {[*reading.opaque]}")
        if self.drop_repeats:
            for node, key in reading.repeats:
                node[key] = None
        if reading.names:
            self._check_names(reading.names)
        pieces = []
        for node, key, text in reading.texts:
            if not text.value:
                continue
            place = self.shape.place(body, text.path) if text.kind is not Kind.NUMBER else None
            if place is None:
                alone = Channel((None, *text.path), text.kind, self.shape.told_at(body, text.path))
                piece = _Piece(node, key, alone, text.value, over=True)
                value = self._feed(piece.channel, text.value) + self._finish(piece.channel)
            else:
                piece = _Piece(node, key, self._grow(place, text, body), text.value)
                value = self._feed(piece.channel, text.value)
            if value != text.value:
                node[key] = value
            pieces.append(piece)
        return pieces

    def _grow(self, place: Place, text: Text, body: Body) -> Channel:
        """Return the channel that a text goes on with, or begins."""
        growing = self._growing.get((place, text.kind))
        if growing is None:
            if len(self._growing) >= _MAX_CHANNELS:
                raise FramingError(f"the stream has more than {_MAX_CHANNELS} texts at once")
            channel = Channel(place, text.kind, self.shape.told_at(body, text.path))
            growing = self._growing[place, text.kind] = _Growing(channel, body)
        elif not growing.is_open:
            raise FramingError("the stream goes on with a text that it had finished")
        growing.last = body
        return growing.channel

    def _check_names(self, names: Iterable[str]) -> None:
        """Show the stages the names that they have not seen yet."""
        fresh = [name for name in names if name not in self._names]
        if not fresh:
            return
        for check in self._checks:
            check.check_names(fresh)
        if len(self._names) < _MAX_NAMES:
            self._names.update(fresh)

    def _feed(self, channel: Channel, text: str) -> str:
        for stage in self.stages:
            text = stage.feed(channel, text)
        return text

    def _finish(self, channel: Channel) -> str:
        """End a channel: what a stage held back still has to pass the stages after it."""
        rest = ""
        for stage in self.stages:
            rest = (stage.feed(channel, rest) if rest else "") + stage.finish(channel)
        return rest

    def _open(self) -> list[Channel]:
        return [growing.channel for growing in self._growing.values() if growing.is_open]

    def _finish_groups(self, ended: Collection[Group], found: dict[Channel, _Piece]) -> bytes:
        """Let out what is held of every group that this event ends, before or in the event itself."""
        elsewhere: list[Channel] = []
        for channel in self._open():
            if ended is not EVERYTHING and channel.place[0] not in ended:
                continue
            piece = found.get(channel)
            if piece is None:
                elsewhere.append(channel)
            else:
                self._growing[channel[:2]].is_open = False
                piece.over = True
                piece.node[piece.key] += self._finish(channel)
        return self._flush(elsewhere)

    def _flush(self, channels: list[Channel]) -> bytes:
        """Return, as events of our own, what is held of some channels, which end."""
        out = []
        for channel in channels:
            growing = self._growing[channel[:2]]
            growing.is_open = False
            rest = self._finish(channel)
            last, growing.last = growing.last, {}
            if self.unmasking is None:
                out += [self.shape.carry(last, channel.place, rest)] if rest else []
                continue
            if rest:
                self.recorded += self.shape.write(self.shape.carry(last, channel.place, rest))
            shown = self._unmask(channel, rest, over=True)
            out += [self.shape.carry(last, channel.place, shown)] if shown else []
        return self._write(out, recorded=self.unmasking is not None)

    def _show(self, body: Body, name: str, pieces: list[_Piece]) -> bytes:
        """Return an event whose strings have passed the stages, as the caller sees it."""
        self.shape.seal(body, self._written)
        self._written += 1
        written = self.shape.write(Event(orjson.dumps(body).decode(), name))
        if self.unmasking is None:
            return written
        self.recorded += written
        masked = [(piece, piece.node[piece.key]) for piece in pieces]
        for piece, said in masked:
            if isinstance(said, str):  # a number that passed is one still
                piece.node[piece.key] = self._unmask(piece.channel, said, over=piece.over)
        shown = self.shape.write(Event(orjson.dumps(body).decode(), name))
        for piece, said in masked:  # later events repeat the head of this one, and are recorded
            piece.node[piece.key] = said
        return shown

    def _unmask(self, channel: Channel, text: str, *, over: bool) -> str:
        if self.unmasking is None:
            return text
        shown = self.unmasking.feed(channel, text) if text else ""
        return shown + self.unmasking.finish(channel) if over else shown

    def _write(self, events: list[Event], *, recorded: bool = False) -> bytes:
        """Return events of our own, or the stream's end, as bytes; kept for the record unless they are already."""
        written = b""
        for event in events:
            if event.data.startswith("{"):
                body = orjson.loads(event.data)
                self.shape.seal(body, self._written)
                event = Event(orjson.dumps(body).decode(), event.event)
                self._written += 1
            written += self.shape.write(event)
        if self.unmasking is not None and not recorded:
            self.recorded += written
        return written


def _parse(data: str) -> Body:
    if data.count(",") + data.count("[") + data.count("{") > _MAX_VALUES and _values(data) > _MAX_VALUES:
        raise FramingError(f"an event of the stream holds more than {_MAX_VALUES} values")
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FramingError("an event of the stream is not JSON") from error
    if not isinstance(body, dict):
        raise FramingError("an event of the stream is not a JSON object")
    return body


def _values(data: str) -> int:
    """Return about how many values a JSON text has, those marks not counted that stand in its strings."""
    outside = _STRING.sub("", data)
    return outside.count(",") + outside.count("[") + outside.count("{")
