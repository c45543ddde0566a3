"""The items of OpenAI's Responses API: messages, calls, their outputs, reasoning; in requests and answers alike."""

from typing import Final

from hoopguard.payload.tables import (
    COUNT,
    JSON_TEXT,
    LABEL,
    MADE,
    REPEAT,
    SMALL,
    TEXT,
    Opaque,
    Parts,
    Table,
    under,
    word,
)

ANNOTATION: Final[Table] = {
    "type": word("file_citation", "url_citation", "container_file_citation", "file_path"),
    "url": TEXT,
    "title": TEXT,
    "filename": TEXT,
    "file_id": MADE,
    "container_id": MADE,
    "index": COUNT,
    "start_index": COUNT,
    "end_index": COUNT,
}
_TEXT: Final[Table] = {"text": TEXT}
CONTENT: Final = Parts(
    "type",
    {
        "input_text": _TEXT,
        "output_text": {"text": TEXT, "logprobs": REPEAT, **under("annotations.*", ANNOTATION)},
        "refusal": {"refusal": TEXT},
        "reasoning_text": _TEXT,
        "summary_text": _TEXT,
        "input_image": Opaque("image"),
        "input_audio": Opaque("audio"),
        "input_file": Opaque("file"),
    },
)
"""One part of a message, of a reasoning, or of what a tool said."""

ROLES: Final = word("assistant", "developer", "system", "user")
_ITEM: Final[Table] = {
    "id": MADE,
    "status": word("in_progress", "completed", "incomplete", "searching", "interpreting", "calling", "failed"),
}
_CALL: Final[Table] = {
    **_ITEM,
    "call_id": MADE,
    "name": LABEL,
    "namespace": LABEL,
    "caller.type": word("direct", "program"),
    "caller.caller_id": MADE,
    "async": TEXT,
    "execution": word("server", "client"),
    "created_by": TEXT,
}
_OUTPUT: Final[Table] = {**_CALL, "output": TEXT, "output.*": CONTENT}
_RAN: Final[Table] = {**_CALL, "output": TEXT, "max_output_length": COUNT}
_MCP: Final[Table] = {
    **_ITEM,
    "name": LABEL,
    "server_label": LABEL,
    "arguments": JSON_TEXT,
    "approval_request_id": MADE,
}

ITEM: Final = Parts(
    "type",
    {
        "message": {
            **_ITEM,
            "role": ROLES,
            "phase": word("commentary", "final_answer"),
            "content": TEXT,
            "content.*": CONTENT,
        },
        "reasoning": {
            **_ITEM,
            "summary.*": CONTENT,
            "content.*": CONTENT,
            "encrypted_content": Opaque("encrypted"),
        },
        "function_call": {**_CALL, "arguments": JSON_TEXT},
        "function_call_output": _OUTPUT,
        "custom_tool_call": {**_CALL, "input": TEXT},
        "custom_tool_call_output": _OUTPUT,
        "mcp_call": {**_MCP, "output": TEXT, "error": TEXT},
        "mcp_list_tools": {**_ITEM, "server_label": LABEL, "tools": TEXT, "tools.*.name": LABEL, "error": TEXT},
        "mcp_approval_request": _MCP,
        "mcp_approval_response": {**_ITEM, "approval_request_id": MADE, "approve": TEXT, "reason": TEXT},
        "web_search_call": {**_ITEM, "action": TEXT},
        "file_search_call": {**_ITEM, "queries": TEXT, "results": TEXT},
        "code_interpreter_call": {
            **_ITEM,
            "code": TEXT,
            "container_id": MADE,
            "outputs.*": Parts("type", {"logs": {"logs": TEXT}, "image": Opaque("image")}),
        },
        "local_shell_call": {**_CALL, "action": TEXT, "action.timeout_ms": COUNT},
        "local_shell_call_output": _RAN,
        "shell_call": {**_CALL, "action": TEXT, "action.timeout_ms": COUNT, "environment": TEXT},
        "shell_call_output": _RAN,
        "apply_patch_call": {**_CALL, "operation": TEXT},
        "apply_patch_call_output": _RAN,
        "computer_call": {**_CALL, "action": TEXT, "actions": TEXT, "pending_safety_checks": TEXT},
        "program": {**_CALL, "code": TEXT, "fingerprint": MADE},
        "program_output": {**_CALL, "result": TEXT},
        "tool_search_call": {**_CALL, "arguments": TEXT},
        "item_reference": {"id": MADE},
        "compaction": Opaque("encrypted"),
        "computer_call_output": Opaque("image"),
        "image_generation_call": Opaque("image"),
    },
    usual="message",
)
"""One item of a conversation; what does not say its type is a message."""

PLACE: Final[Table] = {
    "item_id": MADE,
    "output_index": SMALL,
    "content_index": SMALL,
    "summary_index": SMALL,
    "annotation_index": SMALL,
    "sequence_number": COUNT,
}
"""Where an event of a stream belongs."""
