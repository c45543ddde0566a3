"""Answers in OpenAI's shapes: whole bodies, and the chunks of a stream, for chat and for completions."""

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from hoopguard.demo.answers import Answer, tokens

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request shapes its answer; ``key`` makes the answer's id the same for the same request."""

    model: str
    prompt: str
    key: bytes
    logprobs: bool = False
    include_usage: bool = False

    def head(self, kind: str, prefix: str) -> Json:
        """Return what every body and chunk begins with."""
        digest = hashlib.sha256(self.key).hexdigest()[:24]
        return {"id": f"{prefix}-{digest}", "object": kind, "created": int(time.time()), "model": self.model}

    def usage(self, answers: list[Answer]) -> Json:
        """Return the count of tokens."""
        prompt = len(tokens(self.prompt))
        said = sum(len(tokens(a.content + a.reasoning + a.refusal + a.tool_arguments)) for a in answers)
        return {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + said}


def error(message: str, kind: str = "invalid_request_error", code: str | None = None) -> Json:
    """Return OpenAI's error object."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def chat_body(asked: Asked, answers: list[Answer]) -> Json:
    """Return a whole ``chat.completion``."""
    choices = [
        {
            "index": index,
            "message": _message(answer, index),
            "logprobs": _chat_logprobs(tokens(answer.content)) if asked.logprobs else None,
            "finish_reason": answer.finish_reason,
        }
        for index, answer in enumerate(answers)
    ]
    return {**asked.head("chat.completion", "chatcmpl"), "choices": choices, "usage": asked.usage(answers)}


def chat_chunks(asked: Asked, answers: list[Answer]) -> Iterator[Json]:
    """Yield the ``chat.completion.chunk``s of a stream, the choices taking turns."""
    head = asked.head("chat.completion.chunk", "chatcmpl")
    streams = [_deltas(index, answer, asked) for index, answer in enumerate(answers)]
    for choice in _taking_turns(streams):
        yield {**head, "choices": [choice]}
    if asked.include_usage:
        yield {**head, "choices": [], "usage": asked.usage(answers)}


def completion_body(asked: Asked, answers: list[Answer], *, echo: bool) -> Json:
    """Return a whole ``text_completion``."""
    choices = [
        {
            "index": index,
            "text": (asked.prompt if echo else "") + answer.content,
            "logprobs": _completion_logprobs(tokens(answer.content), 0) if asked.logprobs else None,
            "finish_reason": "stop",
        }
        for index, answer in enumerate(answers)
    ]
    return {**asked.head("text_completion", "cmpl"), "choices": choices, "usage": asked.usage(answers)}


def completion_chunks(asked: Asked, answers: list[Answer], *, echo: bool) -> Iterator[Json]:
    """Yield the chunks of a streamed ``text_completion``, the choices taking turns."""
    head = asked.head("text_completion", "cmpl")
    streams = [_texts(index, answer, asked, echo=echo) for index, answer in enumerate(answers)]
    for choice in _taking_turns(streams):
        yield {**head, "choices": [choice]}
    if asked.include_usage:
        yield {**head, "choices": [], "usage": asked.usage(answers)}


def _taking_turns(streams: list[Iterator[Json]]) -> Iterator[Json]:
    for row in zip_longest(*streams):
        yield from (choice for choice in row if choice is not None)


def _message(answer: Answer, index: int) -> Json:
    message: Json = {"role": "assistant", "content": answer.content or None, "refusal": answer.refusal or None}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool:
        function = {"name": answer.tool, "arguments": answer.tool_arguments}
        message["tool_calls"] = [{"id": f"call_{index}", "type": "function", "function": function}]
    return message


def _deltas(index: int, answer: Answer, asked: Asked) -> Iterator[Json]:
    def choice(delta: Json, finish: str | None = None, logprobs: Json | None = None) -> Json:
        return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}

    yield choice({"role": "assistant", "content": ""})
    for token in tokens(answer.reasoning):
        yield choice({"reasoning_content": token})
    for token in tokens(answer.content):
        yield choice({"content": token}, logprobs=_chat_logprobs([token]) if asked.logprobs else None)
    for token in tokens(answer.refusal):
        yield choice({"refusal": token})
    if answer.tool:
        function: Json = {"name": answer.tool, "arguments": ""}
        yield choice({"tool_calls": [{"index": 0, "id": f"call_{index}", "type": "function", "function": function}]})
        for token in tokens(answer.tool_arguments):
            yield choice({"tool_calls": [{"index": 0, "function": {"arguments": token}}]})
    yield choice({}, answer.finish_reason)


def _texts(index: int, answer: Answer, asked: Asked, *, echo: bool) -> Iterator[Json]:
    offset = 0
    for token in [*(tokens(asked.prompt) if echo else ()), *tokens(answer.content)]:
        logprobs = _completion_logprobs([token], offset) if asked.logprobs else None
        yield {"index": index, "text": token, "logprobs": logprobs, "finish_reason": None}
        offset += len(token)
    yield {"index": index, "text": "", "logprobs": None, "finish_reason": "stop"}


def _chat_logprobs(said: list[str]) -> Json:
    return {
        "content": [
            {"token": token, "logprob": -0.1, "bytes": list(token.encode()), "top_logprobs": []} for token in said
        ],
        "refusal": None,
    }


def _completion_logprobs(said: list[str], offset: int) -> Json:
    offsets = [offset + len("".join(said[:number])) for number in range(len(said))]
    top: list[Mapping[str, float]] = [{token: -0.1} for token in said]
    return {"tokens": said, "token_logprobs": [-0.1] * len(said), "top_logprobs": top, "text_offset": offsets}
