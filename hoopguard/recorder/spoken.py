"""A recorded conversation over WebSocket, for a reader: both sides' messages as they were recorded, and what they say.

Reads OpenAI's Realtime API: what a model tells in deltas is one text, what repeats it is only named.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from hoopguard.payload.openai_realtime_events import TOLD

if TYPE_CHECKING:
    from mitmproxy.http import HTTPFlow

MOST_MESSAGES: Final = 1_000
MOST_CHARS: Final = 10_000
"""How many messages of a conversation are shown, and how much of each; a replay in mitmproxy shows the rest."""

_ENDS: Final = frozenset({"done", "completed"})
_PLAIN: Final = frozenset({"response.output_text", "response.text"})


@dataclass(frozen=True, slots=True)
class Message:
    """What one side has said, as it was recorded; ``at`` in Unix seconds, ``left_out`` characters are not shown."""

    by: str
    at: float
    text: str
    left_out: int = 0


class Said(NamedTuple):
    """One text of a conversation and who said it: ``caller``, ``model``, ``model transcript``, …"""

    role: str
    text: str


def read_messages(flow: "HTTPFlow") -> tuple[Message, ...]:
    """Return the first messages of a flow's conversation."""
    return tuple(
        Message("caller" if each.from_client else "model", each.timestamp, text[:MOST_CHARS], _over(text))
        for each in islice(flow.websocket.messages if flow.websocket else (), MOST_MESSAGES)
        for text in (each.content.decode("utf-8", "backslashreplace"),)
    )


def read_said(flow: "HTTPFlow") -> tuple[tuple[Said, ...], int]:
    """Return what was said in a flow's conversation, as far as it is shown, and how many texts are not."""
    if flow.websocket is None:
        return (), 0
    said = list(_said((each.from_client, each.content) for each in flow.websocket.messages))
    shown = (Said(each.role, _cut(each.text)) for each in said[:MOST_MESSAGES])
    return tuple(shown), max(0, len(said) - MOST_MESSAGES)


def _said(messages: Iterable[tuple[bool, bytes]]) -> Iterator[Said]:
    growing: dict[tuple[str, str], str] = {}
    for from_caller, content in messages:
        event = _json(content)
        kind, _, state = str(event.get("type")).rpartition(".")
        if from_caller:
            yield _caller_said(event, content)
        elif kind in TOLD and state == "delta":
            key = kind, str(event.get("item_id"))
            growing[key] = growing.get(key, "") + str(event.get("delta"))
        elif kind in TOLD and state in _ENDS:
            grown = growing.pop((kind, str(event.get("item_id"))), "")
            whole = event.get(TOLD[kind].key)
            yield Said(_role(kind), whole if isinstance(whole, str) else grown)
        else:
            yield _model_said(event, content)
    for (kind, _), grown in growing.items():
        yield Said(f"{_role(kind)}, cut", grown)


def _caller_said(event: dict[str, Any], content: bytes) -> Said:
    """Return a message's own text if it is an item of the conversation; any other message as it is."""
    item = event.get("item")
    if event.get("type") == "conversation.item.create" and isinstance(item, dict):
        parts = item.get("content")
        texts = [_text_of(part) for part in parts] if isinstance(parts, list) else [str(item.get("output") or "")]
        role = item.get("role") if item.get("type") == "message" else item.get("type")
        return Said("caller" if role == "user" else f"caller {role}", "\n".join(texts))
    return Said("caller", content.decode("utf-8", "backslashreplace"))


def _model_said(event: dict[str, Any], content: bytes) -> Said:
    """Return what went wrong, or the kind of what only repeats or announces."""
    error = event.get("error")
    if event.get("type") == "error" and isinstance(error, dict):
        return Said("error", f"{error.get('code')}: {error.get('message')}")
    name = event.get("type")
    return Said("model", f"({name})" if isinstance(name, str) else content.decode("utf-8", "backslashreplace"))


def _role(kind: str) -> str:
    return "model" if kind in _PLAIN else f"model {kind.rpartition('.')[2]}"


def _text_of(part: Any) -> str:
    if not isinstance(part, dict):
        return str(part)
    texts = (part.get(key) for key in ("text", "transcript"))
    return next((text for text in texts if isinstance(text, str)), f"[{part.get('type', 'part')}]")


def _json(content: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _cut(text: str) -> str:
    return f"{text[:MOST_CHARS]}… ({_over(text)} more characters)" if _over(text) else text


def _over(text: str) -> int:
    return max(0, len(text) - MOST_CHARS)
