"""Anthropic's Messages API: blocks whole and streamed, and how a stream ends that may not go on."""

import json
from collections.abc import Iterable
from typing import Any, Final

import anthropic
import httpx2
import pytest
from anthropic.types import Message
from canaries import (
    CARD,
    CUTS,
    EMAIL,
    SIZES,
    TOLD,
    Forbids,
    events_of,
    masked,
    masked_text,
    pieces_of,
    stream_of,
    streamed,
)
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.payload.anthropic_messages import ANSWER, COUNT_FORMAT, FORMAT, REQUEST, STREAM
from hoopguard.payload.fields import read
from hoopguard.payload.framing import FramingError
from hoopguard.payload.streaming import AnswerStream
from hoopguard.payload.strict_json import BodyError
from hoopguard.payload.tables import Kind

HIDDEN: Final = "<EMAIL_ADDRESS>"
SIGNATURE: Final = "EqoBCkgIARABGAIiQL8vN2v5p0S1kP4r7mT0dE3yXw9uZb6c/fGaKsLtOiRnVdWxYzAbCdEfGhIjKlMnOpQrStUv+w=="
USAGE: Final = {"input_tokens": 31, "cache_read_input_tokens": 16, "output_tokens": 64, "service_tier": "standard"}
ASKED: Final[dict[str, Any]] = {
    "model": "claude-local",
    "max_tokens": 2048,
    "system": [{"type": "text", "text": f"Ask {EMAIL}.", "cache_control": {"type": "ephemeral", "ttl": "5m"}}],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "tools": [{"name": "find", "description": EMAIL, "input_schema": {"type": "object", "properties": {"query": {}}}}],
    "tool_choice": {"type": "tool", "name": "find"},
    "metadata": {"user_id": EMAIL},
    "messages": [
        {"role": "user", "content": EMAIL},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": EMAIL, "signature": SIGNATURE},
                {"type": "text", "text": EMAIL, "citations": [{"type": "char_location", "cited_text": EMAIL}]},
                {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"query": [EMAIL, {"card": CARD}]}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": EMAIL}]},
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True, "content": EMAIL},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": EMAIL}},
            ],
        },
    ],
}


def replaced(node: Any) -> Any:
    """Return a body with the canaries in it hidden, by another road than the code under test."""
    if isinstance(node, dict):
        return {key: replaced(child) for key, child in node.items()}
    if isinstance(node, list):
        return [replaced(child) for child in node]
    return "<CREDIT_CARD>" if node == CARD else node.replace(EMAIL, HIDDEN) if isinstance(node, str) else node


def test_every_text_of_a_conversation_is_masked_and_its_structure_is_not() -> None:
    """Roles, ids, names, signatures, settings stay; what anybody said goes, in the history too."""
    assert masked(ASKED, REQUEST) == replaced(ASKED)
    assert FORMAT.model(ASKED) == COUNT_FORMAT.model(ASKED) == "claude-local"


def test_an_answers_usage_ids_and_reason_stay() -> None:
    """Whatever is masked beside them."""
    head = {"id": "msg_01XqVdR8s2", "type": "message", "role": "assistant", "model": "claude-local"}
    ending = {"stop_reason": "tool_use", "stop_sequence": None, "usage": USAGE}
    answer = {**head, "content": ASKED["messages"][1]["content"], **ending}
    assert masked(answer, ANSWER) == replaced(answer)


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}, "image"),
        ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA"}}, "file"),
        ({"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}, "file"),
        ({"type": "document", "source": {"type": "content", "content": [{"type": "image"}]}}, "image"),
        ({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": {}}]}, "image"),
        ({"type": "redacted_thinking", "data": "AAAA"}, "encrypted"),
        ({"type": "text", "text": "x", "source": {"type": "base64", "data": "AAAA"}}, "part"),
        ({"type": "unheard_of", "text": "x"}, "part"),
        ("bare", "part"),
    ],
)
def test_what_nobody_can_look_into_is_refused(block: Any, kind: str) -> None:
    """Pictures, files, what is encrypted, and blocks that say two things."""
    body = {"messages": [{"role": "user", "content": [block]}]}
    assert read(body, REQUEST).opaque == {kind: None}


@pytest.mark.parametrize("format_", [FORMAT, COUNT_FORMAT])
@pytest.mark.parametrize(
    "more", [{"model": None}, {"messages": ["x"]}, {"messages": [{"role": "bob", "content": "x"}]}]
)
def test_what_is_no_conversation_is_refused(format_: Any, more: dict[str, Any]) -> None:
    """A model has to be named, and messages have roles."""
    with pytest.raises(BodyError):
        format_.model({**ASKED, **more})


# ── streams ──


def begun() -> dict[str, Any]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-local", "content": []}
    ending = {"stop_reason": None, "stop_sequence": None, "usage": {**USAGE, "output_tokens": 1}}
    return {"type": "message_start", "message": {**message, **ending}}


def told(blocks: Iterable[tuple[str, str]], sizes: list[int]) -> list[dict[str, Any]]:
    """Return the events in which a model tells blocks of these kinds."""
    events: list[dict[str, Any]] = [begun(), {"type": "ping"}]
    for index, (kind, text) in enumerate(blocks):
        empty, name, delta = EMPTY[kind], *DELTAS[kind]
        events.append({"type": "content_block_start", "index": index, "content_block": {"type": kind, **empty}})
        for piece in pieces_of(text, sizes):
            events.append({"type": "content_block_delta", "index": index, "delta": {"type": delta, name: piece}})
        if kind == "thinking":
            signed = {"type": "signature_delta", "signature": SIGNATURE}
            events.append({"type": "content_block_delta", "index": index, "delta": signed})
        events.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": "end_turn", "stop_sequence": None}
    return [*events, {"type": "message_delta", "delta": ending, "usage": USAGE}, {"type": "message_stop"}]


EMPTY: Final[dict[str, dict[str, Any]]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"id": "toolu_1", "name": "find", "input": {}},
}
DELTAS: Final = {
    "text": ("text", "text_delta"),
    "thinking": ("thinking", "thinking_delta"),
    "tool_use": ("partial_json", "input_json_delta"),
}
_TOOL: Final = st.tuples(st.just("tool_use"), TOLD.map(lambda text: json.dumps({"query": [text], "n": CARD})))
BLOCKS: Final = st.lists(st.tuples(st.sampled_from(["text", "thinking"]), TOLD) | _TOOL, min_size=1, max_size=3)


def gathered(raw: bytes) -> Message:
    """Return the message that Anthropic's own package makes of a stream."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=raw, headers={"content-type": "text/event-stream"})

    http_client = httpx2.Client(transport=httpx2.MockTransport(answer))
    with anthropic.Anthropic(base_url="http://model", api_key="k", max_retries=0, http_client=http_client) as client:
        ask: Any = {"model": "claude-local", "max_tokens": 1, "messages": []}
        with client.messages.stream(**ask) as stream:
            return stream.get_final_message()


@given(BLOCKS, SIZES, CUTS)
def test_a_streams_texts_are_those_of_the_whole(blocks: list[tuple[str, str]], sizes: list[int], cuts: Any) -> None:
    """However the model tells it and the network cuts it; each block begins before its text and stops after it."""
    out = events_of(streamed(STREAM, stream_of(*told(blocks, sizes), named=True), cuts=cuts))
    assert all(name == body["type"] for name, body in out)
    texts: dict[int, str] = {}
    order: list[tuple[str, Any, bool]] = []
    for _, body in out:
        if body["type"] == "content_block_delta" and "signature" not in body["delta"]:
            index, (kind, *_) = body["index"], blocks[body["index"]]
            assert [*body["delta"]] == ["type", DELTAS[kind][0]]
            texts[index] = texts.get(index, "") + body["delta"][DELTAS[kind][0]]
        step = (body["type"], body.get("index"), "signature" in body.get("delta", {}))
        order += [step] if step not in order[-1:] else []
    kinds = [Kind.JSON_TEXT if kind == "tool_use" else Kind.TEXT for kind, _ in blocks]
    assert texts == {
        at: masked_text(kind, text) for at, (kind, (_, text)) in enumerate(zip(kinds, blocks, strict=True))
    }
    asked = [(body["type"], body.get("index"), "signature" in body.get("delta", {})) for body in told(blocks, [9999])]
    assert order == asked
    assert [body["usage"] for _, body in out if body["type"] == "message_delta"] == [USAGE]


def test_anthropics_own_package_puts_a_masked_stream_together() -> None:
    """Thinking, its signature, text and a tool's parsed input."""
    tool = json.dumps({"query": EMAIL, "card": CARD})
    events = told([("thinking", f"I see {EMAIL}."), ("text", f"Write to {EMAIL}!"), ("tool_use", tool)], [3])
    message = gathered(streamed(STREAM, stream_of(*events, named=True)))
    assert [block.model_dump(exclude_none=True) for block in message.content] == [
        {"type": "thinking", "thinking": f"I see {HIDDEN}.", "signature": SIGNATURE},
        {"type": "text", "text": f"Write to {HIDDEN}!"},
        {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"query": HIDDEN, "card": "<CREDIT_CARD>"}},
    ]
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 64)


@pytest.mark.parametrize("kind", ["text", "thinking", "tool_use"])
def test_a_stopped_stream_is_a_refusal_to_anthropics_own_package(kind: str) -> None:
    """The open block stops, the message ends, and what had been said before stays."""
    text = '{"q": "fine secret"}' if kind == "tool_use" else "fine secret"
    out = streamed(STREAM, stream_of(*told([("text", "Hello."), (kind, text)], [5]), named=True), Forbids("secret"))
    events = [body for _, body in events_of(out)]
    assert [body["type"] for body in events[-3:]] == ["content_block_stop", "message_delta", "message_stop"]
    assert [body["index"] for body in events if body["type"] == "content_block_stop"] == [0, 1]
    assert events[-2]["hoopguard"]["code"] == "hoopguard_blocked"
    assert "secret" not in out.decode()
    assert gathered(out).stop_reason == "refusal"


@pytest.mark.parametrize(("word", "last"), [("toolu_x", "message_start"), ("msg_x", "error")])
def test_a_stream_stopped_before_any_block_closes_none(word: str, last: str) -> None:
    """A message that has begun ends; one that has not is an error."""
    events = told([("text", "Hello.")], [5])
    events[2] = {**events[2], "content_block": {"type": "text", "text": "toolu_x"}}
    events = [events[0], *events[2:]]
    events[0]["message"]["stop_sequence"] = "msg_x" if word == "msg_x" else None
    sent = [body["type"] for _, body in events_of(streamed(STREAM, stream_of(*events, named=True), Forbids(word)))]
    assert sent == (["error"] if last == "error" else [last, "message_delta", "message_stop"])


@pytest.mark.parametrize("kind", ["content_block_start", "content_block_delta"])
def test_a_stream_stopped_after_an_event_of_no_block_closes_none(kind: str) -> None:
    """An event without text may lack its index, too."""
    out = streamed(STREAM, stream_of(begun(), {"type": kind}, {"type": "ping", "x": "secret"}), Forbids("secret"))
    assert [body["type"] for _, body in events_of(out)[2:]] == ["message_delta", "message_stop"]


def test_a_failed_stream_is_an_error_to_anthropics_own_package() -> None:
    """As the API tells it: an event named error."""
    stream = AnswerStream(STREAM, (), drop_repeats=True)
    out = stream.feed(stream_of(begun(), named=True)) + stream.fail(502, "hoopguard_stream_failed", "It broke.", "x1")
    with pytest.raises(anthropic.APIError, match="It broke"):
        gathered(out)


def test_a_signature_comes_in_one_piece() -> None:
    """What a second one added to it, nobody would have seen together."""
    halves = ({"type": "signature_delta", "signature": half} for half in ("bob@", "example.com"))
    with pytest.raises(FramingError):
        streamed(STREAM, stream_of(*({"type": "content_block_delta", "index": 0, "delta": half} for half in halves)))


@pytest.mark.parametrize(
    "event",
    [
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_delta", "index": "0", "delta": {"type": "text_delta", "text": "x"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "unheard_delta", "text": "x"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x", "more": "y"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "redacted_thinking", "data": "AA"}},
        {"type": "content_block_stop"},
        {"type": "unheard_of", "text": "x"},
        {"text": "x"},
    ],
)
def test_an_event_that_belongs_nowhere_ends_the_stream(event: dict[str, Any]) -> None:
    """A text that cannot be told to be a channel's could be the half of something."""
    with pytest.raises(FramingError):
        streamed(STREAM, stream_of(event))


@pytest.mark.parametrize("value", ["2023-06-01", "tools-2024-04-04", "tools-2024-04-04, output-128k-2025-02-19"])
def test_a_header_holds_a_date_in_ascii(value: str) -> None:
    """Digits of other scripts are a way to say something."""
    fitting = [pattern for pattern in FORMAT.headers.values() if pattern.fullmatch(value)]
    spelt = value.translate({ord(str(digit)): chr(0x660 + digit) for digit in range(10)})
    assert len(fitting) == (0 if "128k" in value else 1)
    assert not any(pattern.fullmatch(spelt) for pattern in FORMAT.headers.values())
