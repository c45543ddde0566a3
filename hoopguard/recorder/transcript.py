"""A recorded flow as a conversation: who asked what of which model, and what came back.

Reads OpenAI's chat completions and completions, whole or streamed, and live conversations (:mod:`spoken`); anything
else is shown as text.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from hoopguard.recorder.spoken import Message, read_messages, read_said

if TYPE_CHECKING:
    from mitmproxy.http import HTTPFlow

_CHANNELS: Final = (
    ("content", "assistant"),
    ("reasoning", "reasoning"),
    ("reasoning_content", "reasoning"),
    ("refusal", "refusal"),
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One text of a conversation and whose it is: ``user``, ``assistant``, ``tool call lookup``, …"""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """One exchange for a reader; ``facts`` is the flow's own metadata, ``status`` 0 without an answer.

    Of a live conversation, the first ``messages`` of both sides as they were recorded, and what they ``said``; so many
    texts more are ``left_out``.
    """

    request: str
    status: int
    facts: dict[str, Any]
    asked: tuple[Turn, ...]
    answered: tuple[Turn, ...]
    messages: tuple[Message, ...] = ()
    said: tuple[Turn, ...] = ()
    left_out: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the transcript as plain JSON values."""
        return asdict(self)


def transcribe(flow: "HTTPFlow") -> Transcript:
    """Read a recorded flow."""
    facts = flow.metadata.get("hoopguard")
    response = flow.response
    said, left_out = read_said(flow)
    return Transcript(
        request=f"{flow.request.method} {flow.request.pretty_url}",
        status=response.status_code if response else 0,
        facts=facts if isinstance(facts, dict) else {},
        asked=tuple(read_request(flow.request.get_content(strict=False) or b"")),
        answered=tuple(read_answer(response.get_content(strict=False) or b"")) if response else (),
        messages=read_messages(flow),
        said=tuple(Turn(*each) for each in said),
        left_out=left_out,
    )


def read_request(body: bytes) -> Iterator[Turn]:
    """Yield what a request's body says."""
    value = _json(body)
    if not isinstance(value, dict):
        yield from _raw("request", body)
        return
    for message in _dicts(value.get("messages")):
        yield Turn(str(message.get("role") or "unknown"), _text(message.get("content")))
        yield from _tool_calls(message)
    prompt = value.get("prompt")
    for text in prompt if isinstance(prompt, list) else [prompt]:
        if isinstance(text, str):
            yield Turn("prompt", text)


def read_answer(body: bytes) -> Iterator[Turn]:
    """Yield what an answer's body says; a stream's pieces are put together by choice and channel."""
    value = _json(body)
    if isinstance(value, dict):
        turns = [turn for choice in _dicts(value.get("choices")) for turn in _choice(choice, "message")]
        error = value.get("error")
        if isinstance(error, dict):
            turns.append(Turn("error", _text(error.get("message")) or orjson.dumps(error).decode()))
        yield from turns or _raw("answer", body)
        return
    events = list(_events(body))
    yield from _join(events) if events else _raw("answer", body)


def _join(events: list[dict[str, Any]]) -> Iterator[Turn]:
    texts: dict[tuple[int, str], str] = {}
    for event in events:
        for choice in _dicts(event.get("choices")):
            index = choice.get("index")
            for turn in _choice(choice, "delta"):
                key = (index if isinstance(index, int) else 0, turn.role)
                texts[key] = texts.get(key, "") + turn.text
        if isinstance(error := event.get("error"), dict):
            key = (0, "error")
            texts[key] = texts.get(key, "") + _text(error.get("message"))
    several = len({index for index, _ in texts}) > 1
    for (index, role), text in texts.items():
        yield Turn(f"{role} {index}" if several else role, text)


def _choice(choice: dict[str, Any], part: str) -> Iterator[Turn]:
    if isinstance(choice.get("text"), str):
        yield Turn("assistant", choice["text"])
    message = choice.get(part)
    if not isinstance(message, dict):
        return
    for key, role in _CHANNELS:
        if text := _text(message.get(key)):
            yield Turn(role, text)
    yield from _tool_calls(message)


def _tool_calls(message: dict[str, Any]) -> Iterator[Turn]:
    for place, call in enumerate(_dicts(message.get("tool_calls"))):
        function = call.get("function")
        if isinstance(function, dict):
            number = call.get("index", place)
            name = f"{function['name']}: " if isinstance(function.get("name"), str) else ""
            yield Turn(f"tool call {number}", name + _text(function.get("arguments")))


def _events(body: bytes) -> Iterator[dict[str, Any]]:
    for line in body.splitlines():
        if line.startswith(b"data:") and isinstance(value := _json(line[5:]), dict):
            yield value


def _text(value: Any) -> str:
    """Return a text, or the texts of a list of content parts."""
    if isinstance(value, str):
        return value
    return "".join(
        part["text"] if isinstance(part.get("text"), str) else f"[{part.get('type', 'part')}]" for part in _dicts(value)
    )


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [inner for inner in value if isinstance(inner, dict)] if isinstance(value, list) else []


def _raw(role: str, body: bytes) -> Iterator[Turn]:
    if body:
        yield Turn(role, body.decode("utf-8", "backslashreplace"))


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
