"""Odd requests and odd answers over all APIs: each has one outcome, tells nothing, and the gateway goes on."""

import itertools
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest
from oddities import EMAIL, ODD, TALKS, Talk, changed, places_in
from scripted import ScriptedServer, ScriptedSite

SEED: Final = 7
SAMPLE: Final = 24
"""Of every kind and API; all places and values are tried where no process has to be asked (test_odd_streams.py)."""

_MESSAGE: Final = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": EMAIL}]}
_OUTPUT: Final = {"type": "function_call_output", "call_id": "c", "output": EMAIL}
_RESULT: Final = {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": EMAIL}]}
_TENSOR: Final = {"name": "a", "shape": [1], "datatype": "BYTES", "data": [EMAIL], "parameters": {"a": 1}}
ASKED: Final[dict[str, tuple[str, Any]]] = {
    **{name: (f"/{talk.api}{talk.path}", talk.asked) for name, talk in TALKS.items()},
    "embeddings": ("/openai/v1/embeddings", {"model": "m", "input": [EMAIL], "dimensions": 3}),
    "rerank": ("/openai/v1/rerank", {"model": "m", "query": EMAIL, "documents": ["a", {"text": "b"}], "top_n": 1}),
    "score": ("/openai/score", {"model": "m", "text_1": EMAIL, "text_2": ["b"]}),
    "tokenize": ("/openai/tokenize", {"model": "m", "prompt": EMAIL}),
    "show": ("/ollama/api/show", {"model": "m"}),
    "infer": ("/kserve/v2/models/m/infer", {"id": "x", "inputs": [_TENSOR], "parameters": {"b": 2}}),
    "items": ("/openai/v1/responses", {"model": "m", "input": [_MESSAGE, _OUTPUT], "text": {"format": {}}}),
    "blocks": ("/anthropic/v1/messages", {"model": "m", "messages": [{"role": "user", "content": [_RESULT]}]}),
    "batch": ("/mcp/mcp", [{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, TALKS["mcp"].told[0]]),
}


@dataclass(frozen=True)
class Answer:
    """An odd answer, and what to call it if it goes wrong."""

    name: str
    chunks: tuple[bytes, ...]
    media: str
    status: int = 200

    def give(self, server: ScriptedServer) -> None:
        server.answer_with(*self.chunks, media=self.media, status=self.status)


def sampled(chance: random.Random, *choices: Iterable[Any]) -> list[tuple[Any, ...]]:
    every = [*itertools.product(*choices)]
    return chance.sample(every, min(SAMPLE, len(every)))


def answers(talk: Talk, chance: random.Random) -> Iterator[Answer]:
    """Yield streams with something odd in them, events out of order, and wholes of every status and type."""
    events = talk.told
    spots = [(at, place) for at, event in enumerate(events) for place in places_in(event)]
    for (at, place), odd in sampled(chance, spots, ODD):
        told = [changed(event, place, odd) if at == number else event for number, event in enumerate(events)]
        yield _streamed(talk, told, f"{odd!r} at {at}, {place}")
    for told in ([*events[::-1]], [*events, *events], [*events[1:]], [events[0]] * 3 + [events[-1]] * 2):
        yield _streamed(talk, told, "out of order")
    for place, odd in sampled(chance, places_in(events[-1]), ODD):
        body = json.dumps(changed(events[-1], place, odd)).encode()
        yield Answer(f"{odd!r} at {place} of a whole", (body,), "application/json")
    medias = ("application/json", talk.media, "", "text/html", "application/json; charset=utf-16")
    bodies = (json.dumps(events[-1]).encode(), b"", b"null", b"oops")
    for status, media, body in sampled(chance, (200, 201, 202, 206, 304, 400, 404, 429, 500, 503), medias, bodies):
        yield Answer(f"{status} {media} {body!r}", (b"" if status == 304 else body,), media, status)


def _streamed(talk: Talk, told: list[Any], name: str) -> Answer:
    before, after = (b"data: ", b"\n\n") if talk.media == "text/event-stream" else (b"", b"\n")
    return Answer(name, tuple(before + json.dumps(event).encode() + after for event in told), talk.media)


@pytest.fixture
def odd(scripted: ScriptedSite) -> Iterator[ScriptedSite]:
    """The shared gateway; after whatever came, its books balance, and it has kept no personal data."""
    yield scripted
    scripted.wait_until_settled()
    scripted.assert_books_balance()
    scripted.assert_kept_nothing_of()
    scripted.forget()
    scripted.server.answer({"choices": []})
    assert scripted.post("/openai/v1/chat/completions", {"model": "m", "messages": []}).json() == {"choices": []}


_CAUSE: Final = "The above exception was the direct cause of the following exception"


def surprises(log: str) -> list[str]:
    """Return the exceptions in a log that nobody has thought of."""
    tracebacks = log.split("Traceback (most recent call last):")[1:]
    return [text for text in tracebacks if "FramingError: " not in text and _CAUSE not in text]


def test_odd_answers_have_one_outcome_each(odd: ScriptedSite) -> None:
    """What cannot be inspected is refused, or its stream ends; nothing fails in a way that nobody has thought of."""
    chance, found, number = random.Random(SEED), [], 0
    with odd.client() as client:
        for talk in TALKS.values():
            for answer in answers(talk, chance):
                answer.give(odd.server)
                seen, number = len(odd.log), number + 1
                response = client.post(f"/{talk.api}{talk.path}", json=talk.asked)
                if "hoopguard_failed" in response.text or surprises(odd.log[seen:]):
                    found.append((talk.path, answer.name, odd.log[seen:]))
    assert found == []
    assert len(odd.server.seen) == number


def test_odd_requests_have_one_outcome_each(odd: ScriptedSite) -> None:
    """They are a caller's mistakes, and told as such."""
    chance, found = random.Random(SEED), []
    with odd.client() as client:
        for path, asked in ASKED.values():
            for place, value in sampled(chance, places_in(asked), ODD):
                seen = len(odd.log)
                response: httpx.Response = client.post(path, json=changed(asked, place, value))
                if response.status_code == 503 or "hoopguard_failed" in response.text or surprises(odd.log[seen:]):
                    found.append((path, place, value, response.text, odd.log[seen:]))
    assert found == []
    assert EMAIL not in odd.sent
