"""Ollama's own API: chat and generate, which stream unless told not to, and embeddings."""

import copy
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from hoopguard.payload.framing import Event
from hoopguard.payload.ndjson import LineShape
from hoopguard.payload.object_stream import ObjectStream
from hoopguard.payload.shapes import EVERYTHING, Body, Group, event_of
from hoopguard.payload.strict_json import BodyError
from hoopguard.payload.tables import (
    COUNT,
    LABEL,
    MADE,
    REPEAT,
    SMALL,
    TEXT,
    TIME,
    Fields,
    Number,
    Opaque,
    Strings,
    Table,
    under,
    word,
)
from hoopguard.payload.wire import Format

_WORDS: Final = """
    anyOf array bool boolean capabilities const default description details done enum error f16_kv family hoopguard
    items integer json low_vram maximum minimum model_info null number object parameters penalize_newline properties
    raw required stop stream string template title tools truncate use_mlock use_mmap verbose vocab_only
"""
VOCABULARY: Final = frozenset(_WORDS.split())
MEASURE: Final = Number(3_999_999_999_999)
"""Nanoseconds up to an hour, bytes, parameters: fewer digits than a card's number, or another first one."""

_COUNTS: Final = """
    num_ctx num_batch num_gpu main_gpu num_thread num_keep num_predict top_k repeat_last_n mirostat
    top_p min_p tfs_z typical_p temperature repeat_penalty presence_penalty frequency_penalty mirostat_tau mirostat_eta
"""
OPTIONS: Final[Table] = {**dict.fromkeys(_COUNTS.split(), COUNT), "seed": TIME, "stop.*": TEXT}
_MESSAGE: Final[Table] = {
    "role": word("assistant", "system", "tool", "user"),
    "content": TEXT,
    "thinking": TEXT,
    "images": Opaque("image"),
    "tool_name": LABEL,
    "tool_call_id": MADE,
    "tool_calls.*.id": MADE,
    "tool_calls.*.type": word("function"),
    "tool_calls.*.function.index": SMALL,
    "tool_calls.*.function.name": LABEL,
    "tool_calls.*.function.arguments": TEXT,
}
_ASKED: Final[Table] = {
    "model": MADE,
    **under("options", OPTIONS),
    "format": word("", "json"),
    "keep_alive": TEXT,
    "think": word("low", "medium", "high", "max"),
    "top_logprobs": SMALL,
}
_ANSWERED: Final[Table] = {
    "model": MADE,
    "remote_model": MADE,
    "remote_host": TEXT,
    "created_at": MADE,
    "done_reason": word("length", "load", "stop", "unload"),
    "total_duration": MEASURE,
    "load_duration": MEASURE,
    "prompt_eval_count": COUNT,
    "prompt_eval_duration": MEASURE,
    "eval_count": COUNT,
    "eval_duration": MEASURE,
    "logprobs": REPEAT,
    "error": TEXT,
}
CHAT_REQUEST: Final = Fields(
    {
        **_ASKED,
        **under("messages.*", _MESSAGE),
        "tools.*.type": word("function"),
        "tools.*.function.name": LABEL,
        "tools.*.function.description": TEXT,
        "tools.*.function.parameters": TEXT,
    },
    VOCABULARY,
)
CHAT_ANSWER: Final = Fields({**_ANSWERED, **under("message", _MESSAGE)}, VOCABULARY)
GENERATE_REQUEST: Final = Fields(
    {
        **_ASKED,
        "prompt": TEXT,
        "suffix": TEXT,
        "system": TEXT,
        "template": TEXT,
        "context": Opaque("tokens"),
        "images": Opaque("image"),
        "width": COUNT,
        "height": COUNT,
        "steps": COUNT,
    },
    VOCABULARY,
)
GENERATE_ANSWER: Final = Fields(
    {
        **_ANSWERED,
        "response": TEXT,
        "thinking": TEXT,
        "context": REPEAT,
        "image": Opaque("image"),
        "completed": COUNT,
        "total": COUNT,
    },
    VOCABULARY,
)
EMBED_REQUEST: Final = Fields(
    {
        "model": MADE,
        "input": Strings("tokens", many=True),
        "prompt": Strings("tokens"),
        "dimensions": COUNT,
        "keep_alive": TEXT,
        **under("options", OPTIONS),
    },
    VOCABULARY,
)
EMBED_ANSWER: Final = Fields(
    {**_ANSWERED, "embeddings.*.*": SMALL, "embedding.*": SMALL},
    VOCABULARY,
)


class OllamaStream(LineShape, ObjectStream):
    """One object a line, the last of which is ``done``; ``empty`` is what a line without text says."""

    api = "ollama"

    def __init__(self, fields: Fields, empty: Body) -> None:
        super().__init__(fields, alone=("error", "model", "created_at", "remote_host", "remote_model"))
        self._empty = empty

    def place(self, body: Body, path: tuple[str | int, ...]) -> tuple[Any, ...] | None:
        """Return the text's path; a tool call comes whole, its texts stand alone."""
        return None if "tool_calls" in path[:2] else super().place(body, path)

    def ended(self, body: Body) -> Collection[Group]:
        """Return everything with the line that is done."""
        return EVERYTHING if body.get("done") else ()

    def frame(self, last: Body) -> Body:
        """Return a line of the same model that says nothing."""
        head: Body = {key: last[key] for key in ("model", "created_at") if key in last}
        return head | copy.deepcopy(self._empty)

    def stop(self, last: Body, open_groups: Iterable[Group], final: Mapping[str, Any]) -> list[Event]:
        """Return the line that is done."""
        ended = {"done": True, "done_reason": "content_filter", "hoopguard": dict(final)}
        return [event_of({**self.frame(last), **ended})]


def check_chat(body: Any) -> None:
    """Refuse what is no conversation.

    Raises:
        BodyError: a message is not an object, or its content is not a text.
    """
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else []:
        if not isinstance(message, dict) or not isinstance(message.get("content"), str | None):
            raise BodyError("every message has to be an object with a text as its content")


def check_generate(body: Any) -> None:
    """Refuse what is no prompt.

    Raises:
        BodyError: the prompt, its suffix or the system message is not a text.
    """
    for key in ("prompt", "suffix", "system", "template"):
        if not isinstance(body.get(key), str | None):
            raise BodyError(f"{key} has to be a text")


def _post(name: str, request: Fields, answer: Fields, **more: Any) -> Format:
    return Format(
        name=name,
        method="POST",
        path=f"/{name}",
        api="ollama",
        request=request,
        answer=answer,
        needs_model=True,
        **more,
    )


CHAT: Final = _post(
    "api/chat",
    CHAT_REQUEST,
    CHAT_ANSWER,
    stream=OllamaStream(CHAT_ANSWER, {"message": {"role": "assistant", "content": ""}, "done": False}),
    check=check_chat,
    defaults={"stream": True},
)
GENERATE: Final = _post(
    "api/generate",
    GENERATE_REQUEST,
    GENERATE_ANSWER,
    stream=OllamaStream(GENERATE_ANSWER, {"response": "", "done": False}),
    check=check_generate,
    defaults={"stream": True},
)
EMBED: Final = _post("api/embed", EMBED_REQUEST, EMBED_ANSWER)
EMBEDDINGS: Final = _post("api/embeddings", EMBED_REQUEST, EMBED_ANSWER)
