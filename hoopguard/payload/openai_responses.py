"""OpenAI's Responses API, as vLLM, llama.cpp and others serve it too. A stored response is nobody's to fetch here."""

from typing import Any, Final

from hoopguard.payload import openai_chat
from hoopguard.payload.openai_items import ITEM, ROLES
from hoopguard.payload.openai_responses_stream import ResponseStream
from hoopguard.payload.strict_json import BodyError
from hoopguard.payload.tables import COUNT, LABEL, MADE, SMALL, TEXT, TIME, Fields, Opaque, Table, under, word
from hoopguard.payload.wire import Format

_WORDS: Final = """
    action allowed_callers allowed_tools annotations approve arguments async background billing call_id caller
    cached_tokens code command commands completed_at content context_management conversation created_at created_by
    defer_loading diff env environment error event exit_code file_ids filters grammar headers include
    include_obfuscation incomplete_details input input_tokens input_tokens_details instructions item logprobs logs
    max_output_length max_output_tokens max_tool_calls message misalignment moderation namespace obfuscation
    operation outcome output output_schema output_tokens output_tokens_details param part path payer
    previous_response_id prompt prompt_cache_options prompt_cache_retention queries query ranking_options reasoning
    require_approval response results safety_identifier search_context_size sequence_number server_description
    server_url sources stderr stdout stream_options summary syntax text timeout timeout_ms tool_choice tools
    truncation type url user user_location vector_store_ids working_directory
"""
VOCABULARY: Final = openai_chat.VOCABULARY | frozenset(_WORDS.split())

_SETTINGS: Final[Table] = {
    "model": MADE,
    "max_output_tokens": COUNT,
    "max_tool_calls": SMALL,
    "top_logprobs": SMALL,
    "temperature": SMALL,
    "top_p": SMALL,
    "instructions": TEXT,
    "instructions.*": ITEM,
    "metadata": TEXT,
    "previous_response_id": MADE,
    "conversation.id": MADE,
    "prompt.id": MADE,
    "prompt.version": LABEL,
    "prompt.variables.?.type": word("input_text", "input_image", "input_file"),
    "prompt.variables.?.image_url": Opaque("image"),
    "prompt.variables.?.file_data": Opaque("file"),
    "prompt.variables.?.file_url": Opaque("file"),
    "prompt_cache_key": TEXT,
    "prompt_cache_retention": word("in_memory", "in-memory", "24h"),
    "safety_identifier": TEXT,
    "user": TEXT,
    "service_tier": LABEL,
    "truncation": word("auto", "disabled"),
    "reasoning.effort": word("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    "reasoning.summary": word("auto", "concise", "detailed"),
    "reasoning.generate_summary": word("auto", "concise", "detailed"),
    "text.format.type": word("text", "json_object", "json_schema"),
    "text.format.name": LABEL,
    "text.verbosity": word("low", "medium", "high"),
    "tool_choice": LABEL,
    "tool_choice.type": LABEL,
    "tool_choice.mode": word("auto", "required"),
    "tool_choice.name": LABEL,
    "tool_choice.server_label": LABEL,
    "tools.*.type": LABEL,
    "tools.*.name": LABEL,
    "tools.*.server_label": LABEL,
    "tools.*.input_image_mask": Opaque("image"),
}

REQUEST: Final = Fields(
    {
        **_SETTINGS,
        "input": TEXT,
        "input.*": ITEM,
        "include.*": LABEL,
        "top_k": COUNT,
        "seed": COUNT,
        "priority": SMALL,
        "conversation": MADE,
        "context_management.*.type": LABEL,
        "context_management.*.compact_threshold": COUNT,
    },
    VOCABULARY,
)

_COUNTS: Final = """
    input_tokens output_tokens total_tokens
    input_tokens_details.cached_tokens input_tokens_details.cache_write_tokens output_tokens_details.reasoning_tokens
    output_tokens_details.tool_output_tokens
"""
_RESPONSE: Final[Table] = {
    **_SETTINGS,
    "id": MADE,
    "object": word("response"),
    "created_at": TIME,
    "completed_at": TIME,
    "status": word("completed", "failed", "in_progress", "cancelled", "queued", "incomplete"),
    "output.*": ITEM,
    "error.code": LABEL,
    "error.type": LABEL,
    "error.message": TEXT,
    "incomplete_details.reason": word("max_output_tokens", "max_messages", "content_filter"),
    **under("usage", dict.fromkeys(_COUNTS.split(), COUNT)),
}

ANSWER: Final = Fields(_RESPONSE, VOCABULARY)
STREAM: Final = ResponseStream(_RESPONSE, VOCABULARY)


def check_request(body: Any) -> None:
    """Refuse what is no conversation.

    Raises:
        BodyError: the input is neither a text nor a list of items, or a message is of no known role.
    """
    items = body.get("input")
    if not isinstance(items, str | list | None):
        raise BodyError("the input has to be a text, or a list of items")
    for item in items if isinstance(items, list) else []:
        if not isinstance(item, dict):
            raise BodyError("every item of the input has to be an object")
        role = item.get("role", "user")
        if item.get("type", "message") == "message" and not (isinstance(role, str) and role in ROLES.words):
            raise BodyError(f"every message has to have a role out of {', '.join(sorted(ROLES.words))}")


FORMAT: Final = Format(
    name="responses",
    method="POST",
    path="/v1/responses",
    request=REQUEST,
    answer=ANSWER,
    stream=STREAM,
    needs_model=True,
    check=check_request,
)
