"""Anthropic's Messages API, as vLLM, llama.cpp, SGLang and others serve it too; and its count of tokens."""

import re
from typing import Any, Final

from hoopguard.payload.anthropic_blocks import BLOCK, CACHE_CONTROL, TEXT_BLOCK, VOCABULARY
from hoopguard.payload.anthropic_stream import MessageStream
from hoopguard.payload.tables import COUNT, LABEL, MADE, SMALL, TEXT, Fields, Parts, Table, under, word
from hoopguard.payload.wire import Format, check_messages

_ROLES: Final = word("assistant", "system", "user")

REQUEST: Final = Fields(
    {
        "model": MADE,
        "max_tokens": COUNT,
        "temperature": SMALL,
        "top_k": COUNT,
        "top_p": SMALL,
        "stop_sequences.*": TEXT,
        "system": TEXT,
        "system.*": Parts("type", {"text": TEXT_BLOCK}),
        "messages.*.role": _ROLES,
        "messages.*.content": TEXT,
        "messages.*.content.*": BLOCK,
        "metadata.user_id": TEXT,
        "service_tier": word("auto", "standard_only"),
        "speed": word("standard", "fast"),
        "inference_geo": LABEL,
        "thinking.type": word("enabled", "disabled", "adaptive", "between_tools"),
        "thinking.budget_tokens": COUNT,
        "thinking.display": word("summarized", "omitted"),
        "tool_choice.type": word("auto", "any", "tool", "none"),
        "tool_choice.name": LABEL,
        "tools.*.type": LABEL,
        "tools.*.name": LABEL,
        "tools.*.description": TEXT,
        "tools.*.input_schema": TEXT,
        "tools.*.max_uses": SMALL,
        "tools.*.max_content_tokens": COUNT,
        "tools.*.max_characters": COUNT,
        "tools.*.allowed_callers.*": LABEL,
        "tools.*.user_location.type": word("approximate"),
        **under("tools.*", CACHE_CONTROL),
        **CACHE_CONTROL,
        "output_config.effort": word("low", "medium", "high", "xhigh", "max"),
        "output_config.format.type": word("json_schema"),
        "diagnostics.previous_message_id": MADE,
    },
    VOCABULARY,
)

_COUNTS: Final = """
    input_tokens output_tokens cache_creation_input_tokens cache_read_input_tokens
    cache_creation.ephemeral_1h_input_tokens cache_creation.ephemeral_5m_input_tokens
    server_tool_use.web_fetch_requests server_tool_use.web_search_requests output_tokens_details.thinking_tokens
"""
_USAGE: Final[Table] = {
    **dict.fromkeys(_COUNTS.split(), COUNT),
    "service_tier": word("standard", "priority", "batch"),
    "speed": word("standard", "fast"),
    "inference_geo": LABEL,
}
_ENDING: Final[Table] = {
    "stop_reason": word(
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
    ),
    "stop_sequence": TEXT,
    "stop_details.type": word("refusal"),
    "stop_details.category": LABEL,
    "stop_details.explanation": TEXT,
    "container.id": MADE,
}
_MESSAGE: Final[Table] = {
    "id": MADE,
    "role": word("assistant"),
    "model": MADE,
    "content.*": BLOCK,
    **_ENDING,
    **under("usage", _USAGE),
}
_ERROR: Final[Table] = {"error.type": LABEL, "error.message": TEXT, "request_id": MADE}

ANSWER: Final = Fields({"type": word("message", "error"), **_MESSAGE, **_ERROR}, VOCABULARY)

STREAM: Final = MessageStream(_MESSAGE, _ENDING, _USAGE, _ERROR)


def check_request(body: Any) -> None:
    """Refuse what is no conversation.

    Raises:
        BodyError: a message is not an object, is of no known role, or its content is neither text nor blocks.
    """
    check_messages(body, _ROLES)


_HEADERS: Final = {
    "anthropic-version": re.compile(r"\d{4}-\d\d-\d\d", re.ASCII),
    "anthropic-beta": re.compile(
        r"[a-z][a-z-]{0,60}-\d{4}-\d\d-\d\d(?:, ?[a-z][a-z-]{0,60}-\d{4}-\d\d-\d\d){0,15}", re.ASCII
    ),
}
"""What a server goes by: a version by its date, and names of features that end in theirs."""

FORMAT: Final = Format(
    name="messages",
    method="POST",
    path="/v1/messages",
    api="anthropic",
    request=REQUEST,
    answer=ANSWER,
    stream=STREAM,
    needs_model=True,
    check=check_request,
    headers=_HEADERS,
)
COUNT_FORMAT: Final = Format(
    name="messages/count_tokens",
    method="POST",
    path="/v1/messages/count_tokens",
    api="anthropic",
    request=REQUEST,
    answer=Fields(
        {"input_tokens": COUNT, "context_management.original_input_tokens": COUNT, "type": word("error"), **_ERROR},
        VOCABULARY,
    ),
    needs_model=True,
    check=check_request,
    headers=_HEADERS,
)
