"""The stream of chat completions and completions: choices that grow, each with a finish reason, then ``[DONE]``."""

import copy
from collections.abc import Collection, Iterable, Mapping
from itertools import pairwise
from typing import Any, Final

from hoopguard.payload.fields import index_of
from hoopguard.payload.framing import Event, FramingError
from hoopguard.payload.shapes import Body, Group, Place, StreamShape, event_of
from hoopguard.payload.tables import Fields, Path

DONE: Final = Event("[DONE]")
_HEAD: Final = ("id", "object", "created", "model", "system_fingerprint")


class ChoiceStream(StreamShape):
    """Choices by their index; ``empty_choice`` is what a choice without text looks like."""

    stateless = True

    def __init__(self, fields: Fields, empty_choice: dict[str, Any]) -> None:
        super().__init__(fields)
        self._empty_choice = empty_choice

    def place(self, body: Body, path: Path) -> Place | None:
        """Return the choice's index and the place in the choice."""
        return path[1:] if path[0] == "choices" and len(path) > 2 else None

    def told_at(self, body: Body, path: Path) -> Path:
        """Return the place in the choice's message."""
        return (*path[:2], "message", *path[3:]) if path[0] == "choices" and path[2:3] == ("delta",) else path

    def ended(self, body: Body) -> Collection[Group]:
        """Return the choices that this event finishes."""
        choices = body.get("choices") or []
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise FramingError("an event of the stream has choices that are not a list of objects")
        return {index_of(choice, at) for at, choice in enumerate(choices) if choice.get("finish_reason")}

    def carry(self, last: Body, place: Place, text: str) -> Event:
        """Return a chunk of the one choice."""
        choice: dict[str, Any] = {"index": place[0], **copy.deepcopy(self._empty_choice)}
        put(choice, place[1:], text)
        choice["finish_reason"] = None
        return event_of({**_head(last), "choices": [choice]})

    def stop(self, last: Body, open_groups: Iterable[Group], final: Mapping[str, Any]) -> list[Event]:
        """Return a chunk that gives every choice a finish reason, then ``[DONE]``."""
        choices = [
            {"index": index, **copy.deepcopy(self._empty_choice), "finish_reason": "content_filter"}
            for index in open_groups
        ]
        return [event_of({**_head(last), "choices": choices, "hoopguard": dict(final)}), DONE]


def _head(body: Body) -> Body:
    """Return what every event of a stream repeats: its id, object, time and model."""
    return {key: body[key] for key in _HEAD if key in body}


def put(node: dict[str, Any], place: Place, text: str) -> None:
    """Put ``text`` into ``node`` at ``place``, making the objects and lists on the way.

    Raises:
        FramingError: something else stands on the way already.
    """
    here: Any = node
    for step, following in pairwise(place):
        here = _descend(here, step, [] if isinstance(following, int) else {})
    if isinstance(here, list):
        here.append(text)
    elif isinstance(here, dict) and isinstance(place[-1], str):
        here[place[-1]] = text
    else:
        raise FramingError("a text of the stream stands where none can be added to")


def _descend(node: Any, step: str | int, fresh: Any) -> Any:
    if isinstance(node, dict) and isinstance(step, str):
        return node.setdefault(step, fresh)
    if not isinstance(node, list):
        raise FramingError("a text of the stream stands where none can be added to")
    known = next((entry for entry in node if isinstance(entry, dict) and entry.get("index") == step), None)
    if known is None:
        known = {"index": step} if isinstance(fresh, dict) else fresh
        node.append(known)
    return known
