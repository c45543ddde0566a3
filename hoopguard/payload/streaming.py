"""A streamed answer, rewritten event by event while the model is still talking.

Every string that grows over several events is a *channel* (choice 0's content, its reasoning, the
arguments of tool call 1, …). Stages transform a channel's text piece by piece and may hold some of
it back; what they held comes out before the event that finishes the choice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Final, Protocol

import orjson

from hoopguard.payload.fields import Fields, Kind, Path, drop_repeats
from hoopguard.payload.sse import Event, EventParser, FramingError

_MAX_CHANNELS: Final = 512
_MAX_DEPTH: Final = 32
_DONE: Final = "[DONE]"
_EVENT_NAMES: Final = frozenset({"error", "message"})
"""An event's name that may pass uninspected; an ``id`` never does, for nobody could tell what it says."""

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Channel:
    """One text that grows over a stream: where it stands, with choices and tool calls by their index."""

    place: Place
    kind: Kind


class Stage(Protocol):
    """Something that sees a stream's text on its way to the caller, and may change it."""

    def feed(self, channel: Channel, text: str) -> str:
        """Take the next piece of a channel; return what may go on now."""
        ...

    def finish(self, channel: Channel) -> str:
        """Return what was held back of a channel, which has ended."""
        ...


class StopStream(Exception):
    """A stage wants the stream to end here, properly; ``final`` is what the caller is told."""

    def __init__(self, final: dict[str, Any]) -> None:
        super().__init__("the stream was ended by policy")
        self.final = final


@dataclass(frozen=True, slots=True)
class StreamShape:
    """What a format says of its stream: its strings, and what a choice without text looks like."""

    fields: Fields
    empty_choice: dict[str, Any]


@dataclass(slots=True)
class _Held:
    """Text that came out of a channel's end, to be sent at its place."""

    channel: Channel
    text: str


@dataclass(slots=True)
class _Found:
    """A channel's string in the event at hand."""

    node: Any
    key: Any


@dataclass
class AnswerStream:
    """Bytes of the model's event stream in, bytes of the caller's out."""

    shape: StreamShape
    stages: Sequence[Stage]
    drop_repeats: bool
    ended: bool = False
    _parser: EventParser = field(default_factory=EventParser)
    _open: dict[Channel, bool] = field(default_factory=dict)
    _finished: set[str | int] = field(default_factory=set)
    _last: dict[str, Any] = field(default_factory=dict)

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
            out += self._or_stop(partial(self._flush, list(self._open)))
        return out

    def _run(self, events: list[Event]) -> bytes:
        out = b""
        for event in events:
            if self.ended:
                break
            out += self._or_stop(partial(self._event, event))
        return out

    def _or_stop(self, step: Callable[[], bytes]) -> bytes:
        """Return what a step lets out, or the stream's proper end if a stage stops it there."""
        try:
            return step()
        except StopStream as stop:
            self.ended = True
            return self._stop(stop.final)

    def _event(self, event: Event) -> bytes:
        if event.data.strip() == _DONE:
            self.ended = True
            return self._flush(list(self._open)) + Event(_DONE).encode()
        body = _parse(event.data)
        if self.drop_repeats:
            drop_repeats(body, self.shape.fields)
        found: dict[Channel, _Found] = {}
        self._walk(body, (), (), found, 0)
        before = self._finish_choices(body, found)
        self._last = body
        kind = event.event if event.event in _EVENT_NAMES else ""
        return before + Event(_dump(body), kind).encode()

    def _walk(self, node: Any, path: Path, place: Place, found: dict[Channel, _Found], depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise FramingError("an event of the stream is nested too deep")
        for key, step in _steps(node):
            child = node[key]
            here, at = (*path, "*" if isinstance(step, int) else step), (*place, step)
            if isinstance(child, str):
                kind = self.shape.fields.kind(here, child)
                if kind is not Kind.STRUCTURAL and child:
                    node[key] = self._text(Channel(at, kind), child, _Found(node, key), found)
            elif isinstance(child, dict | list):
                self._walk(child, here, at, found, depth + 1)

    def _text(self, channel: Channel, text: str, where: _Found, found: dict[Channel, _Found]) -> str:
        """Pass a string through the stages: as a piece of its channel, or alone if it stands outside the choices."""
        if channel.place[0] != "choices":
            return self._feed(channel, text) + self._finish(channel)
        if not self._open.get(channel, True):
            raise FramingError("the stream goes on with a text that it had finished")
        if channel not in self._open and len(self._open) >= _MAX_CHANNELS:
            raise FramingError(f"the stream has more than {_MAX_CHANNELS} texts at once")
        self._open[channel] = True
        found[channel] = where
        return self._feed(channel, text)

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

    def _finish_choices(self, body: Any, found: dict[Channel, _Found]) -> bytes:
        """Let out what is held of every choice that this event finishes, before or in the event itself."""
        finished = {
            _index(choice, position)
            for position, choice in enumerate(body.get("choices") or [])
            if choice.get("finish_reason")
        }
        if not finished:
            return b""
        self._finished |= finished
        elsewhere: list[Channel] = []
        for channel in [channel for channel, is_open in self._open.items() if is_open and channel.place[1] in finished]:
            if channel in found:
                self._open[channel] = False
                found[channel].node[found[channel].key] += self._finish(channel)
            else:
                elsewhere.append(channel)
        template = body if not self._last else self._last
        return self._flush(elsewhere, template)

    def _flush(self, channels: list[Channel], template: dict[str, Any] | None = None) -> bytes:
        held: dict[str | int, list[_Held]] = {}
        for channel in channels:
            if not self._open[channel]:
                continue
            self._open[channel] = False
            if rest := self._finish(channel):
                held.setdefault(channel.place[1], []).append(_Held(channel, rest))
        source = self._last if template is None else template
        return b"".join(self._synthetic(source, index, texts).encode() for index, texts in held.items())

    def _synthetic(self, template: dict[str, Any], index: str | int, held: list[_Held]) -> Event:
        """Make an event of our own that carries held text of one choice."""
        choice: dict[str, Any] = {"index": index, **orjson.loads(orjson.dumps(self.shape.empty_choice))}
        for entry in held:
            _place(choice, entry.channel.place[2:], entry.text)
        choice["finish_reason"] = None
        return Event(_dump({**_head(template), "choices": [choice]}))

    def _stop(self, final: dict[str, Any]) -> bytes:
        """End the stream as the API does: every choice gets a finish reason, once, then ``[DONE]``."""
        indexes = dict.fromkeys(channel.place[1] for channel in self._open) or {0: None}
        choices = [
            {"index": index, **self.shape.empty_choice, "finish_reason": "content_filter"}
            for index in indexes
            if index not in self._finished
        ]
        last = {**_head(self._last), "choices": choices, "hoopguard": final}
        return Event(_dump(last)).encode() + Event(_DONE).encode()


def _parse(data: str) -> Any:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FramingError("an event of the stream is not JSON") from error
    if not isinstance(body, dict):
        raise FramingError("an event of the stream is not a JSON object")
    choices = body.get("choices") or []
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise FramingError("an event of the stream has choices that are not a list of objects")
    return body


def _dump(body: Any) -> str:
    return orjson.dumps(body).decode()


def _head(body: dict[str, Any]) -> dict[str, Any]:
    """Return what every event of a stream repeats: its id, object, time and model."""
    return {key: body[key] for key in ("id", "object", "created", "model", "system_fingerprint") if key in body}


def _steps(node: Any) -> list[tuple[Any, str | int]]:
    """Return ``(key, step)`` of each child; list entries that say their ``index`` are known by it."""
    if isinstance(node, dict):
        return [(key, key) for key in node]
    return [(position, _index(child, position)) for position, child in enumerate(node)]


def _index(entry: Any, position: int) -> int:
    index = entry.get("index") if isinstance(entry, dict) else None
    return index if isinstance(index, int) and not isinstance(index, bool) else position


def _place(node: dict[str, Any], place: Place, text: str) -> None:
    """Put ``text`` into ``node`` at ``place``, making the objects and lists on the way."""
    here: Any = node
    for step, following in pairwise(place):
        here = _descend(here, step, [] if isinstance(following, int) else {})
    if isinstance(here, list):
        here.append(text)
    else:
        here[place[-1]] = text


def _descend(node: Any, step: str | int, fresh: Any) -> Any:
    if isinstance(node, dict):
        return node.setdefault(step, fresh)
    known = next((entry for entry in node if isinstance(entry, dict) and entry.get("index") == step), None)
    if known is None:
        known = {"index": step} if isinstance(fresh, dict) else fresh
        node.append(known)
    return known
