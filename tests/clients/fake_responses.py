"""OpenAI's Responses API: whole, and as the events in which a model server tells it."""

import json
from collections.abc import Iterator
from typing import Any, Final

from fake import CREATED, Fake, Json, Route, event_stream
from fake_openai import ARGUMENTS, STRUCTURED
from speech import answered, pieces, said

from hoopguard.demo.connection import Reply, json_reply

USAGE: Final = {
    "input_tokens": 31,
    "input_tokens_details": {"cached_tokens": 16, "cache_write_tokens": 0},
    "output_tokens": 64,
    "output_tokens_details": {"reasoning_tokens": 12},
    "total_tokens": 95,
}


class FakeResponses(Fake):
    """Answers with a reasoning item, a message, and a function call if tools are there."""

    @property
    def routes(self) -> dict[tuple[str, str], Route]:
        """Return the one route."""
        return {("POST", "/v1/responses"): _respond}

    def error(self, message: str) -> Json:
        """Return OpenAI's error object."""
        return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


def _respond(asked: Json) -> Reply:
    items = _items(asked)
    if asked.get("stream"):
        return event_stream(_events(asked, items), named=True)
    return json_reply(_response(asked, "completed", items, USAGE))


def _response(asked: Json, status: str, items: list[Json], usage: Json | None = None) -> Json:
    """Return the response object; it says the caller's instructions and tools again."""
    return {
        "id": "resp_68f1c4a07b2e",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": None,
        "metadata": asked.get("metadata") or {},
        "model": asked["model"],
        "output": items,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": (asked.get("reasoning") or {}).get("effort"), "summary": None},
        "service_tier": "default",
        "temperature": 1.0,
        "text": asked.get("text") or {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": asked.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "user": None,
    }


def _items(asked: Json) -> list[Json]:
    items: list[Json] = []
    if asked.get("reasoning"):
        summary = [{"type": "summary_text", "text": said("summary")}]
        content = [{"type": "reasoning_text", "text": said("reasoning")}]
        items.append({"id": "rs_1f", "type": "reasoning", "summary": summary, "content": content})
    structured = (asked.get("text") or {}).get("format", {}).get("type") == "json_schema"
    text = json.dumps(STRUCTURED) if structured else answered(asked)
    part: Json = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    if "please refuse" in json.dumps(asked["input"]):
        part = {"type": "refusal", "refusal": said("refusal")}
    items.append({"id": "msg_2e", "type": "message", "role": "assistant", "status": "completed", "content": [part]})
    for tool in asked.get("tools") or ():
        call = {"call_id": "call_4d", "name": tool["name"], "arguments": json.dumps(ARGUMENTS)}
        items.append({"id": "fc_3c", "type": "function_call", "status": "completed", **call})
    return items


def _events(asked: Json, items: list[Json]) -> Iterator[Json]:
    """Yield the events, numbered; the texts come in pieces, and once more whole in every ``…done``."""
    steps: list[Json] = [
        {"type": "response.created", "response": _response(asked, "in_progress", [])},
        {"type": "response.in_progress", "response": _response(asked, "in_progress", [])},
    ]
    for index, item in enumerate(items):
        steps += [{"output_index": index, **event} for event in _item_events(item)]
    steps.append({"type": "response.completed", "response": _response(asked, "completed", items, USAGE)})
    for number, step in enumerate(steps):
        yield {**step, "sequence_number": number}


def _item_events(item: Json) -> Iterator[Json]:
    empty: dict[str, Json] = {
        "reasoning": {"summary": [], "content": []},
        "message": {"content": []},
        "function_call": {"arguments": ""},
    }
    begun = {"status": "in_progress"} if "status" in item else {}
    yield {"type": "response.output_item.added", "item": {**item, **empty[item["type"]], **begun}}
    if item["type"] == "function_call":
        yield from _text_events("response.function_call_arguments", item, "arguments", item["arguments"])
    for index, part in enumerate(item.get("summary") or ()):
        yield from _part_events("response.reasoning_summary_part", item, part, {"summary_index": index})
    for index, part in enumerate(item.get("content") or ()):
        yield from _part_events("response.content_part", item, part, {"content_index": index})
    yield {"type": "response.output_item.done", "item": item}


_STREAMED: Final = {
    "summary_text": ("response.reasoning_summary_text", "text"),
    "reasoning_text": ("response.reasoning_text", "text"),
    "output_text": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
}


def _part_events(name: str, item: Json, part: Json, where: dict[str, int]) -> Iterator[Json]:
    stream, key = _STREAMED[part["type"]]
    yield {"type": f"{name}.added", "item_id": item["id"], **where, "part": {**part, key: ""}}
    yield from _text_events(stream, item, key, part[key], where)
    yield {"type": f"{name}.done", "item_id": item["id"], **where, "part": part}


def _text_events(
    stream: str, item: Json, key: str, text: str, where: dict[str, int] | None = None
) -> Iterator[dict[str, Any]]:
    more: Json = {"logprobs": []} if stream == "response.output_text" else {}
    for piece in pieces(text):
        yield {"type": f"{stream}.delta", "item_id": item["id"], **(where or {}), "delta": piece, **more}
    named = {"name": item["name"]} if stream.endswith("arguments") else {}
    yield {"type": f"{stream}.done", "item_id": item["id"], **(where or {}), key: text, **more, **named}
