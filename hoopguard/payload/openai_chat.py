"""OpenAI chat completions, as vLLM, llama.cpp, SGLang and others speak them."""

from typing import Any, Final

from hoopguard.payload.fields import Fields, Uninspectable
from hoopguard.payload.streaming import StreamShape
from hoopguard.payload.strict_json import BodyError

_TOOL_CALL: Final = {("id",), ("type",), ("function", "name")}
_CHOICE_REPEATS: Final = {("logprobs",), ("token_ids",), ("prompt_logprobs",), ("prompt_token_ids",)}
_TOP: Final = {("id",), ("object",), ("model",), ("system_fingerprint",), ("service_tier",)}

_WORDS: Final = """
    accepted_prediction_tokens additionalProperties allOf annotations anyOf arguments array assistant audio
    audio_tokens auto bad_words best_of boolean cache_control cached_tokens chat.completion
    chat.completion.chunk chat_template chat_template_kwargs choices completion_tokens completion_tokens_details
    const content content_filter continue_final_message created default delta description developer echo effort
    enable_thinking end_user enum extra_body finish_reason format frequency_penalty function function_call
    functions guided_choice guided_grammar guided_json guided_regex high hoopguard id ignore_eos
    include_stop_str_in_output include_usage index integer ipython items json_object json_schema
    kv_transfer_params length length_penalty logit_bias logprobs low max_completion_tokens max_tokens maximum
    maxItems maxLength medium message messages metadata min_p min_tokens minimal minimum minItems minLength
    modalities model n name none null number object oneOf parallel_tool_calls parameters pattern prediction
    presence_penalty priority prompt_cache_key prompt_logprobs prompt_token_ids prompt_tokens
    prompt_tokens_details properties reasoning reasoning_content reasoning_effort reasoning_tokens refusal
    rejected_prediction_tokens repetition_penalty required response_format role safety_identifier schema seed
    service_tier skip_special_tokens stop stop_reason stop_token_ids store stream stream_options strict string
    structured_outputs system system_fingerprint temperature text thinking title token_ids tool tool_call_id
    tool_calls tool_choice tools top_k top_logprobs top_p total_tokens type usage use_beam_search user verbosity
    web_search_options
"""

_VOCABULARY: Final = frozenset(_WORDS.split())
"""The API's own words: as keys, or where an identifier stands, nobody says anything by them."""

REQUEST: Final = Fields(
    vocabulary=_VOCABULARY,
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
    vocabulary=_VOCABULARY,
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

_ROLES: Final = frozenset({"assistant", "developer", "function", "ipython", "system", "tool", "user"})
_READABLE_PARTS: Final = {"text": "text", "refusal": "refusal"}
_OTHER_PART_KEYS: Final = frozenset({"type", "text", "refusal", "cache_control", "annotations"})
_EMBEDDED: Final = ("input_embeds", "input_ids", "prompt_embeds", "prompt_token_ids")


def check_request(body: Any) -> None:
    """Refuse content that cannot be looked into.

    Raises:
        Uninspectable: a message holds an image, audio, a file, a part of unknown type or one that says two
            things, or the request brings token ids or embeddings.
        BodyError: a message is not an object, or of no known role.
    """
    if any(body.get(name) is not None for name in _EMBEDDED):
        raise Uninspectable("token ids and embeddings cannot be inspected; send the prompt as text")
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else []:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise BodyError(f"every message has to be an object with a role out of {', '.join(sorted(_ROLES))}")
        content = message.get("content")
        parts = content if isinstance(content, list) else []
        if not isinstance(content, str | list | None) or not all(_readable(part) for part in parts):
            raise Uninspectable("a message holds a part that is not text; images, audio and files are refused")


def _readable(part: Any) -> bool:
    """Tell whether a content part is text and nothing beside: some servers go by a part's keys, not by its type."""
    kind = part.get("type") if isinstance(part, dict) else None
    readable = isinstance(kind, str) and isinstance(part.get(_READABLE_PARTS.get(kind, "")), str)
    return readable and part.keys() <= _OTHER_PART_KEYS
