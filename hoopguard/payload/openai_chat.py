"""OpenAI chat completions, as vLLM, llama.cpp, SGLang and others speak them."""

from typing import Any, Final

from hoopguard.payload.fields import Fields, Uninspectable
from hoopguard.payload.streaming import StreamShape

_TOOL_CALL: Final = {("id",), ("type",), ("function", "name")}
_CHOICE_REPEATS: Final = {("logprobs",), ("token_ids",), ("prompt_logprobs",), ("prompt_token_ids",)}
_TOP: Final = {("id",), ("object",), ("model",), ("system_fingerprint",), ("service_tier",)}

REQUEST: Final = Fields(
    structural=frozenset(
        {
            ("model",),
            ("messages", "*", "role"),
            ("messages", "*", "tool_call_id"),
            ("messages", "*", "content", "*", "type"),
            *(("messages", "*", "tool_calls", "*", *path) for path in _TOOL_CALL),
            ("messages", "*", "function_call", "name"),
            ("tools", "*", "type"),
            ("tools", "*", "function", "name"),
            ("tool_choice",),
            ("tool_choice", "type"),
            ("tool_choice", "function", "name"),
            ("response_format", "type"),
            ("response_format", "json_schema", "name"),
            ("reasoning_effort",),
            ("service_tier",),
        }
    ),
    json_text=frozenset(
        {
            ("messages", "*", "tool_calls", "*", "function", "arguments"),
            ("messages", "*", "function_call", "arguments"),
        }
    ),
)

ANSWER: Final = Fields(
    structural=frozenset(
        {
            *_TOP,
            ("choices", "*", "finish_reason"),
            ("choices", "*", "message", "role"),
            *(("choices", "*", "message", "tool_calls", "*", *path) for path in _TOOL_CALL),
            ("choices", "*", "message", "function_call", "name"),
        }
    ),
    json_text=frozenset(
        {
            ("choices", "*", "message", "tool_calls", "*", "function", "arguments"),
            ("choices", "*", "message", "function_call", "arguments"),
        }
    ),
    repeats=frozenset(
        {("prompt_logprobs",), ("prompt_token_ids",), *(("choices", "*", *path) for path in _CHOICE_REPEATS)}
    ),
)

STREAM: Final = StreamShape(
    fields=Fields(
        structural=frozenset(
            {
                *_TOP,
                ("choices", "*", "finish_reason"),
                ("choices", "*", "delta", "role"),
                *(("choices", "*", "delta", "tool_calls", "*", *path) for path in _TOOL_CALL),
                ("choices", "*", "delta", "function_call", "name"),
            }
        ),
        json_text=frozenset(
            {
                ("choices", "*", "delta", "tool_calls", "*", "function", "arguments"),
                ("choices", "*", "delta", "function_call", "arguments"),
            }
        ),
        repeats=ANSWER.repeats,
    ),
    empty_choice={"delta": {}},
)

_READABLE_PARTS: Final = {"text": "text", "refusal": "refusal"}


def check_request(body: Any) -> None:
    """Refuse content parts that cannot be looked into.

    Raises:
        Uninspectable: a message holds an image, audio, a file or a part of unknown type.
    """
    messages = body.get("messages") if isinstance(body, dict) else None
    for message in messages if isinstance(messages, list) else []:
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else []:
            kind = part.get("type") if isinstance(part, dict) else None
            if not isinstance(kind, str) or not isinstance(part.get(_READABLE_PARTS.get(kind, "")), str):
                raise Uninspectable("a message holds a part that is not text; images, audio and files are refused")
