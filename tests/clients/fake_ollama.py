"""Ollama's own API: chat, generate and embed, as one JSON value or as one a line."""

from collections.abc import Iterator
from typing import Any, ClassVar, Final

from fake import Fake, Json, Route, json_lines
from fake_openai import ARGUMENTS
from speech import answered, pieces, said

from hoopguard.demo.connection import Reply, json_reply

COUNTS: Final = {
    # Nanoseconds, and as it happens digits that a telephone could have.
    "total_duration": 4155550132,
    "load_duration": 6338250,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 130079000,
    "eval_count": 64,
    "eval_duration": 4232710000,
}
_DETAILS: Final = {
    "parent_model": "",
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "8.0B",
    "quantization_level": "Q4_0",
}


class FakeOllama(Fake):
    """Streams unless it is told not to, as Ollama does."""

    api: ClassVar[str] = "ollama"

    @property
    def routes(self) -> dict[tuple[str, str], Route]:
        """Return what a client uses of the API."""
        return {
            ("POST", "/api/chat"): _chat,
            ("POST", "/api/generate"): _generate,
            ("POST", "/api/embed"): _embed,
            ("GET", "/api/tags"): lambda _: json_reply(_TAGS),
            ("POST", "/api/show"): lambda _: json_reply(_SHOW),
        }


_TAGS: Final = {
    "models": [
        {
            "name": "llama3:8b",
            "model": "llama3:8b",
            "modified_at": "2025-11-22T18:30:00.123456789Z",
            "size": 4661224676,
            "digest": "365c0bd3c000a25d28ddbf732fe1c6add414de7275464c4e4d1c3b5fcb5d8ad1",
            "details": _DETAILS,
        }
    ]
}
_SHOW: Final = {
    "license": said("licence"),
    "modelfile": "FROM llama3:8b\n",
    "template": "{{ .Prompt }}",
    "details": _DETAILS,
    "model_info": {"general.architecture": "llama", "general.parameter_count": 8030261248},
    "capabilities": ["completion", "tools"],
    "modified_at": "2025-11-22T18:30:00.123456789Z",
}


def _chat(asked: Json) -> Reply:
    message: Json = {"role": "assistant", "content": answered(asked)}
    if asked.get("think"):
        message["thinking"] = said("thinking")
    if asked.get("tools"):
        name = asked["tools"][0]["function"]["name"]
        message |= {"content": "", "tool_calls": [{"function": {"name": name, "arguments": ARGUMENTS}}]}
    if asked.get("stream", True):
        return json_lines(_chat_lines(asked, message))
    return json_reply({**_head(asked), "message": message, **_end(asked, message["content"])})


def _chat_lines(asked: Json, message: Json) -> Iterator[Json]:
    """Yield thinking, content and tool calls, each with an empty or partial content beside it."""
    for piece in pieces(message.get("thinking", "")):
        yield _line(asked, {"role": "assistant", "content": "", "thinking": piece})
    for piece in pieces(message["content"]):
        yield _line(asked, {"role": "assistant", "content": piece}, piece)
    if "tool_calls" in message:
        yield _line(asked, {"role": "assistant", "content": "", "tool_calls": message["tool_calls"]})
    yield {**_head(asked), "message": {"role": "assistant", "content": ""}, **_end(asked, "")}


def _line(asked: Json, message: Json, piece: str = "") -> Json:
    logprobs = {"logprobs": _logprobs([piece])} if asked.get("logprobs") and piece else {}
    return {**_head(asked), "message": message, "done": False, **logprobs}


def _generate(asked: Json) -> Reply:
    text = said("response")
    if not asked.get("stream", True):
        thinking = {"thinking": said("thinking")} if asked.get("think") else {}
        return json_reply({**_head(asked), "response": text, **thinking, **_end(asked, text), "context": [1, 2, 3]})
    thought = pieces(said("thinking")) if asked.get("think") else []
    lines: list[Json] = [{**_head(asked), "response": "", "thinking": piece, "done": False} for piece in thought]
    lines += [{**_head(asked), "response": piece, "done": False} for piece in pieces(text)]
    return json_lines([*lines, {**_head(asked), "response": "", **_end(asked, ""), "context": [1, 2, 3]}])


def _embed(asked: Json) -> Reply:
    count = len(asked["input"]) if isinstance(asked["input"], list) else 1
    embeddings = [[0.010071029, -0.0017594862, 0.4155550132]] * count
    counts = {key: COUNTS[key] for key in ("total_duration", "load_duration", "prompt_eval_count")}
    return json_reply({"model": asked["model"], "embeddings": embeddings, **counts})


def _head(asked: Json) -> Json:
    return {"model": asked["model"], "created_at": "2025-11-22T18:30:00.123456789Z"}


def _end(asked: Json, text: str) -> Json:
    logprobs = {"logprobs": _logprobs(pieces(text))} if asked.get("logprobs") and text else {}
    return {"done": True, "done_reason": "stop", **COUNTS, **logprobs}


def _logprobs(said_pieces: list[str]) -> list[dict[str, Any]]:
    def token(piece: str) -> Json:
        return {"token": piece, "logprob": -0.125, "bytes": list(piece.encode())}

    return [{**token(piece), "top_logprobs": [token(piece)]} for piece in said_pieces]
