"""Anthropic's Messages API: whole, and as its named events; and the count of tokens."""

import json
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from fake import Fake, Json, Route, event_stream
from fake_openai import ARGUMENTS
from speech import answered, pieces, said

from hoopguard.demo.connection import Reply, json_reply

USAGE: Final = {
    "input_tokens": 31,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 16,
    "output_tokens": 64,
    "service_tier": "standard",
}
SIGNATURE: Final = "EqoBCkgIARABGAIiQL8vN2v5p0S1kP4r7mT0dE3yXw9uZb6cQhJfGaKsLtOiRnVdWxYzAbCdEfGhIjKlMnOpQrStUv=="


class FakeAnthropic(Fake):
    """Answers with thinking, text and a tool's use, as the request allows."""

    api: ClassVar[str] = "anthropic"

    @property
    def routes(self) -> dict[tuple[str, str], Route]:
        """Return the two routes."""
        return {
            ("POST", "/v1/messages"): _messages,
            ("POST", "/v1/messages/count_tokens"): lambda _: json_reply({"input_tokens": 31}),
        }

    def error(self, message: str) -> Json:
        """Return Anthropic's error object."""
        return {"type": "error", "error": {"type": "authentication_error", "message": message}, "request_id": "req_1"}


def _messages(asked: Json) -> Reply:
    blocks = _blocks(asked)
    if asked.get("stream"):
        return event_stream(_events(asked, blocks), named=True)
    return json_reply(_message(asked, blocks, _reason(blocks), USAGE))


def _message(asked: Json, blocks: list[Json], reason: str | None, usage: Json) -> Json:
    return {
        "id": "msg_01XqVdR8s2",
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": blocks,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }


def _reason(blocks: list[Json]) -> str:
    return "tool_use" if blocks[-1]["type"] == "tool_use" else "end_turn"


def _blocks(asked: Json) -> list[Json]:
    blocks: list[Json] = []
    if (asked.get("thinking") or {}).get("type") == "enabled":
        blocks.append({"type": "thinking", "thinking": said("thinking"), "signature": SIGNATURE})
    blocks.append({"type": "text", "text": answered(asked), "citations": None})
    if asked.get("tools"):
        name = asked["tools"][0]["name"]
        blocks.append({"type": "tool_use", "id": "toolu_01A09q90qw", "name": name, "input": ARGUMENTS})
    return blocks


def _events(asked: Json, blocks: list[Json]) -> Iterator[Json]:
    begun = {**USAGE, "output_tokens": 1}
    yield {"type": "message_start", "message": _message(asked, [], None, begun)}
    for index, block in enumerate(blocks):
        yield {"type": "content_block_start", "index": index, "content_block": _empty(block)}
        if index == 0:
            yield {"type": "ping"}
        for delta in _deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": _reason(blocks), "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": USAGE["output_tokens"]}}
    yield {"type": "message_stop"}


def _empty(block: Json) -> Json:
    empty: dict[str, Any] = {"thinking": "", "signature": "", "text": "", "input": {}}
    return {key: empty.get(key, value) for key, value in block.items()}


def _deltas(block: Json) -> Iterator[Json]:
    if block["type"] == "thinking":
        for piece in pieces(block["thinking"]):
            yield {"type": "thinking_delta", "thinking": piece}
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif block["type"] == "text":
        for piece in pieces(block["text"]):
            yield {"type": "text_delta", "text": piece}
    else:
        yield {"type": "input_json_delta", "partial_json": ""}
        for piece in pieces(json.dumps(block["input"])):
            yield {"type": "input_json_delta", "partial_json": piece}
