"""OpenAI chat completions, as vLLM, llama.cpp, SGLang and others speak them."""

from typing import Any, Final

from hoopguard.payload.openai_stream import ChoiceStream
from hoopguard.payload.tables import (
    COUNT,
    JSON_TEXT,
    LABEL,
    MADE,
    REPEAT,
    SMALL,
    TEXT,
    TIME,
    Fields,
    Opaque,
    Parts,
    Strings,
    Table,
    under,
    word,
)
from hoopguard.payload.wire import Format, check_messages

_WORDS: Final = """
    accepted_prediction_tokens additionalProperties allOf annotations anyOf array audio audio_tokens auto
    bad_words best_of boolean cached_tokens chat_template chat_template_kwargs completion_tokens
    completion_tokens_details const content_filter continue_final_message default description developer echo
    effort enable_thinking enum extra_body format frequency_penalty functions guided_choice guided_grammar
    guided_json guided_regex high hoopguard ignore_eos include_stop_str_in_output include_usage integer items
    json_object json_schema kv_transfer_params length_penalty logit_bias low max_completion_tokens max_tokens
    maximum maxItems maxLength medium metadata min_p min_tokens minimal minimum minItems minLength modalities n
    none null number oneOf parallel_tool_calls parameters pattern prediction presence_penalty priority
    prompt_cache_key prompt_tokens prompt_tokens_details properties reasoning reasoning_tokens
    rejected_prediction_tokens repetition_penalty required safety_identifier schema seed skip_special_tokens
    stop stop_reason stop_token_ids store stream stream_options strict string structured_outputs temperature
    thinking title top_k top_logprobs top_p total_tokens usage use_beam_search user verbosity web_search_options
"""
VOCABULARY: Final = frozenset(_WORDS.split())
"""The API's own words: as keys, or where an identifier stands, nobody says anything by them."""

ROLES: Final = word("assistant", "developer", "function", "ipython", "system", "tool", "user")
TOOL_CALL: Final[Table] = {
    "id": MADE,
    "type": word("function", "custom"),
    "index": SMALL,
    "function.name": LABEL,
    "function.arguments": JSON_TEXT,
    "custom.name": LABEL,
    "custom.input": TEXT,
}
_PART: Final = Parts(
    "type",
    {
        "text": {"text": TEXT, "cache_control.type": word("ephemeral"), "annotations": TEXT},
        "refusal": {"refusal": TEXT},
        "image_url": Opaque("image"),
        "input_audio": Opaque("audio"),
        "audio_url": Opaque("audio"),
        "video_url": Opaque("video"),
        "file": Opaque("file"),
    },
)
SAMPLING: Final[Table] = {
    "model": MADE,
    "best_of": SMALL,
    "frequency_penalty": SMALL,
    "length_penalty": SMALL,
    "logprobs": SMALL,
    "max_completion_tokens": COUNT,
    "max_tokens": COUNT,
    "min_p": SMALL,
    "min_tokens": COUNT,
    "n": SMALL,
    "presence_penalty": SMALL,
    "priority": SMALL,
    "prompt_logprobs": SMALL,
    "repetition_penalty": SMALL,
    "seed": COUNT,
    "service_tier": LABEL,
    "stop_token_ids.*": COUNT,
    "temperature": SMALL,
    "top_k": COUNT,
    "top_logprobs": SMALL,
    "top_p": SMALL,
    "truncate_prompt_tokens": COUNT,
    "input_embeds": Opaque("tokens"),
    "input_ids": Opaque("tokens"),
    "prompt_embeds": Opaque("tokens"),
    "prompt_token_ids": Opaque("tokens"),
}
_USAGE: Final = """
    prompt_tokens completion_tokens total_tokens
    prompt_tokens_details.audio_tokens prompt_tokens_details.cached_tokens
    completion_tokens_details.accepted_prediction_tokens completion_tokens_details.audio_tokens
    completion_tokens_details.reasoning_tokens completion_tokens_details.rejected_prediction_tokens
"""
USAGE: Final[Table] = dict.fromkeys(_USAGE.split(), COUNT)
HEAD: Final[Table] = {
    "id": MADE,
    "object": word("chat.completion", "chat.completion.chunk", "text_completion"),
    "created": TIME,
    "model": MADE,
    "system_fingerprint": MADE,
    "service_tier": LABEL,
    **under("usage", USAGE),
    "prompt_logprobs": REPEAT,
    "prompt_token_ids": REPEAT,
}
CHOICE: Final[Table] = {
    "index": SMALL,
    "finish_reason": word(
        "stop", "length", "tool_calls", "content_filter", "function_call", "abort", "error", "repetition"
    ),
    "stop_reason": COUNT,
    "logprobs": REPEAT,
    "token_ids": REPEAT,
    "prompt_logprobs": REPEAT,
    "prompt_token_ids": REPEAT,
}
_MESSAGE: Final[Table] = {
    "role": ROLES,
    "tool_call_id": MADE,
    "function_call.name": LABEL,
    "function_call.arguments": JSON_TEXT,
    "content": TEXT,
    "refusal": TEXT,
    "reasoning": TEXT,
    "reasoning_content": TEXT,
    "audio": Opaque("audio"),
    **under("tool_calls.*", TOOL_CALL),
}

REQUEST: Final = Fields(
    {
        **SAMPLING,
        **under("messages.*", _MESSAGE),
        "messages.*.content.*": _PART,
        "messages.*.name": TEXT,
        "tools.*.type": word("function", "custom"),
        "tools.*.function.name": LABEL,
        "tools.*.custom.name": LABEL,
        "tool_choice": LABEL,
        "tool_choice.type": word("function", "custom", "allowed_tools"),
        "tool_choice.function.name": LABEL,
        "functions.*.name": LABEL,
        "function_call.name": LABEL,
        "response_format.type": word("text", "json_object", "json_schema"),
        "response_format.json_schema.name": LABEL,
        "reasoning_effort": word("none", "minimal", "low", "medium", "high", "xhigh"),
        "user": TEXT,
        "audio": Opaque("audio"),
    },
    VOCABULARY,
)

ANSWER: Final = Fields(
    {
        **HEAD,
        **under("choices.*", CHOICE),
        **under("choices.*.message", _MESSAGE),
    },
    VOCABULARY,
)

STREAM: Final = ChoiceStream(
    Fields(
        {
            **HEAD,
            **under("choices.*", CHOICE),
            **under("choices.*.delta", _MESSAGE),
        },
        VOCABULARY,
    ),
    {"delta": {}},
)


def check_request(body: Any) -> None:
    """Refuse what is no conversation.

    Raises:
        BodyError: a message is not an object, is of no known role, or its content is neither text nor parts.
    """
    check_messages(body, ROLES)


PROMPT: Final = Strings("tokens")
"""A text where token ids would say it unseen."""
PROMPTS: Final = Strings("tokens", many=True)

FORMAT: Final = Format(
    name="chat/completions",
    method="POST",
    path="/v1/chat/completions",
    request=REQUEST,
    answer=ANSWER,
    stream=STREAM,
    needs_model=True,
    check=check_request,
)
