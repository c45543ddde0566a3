"""OpenAI's chat completions and completions, as vLLM serves them with a reasoning and a tool-call parser."""

import json
from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, Final

from fake import CREATED, Fake, Json, Route, event_stream
from speech import address, answered, pieces, said

from hoopguard.demo.connection import Reply, json_reply

USAGE: Final = {
    "prompt_tokens": 31,
    "completion_tokens": 64,
    "total_tokens": 95,
    "prompt_tokens_details": {"cached_tokens": 16},
    "completion_tokens_details": {"reasoning_tokens": 12},
}
STRUCTURED: Final = {"summary": said("structured"), "email": address("field"), "tags": ["new", "paying"]}
ARGUMENTS: Final = {"query": said("arguments"), "contact": {"email": address("contact"), "urgent": True}}
_CALL_IDS: Final = ("chatcmpl-tool-3f2a9c", "chatcmpl-tool-77b01e")


class FakeOpenAI(Fake):
    """Everything of the chat that can hold text: content, reasoning, refusal, tool calls, log probabilities."""

    @property
    def routes(self) -> dict[tuple[str, str], Route]:
        """Return the two ways to ask, and the list of models."""
        return {
            ("POST", "/v1/chat/completions"): _chat,
            ("POST", "/v1/completions"): _completion,
            ("GET", "/v1/models"): lambda _: json_reply(_MODELS),
        }

    def error(self, message: str) -> Json:
        """Return OpenAI's error object."""
        return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


_MODELS: Final = {
    "object": "list",
    "data": [{"id": "llama-3-8b", "object": "model", "created": CREATED, "owned_by": "vllm", "max_model_len": 8192}],
}


def _chat(asked: Json) -> Reply:
    messages = [_message(asked, index) for index in range(asked.get("n") or 1)]
    if asked.get("stream"):
        return event_stream(_chat_chunks(asked, messages), last="[DONE]")
    choices = [
        {
            "index": index,
            "message": message,
            "logprobs": _logprobs(pieces(message["content"])) if asked.get("logprobs") else None,
            "finish_reason": _reason(message),
            "stop_reason": None,
            **_token_ids(asked, "token_ids", message["content"] or ""),
        }
        for index, message in enumerate(messages)
    ]
    whole = {**_head(asked, "chat.completion"), "choices": choices, "usage": USAGE}
    return json_reply({**whole, **_prompt_again(asked)})


def _prompt_again(asked: Json) -> Json:
    """Return what vLLM says of the prompt if it is asked for: token ids, and tokens with their probabilities."""
    prompt = json.dumps(asked["messages"])
    if not asked.get("prompt_logprobs"):
        return _token_ids(asked, "prompt_token_ids", prompt)
    likely = [{"791": {"logprob": -0.125, "rank": 1, "decoded_token": piece}} for piece in pieces(prompt)]
    return {**_token_ids(asked, "prompt_token_ids", prompt), "prompt_logprobs": [None, *likely]}


def _token_ids(asked: Json, key: str, text: str) -> Json:
    return {key: [791 + number for number, _ in enumerate(pieces(text))]} if asked.get("return_token_ids") else {}


def _message(asked: Json, index: int) -> Json:
    """Return one choice's message: a tool call, structured output, a refusal or an answer; with reasoning on demand."""
    message: Json = {
        "role": "assistant",
        "content": answered(asked) if index == 0 else said("another"),
        "refusal": None,
    }
    if asked.get("reasoning_effort"):
        message["reasoning_content"] = said("reasoning")
    if "please refuse" in json.dumps(asked["messages"]):
        message |= {"content": None, "refusal": said("refusal")}
    if asked.get("response_format", {}).get("type") == "json_schema":
        message["content"] = json.dumps(STRUCTURED)
    if asked.get("tools"):
        name = asked["tools"][0]["function"]["name"]
        # The second call's arguments say the @ as an escape: JSON inside a string may.
        texts = (json.dumps(ARGUMENTS), json.dumps(ARGUMENTS).replace("@", "\\u0040"))
        message |= {
            "content": None,
            "tool_calls": [
                {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}
                for call_id, text in zip(_CALL_IDS, texts, strict=True)
            ],
        }
    return message


def _reason(message: Json) -> str:
    return "tool_calls" if message.get("tool_calls") else "stop"


def _head(asked: Json, kind: str) -> Json:
    return {"id": "chatcmpl-9b1d0c2e4f", "object": kind, "created": CREATED, "model": asked["model"]}


def _logprobs(said_pieces: list[str]) -> Json:
    return {
        "content": [{**_token(piece), "top_logprobs": [_token(piece), _token(" else")]} for piece in said_pieces],
        "refusal": None,
    }


def _token(piece: str) -> Json:
    return {"token": piece, "logprob": -0.125, "bytes": list(piece.encode())}


def _chat_chunks(asked: Json, messages: list[Json]) -> Iterator[Json]:
    """Yield a stream's chunks, the choices taking turns; usage comes last, in a chunk without choices."""
    wants_usage = (asked.get("stream_options") or {}).get("include_usage")
    head = _head(asked, "chat.completion.chunk") | ({"usage": None} if wants_usage else {})
    streams = [_deltas(asked, index, message) for index, message in enumerate(messages)]
    again = _prompt_again(asked)
    for row in zip_longest(*streams):
        for choice in row:
            if choice is not None:
                yield {**head, "choices": [choice], **again}
                again = {}
    if wants_usage:
        yield {**head, "choices": [], "usage": USAGE}


def _deltas(asked: Json, index: int, message: Json) -> Iterator[Json]:
    def choice(delta: Json, reason: str | None = None, logprobs: Json | None = None) -> Json:
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}

    yield choice({"role": "assistant", "content": ""})
    for key in ("reasoning_content", "content", "refusal"):
        for piece in pieces(message.get(key) or ""):
            logprobs = _logprobs([piece]) if asked.get("logprobs") and key == "content" else None
            yield {**choice({key: piece}, None, logprobs), **_token_ids(asked, "token_ids", piece)}
    for position, call in enumerate(message.get("tool_calls") or ()):
        begin = {**call, "index": position, "function": {**call["function"], "arguments": ""}}
        yield choice({"tool_calls": [begin]})
        for piece in pieces(call["function"]["arguments"]):
            yield choice({"tool_calls": [{"index": position, "function": {"arguments": piece}}]})
    yield choice({}, _reason(message))


def _completion(asked: Json) -> Reply:
    text = (asked["prompt"] if asked.get("echo") else "") + said("completion")
    if asked.get("stream"):
        return event_stream(_completion_chunks(asked, text), last="[DONE]")
    choice = _text_choice(text, _completion_logprobs(pieces(text)) if asked.get("logprobs") else None, "stop")
    return json_reply({**_head(asked, "text_completion"), "choices": [choice], "usage": USAGE})


def _completion_chunks(asked: Json, text: str) -> Iterator[Json]:
    head = _head(asked, "text_completion")
    for piece in pieces(text):
        yield {
            **head,
            "choices": [_text_choice(piece, _completion_logprobs([piece]) if asked.get("logprobs") else None)],
        }
    yield {**head, "choices": [_text_choice("", None, "stop")]}
    if (asked.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": USAGE}


def _text_choice(text: str, logprobs: Json | None, reason: str | None = None) -> Json:
    return {"index": 0, "text": text, "logprobs": logprobs, "finish_reason": reason}


def _completion_logprobs(said_pieces: list[str]) -> Json:
    offsets = [len("".join(said_pieces[:count])) for count in range(len(said_pieces))]
    top: list[dict[str, Any]] = [{piece: -0.125} for piece in said_pieces]
    likely = [-0.125] * len(said_pieces)
    return {"tokens": said_pieces, "token_logprobs": likely, "top_logprobs": top, "text_offset": offsets}
