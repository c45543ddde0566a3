"""OpenAI's Realtime API: a WebSocket on which caller and model exchange JSON events, as OpenAI and vLLM speak it.

Each message is one event. What the model says is read as a stream of JSON lines, one a message: texts grow by deltas,
and what repeats a whole text (``….done``, ``response.done``) stands alone. Audio is opaque, never read as text.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson

from hoopguard.payload.errors import error_of
from hoopguard.payload.framing import Event
from hoopguard.payload.ndjson import LineShape
from hoopguard.payload.openai_realtime_events import AUDIO_TOLD, ITEM, PART, RESPONSE, SESSION, TOLD, VOCABULARY
from hoopguard.payload.shapes import Body, Group, Place, event_of
from hoopguard.payload.tables import LABEL, MADE, SMALL, TEXT, Fields, Number, Parts, Path, Table, under
from hoopguard.payload.wire import Format

_PLACES: Final = ("response_id", "item_id", "output_index", "content_index")
_MILLISECONDS: Final = Number(99_999_999)
_AT: Final[Table] = {
    "event_id": MADE,
    "response_id": MADE,
    "item_id": MADE,
    "previous_item_id": MADE,
    "output_index": SMALL,
    "content_index": SMALL,
}
_PLAIN_EVENTS: Final = """
    conversation.item.deleted conversation.item.truncated
    input_audio_buffer.cleared input_audio_buffer.committed input_audio_buffer.dtmf_event_received
    input_audio_buffer.speech_started input_audio_buffer.speech_stopped input_audio_buffer.timeout_triggered
    mcp_list_tools.completed mcp_list_tools.failed mcp_list_tools.in_progress
    output_audio_buffer.cleared output_audio_buffer.started output_audio_buffer.stopped
    rate_limits.updated response.mcp_call.completed response.mcp_call.failed response.mcp_call.in_progress
    conversation.item.input_audio_transcription.segment
"""
_NOT_THE_SERVERS: Final = frozenset({"item", "metadata", "tools"})
"""Where a key ``model`` is the caller's own word."""
_TEXT_ENDS: Final = frozenset({"done", "completed", "failed"})


def _server_events() -> dict[str, Table]:
    """Return the table of every event that a model may send."""
    times: Table = dict.fromkeys(("audio_start_ms", "audio_end_ms", "received_at"), _MILLISECONDS)
    events: dict[str, Table] = {name: {**_AT, **times} for name in _PLAIN_EVENTS.split()}
    for name, told in TOLD.items():
        events[f"{name}.delta"] = {**_AT, **told.repeats, "delta": told.kind}
        events[f"{name}.{told.end}"] = {**_AT, **told.repeats, told.key: told.kind}
    events["conversation.item.input_audio_transcription.failed"] = {**_AT, **_ERROR}
    for name, opaque in AUDIO_TOLD.items():
        events[f"{name}.delta"], events[f"{name}.done"] = {**_AT, "delta": opaque}, _AT
    for state in ("added", "created", "done", "retrieved"):
        events[f"conversation.item.{state}"] = {**_AT, "item": ITEM}
    for state in ("added", "done"):
        events[f"response.output_item.{state}"] = {**_AT, "item": ITEM}
        events[f"response.content_part.{state}"] = {**_AT, "part": PART}
    for state in ("created", "done"):
        events[f"response.{state}"] = {**_AT, **under("response", RESPONSE)}
    for state in ("created", "updated"):
        events[f"session.{state}"] = {**_AT, **SESSION, **under("session", SESSION)}
        events[f"transcription_session.{state}"] = {**_AT, **under("session", SESSION)}
    events["conversation.created"] = {**_AT, "conversation.id": MADE}
    events["error"] = {**_AT, **_ERROR}
    return events


_ERROR: Final[Table] = {
    "error.type": LABEL,
    "error.code": LABEL,
    "error.message": TEXT,
    "error.event_id": LABEL,
    "code": LABEL,
}
_ASKED: Final[Table] = {**_AT, "event_id": LABEL, "audio_end_ms": _MILLISECONDS}
_CLIENT_EVENTS: Final[dict[str, Table]] = {
    "session.update": {**_ASKED, "model": LABEL, **under("session", SESSION)},
    "transcription_session.update": {**_ASKED, **under("session", SESSION)},
    "input_audio_buffer.append": {**_ASKED, "audio": AUDIO_TOLD["response.output_audio"]},
    "input_audio_buffer.commit": _ASKED,
    "input_audio_buffer.clear": _ASKED,
    "output_audio_buffer.clear": _ASKED,
    "conversation.item.create": {**_ASKED, "item": ITEM},
    "conversation.item.delete": _ASKED,
    "conversation.item.retrieve": _ASKED,
    "conversation.item.truncate": _ASKED,
    "response.create": {**_ASKED, **under("response", RESPONSE), "response.input.*": ITEM},
    "response.cancel": _ASKED,
}


class _Text(NamedTuple):
    """A text that grows: of which kind, and in which response, item and part."""

    kind: str
    response: str
    item: str
    part: int


class _TextsOf(Collection[Group]):
    """All the texts of a response, of an item, or of an item's part."""

    def __init__(self, response: str = "", item: str = "", part: int | None = None) -> None:
        self._response, self._item, self._part = response, item, part

    def __contains__(self, text: object) -> bool:
        if not isinstance(text, _Text) or not (self._response or self._item):
            return False
        same_response = not self._response or text.response == self._response
        same_item = not self._item or text.item == self._item
        return same_response and same_item and self._part in (None, text.part)

    def __iter__(self) -> Iterator[Group]:
        return iter(())

    def __len__(self) -> int:
        return 1


class EventStream(LineShape):
    """The model's messages; texts are told apart by their kind, response, item and part."""

    media = "websocket"

    def place(self, body: Body, path: Path) -> Place | None:
        """Return the text that a delta adds to; anything else stands alone."""
        kind, state = _split(body)
        return (_text_of(kind, body),) if state == "delta" and kind in TOLD and path == ("delta",) else None

    def ended(self, body: Body) -> Collection[Group]:
        """Return the text that is over, or those of the part, the item or the response that is."""
        kind, state = _split(body)
        if state not in _TEXT_ENDS:
            return ()
        if kind in TOLD:
            return {_text_of(kind, body)}
        if kind == "response":
            return _TextsOf(response=_id(body.get("response"), "id"))
        if kind in ("response.output_item", "conversation.item"):
            return _TextsOf(item=_id(body.get("item"), "id"))
        part = body.get("content_index")
        return _TextsOf(item=_id(body, "item_id"), part=part) if kind == "response.content_part" else ()

    def carry(self, last: Body, place: Place, text: str) -> Event:
        """Return one more delta of the text."""
        where: Body = {key: last[key] for key in _PLACES if key in last}
        event_id = f"{_id(last, 'event_id') or 'event'}_rest"
        return event_of({"type": f"{place[0].kind}.delta", "event_id": event_id, **where, "delta": text})

    def stop(self, last: Body, open_groups: Iterable[Group], final: Mapping[str, Any]) -> list[Event]:
        """Return an error event: the conversation ends with what a rule stops."""
        return self.fail(str(final.get("message", "stopped by policy")), {"status": 403, **final})

    def fail(self, message: str, about: Mapping[str, Any]) -> list[Event]:
        """Return the API's error event."""
        code, exchange = str(about.get("code", "hoopguard_stream_failed")), str(about.get("exchange", ""))
        return [Event(error_event(int(about.get("status", 502)), code, message, exchange).decode())]


def error_event(status: int, code: str, message: str, exchange_id: str, **more: Any) -> bytes:
    """Return the event that says what went wrong, as the API's clients expect it."""
    error = error_of("openai", status, code, message, exchange_id, **more)["error"]
    event_id = f"event_{exchange_id.replace('-', '_')}"
    return orjson.dumps({"type": "error", "event_id": event_id, "error": {**error, "event_id": None}})


def may_hold_audio(message: bytes) -> bool:
    """Tell whether an event, as it is written, may hold speech as base64."""
    return b'"audio"' in message or b"audio.delta" in message


def named_models(event: Any) -> Iterator[Any]:
    """Yield whatever stands at a key ``model`` of a caller's event, but for what its tools and items hold."""
    if isinstance(event, list):
        for child in event:
            yield from named_models(child)
    if not isinstance(event, dict):
        return
    for key, child in event.items():
        if key == "model" and child is not None:
            yield child
        elif key not in _NOT_THE_SERVERS and not (key == "input" and isinstance(child, list)):
            yield from named_models(child)


def _split(body: Body) -> tuple[str, str]:
    kind, _, state = str(body.get("type")).rpartition(".")
    return kind, state


def _id(holder: Any, key: str) -> str:
    value = holder.get(key) if isinstance(holder, dict) else None
    return value if isinstance(value, str) else ""


def _text_of(kind: str, body: Body) -> _Text:
    part = body.get("content_index")
    return _Text(kind, _id(body, "response_id"), _id(body, "item_id"), part if type(part) is int else 0)


FORMAT: Final = Format(
    name="realtime",
    method="GET",
    path="/v1/realtime",
    request=Fields({"": Parts("type", _CLIENT_EVENTS, closed=False)}, VOCABULARY),
    stream=EventStream(Fields({"": Parts("type", _server_events(), closed=False)}, VOCABULARY)),
    live=True,
)
