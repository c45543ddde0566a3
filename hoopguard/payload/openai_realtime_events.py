"""What the events of OpenAI's Realtime API hold: sessions, items and their parts, responses, texts told in deltas."""

from types import MappingProxyType
from typing import Final, NamedTuple

from hoopguard.payload.tables import (
    COUNT,
    JSON_TEXT,
    LABEL,
    MADE,
    REPEAT,
    SMALL,
    TEXT,
    TIME,
    Opaque,
    Parts,
    Said,
    Table,
    under,
    word,
)

_WORDS: Final = """
    additionalProperties allOf annotations anyOf approval_request_id array audio auto boolean cached_tokens call_id
    cedar client_secret code const conversation conversation_id create_response default delta description detail
    eagerness echo effort enum error expires_at far_field filename final format function g711_alaw g711_ulaw hidden
    hoopguard idle_timeout_ms image_url include inf input input_audio_format input_audio_noise_reduction
    input_audio_transcription input_text_tokens input_token_details input_tokens instructions integer
    interrupt_response items language languages limit logprobs marin max_output_tokens max_response_output_tokens
    maxItems maxLength maximum metadata minItems minLength minimum modalities model name near_field noise_reduction
    none null number object oneOf output output_audio_format output_modalities output_text_tokens
    output_token_details output_tokens parallel_tool_calls param parameters pattern pcm16 phase prefix_padding_ms
    prompt properties rate rate_limits realtime reasoning remaining required requests reset_seconds role schema
    seconds semantic_vad server_label server_vad session session_id silence_duration_ms speaker speed start status
    status_details strict string temperature text text_tokens threshold title tokens tool_choice tools total_tokens
    tracing transcript transcription truncation turn_detection usage variables version voice whisper-1
    audio/pcm audio/pcmu audio/pcma
"""
VOCABULARY: Final = frozenset(_WORDS.split())
"""The API's own words: as keys, or where an identifier stands, nobody says anything by them."""

_AUDIO: Final = Opaque("audio")
_SPOKEN: Final[Table] = {"audio": _AUDIO, "transcript": TEXT, "format": LABEL}
_TEXT: Final[Table] = {"text": TEXT}
PART: Final = Parts(
    "type",
    {
        "input_text": _TEXT,
        "output_text": _TEXT,
        "text": _TEXT,
        "refusal": {"refusal": TEXT},
        "input_audio": _SPOKEN,
        "output_audio": _SPOKEN,
        "audio": _SPOKEN,
        "item_reference": {"id": MADE},
        "input_image": Opaque("image"),
    },
)
"""One part of a message: a text, or audio with what was said in it."""

_HEAD: Final[Table] = {
    "id": MADE,
    "object": word("realtime.item"),
    "status": word("completed", "incomplete", "in_progress", "failed"),
}
_MCP: Final[Table] = {**_HEAD, "server_label": LABEL, "name": LABEL, "arguments": JSON_TEXT}
ITEM: Final = Parts(
    "type",
    {
        "message": {
            **_HEAD,
            "role": word("assistant", "system", "user"),
            "phase": word("commentary", "final_answer"),
            "content.*": PART,
        },
        "function_call": {**_HEAD, "call_id": MADE, "name": LABEL, "arguments": JSON_TEXT},
        "function_call_output": {**_HEAD, "call_id": MADE, "output": TEXT},
        "mcp_call": {**_MCP, "approval_request_id": MADE, "output": TEXT, "error": TEXT},
        "mcp_list_tools": {**_HEAD, "server_label": LABEL, "tools": TEXT, "tools.*.name": LABEL},
        "mcp_approval_request": _MCP,
        "mcp_approval_response": {**_HEAD, "approval_request_id": MADE, "approve": TEXT, "reason": TEXT},
        "item_reference": {"id": MADE},
    },
)
"""One item of a conversation."""

_FORMAT: Final[Table] = {"type": LABEL, "rate": COUNT}
_TOOLS: Final[Table] = {
    "tools.*.type": word("function", "mcp"),
    "tools.*.name": LABEL,
    "tools.*.server_label": LABEL,
    "tool_choice": LABEL,
    "tool_choice.type": word("function", "mcp"),
    "tool_choice.name": LABEL,
}
_SPEAKING: Final[Table] = {
    "instructions": TEXT,
    "voice": LABEL,
    "temperature": SMALL,
    "max_output_tokens": COUNT,
    "max_response_output_tokens": COUNT,
    "modalities.*": word("audio", "text"),
    "output_modalities.*": word("audio", "text"),
    "output_audio_format": LABEL,
    "audio.output.voice": LABEL,
    "audio.output.speed": SMALL,
    **under("audio.output.format", _FORMAT),
    **_TOOLS,
}
SESSION: Final[Table] = {
    **_SPEAKING,
    "id": MADE,
    "object": word("realtime.session", "realtime.transcription_session"),
    "type": word("realtime", "transcription"),
    "model": LABEL,
    "created": TIME,
    "expires_at": TIME,
    "include.*": LABEL,
    "input_audio_format": LABEL,
    "input_audio_transcription.model": LABEL,
    "input_audio_transcription.prompt": TEXT,
    "turn_detection.type": LABEL,
    **under("audio.input.format", _FORMAT),
    "audio.input.transcription.model": LABEL,
    "audio.input.transcription.prompt": TEXT,
    "audio.input.turn_detection.type": LABEL,
    "client_secret": TEXT,
}
"""How a conversation is to go on."""

_COUNTS: Final = """
    total_tokens input_tokens output_tokens
    input_token_details.text_tokens input_token_details.audio_tokens input_token_details.cached_tokens
    output_token_details.text_tokens output_token_details.audio_tokens
"""
USAGE: Final[Table] = {"type": word("tokens", "duration"), "seconds": COUNT, **dict.fromkeys(_COUNTS.split(), COUNT)}
RESPONSE: Final[Table] = {
    **_SPEAKING,
    "id": MADE,
    "object": word("realtime.response"),
    "status": word("cancelled", "completed", "failed", "in_progress", "incomplete"),
    "conversation": LABEL,
    "conversation_id": MADE,
    "output.*": ITEM,
    "metadata": TEXT,
    "status_details.type": LABEL,
    "status_details.reason": LABEL,
    **under("usage", USAGE),
}
"""A model's answer, or what is asked for it."""


class Told(NamedTuple):
    """A text that is told in deltas: where its whole stands at the end, how it is read, how its last event is named."""

    key: str
    kind: Said = TEXT
    end: str = "done"
    repeats: Table = MappingProxyType({})


_HEARD: Final[Table] = {"logprobs": REPEAT, **under("usage", USAGE)}
TOLD: Final = {
    "response.output_text": Told("text"),
    "response.text": Told("text"),
    "response.output_audio_transcript": Told("transcript"),
    "response.audio_transcript": Told("transcript"),
    "response.function_call_arguments": Told("arguments", JSON_TEXT, repeats={"call_id": MADE, "name": LABEL}),
    "response.mcp_call_arguments": Told("arguments", JSON_TEXT),
    "conversation.item.input_audio_transcription": Told("transcript", end="completed", repeats=_HEARD),
    "transcription": Told("text", repeats=_HEARD),
}
"""Texts by the name of their events; ``transcription`` is vLLM's."""

AUDIO_TOLD: Final = {"response.output_audio": _AUDIO, "response.audio": _AUDIO}
"""Speech by the name of its events: base64, which nobody can look into."""
