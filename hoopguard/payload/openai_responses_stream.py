"""The stream of OpenAI's Responses API: every text in deltas, then once more whole, and again in what holds it."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple, Self

from hoopguard.payload.errors import error_of
from hoopguard.payload.fields import index_of
from hoopguard.payload.framing import Event, FramingError
from hoopguard.payload.openai_items import ANNOTATION, CONTENT, ITEM, PLACE
from hoopguard.payload.shapes import EVERYTHING, Body, Group, Place, StreamShape, event_of
from hoopguard.payload.tables import (
    JSON_TEXT,
    LABEL,
    MADE,
    REPEAT,
    TEXT,
    Fields,
    Parts,
    Path,
    Said,
    Table,
    Treatment,
    under,
)


class _Told(NamedTuple):
    """A text that is told in deltas: where it stands when it is whole, how it is read, which index tells it apart."""

    key: str
    kind: Said = TEXT
    at: str | None = None
    part: str | None = None


_TOLD: Final = {
    "response.output_text": _Told("text", at="content_index", part="output_text"),
    "response.refusal": _Told("refusal", at="content_index", part="refusal"),
    "response.reasoning_text": _Told("text", at="content_index", part="reasoning_text"),
    "response.reasoning_summary_text": _Told("text", at="summary_index", part="summary_text"),
    "response.function_call_arguments": _Told("arguments", JSON_TEXT),
    "response.mcp_call_arguments": _Told("arguments", JSON_TEXT),
    "response.custom_tool_call_input": _Told("input"),
    "response.code_interpreter_call_code": _Told("code"),
}
_OF_PART: Final = {told.part: name for name, told in _TOLD.items() if told.part is not None}
_OF_ITEM: Final = {
    "function_call": "response.function_call_arguments",
    "mcp_call": "response.mcp_call_arguments",
    "custom_tool_call": "response.custom_tool_call_input",
    "code_interpreter_call": "response.code_interpreter_call_code",
}
_HEAD: Final = ("id", "object", "created_at", "model")
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})
_STATES: Final = """
    code_interpreter_call.in_progress code_interpreter_call.interpreting code_interpreter_call.completed
    file_search_call.in_progress file_search_call.searching file_search_call.completed
    web_search_call.in_progress web_search_call.searching web_search_call.completed
    mcp_call.in_progress mcp_call.completed mcp_call.failed
    mcp_list_tools.in_progress mcp_list_tools.completed mcp_list_tools.failed
"""
_PARTS: Final = ("response.content_part", "response.reasoning_summary_part", "response.reasoning_part")
_PART_ENDS: Final = frozenset(f"{name}.done" for name in _PARTS)


def _events(response: Table) -> dict[str, Table]:
    """Return the table of every event."""
    events: dict[str, Table] = {}
    for name, told in _TOLD.items():
        repeats: dict[str, Treatment] = {"logprobs": REPEAT, "name": LABEL, "obfuscation": TEXT}
        events[f"{name}.delta"] = {**PLACE, **repeats, "delta": told.kind}
        events[f"{name}.done"] = {**PLACE, **repeats, told.key: told.kind}
    for name in _PARTS:
        events[f"{name}.added"] = events[f"{name}.done"] = {**PLACE, "part": CONTENT, "status": LABEL}
    for state in ("added", "done"):
        events[f"response.output_item.{state}"] = {**PLACE, "item": ITEM}
    for state in ("created", "queued", "in_progress", "completed", "incomplete", "failed"):
        events[f"response.{state}"] = {**PLACE, **under("response", response)}
    for state in _STATES.split():
        events[f"response.{state}"] = PLACE
    events["response.output_text.annotation.added"] = {**PLACE, **under("annotation", ANNOTATION)}
    events["error"] = {
        **PLACE,
        "code": LABEL,
        "message": TEXT,
        "param": TEXT,
        "error.type": LABEL,
        "error.code": LABEL,
        "error.message": TEXT,
        "request_id": MADE,
    }
    return events


class ResponseStream(StreamShape):
    """Texts by the kind of their deltas, the item and the part; every event is named after its type, and numbered."""

    def __init__(self, response: Table, vocabulary: frozenset[str]) -> None:
        """Take the table of a whole response."""
        events = _events(response)
        super().__init__(Fields({"": Parts("type", events, closed=False)}, vocabulary))
        self.event_names = frozenset(events)
        self._head: Body = {}

    def begin(self) -> Self:
        """Return a shape that remembers whose stream it is."""
        one = object.__new__(type(self))
        one.fields, one.event_names, one._head = self.fields, self.event_names, {}
        return one

    def place(self, body: Body, path: Path) -> Place | None:
        """Return the text that a delta adds to, or that begins with something; a whole text stands alone."""
        kind, state = _split(body)
        if state == "delta" and kind in _TOLD and path == ("delta",):
            return (_group(kind, body, body.get(_TOLD[kind].at or "")),)
        if state != "added":
            return None
        if kind == "response.output_item":
            return _begun(body, path)
        part = body.get("part")
        name = _OF_PART.get(str(part.get("type"))) if isinstance(part, dict) else None
        if name is not None and path == ("part", _TOLD[name].key):
            return (_group(name, body, body.get(_TOLD[name].at or "")),)
        return None

    def told_at(self, body: Body, path: Path) -> Path:
        """Return the place in the response's output."""
        kind, _ = _split(body)
        item, told = ("output", _number(body, "output_index")), _TOLD.get(kind)
        if path[0] == "response":
            return path[1:]
        if path[0] == "item":
            return (*item, *path[1:])
        listed, at = ("summary", "summary_index") if "summary" in kind else ("content", "content_index")
        if path[0] == "part":
            return (*item, listed, _number(body, at), *path[1:])
        if told is None or path not in (("delta",), (told.key,)):
            return path
        return (*item, listed, _number(body, at), told.key) if told.at else (*item, told.key)

    def ended(self, body: Body) -> Collection[Group]:
        """Return the text that is over, those of the part or item that is, or all."""
        kind, state = _split(body)
        if body.get("type") in _ENDS:
            return EVERYTHING
        if state != "done":
            return ()
        if kind in _TOLD:
            return {_group(kind, body, body.get(_TOLD[kind].at or ""))}
        if kind == "response.output_item":
            return _item_groups(body)
        index = body.get("content_index", body.get("summary_index"))
        return {_group(name, body, index) for name in _OF_PART.values()}

    def seal(self, body: Body, number: int) -> None:
        """Number the event, and remember whose stream it is."""
        if "sequence_number" in body:
            body["sequence_number"] = number
        response = body.get("response")
        if isinstance(response, dict) and not self._head:
            self._head = {key: response[key] for key in _HEAD if isinstance(response.get(key), str | int | float)}

    def carry(self, last: Body, place: Place, text: str) -> Event:
        """Return one more delta of the text."""
        name, output_index, index = place[0]
        told, item = _TOLD[name], last.get("item")
        item_id = item.get("id") if isinstance(item, dict) else last.get("item_id")
        body: Body = {"type": f"{name}.delta", "item_id": item_id, "output_index": output_index}
        if told.at is not None:
            body[told.at] = index
        if told.part == "output_text":
            body["logprobs"] = []
        return event_of({**body, "delta": text, "sequence_number": 0}, body["type"])

    def stop(self, last: Body, open_groups: Iterable[Group], final: Mapping[str, Any]) -> list[Event]:
        """Return the response as one that the content filter left incomplete; it may not have begun at all."""
        if not self._head:
            return super().stop(last, open_groups, final)
        unset: Body = {
            "error": None,
            "instructions": None,
            "metadata": {},
            "output": [],
            "tools": [],
            "tool_choice": "auto",
        }
        why = {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "hoopguard": dict(final)}
        response = {**self._head, **unset, "parallel_tool_calls": True, **why}
        return [event_of({"type": "response.incomplete", "response": response, "sequence_number": 0}, _INCOMPLETE)]

    def fail(self, message: str, about: Mapping[str, Any]) -> list[Event]:
        """Return the API's error event, which also holds the object that SDKs make their exception of."""
        code, exchange = str(about.get("code", "hoopguard_stream_failed")), str(about.get("exchange", ""))
        error = error_of(self.api, int(about.get("status", 502)), code, message, exchange)
        said = {"code": code, "message": error["error"]["message"], "param": None}
        return [event_of({"type": "error", **said, "sequence_number": 0, **error}, "error")]


_INCOMPLETE: Final = "response.incomplete"


def _split(body: Body) -> tuple[str, str]:
    kind, _, state = str(body.get("type")).rpartition(".")
    return kind, state


def _group(name: str, body: Body, index: Any) -> Group:
    """Return a text's name, its item's index and its own.

    Raises:
        FramingError: the event does not say where it belongs.
    """
    output_index = body.get("output_index")
    if _TOLD[name].at is None:
        index = 0
    if type(output_index) is not int or type(index) is not int:
        raise FramingError("an event of the stream belongs to no text")
    return (name, output_index, index)


def _begun(body: Body, path: Path) -> Place | None:
    """Return the text that an item begins with."""
    if path[0] != "item" or not isinstance(body["item"], dict):
        return None
    item: Body = body["item"]
    name = _OF_ITEM.get(str(item.get("type")))
    if name is not None:
        return (_group(name, body, 0),) if path == ("item", _TOLD[name].key) else None
    if len(path) != 4 or path[1] not in ("content", "summary"):
        return None
    parts = item[str(path[1])]
    part = next((part for at, part in enumerate(parts) if path[2] == index_of(part, at)), None)
    name = _OF_PART.get(str(part.get("type"))) if isinstance(part, dict) else None
    return (_group(name, body, path[2]),) if name is not None and path[3] == _TOLD[name].key else None


def _item_groups(body: Body) -> set[Group]:
    """Return every text that an item can have, by how many parts it has."""
    item = body.get("item")
    lists = [item.get(key) for key in ("content", "summary")] if isinstance(item, dict) else []
    most = max([1, *(len(parts) for parts in lists if isinstance(parts, list))])
    return {_group(name, body, index) for name in _TOLD for index in range(most)}


def _number(body: Body, key: str) -> int:
    """Return an index that an event says, 0 if it says none."""
    number = body.get(key)
    return number if type(number) is int else 0
