"""What the clients ask, by API: bodies with personal data in every place that an API has for text."""

import json
from typing import Any, Final

from speech import said

Bodies = dict[str, dict[str, Any]]

_SCHEMA: Final = {"type": "object", "properties": {"query": {"type": "string", "description": said("schema")}}}
_FUNCTION: Final = {"name": "find_customer", "description": said("description"), "parameters": _SCHEMA}
_EARLIER: Final = json.dumps({"query": said("history")})
_REFUSE: Final = f"please refuse. {said('question')}"

CHAT_TOOL: Final = {"type": "function", "function": _FUNCTION}
CHAT: Final[dict[str, Any]] = {
    "model": "llama-3-8b",
    "messages": [
        {"role": "system", "content": said("system")},
        {"role": "user", "content": [{"type": "text", "text": said("part")}, {"type": "text", "text": said("second")}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "find_customer", "arguments": _EARLIER}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": said("result")},
        {"role": "user", "content": said("question")},
    ],
}
CHATS: Final[Bodies] = {
    "plain": CHAT,
    "two choices with logprobs": {**CHAT, "n": 2, "logprobs": True, "top_logprobs": 2},
    "reasoning": {**CHAT, "reasoning_effort": "high"},
    "tools": {**CHAT, "tools": [CHAT_TOOL]},
    "refusal": {**CHAT, "messages": [{"role": "user", "content": _REFUSE}]},
}
CHATS_OF_ONE_CHOICE: Final = {name: body for name, body in CHATS.items() if "n" not in body}
"""The helpers that put a stream together take one choice only, and no log probabilities."""

RESPONSE_TOOL: Final = {"type": "function", "strict": False, **_FUNCTION}
RESPONSE: Final[dict[str, Any]] = {
    "model": "llama-3-8b",
    "input": [
        {"role": "developer", "content": said("developer")},
        {"role": "user", "content": [{"type": "input_text", "text": said("part")}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": said("earlier")}]},
        {"type": "function_call", "call_id": "call_1", "name": "find_customer", "arguments": _EARLIER},
        {"type": "function_call_output", "call_id": "call_1", "output": said("output")},
        {"role": "user", "content": said("question")},
    ],
}
RESPONSES: Final[Bodies] = {
    "a text": {"model": "llama-3-8b", "input": said("prompt"), "instructions": said("instructions")},
    "items": {**RESPONSE, "metadata": {"note": said("metadata")}},
    "reasoning": {**RESPONSE, "reasoning": {"effort": "high"}},
    "tools": {**RESPONSE, "tools": [RESPONSE_TOOL]},
    "refusal": {"model": "llama-3-8b", "input": _REFUSE},
}

MESSAGE_TOOL: Final = {"name": "find_customer", "description": said("description"), "input_schema": _SCHEMA}
MESSAGE: Final[dict[str, Any]] = {
    "model": "claude-local",
    "max_tokens": 2048,
    "messages": [
        {"role": "user", "content": said("first")},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": said("earlier")},
                {"type": "tool_use", "id": "toolu_1", "name": "find_customer", "input": {"query": said("history")}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": said("result")}],
                },
                {"type": "text", "text": said("question")},
            ],
        },
    ],
}
MESSAGES: Final[Bodies] = {
    "plain": {**MESSAGE, "system": said("system")},
    "system blocks": {**MESSAGE, "system": [{"type": "text", "text": said("system")}], "metadata": {"user_id": "u-17"}},
    "tools": {**MESSAGE, "tools": [MESSAGE_TOOL], "tool_choice": {"type": "auto"}},
    "thinking": {**MESSAGE, "thinking": {"type": "enabled", "budget_tokens": 1024}, "tools": [MESSAGE_TOOL]},
}
