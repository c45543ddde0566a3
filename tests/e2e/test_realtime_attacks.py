"""A WebSocket is no side door: what cannot be inspected, is refused or fails ends it, and never goes on."""

import json
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from fake_realtime import PLACE
from harness import MODEL_KEY, open_socket, read_until, status_of, wait_for
from realtimesite import EMAIL, PATH, RealtimeSite
from websockets.exceptions import InvalidStatus
from websockets.sync.server import ServerConnection

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
OPENING = {"connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13", "sec_websocket_key": KEY}


@pytest.fixture(scope="module")
def _realtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealtimeSite]:
    with RealtimeSite(tmp_path_factory.mktemp("realtime")) as site:
        yield site.start_realtime()
        site.stop()
        site.assert_books_balance()
        site.verify()
        site.assert_nothing_has(EMAIL)


@pytest.fixture
def site(_realtime: RealtimeSite) -> Iterator[RealtimeSite]:
    _realtime.realtime.forget()
    yield _realtime
    _realtime.break_("")


def opening(site: RealtimeSite, path: str = PATH, token: str | None = None, **headers: str) -> bytes:
    named = {name: value for name, value in (OPENING | headers).items() if value}
    return site.head(path, method="GET", token=token, **named) + b"\r\n"


def frame(payload: bytes, opcode: int = 1, *, fin: bool = True, rsv1: bool = False, masked: bool = True) -> bytes:
    """Return one frame of a client (RFC 6455 §5.2)."""
    first = (0x80 if fin else 0) | (0x40 if rsv1 else 0) | opcode
    size, flag = len(payload), 0x80 if masked else 0
    length = (bytes([flag | size]) if size < 126 else bytes([flag | 126 if size < 65_536 else flag | 127])) + (
        b"" if size < 126 else struct.pack("!H" if size < 65_536 else "!Q", size)
    )
    mask = os.urandom(4) if masked else b""
    body = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)) if masked else payload
    return bytes([first]) + length + mask + body


def item(text: str) -> bytes:
    content = [{"type": "input_text", "text": text}]
    event = {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}
    return json.dumps(event).encode()


def opened(site: RealtimeSite, connection: socket.socket) -> str:
    """Open a conversation by hand; return its exchange."""
    connection.sendall(opening(site))
    head = read_until(connection, b"\r\n\r\n").lower().partition(b"\r\n\r\n")[0]
    assert status_of(head) == 101
    return next(line for line in head.decode().split("\r\n") if "hoopguard-exchange" in line).split(": ")[1]


# ── the door ──


@pytest.mark.parametrize(
    "headers",
    [
        {"upgrade": "h2c"},
        {"upgrade": "websocket, h2c"},
        {"upgrade": ""},
        {"connection": "keep-alive"},
        {"sec_websocket_version": "8"},
        {"sec_websocket_version": ""},
        {"sec_websocket_key": ""},
        {"sec_websocket_key": "short"},
        {"sec_websocket_key": "x" * 24},
    ],
)
def test_what_is_no_opening_handshake_is_refused(site: RealtimeSite, headers: dict[str, str]) -> None:
    """A live route answers to the handshake of RFC 6455 and to nothing else."""
    assert b"hoopguard_upgrade_refused" in site.raw(opening(site, **headers))
    assert site.realtime.paths == []


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/realtime/", "/admin"])
def test_only_a_live_route_may_change_the_protocol(site: RealtimeSite, path: str) -> None:
    """That one route is a WebSocket makes no other one."""
    assert b"hoopguard_upgrade_refused" in site.raw(opening(site, path))
    assert site.realtime.paths == []


@pytest.mark.parametrize(
    "query",
    [
        "model=llama-3-8b&call_id=x",
        "call_id=x",
        "model=",
        "model=a+b",
        "model=a%20b",
        "model=a%00b",
        "model=a%26model%3Db",
        "model=4111111111111111",
        "model=a;model=b",
        "model=..%2F..%2Fadmin%3F",
        "model=%ff",
        "MODEL=a",
        "model=a?",
    ],
)
def test_the_query_names_a_model_and_nothing_else(site: RealtimeSite, query: str) -> None:
    """What the query says reaches the model server only if it can be read in one way, as a model's name."""
    answer = site.raw(opening(site, f"/v1/realtime?{query}"))
    assert status_of(answer) == 403
    assert site.realtime.paths == []


def test_a_query_stays_refused_elsewhere(site: RealtimeSite) -> None:
    """A model in the query is the live route's own; other routes take none."""
    assert b"hoopguard_route_not_listed" in site.raw(site.head("/v1/models?model=llama-3-8b", method="GET") + b"\r\n")


@pytest.mark.parametrize(("path", "group"), [(PATH.replace("llama-3-8b", "other"), "only-llama"), (PATH, "ci")])
def test_who_may_not_use_the_model_may_not_talk_to_it(site: RealtimeSite, path: str, group: str) -> None:
    """``allow`` lines hold for the route and for the model of the query."""
    answer = site.raw(opening(site, path, token=site.token(groups=(group,))))
    assert b"hoopguard_not_permitted" in answer
    assert site.realtime.paths == []


def test_a_stranger_is_not_let_in(site: RealtimeSite) -> None:
    """Neither a forged token nor two of them in the sub-protocols open anything."""
    for protocols in (
        "realtime",
        "openai-insecure-api-key.forged",
        "openai-insecure-api-key.a, openai-insecure-api-key.b",
    ):
        head = opening(site, sec_websocket_protocol=protocols).replace(b"authorization:", b"x-other:")
        assert status_of(site.raw(head)) == 401
    assert site.realtime.paths == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sec-websocket-accept", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("sec-websocket-protocol", "other"),
        ("upgrade", "h2c"),
    ],
)
def test_a_model_that_opens_something_else_is_refused(site: RealtimeSite, name: str, value: str) -> None:
    """The model's half of the handshake is checked as a client checks it."""

    def spoil(response: Any) -> None:
        if response.status_code == 101:
            del response.headers[name]
            response.headers[name] = value

    site.realtime.answer_head = spoil
    with pytest.raises(InvalidStatus) as caught, site.talk():
        raise AssertionError("it opened")
    assert caught.value.response.status_code == 502
    assert caught.value.response.body is not None
    assert b"hoopguard_bad_answer" in caught.value.response.body


# ── what callers say ──

DEEP = "[" * 70 + "]" * 70


@pytest.mark.parametrize(
    ("message", "code", "close"),
    [
        ("", "hoopguard_bad_body", 1007),
        ("not JSON " + EMAIL, "hoopguard_bad_body", 1007),
        ("[]", "hoopguard_bad_body", 1007),
        ('"text"', "hoopguard_bad_body", 1007),
        ('{"type": "response.create", "type": "response.cancel"}', "hoopguard_bad_body", 1007),
        ('{"type": "response.create", "x": NaN}', "hoopguard_bad_body", 1007),
        ('{"type": "response.create", "x": "\\ud800"}', "hoopguard_bad_body", 1007),
        ('{"type": "response.create", "x": ' + DEEP + "}", "hoopguard_bad_body", 1007),
        (b"\x00\x01binary", "hoopguard_bad_body", 1003),
        ("{}", "hoopguard_uninspectable", 1008),
        ('{"type": "response.unheard_of"}', "hoopguard_uninspectable", 1008),
        ('{"type": ["response.create"]}', "hoopguard_uninspectable", 1008),
        (
            json.dumps({"type": "response.create", "response": {"metadata": {EMAIL: 1}}}),
            "hoopguard_uninspectable",
            1008,
        ),
        (item("say banana").decode(), "hoopguard_blocked", 1008),
        (item("say ba\u200bnana").decode(), "hoopguard_blocked", 1008),
        (item("restart production").decode(), "hoopguard_approval_required", 1008),
        ('{"type": "response.create", "response": {"instructions": "say banana"}}', "hoopguard_blocked", 1008),
        ('{"type": "session.update", "session": {"model": "other"}}', "hoopguard_not_permitted", 1008),
        ('{"type": "session.update", "model": "other"}', "hoopguard_not_permitted", 1008),
        ('{"type": "response.create", "response": {"model": "other"}}', "hoopguard_not_permitted", 1008),
        (
            '{"type": "session.update", "session": {"audio": {"input": {"transcription": {"model": "other"}}}}}',
            "hoopguard_not_permitted",
            1008,
        ),
        ('{"type": "session.update", "model": ["llama-3-8b"]}', "hoopguard_bad_body", 1007),
        ('{"type": "input_audio_buffer.append", "audio": "AAAA"}', "hoopguard_uninspectable", 1008),
        (
            '{"type": "conversation.item.create", "item": {"type": "message", "role": "user", '
            '"content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]}}',
            "hoopguard_uninspectable",
            1008,
        ),
        (
            '{"type": "conversation.item.create", "item": {"type": "message", "role": "user", '
            '"content": [{"type": "input_audio", "audio": "AAAA"}]}}',
            "hoopguard_uninspectable",
            1008,
        ),
    ],
)
def test_a_message_that_must_not_pass_ends_the_conversation(
    site: RealtimeSite, message: str | bytes, code: str, close: int
) -> None:
    """The model is sent nothing of it, nor of anything after it; the caller is told why, then closed."""
    only_llama = site.token(groups=("only-llama", "silent"))
    with site.talk(token=only_llama) as caller:
        caller.ws.send(message)
        caller.ws.send(json.dumps({"type": "response.cancel"}))
        assert caller.assert_ended(code, close) == []
        outcome = site.outcome(caller.exchange)
    assert site.realtime.heard == []
    assert outcome["outcome"] == ("blocked" if code == "hoopguard_blocked" else "rejected")
    assert outcome["reason"].startswith(code)


def test_a_message_larger_than_a_body_may_be_ends_the_conversation(site: RealtimeSite) -> None:
    """In one frame or in very many, ended or never: it is not collected beyond the bound."""
    big = item("x" * 2_100_000)
    with site.talk() as caller:
        caller.ws.send(big.decode())
        caller.assert_ended("hoopguard_body_too_large", 1009)
    with site.talk() as caller:
        caller.ws.send(big[at : at + 9_999].decode() for at in range(0, len(big), 9_999))
        caller.assert_ended("hoopguard_body_too_large", 1009)
    assert site.realtime.heard == []


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(b"\xca\x48\xcd\xc9", rsv1=True)], "hoopguard_bad_body"),
        ([frame(item("unmasked"), masked=False)], "hoopguard_bad_body"),
        ([frame(item("x"), opcode=3)], "hoopguard_bad_body"),
        ([frame(b"\xff\xfe")], "hoopguard_bad_body"),
        ([frame(b"out of order", opcode=0)], "hoopguard_bad_body"),
        ([frame(b"{", fin=False), frame(b"}", opcode=1)], "hoopguard_bad_body"),
        ([frame(b"x" * 200, opcode=9)], "hoopguard_bad_body"),
        ([frame(b"bin", opcode=2)], "hoopguard_bad_body"),
    ],
)
def test_a_frame_that_is_not_allowed_ends_the_conversation(site: RealtimeSite, frames: list[bytes], code: str) -> None:
    """Compressed, unmasked, unknown, not UTF-8, out of order: no such frame, nor what follows, is heard."""
    with open_socket(site.port) as connection:
        exchange = opened(site, connection)
        connection.sendall(b"".join(frames) + frame(item("after it")))
        wait_for(lambda: site.outcome(exchange), "the outcome")
    assert site.outcome(exchange)["reason"].startswith(code)
    assert site.realtime.heard == []


def test_what_is_hidden_in_fragments_is_found(site: RealtimeSite) -> None:
    """A message is inspected whole, however it is cut into frames, pings between them or not."""
    message = item(f"write to {EMAIL}")
    pieces = [message[at : at + 5] for at in range(0, len(message), 5)]
    with open_socket(site.port) as connection:
        opened(site, connection)
        for at, piece in enumerate(pieces):
            connection.sendall(
                frame(piece, opcode=0 if at else 1, fin=at == len(pieces) - 1) + frame(b"ping", opcode=9)
            )
        wait_for(lambda: site.realtime.heard, "the model hears it")
    (heard,) = site.realtime.heard
    assert heard["item"]["content"][0]["text"] == "write to <EMAIL_ADDRESS>"


def test_control_frames_carry_nothing_from_one_side_to_the_other(site: RealtimeSite) -> None:
    """Pings are answered here, and the reason of a close is not passed on."""
    pinged: list[bool] = []

    def ping(ws: ServerConnection, event: dict[str, Any]) -> bool:
        pinged.append(ws.ping(EMAIL).wait(30))
        ws.close(4000, EMAIL)
        return True

    site.realtime.act = ping
    with site.talk() as caller:
        assert caller.ws.ping(EMAIL).wait(30)
        caller.send("response.cancel")
        assert caller.hear_all() == []
        assert (caller.ws.close_code, caller.ws.close_reason) == (1000, "")
    assert pinged == [True]
    with site.talk() as caller:
        caller.ws.close(1000, EMAIL)
    wait_for(lambda: (1001, "") in site.realtime.closes, "the model is closed, too")


# ── what models say ──


@pytest.mark.parametrize(
    ("message", "code", "close"),
    [
        ("not JSON " + EMAIL, "hoopguard_bad_answer", 1011),
        ('{"type": "x", "type": "y"}', "hoopguard_bad_answer", 1011),
        ("[]", "hoopguard_stream_failed", 1011),
        (b"binary", "hoopguard_bad_answer", 1003),
        (json.dumps({"type": "response.unheard_of", "delta": EMAIL}), "hoopguard_stream_failed", 1011),
        (json.dumps({"type": "response.output_audio.delta", "delta": "AAAA"}), "hoopguard_stream_failed", 1011),
        (json.dumps({"type": "rate_limits.updated", "rate_limits": [{EMAIL: 1}]}), "hoopguard_stream_failed", 1011),
        (json.dumps({"type": "error", "error": {"message": "x" * 2_100_000}}), "hoopguard_answer_too_large", 1009),
    ],
)
def test_what_the_model_may_not_say_ends_the_conversation(
    site: RealtimeSite, message: str | bytes, code: str, close: int
) -> None:
    """The caller gets nothing of it, but the API's error, and the record says that it failed."""

    def misbehave(ws: ServerConnection, event: dict[str, Any]) -> bool:
        ws.send(message)
        ws.send(json.dumps({"type": "input_audio_buffer.cleared", "event_id": "after"}))
        return True

    site.realtime.act = misbehave
    with site.talk(token=site.token(groups=("ml", "silent"))) as caller:
        caller.send("response.cancel")
        assert caller.assert_ended(code, close) == []
        assert site.outcome(caller.exchange)["outcome"] == "failed"


def test_a_blocked_word_stops_the_model_in_the_middle(site: RealtimeSite) -> None:
    """Nothing of what is forbidden is shown, whole or in pieces, and the conversation is over."""
    site.realtime.act = lambda ws, event: site.realtime.tell(ws, "I like cherry pie", 3)
    with site.talk() as caller:
        caller.send("response.create")
        before = caller.assert_ended("hoopguard_blocked", 1008)
        assert "che" not in json.dumps(before)
        assert site.outcome(caller.exchange)["outcome"] == "blocked"


def test_a_model_that_breaks_off_ends_the_conversation(site: RealtimeSite) -> None:
    """What was held is not shown; the caller is told, and the record says so."""

    def vanish(ws: ServerConnection, event: dict[str, Any]) -> bool:
        site.realtime.say(ws, "response.output_text.delta", **PLACE, delta="to ada.lovelace@exam")
        ws.socket.shutdown(socket.SHUT_RDWR)
        return True

    site.realtime.act = vanish
    with site.talk() as caller:
        caller.send("response.create")
        before = caller.assert_ended("hoopguard_model_unreachable", 1011)
        assert "lovelace" not in json.dumps(before)
        assert site.outcome(caller.exchange)["outcome"] == "failed"


# ── bugs ──


@pytest.mark.parametrize("kind", ["ValueError", "RecursionError", "SystemExit", "CancelledError"])
@pytest.mark.parametrize("hook", ["identity.message", "guardrail.request", "masking.request", "masking.message"])
def test_a_bug_while_a_caller_speaks_ends_the_conversation(site: RealtimeSite, hook: str, kind: str) -> None:
    """A station that raises lets nothing through; the gateway lives on."""
    with site.talk() as caller:
        site.break_(f"{hook} {kind}")
        caller.say(f"write to {EMAIL}")
        caller.assert_ended("hoopguard_failed", 1011)
        assert site.outcome(caller.exchange)["outcome"] == "failed"
    assert site.realtime.heard == []
    site.break_("")
    with site.talk() as caller:
        caller.say("hello")
        assert caller.hear()["type"] == "conversation.item.added"


@pytest.mark.parametrize("kind", ["ValueError", "SystemExit"])
def test_a_bug_while_the_model_speaks_ends_the_conversation(site: RealtimeSite, kind: str) -> None:
    """A stage that raises in the middle of the model's text ends it there."""
    site.break_(f"stream {kind}")
    with site.talk() as caller:
        site.break_("")
        caller.say("the quick brown fox jumps over the lazy dog")
        caller.send("response.create")
        last = caller.hear_all()[-1]
        assert last["type"] == "error"
        assert caller.ws.close_code == 1011
        assert site.outcome(caller.exchange)["outcome"] == "failed"


@pytest.mark.parametrize("hook", ["identity.responseheaders", "guardrail.responseheaders", "recorder.responseheaders"])
def test_a_bug_while_a_conversation_opens_keeps_it_closed(site: RealtimeSite, hook: str) -> None:
    """The model agreed already, but nobody has talked to it."""
    site.break_(f"{hook} ValueError")
    with pytest.raises(InvalidStatus) as caught, site.talk():
        raise AssertionError("it opened")
    assert caught.value.response.status_code == 503
    assert site.realtime.heard == []


# ── what changes while it lives ──


def test_a_token_that_expires_ends_the_conversation(site: RealtimeSite) -> None:
    """A conversation outlives nobody's permission, whoever speaks next."""
    with site.talk(token=site.token(expires_in=2.0)) as caller:

        def speak() -> bool:
            caller.send("response.cancel")
            return bool(site.entries(caller.exchange, "outcome"))

        with pytest.raises(Exception, match="1008"):
            wait_for(speak, "it is over")
        assert caller.ws.close_code == 1008
        assert site.outcome(caller.exchange)["reason"].startswith("hoopguard_bad_token")


def test_a_policy_that_changes_ends_the_conversation(site: RealtimeSite) -> None:
    """What was agreed under one policy does not go on under another."""
    with site.talk() as caller:
        site.write_realtime_policy(extra="\n# changed\n")
        caller.say("hello")
        caller.assert_ended("hoopguard_policy_changed", 1012)
    assert site.realtime.heard == []
    site.write_realtime_policy()


def test_credentials_reach_nobody(site: RealtimeSite) -> None:
    """The model gets the connection's credential; a token is in no header, recording or log, wherever it came."""
    token = site.token()
    protocols = ["realtime", f"openai-insecure-api-key.{token}"]
    with site.talk(additional_headers={"cookie": "a=b"}, subprotocols=protocols) as caller:
        assert caller.ws.subprotocol == "realtime"
        caller.say("hello")
        caller.hear()
    with site.talk(token=token) as caller:
        pass
    assert [head["authorization"] for head in site.realtime.heads] == [f"Bearer {MODEL_KEY}"] * 2
    for head in site.realtime.heads:
        assert token not in str(head)
        assert "cookie" not in head
        assert "sec-websocket-extensions" not in head
        assert head["sec-websocket-protocol"] == "realtime"
    site.outcome(caller.exchange)
    site.assert_nothing_has(token)
    site.assert_nothing_has(MODEL_KEY)


def test_a_caller_cannot_keep_their_words_out_of_the_record(site: RealtimeSite) -> None:
    """An id that looks like speech makes none of a message; it counts and is kept like any other."""
    content = [{"type": "input_text", "text": "what nobody is to read later"}]
    item = {"type": "message", "role": "user", "content": content}
    with site.talk() as caller:
        caller.send("conversation.item.create", event_id="audio", item=item)
        caller.hear()
    flow = site.recorded(caller.exchange)
    assert flow.websocket is not None
    said = [json.loads(message.content) for message in flow.websocket.messages if message.from_client]
    assert [event["item"]["content"] for event in said] == [content]
    assert flow.metadata["hoopguard"]["unrecorded_audio"]["request"] == 0
