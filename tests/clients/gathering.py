"""What a stream told, put together: every text joined, every other event as it is, and the order of it all.

Any client's events will do, as JSON: how the gateway cuts a text into pieces is its own affair, the rest is not.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from fake import Json


def order(kinds: Iterable[str]) -> Json:
    """Return in which order a stream's kinds of events begin, and how it ends.

    Not more: what the gateway holds back of one text may come when another has begun.
    """
    found = [kind for kind in kinds if kind]
    return {"first": list(dict.fromkeys(found)), "last": found[-1:]}


def chat(chunks: list[Json]) -> Json:
    """Put together OpenAI's ``chat.completion.chunk``s."""
    texts: dict[str, str] = {}
    for chunk in chunks:
        for place, piece in _pieces(chunk):
            texts[place] = texts.get(place, "") + piece
    beside = {(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}
    usage = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    kinds = order(kind for chunk in chunks for kind in _chat_kinds(chunk))
    return {"texts": texts, "order": kinds, "beside": [list(each) for each in beside], "usage": usage}


def _chat_kinds(chunk: Json) -> Iterator[str]:
    for choice in chunk["choices"]:
        for key in ("reasoning_content", "content", "refusal", "tool_calls"):
            if choice["delta"].get(key):
                yield f"{choice['index']}.{key}"
        if choice["finish_reason"]:
            yield f"{choice['index']}.{choice['finish_reason']}"
    if not chunk["choices"]:
        yield "usage" if chunk.get("usage") else "nothing"


def _pieces(chunk: Json) -> Iterator[tuple[str, str]]:
    for choice in chunk["choices"]:
        delta = dict(choice["delta"])
        for call in delta.pop("tool_calls", None) or []:
            for key, value in {**call, **call["function"]}.items():
                if isinstance(value, str):
                    yield f"{choice['index']}.{call['index']}.{key}", value
        for key, value in delta.items():
            yield f"{choice['index']}.{key}", value or ""


def responses(events: list[Json]) -> Json:
    """Put together the events of OpenAI's Responses API; their numbers have to rise."""
    deltas: dict[str, str] = {}
    whole: list[Any] = []
    for event in events:
        if event["type"].endswith(".delta"):
            where = [str(event[key]) for key in ("output_index", "content_index", "summary_index") if key in event]
            place = " ".join([event["type"], event["item_id"], *where])
            deltas[place] = deltas.get(place, "") + event["delta"]
        else:
            whole.append({**event, "sequence_number": None})
    numbers = [event["sequence_number"] for event in events]
    rising = numbers == sorted(set(numbers))
    return {"deltas": deltas, "whole": whole, "order": order(event["type"] for event in events), "rising": rising}


def messages(events: list[Json]) -> Json:
    """Put together the events of Anthropic's Messages API."""
    deltas: dict[str, str] = {}
    whole: list[Any] = []
    kinds: list[str] = []
    for event in events:
        delta = event.get("delta") or {}
        kinds.append(" ".join([event["type"], str(event.get("index", "")), delta.get("type", "")]))
        if event["type"] == "content_block_delta":
            place = f"{event['index']} {delta['type']}"
            said = "".join(value for key, value in delta.items() if key != "type")
            deltas[place] = deltas.get(place, "") + said
        else:
            whole.append(event)
    return {"deltas": deltas, "whole": whole, "order": order(kinds)}


def lines(values: list[Json]) -> Json:
    """Put together Ollama's lines."""
    texts: dict[str, str] = {}
    calls: list[Any] = []
    kinds: list[str] = []
    for value in values:
        message = value.get("message") or value
        calls += message.get("tool_calls") or []
        for key in ("thinking", "content", "response"):
            texts[key] = texts.get(key, "") + (message.get(key) or "")
        kinds += [key for key in ("thinking", "content", "response", "tool_calls") if message.get(key)]
        kinds += ["done"] if value["done"] else []
    return {"texts": texts, "calls": calls, "order": order(kinds), "last": values[-1], "ends": kinds.count("done")}
