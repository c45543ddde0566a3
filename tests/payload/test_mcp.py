"""The Model Context Protocol: every message is inspected, whichever way it goes, and a stream answers what it owes."""

import json
from typing import Any, Final

import pytest
from canaries import EMAIL, MaskStage, events_of, leaks, masked, stream_of, streamed
from mcp import types

from hoopguard.payload import mcp
from hoopguard.payload.bodies import JsonBody
from hoopguard.payload.channels import Channel, StopStream
from hoopguard.payload.fields import read
from hoopguard.payload.framing import FramingError
from hoopguard.payload.sse import EventParser
from hoopguard.payload.streaming import AnswerStream
from hoopguard.payload.strict_json import BodyError

SAID: Final = f"write to {EMAIL}"
HIDDEN: Final = "write to <EMAIL_ADDRESS>"


def message(**more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", **more}


def call(**arguments: Any) -> dict[str, Any]:
    return message(id=7, method="tools/call", params={"name": "find_customer", "arguments": arguments})


def result(**said: Any) -> dict[str, Any]:
    return message(id=7, result=said)


def through_sdk(raw: Any) -> Any:
    """Return a message as MCP's own package reads and writes it again."""
    read_as = types.JSONRPCMessage.model_validate(raw)
    return read_as.model_dump(mode="json", by_alias=True, exclude_none=True)


MESSAGES: Final[dict[str, dict[str, Any]]] = {
    "tools/call": call(query=SAID, deep={"list": [SAID, 4111111111111111]}, limit=5),
    "text": result(content=[{"type": "text", "text": SAID, "annotations": {"audience": ["user"], "priority": 0.5}}]),
    "resource": result(
        content=[{"type": "resource", "resource": {"uri": "file:///a", "mimeType": "text/plain", "text": SAID}}]
    ),
    "link": result(
        content=[{"type": "resource_link", "uri": "file:///a", "name": "a", "description": SAID, "size": 4155550132}]
    ),
    "structured": result(content=[], structuredContent={"mail": SAID, "rows": [{"n": 1}]}, isError=False),
    "contents": result(contents=[{"uri": "file:///a", "mimeType": "text/plain", "text": SAID}]),
    "tools": result(
        tools=[
            {
                "name": "find",
                "description": SAID,
                "inputSchema": {"type": "object", "properties": {"query": {"type": "string", "description": SAID}}},
                "annotations": {"readOnlyHint": True, "title": SAID},
            }
        ],
        nextCursor="page-2",
    ),
    "initialize": message(
        id=0,
        method="initialize",
        params={
            "protocolVersion": "2025-11-25",
            "capabilities": {"sampling": {}, "roots": {"listChanged": True}},
            "clientInfo": {"name": "agent", "version": "1.2.3", "title": SAID},
        },
    ),
    "initialized": result(
        protocolVersion="2025-11-25",
        capabilities={"tools": {"listChanged": False}, "experimental": {}, "prompts": {"listChanged": False}},
        serverInfo={"name": "crm", "version": "1.30.0"},
        instructions=SAID,
    ),
    "prompt": result(messages=[{"role": "user", "content": {"type": "text", "text": SAID}}], description=SAID),
    "sampling": message(
        id="srv-1",
        method="sampling/createMessage",
        params={
            "messages": [{"role": "user", "content": {"type": "text", "text": SAID}}],
            "systemPrompt": SAID,
            "maxTokens": 100,
        },
    ),
    "sampled": result(role="assistant", content={"type": "text", "text": SAID}, model="llama-3", stopReason="endTurn"),
    "progress": message(
        method="notifications/progress", params={"progressToken": 1, "progress": 5, "total": 10, "message": SAID}
    ),
    "log": message(method="notifications/message", params={"level": "info", "logger": "db", "data": {"row": SAID}}),
    "error": message(id=7, error={"code": -32602, "message": SAID, "data": {"of": SAID}}),
    "elicitation": message(
        id=3,
        method="elicitation/create",
        params={"mode": "form", "message": SAID, "requestedSchema": {"type": "object", "properties": {}}},
    ),
    "elicited": result(action="accept", content={"mail": SAID, "age": 40}),
    "completed": result(completion={"values": [SAID], "total": 1, "hasMore": False}),
    "roots": result(roots=[{"uri": "file:///data/ann", "name": SAID}]),
    "task": result(
        task={
            "taskId": "t-1",
            "status": "working",
            "statusMessage": SAID,
            "createdAt": "2025-11-25T10:30:00Z",
            "lastUpdatedAt": "2025-11-25T10:30:00Z",
            "ttl": 60000,
        }
    ),
}


def hidden(node: Any) -> Any:
    """Return a message with what was said hidden, by another road than the code under test."""
    return json.loads(json.dumps(node).replace(SAID, HIDDEN).replace("4111111111111111", '"<CREDIT_CARD>"'))


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_masked_and_nothing_else_of_it_changes(name: str) -> None:
    """Ids, methods, names, levels and schemas stay, so that the other side goes on understanding it."""
    sent = MESSAGES[name]
    out = masked(sent, mcp.MESSAGES)
    assert out == hidden(sent)
    assert not leaks(out)
    assert through_sdk(out) == hidden(through_sdk(sent))


@pytest.mark.parametrize("name", MESSAGES)
def test_a_batch_is_masked_message_by_message(name: str) -> None:
    """The protocol's 2025-03-26 has lists of messages."""
    sent = MESSAGES[name]
    assert masked([sent, sent], mcp.MESSAGES) == [hidden(sent), hidden(sent)]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_in_a_stream_is_masked_as_it_is_whole(name: str) -> None:
    """Server-sent events carry the same messages."""
    sent = MESSAGES[name]
    assert [body for _, body in events_of(streamed(mcp.STREAM, stream_of(sent)))] == [hidden(sent)]


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        ({"content": [{"type": "image", "data": "AAAA", "mimeType": "image/png"}]}, {"image"}),
        ({"content": [{"type": "audio", "data": "AAAA", "mimeType": "audio/wav"}]}, {"audio"}),
        ({"content": [{"type": "resource", "resource": {"uri": "a:b", "blob": "AAAA"}}]}, {"file"}),
        ({"contents": [{"uri": "a:b", "blob": "AAAA"}]}, {"file"}),
        ({"content": {"type": "image", "data": "AAAA", "mimeType": "image/png"}}, {"image"}),
        ({"messages": [{"role": "user", "content": {"type": "image", "data": "AAAA"}}]}, {"image"}),
        ({"content": [{"type": "text", "text": "x", "data": "AAAA"}]}, {"part"}),
        ({"content": [{"type": "hologram"}]}, {"part"}),
        ({"content": ["bare"]}, {"part"}),
        ({"content": [{"type": "tool_result", "content": [{"type": "image", "data": "A"}]}]}, {"image"}),
    ],
)
def test_what_nobody_can_look_into_is_named(said: dict[str, Any], kinds: set[str]) -> None:
    """Images, audio, binary resources, and blocks of unknown kind, wherever content stands."""
    assert {*read(result(**said), mcp.MESSAGES).opaque} == kinds


@pytest.mark.parametrize("name", ["description", "name", "method", "id"])
def test_an_identifier_of_the_callers_is_inspected(name: str) -> None:
    """Whoever chooses a name, or an id, can say something by it."""
    card = "4111-1111-1111-1111"
    body = {**call(), name: card} if name != "name" else message(id=1, method="x", params={"name": f"a{card}"})
    out = masked(body, mcp.MESSAGES)
    assert out is None or not leaks(out)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        [[]],
        "x",
        {"jsonrpc": "1.0", "method": "ping", "id": 1},
        {"jsonrpc": "2.0"},
        {"jsonrpc": "2.0", "method": 5},
        [{"jsonrpc": "2.0", "method": "ping"}, {}],
    ],
)
def test_what_is_no_json_rpc_is_refused(body: Any) -> None:
    """Nothing is sent on that a server might read in its own way."""
    with pytest.raises(BodyError):
        mcp.FORMAT.model(body)


@pytest.mark.parametrize("body", [*MESSAGES.values(), [*MESSAGES.values()]])
def test_a_message_names_no_model(body: Any) -> None:
    """The protocol knows tools, not models."""
    assert mcp.FORMAT.model(body) is None


def test_a_notification_is_answered_with_nothing_at_all() -> None:
    """202 Accepted has no body: none is read as an empty object, and written as none."""
    kind = mcp.FORMAT.answer_body
    assert kind.parse(b"", "") == {}
    assert kind.write({}).content == b""
    assert json.loads(kind.write(result()).content) == result()
    with pytest.raises(BodyError):
        JsonBody().parse(b"", "")


@pytest.mark.parametrize(
    ("header", "value", "passes"),
    [
        ("mcp-session-id", "1868a90c-4f0a-4a4d-9c1e-6a3b0e3a2f11", True),
        ("mcp-session-id", "eyJhbGciOiJIUzI1NiJ9.e30=", True),
        ("mcp-session-id", "bob@example.com", False),
        ("mcp-session-id", "4111111111111111", False),
        ("mcp-session-id", "a b c d e f g", False),
        ("mcp-protocol-version", "2025-11-25", True),
        ("mcp-protocol-version", "4158675309", False),
    ],
)
def test_the_protocols_headers_pass_if_they_look_like_it(header: str, value: str, passes: bool) -> None:
    """A header is no place to say something in."""
    assert bool(mcp.FORMAT.headers[header].fullmatch(value)) is passes


def test_empty_events_and_ids_do_not_pass() -> None:
    """They only offer to come back later, which nobody could check."""
    raw = b"id: bob@example.com\nretry: 5\ndata:\n\n" + b"id: 2\nevent: message\ndata: " + json.dumps(result()).encode()
    assert (
        streamed(mcp.STREAM, raw)
        == b"event: message\ndata: " + json.dumps(result()).replace(" ", "").encode() + b"\n\n"
    )


class Forbids:
    """Stop the stream when a text has a word."""

    def feed(self, channel: Channel, text: str) -> str:
        if "bad" in text:
            raise StopStream({"code": "hoopguard_blocked", "message": "not this", "exchange": "hg-1"})
        return text

    def finish(self, channel: Channel) -> str:
        return ""


def test_a_stream_stopped_by_a_rule_answers_the_request_with_an_error() -> None:
    """The caller's package raises it for the call that was made, and for no other."""
    shape = mcp.STREAM.answering([call(), message(id="b", method="ping"), message(method="notifications/initialized")])
    progress = message(method="notifications/progress", params={"progressToken": 1, "progress": 1, "message": "fine"})
    raw = stream_of(message(id="b", result={}), progress, result(content=[{"type": "text", "text": "bad"}]))
    out = streamed(shape, raw, MaskStage(), Forbids())
    name, last = events_of(out)[-1]
    assert b"bad" not in out
    assert name == "message"
    error = types.JSONRPCError.model_validate(last)
    assert (error.id, (error.error.data or {})["code"]) == (7, "hoopguard_blocked")
    assert [body.get("id") for _, body in events_of(out)] == ["b", None, 7]


def test_a_stream_that_fails_answers_the_request_with_an_error() -> None:
    """A call that nobody answers would wait for ever."""
    stream = AnswerStream(mcp.STREAM.answering(call()), [], drop_repeats=False)
    ((_, body),) = events_of(stream.fail(502, "hoopguard_stream_failed", "it broke", "hg-1"))
    error = types.JSONRPCError.model_validate(body)
    assert error.id == 7
    assert "it broke" in error.error.message


def test_a_stream_for_nobody_in_particular_just_ends() -> None:
    """The server's own stream, and one whose request has its answer already, owe nothing."""
    listening = AnswerStream(mcp.STREAM.answering(None), [], drop_repeats=False)
    assert listening.fail(502, "hoopguard_stream_failed", "it broke", "hg-1") == b""
    answered = AnswerStream(mcp.STREAM.answering(call()), [], drop_repeats=False)
    answered.feed(stream_of(result()))
    assert answered.fail(502, "hoopguard_stream_failed", "it broke", "hg-1") == b""


ERROR: Final = {"jsonrpc": "2.0", "id": None, "error": {"code": -32003, "message": "no"}}


@pytest.mark.parametrize("asked", [7, 0, "req-1", "0b7c6c2e-5a0f-4a55-bd1c-1a2b3c4d5e6f"])
def test_a_refused_request_is_answered_as_json_rpc_answers(asked: str | int) -> None:
    """The caller's package raises it for that one call, and its session goes on."""
    assert mcp.refuse({**call(), "id": asked}, 403, ERROR) == (200, {**ERROR, "id": asked})


def test_every_request_of_a_refused_batch_is_answered() -> None:
    """Notifications and answers among them want no answer."""
    batch = [call(), message(method="notifications/initialized"), result(), message(id="b", method="ping")]
    assert mcp.refuse(batch, 403, ERROR) == (200, [{**ERROR, "id": 7}, {**ERROR, "id": "b"}])


def test_a_large_batch_is_refused_as_a_whole() -> None:
    """An error for each request would be many times as long as what was asked."""
    batch = [message(id=number, method="ping") for number in range(65)]
    assert mcp.refuse(batch, 403, ERROR) == (403, ERROR)
    assert len(mcp.refuse(batch[1:], 403, ERROR)[1]) == 64


def test_that_a_session_is_unknown_is_told_by_http() -> None:
    """Its 404 has a client begin a new one (MCP, Session Management)."""
    assert mcp.refuse(call(), 404, ERROR) == (404, ERROR)


@pytest.mark.parametrize(
    "body",
    [
        None,
        message(method="notifications/initialized"),
        result(),
        {**call(), "id": EMAIL},
        {**call(), "id": 4111111111111111},
        {**call(), "id": True},
        [call(), {**call(), "id": "two words"}],
    ],
)
def test_what_has_no_id_to_answer_to_is_refused_by_http(body: Any) -> None:
    """Nor is an id repeated that could say something."""
    assert mcp.refuse(body, 403, ERROR) == (403, ERROR)


def test_two_streams_do_not_share_what_they_owe() -> None:
    """Each answers its own request."""
    one, two = mcp.STREAM.answering(call()), mcp.STREAM.answering(message(id=8, method="ping"))
    one.ended(result())
    assert one.fail("x", {}) == []
    assert [json.loads(event.data)["id"] for event in two.fail("x", {})] == [8]


@pytest.mark.parametrize("data", ["[]", "nope", '"x"', "[DONE]x"])
def test_a_stream_that_cannot_be_read_is_a_framing_error(data: str) -> None:
    """Batches do not come in events of a stream."""
    with pytest.raises(FramingError):
        streamed(mcp.STREAM, f"data: {data}\n\n".encode())


def test_events_are_read_as_any_other_server_sent_events() -> None:
    """Only the empty ones are left out."""
    raw = b"data: {}\n\ndata:  \n\ndata: []"
    plain = EventParser()
    ours = mcp.STREAM.parser()
    assert [*ours.feed(raw), *ours.finish()] == [
        event for event in [*plain.feed(raw), *plain.finish()] if event.data.strip()
    ]
