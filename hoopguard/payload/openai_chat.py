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
_OTHER_PART_KEYS: Final = frozenset({"type", "text", "refusal", "cache_control", "annotations"})
_EMBEDDED: Final = ("prompt_embeds", "prompt_token_ids")


def check_request(body: Any) -> None:
    """Refuse content that cannot be looked into.

    Raises:
        Uninspectable: a message holds an image, audio, a file, a part of unknown type or one that says two
            things, or the request brings token ids or embeddings.
    """
    if any(body.get(name) is not None for name in _EMBEDDED):
        raise Uninspectable("token ids and embeddings cannot be inspected; send the prompt as text")
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else []:
        content = message.get("content") if isinstance(message, dict) else None
        parts = content if isinstance(content, list) else []
        if isinstance(content, dict) or not all(_readable(part) for part in parts):
            raise Uninspectable("a message holds a part that is not text; images, audio and files are refused")


def _readable(part: Any) -> bool:
    """Tell whether a content part is text and nothing beside: some servers go by a part's keys, not by its type."""
    kind = part.get("type") if isinstance(part, dict) else None
    readable = isinstance(kind, str) and isinstance(part.get(_READABLE_PARTS.get(kind, "")), str)
    return readable and part.keys() <= _OTHER_PART_KEYS
