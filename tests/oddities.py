"""What servers and callers say of every API that streams, and what nobody expects in its place."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

Steps = tuple[str | int, ...]
EMAIL: Final = "bob.mallory@example.com"
PLACEHOLDER: Final = "<EMAIL_ADDRESS_1>"
ODD: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**18,
    "",
    f"x {PLACEHOLDER}",
    "index",
    [],
    [None],
    {},
    {"x": None},
    {"0": "z"},
    [[[f"y {PLACEHOLDER}"]]],
    [PLACEHOLDER, {"text": PLACEHOLDER, "type": "text", "index": "0"}],
)


@dataclass(frozen=True)
class Talk:
    """A good question and its answer's events; ``path`` is below the connection, which is named after the API."""

    api: str
    path: str
    asked: Any
    told: tuple[dict[str, Any], ...]

    @property
    def media(self) -> str:
        """Return the media type of the stream."""
        return "application/x-ndjson" if self.api == "ollama" else "text/event-stream"


def _chat(text: str) -> dict[str, Any]:
    return {"model": "llama", "messages": [{"role": "user", "content": text}]}


_SAYS: Final = f"Write to {EMAIL}."
_CALL: Final = {"index": 0, "id": "i", "function": {"name": "f", "arguments": '{"a":'}}
_OUTPUT: Final = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": PLACEHOLDER}]}
_ADDED: Final = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]}
_TEXT: Final = {"output_index": 0, "content_index": 0, "item_id": "m"}
_TOKEN: Final = {"id": 1, "text": "<EMAIL_", "logprob": -1, "special": False}
TALKS: Final = {
    "chat/completions": Talk(
        "openai",
        "/v1/chat/completions",
        {**_chat(_SAYS), "stream": True},
        (
            {"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "a <EMAIL"}}]},
            {"choices": [{"index": 0, "delta": {"content": "_ADDRESS_1>", "tool_calls": [_CALL]}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {"total_tokens": 3}},
        ),
    ),
    "responses": Talk(
        "openai",
        "/v1/responses",
        {"model": "llama", "input": _SAYS, "stream": True},
        (
            {"type": "response.created", "sequence_number": 0, "response": {"id": "r", "output": []}},
            {"type": "response.output_item.added", "output_index": 0, "item": _ADDED},
            {"type": "response.content_part.added", **_TEXT, "part": {"type": "output_text", "text": ""}},
            {"type": "response.output_text.delta", **_TEXT, "delta": "x <EMAIL_ADD"},
            {"type": "response.output_text.done", **_TEXT, "text": f"x {PLACEHOLDER}"},
            {"type": "response.completed", "response": {"id": "r", "output": [_OUTPUT]}},
        ),
    ),
    "messages": Talk(
        "anthropic",
        "/v1/messages",
        {**_chat(_SAYS), "max_tokens": 5, "stream": True},
        (
            {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": []}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "a"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "<EMAIL_ADDRESS_1"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            {"type": "message_stop"},
        ),
    ),
    "api/chat": Talk(
        "ollama",
        "/api/chat",
        _chat(_SAYS),
        (
            {"model": "m", "message": {"role": "assistant", "content": "<EMAIL", "tool_calls": [{"function": _CALL}]}},
            {"message": {"content": "_ADDRESS_1>"}, "done": True},
        ),
    ),
    "generate_stream": Talk(
        "tgi",
        "/generate_stream",
        {"inputs": _SAYS},
        (
            {"index": 1, "token": _TOKEN, "generated_text": None},
            {"index": 2, "token": {"id": 1, "text": "ADDRESS_1>"}, "generated_text": PLACEHOLDER, "details": {}},
        ),
    ),
    "completion": Talk(
        "llamacpp",
        "/completion",
        {"prompt": _SAYS, "stream": True},
        ({"index": 0, "content": "<EMAIL", "stop": False}, {"content": "_ADDRESS_1>", "stop": True, "timings": {}}),
    ),
    "v2/generate_stream": Talk(
        "kserve",
        "/v2/models/m/generate_stream",
        {"id": EMAIL, "text_input": _SAYS},
        (
            {"id": PLACEHOLDER, "model_name": "m", "text_output": "<EMAIL"},
            {"id": PLACEHOLDER, "text_output": "_ADDRESS_1>"},
        ),
    ),
    "mcp": Talk(
        "mcp",
        "/mcp",
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", "arguments": {"a": _SAYS}}},
        ({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": PLACEHOLDER}]}},),
    ),
}


def places_in(value: Any, at: Steps = ()) -> Iterator[Steps]:
    """Yield the way to every value of a JSON value, to itself first."""
    yield at
    below: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in below:
        yield from places_in(child, (*at, key))


def changed(value: Any, place: Steps, new: Any) -> Any:
    """Return a JSON value with something else at one place."""
    if not place:
        return new
    whole = here = copy.deepcopy(value)
    for key in place[:-1]:
        here = here[key]
    here[place[-1]] = new
    return whole
