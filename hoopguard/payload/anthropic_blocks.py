"""The content blocks of Anthropic's Messages API, in requests and answers alike."""

from typing import Final

from hoopguard.payload.tables import COUNT, LABEL, MADE, TEXT, Opaque, Parts, Table, under, word

_WORDS: Final = """
    additionalProperties allOf allowed_callers allowed_domains annotations anyOf array assistant auto blocked_domains
    boolean cache_control caller chat_template chat_template_kwargs citations city const container content context
    context_management country data default defer_loading description diagnostics disable_parallel_tool_use display
    eager_input_streaming edits effort enabled enum exclusiveMaximum exclusiveMinimum expires_at explanation format
    hoopguard id input_examples input_schema integer is_error items kv_transfer_params maxItems maxLength maximum
    mcp_servers message metadata minItems minLength minimum model name null number object oneOf output_config pattern
    properties region request_id required role schema source stderr stdout stop_details stop_sequence stop_sequences
    stream strict string system text timezone title tool_choice tools toolset_name ttl type url user user_location
    user_profile_id workspace_id
"""
VOCABULARY: Final = frozenset(_WORDS.split())
"""The API's own words: as keys, or where an identifier stands, nobody says anything by them."""

CACHE_CONTROL: Final[Table] = {
    "cache_control.type": word("ephemeral"),
    "cache_control.ttl": word("5m", "1h"),
}
_PLACES: Final = """
    document_index start_char_index end_char_index start_page_number end_page_number start_block_index end_block_index
    search_result_index
"""
CITATION: Final[Table] = {
    "type": word(
        "char_location",
        "page_location",
        "content_block_location",
        "search_result_location",
        "web_search_result_location",
    ),
    "cited_text": TEXT,
    "document_title": TEXT,
    "title": TEXT,
    "source": TEXT,
    "url": TEXT,
    "file_id": MADE,
    "encrypted_index": Opaque("encrypted"),
    **dict.fromkeys(_PLACES.split(), COUNT),
}
TEXT_BLOCK: Final[Table] = {"text": TEXT, **CACHE_CONTROL, **under("citations.*", CITATION)}
_IMAGE: Final = Opaque("image")
_INNER: Final = Parts("type", {"text": TEXT_BLOCK, "image": _IMAGE})
_SOURCE: Final = Parts(
    "type",
    {
        "text": {"media_type": word("text/plain"), "data": TEXT},
        "content": {"content": TEXT, "content.*": _INNER},
        "base64": Opaque("file"),
        "url": Opaque("file"),
        "file": Opaque("file"),
    },
)
_DOCUMENT: Final[Table] = {"source": _SOURCE, "title": TEXT, "context": TEXT, "citations": TEXT, **CACHE_CONTROL}
_SEARCH_RESULT: Final[Table] = {
    "source": TEXT,
    "title": TEXT,
    "citations": TEXT,
    **under("content.*", {"type": word("text"), **TEXT_BLOCK}),
    **CACHE_CONTROL,
}
_REFERENCE: Final[Table] = {"tool_name": LABEL, **CACHE_CONTROL}
_TOOL_USE: Final[Table] = {
    "id": MADE,
    "name": LABEL,
    "input": TEXT,
    "toolset_name": LABEL,
    "caller.type": LABEL,
    "caller.tool_id": MADE,
    **CACHE_CONTROL,
}
_TOOL_RESULT: Final[Table] = {
    "tool_use_id": MADE,
    "is_error": TEXT,
    "toolset_name": LABEL,
    "content": TEXT,
    "content.*": Parts(
        "type",
        {
            "text": TEXT_BLOCK,
            "search_result": _SEARCH_RESULT,
            "document": _DOCUMENT,
            "tool_reference": _REFERENCE,
            "image": _IMAGE,
        },
    ),
    **CACHE_CONTROL,
}
_RAN: Final[Table] = {"tool_use_id": MADE, "content": TEXT, **CACHE_CONTROL}
"""What code that ran on the server said: plain values, whatever their shape."""

BLOCK: Final = Parts(
    "type",
    {
        "text": TEXT_BLOCK,
        "thinking": {"thinking": TEXT, "signature": TEXT, **CACHE_CONTROL},
        "tool_use": _TOOL_USE,
        "tool_result": _TOOL_RESULT,
        "document": _DOCUMENT,
        "search_result": _SEARCH_RESULT,
        "server_tool_use": _TOOL_USE,
        "code_execution_tool_result": _RAN,
        "bash_code_execution_tool_result": _RAN,
        "text_editor_code_execution_tool_result": _RAN,
        "tool_search_tool_result": _RAN,
        "image": _IMAGE,
        "container_upload": Opaque("file"),
        "web_fetch_tool_result": Opaque("file"),
        "web_search_tool_result": Opaque("encrypted"),
        "redacted_thinking": Opaque("encrypted"),
    },
)
"""One block of a message. A signature is inspected as a text: it passes, unless somebody says something by it."""
