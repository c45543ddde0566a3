"""The stream of Anthropic's Messages API: blocks that begin, grow and stop, between a message's start and stop."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from hoopguard.payload.anthropic_blocks import BLOCK, CITATION, VOCABULARY
from hoopguard.payload.framing import Event, FramingError
from hoopguard.payload.shapes import EVERYTHING, Body, Group, Place, StreamShape, event_of
from hoopguard.payload.tables import JSON_TEXT, SMALL, TEXT, Fields, Parts, Path, Table, under, word

_DELTAS: Final = {
    "text": "text_delta",
    "thinking": "thinking_delta",
    "partial_json": "input_json_delta",
    "signature": "signature_delta",
}
"""The texts of a block, and the delta that adds to each; a signature comes in one piece, and a second is refused."""

_DELTA: Final = Parts(
    "type",
    {
        "text_delta": {"text": TEXT},
        "thinking_delta": {"thinking": TEXT},
        "input_json_delta": {"partial_json": JSON_TEXT},
        "signature_delta": {"signature": TEXT},
        "citations_delta": under("citation", CITATION),
    },
)
_OPENS: Final = frozenset({"content_block_start", "content_block_delta"})
_ENDS: Final = frozenset({"message_delta", "message_stop", "error"})


class MessageStream(StreamShape):
    """Blocks by their index; every event is named after its type."""

    api = "anthropic"
    event_names = frozenset(
        {
            "content_block_delta",
            "content_block_start",
            "content_block_stop",
            "error",
            "message_delta",
            "message_start",
            "message_stop",
            "ping",
        }
    )

    def __init__(self, message: Table, ending: Table, usage: Table, error: Table) -> None:
        """Take the tables of a whole message, of how one ends, of its usage, and of an error."""
        events: dict[str, Table] = {
            "message_start": {"message.type": word("message"), **under("message", message)},
            "content_block_start": {"index": SMALL, "content_block": BLOCK},
            "content_block_delta": {"index": SMALL, "delta": _DELTA},
            "content_block_stop": {"index": SMALL},
            "message_delta": {**under("delta", ending), **under("usage", usage)},
            "message_stop": {},
            "ping": {},
            "error": error,
        }
        super().__init__(Fields({"": Parts("type", events, closed=False)}, VOCABULARY))

    def place(self, body: Body, path: Path) -> Place | None:
        """Return the block's index and which of its texts it is; a citation stands alone."""
        if len(path) != 2 or path[0] not in ("content_block", "delta") or path[1] not in _DELTAS:
            return None
        return (_index(body), path[1])

    def told_at(self, body: Body, path: Path) -> Path:
        """Return the place in the message's block."""
        if path[0] not in ("content_block", "delta") or "index" not in body:
            return path
        key = "input" if path[1:] == ("partial_json",) else None
        return ("content", _index(body), *(path[1:] if key is None else (key,)))

    def ended(self, body: Body) -> Collection[Group]:
        """Return the block that stops; a signature is the end of its thinking, and a message's end that of all."""
        kind, delta = body.get("type"), body.get("delta")
        signed = isinstance(delta, dict) and delta.get("type") == "signature_delta"
        if kind == "content_block_stop" or (kind == "content_block_delta" and signed):
            return {_index(body)}
        return EVERYTHING if kind in _ENDS else ()

    def carry(self, last: Body, place: Place, text: str) -> Event:
        """Return one more delta of the block."""
        index, name = place
        delta = {"type": _DELTAS[name], name: text}
        body = {"type": "content_block_delta", "index": index, "delta": delta}
        return event_of(body, "content_block_delta")

    def stop(self, last: Body, open_groups: Iterable[Group], final: Mapping[str, Any]) -> list[Event]:
        """Return the stop of the block that is open, and of the message, as a refusal; it may not have begun at all."""
        if not last:
            return super().stop(last, open_groups, final)
        kind = last.get("type")
        told = [last["index"]] if kind in _OPENS and "index" in last else ()
        opened = open_groups if kind == "ping" else told
        bodies: list[Body] = [{"type": "content_block_stop", "index": index} for index in opened]
        ending = {"stop_reason": "refusal", "stop_sequence": None}
        bodies.append(
            {"type": "message_delta", "delta": ending, "usage": {"output_tokens": 0}, "hoopguard": dict(final)}
        )
        bodies.append({"type": "message_stop"})
        return [event_of(body, body["type"]) for body in bodies]


def _index(body: Body) -> int:
    index = body.get("index")
    if type(index) is not int:
        raise FramingError("an event of the stream belongs to no block")
    return index
