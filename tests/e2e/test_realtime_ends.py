"""How a live conversation ends: by itself, when nobody speaks any more; at its bounds; with either side; with us."""

import contextlib
import json
import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_realtime import PLACE
from harness import DEADLINE_S, open_socket, wait_for
from realtimesite import ONLY_LLAMA, RealtimeSite
from test_realtime_attacks import frame, item, opened
from websockets.sync.server import ServerConnection

COUNTING = Path(__file__).with_name("counting_addons.py")


@pytest.fixture(scope="module")
def _realtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealtimeSite]:
    with RealtimeSite(tmp_path_factory.mktemp("realtime")) as site:
        yield site.start(script=COUNTING, env={"HG_E2E_COUNTS": str(site.folder / "counts")})
        site.stop()
        site.assert_books_balance()
        site.verify()


@pytest.fixture
def site(_realtime: RealtimeSite) -> RealtimeSite:
    _realtime.realtime.forget()
    _realtime.write_realtime_policy()
    return _realtime


def answering(site: RealtimeSite) -> Any:
    """Return what lets the model begin an answer and not finish it."""

    def begin(ws: ServerConnection, event: dict[str, Any]) -> bool:
        site.realtime.say(ws, "response.created", response={"id": "resp_1", "object": "realtime.response"})
        site.realtime.say(ws, "response.output_text.delta", **PLACE, delta="I was about to say to ada@exam")
        return True

    return begin


def in_memory(site: RealtimeSite) -> dict[str, int]:
    """Return what the gateway's process still holds of conversations, by type."""
    file = site.folder / "counts"
    file.unlink(missing_ok=True)
    os.kill(site.pid, signal.SIGUSR1)
    wait_for(file.exists, "it has counted")
    found: dict[str, int] = json.loads(file.read_text())
    return found


def reset(connection: socket.socket) -> None:
    """Break a connection off."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RDWR)


def flood(connection: socket.socket, content: bytes) -> None:
    """Send the same for as long as it is taken."""
    while True:
        connection.sendall(content)


def send_until_over(site: RealtimeSite, connection: socket.socket, exchange: str, content: bytes) -> str:
    """Send the same again and again until the conversation is over; return why it is."""

    def over() -> bool:
        with contextlib.suppress(ConnectionError):
            connection.sendall(content)
        return bool(site.entries(exchange, "outcome"))

    wait_for(over, "it is over")
    return str(site.outcome(exchange)["reason"])


# ── nobody speaks ──


def test_an_idle_conversation_ends_when_its_token_expires(site: RealtimeSite) -> None:
    """Nobody has to speak for it; the caller is told, the model is closed, and there is one outcome."""
    with site.talk(token=site.token(expires_in=4.0)) as caller:
        caller.assert_ended("hoopguard_bad_token", 1008)
        outcome = site.outcome(caller.exchange)
    assert (outcome["outcome"], outcome["reason"].split(":")[0]) == ("rejected", "hoopguard_bad_token")
    wait_for(lambda: (1001, "") in site.realtime.closes, "the model is closed, too")


def test_an_idle_conversation_ends_when_the_policy_withdraws_the_caller(site: RealtimeSite) -> None:
    """Who may not begin a conversation any more is in none; connecting again is refused."""
    token = site.token(groups=("only-llama",))
    with site.talk(token=token) as caller, site.talk() as other:
        site.put_policy(site.policy.read_text().replace(ONLY_LLAMA, ""))
        caller.assert_ended("hoopguard_policy_changed", 1012)
        other.assert_ended("hoopguard_policy_changed", 1012)
        site.outcome(caller.exchange)
    with pytest.raises(Exception, match="403"), site.talk(token=token):
        raise AssertionError("it opened")
    with site.talk():
        pass


def test_an_idle_conversation_goes_on_while_it_may(site: RealtimeSite) -> None:
    """It was looked after several times, and nothing was said to anybody."""
    with site.talk() as caller:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            with pytest.raises(TimeoutError):
                caller.ws.recv(0.5)
        caller.say("hello")
        assert caller.hear()["type"] == "conversation.item.added"
    assert site.outcome(caller.exchange)["outcome"] == "allowed"


def test_a_hundred_conversations_leave_nothing_behind(site: RealtimeSite) -> None:
    """However they end, no object and no timer of theirs stays; the count does see those that live."""

    def converse(number: int) -> None:
        with site.talk() as caller:
            caller.say("hello")
            caller.hear()
            if number % 3 == 1:
                caller.ws.send(b"binary")
                caller.hear_all()
            if number % 3 == 2:
                reset(caller.ws.socket)

    wait_for(lambda: in_memory(site) == {}, "earlier ones are gone")
    with site.talk():
        assert in_memory(site) == {"Conversation": 1, "ConversationLayer": 1, "Exchange": 1, "HTTPFlow": 1, "alarms": 2}
    for number in range(100):
        converse(number)
    wait_for(lambda: in_memory(site) == {}, "all of them are gone")
    site.assert_books_balance()


# ── bounds ──


def test_one_message_in_fragments_that_never_end_is_bounded(site: RealtimeSite) -> None:
    """It ends where its size does; until then nobody hears of it."""
    with open_socket(site.port) as connection:
        exchange = opened(site, connection)
        connection.sendall(frame(b"x", fin=False))
        reason = send_until_over(site, connection, exchange, frame(b"x" * 100_000, opcode=0, fin=False))
    assert reason.startswith("hoopguard_body_too_large: A message")
    assert site.realtime.heard == []


def test_fragments_without_anything_in_them_go_nowhere(site: RealtimeSite) -> None:
    """Very many of them are one message that has not ended; the message is heard once it has."""
    message = item("hello")
    with open_socket(site.port) as connection:
        exchange = opened(site, connection)
        connection.sendall(frame(message[:9], fin=False) + frame(b"", opcode=0, fin=False) * 20_000)
        connection.sendall(frame(message[9:], opcode=0))
        wait_for(lambda: site.realtime.heard, "the model hears it")
    assert site.outcome(exchange)["outcome"] == "cancelled"


def test_a_flood_of_tiny_messages_ends_where_its_record_does(site: RealtimeSite) -> None:
    """What is counted is what the recording will hold, so that tiny messages cost a segment and no more."""
    site.put_policy(site.policy.read_text().replace("[record]", '[record]\nsegment_bytes = "64kB"'))
    with site.talk() as caller:
        heard: dict[str, Any] = {"type": "session.created"}
        while heard["type"] != "error":
            caller.say("hi")
            heard = caller.hear()
        assert caller.hear_all() == []
        assert (heard["error"]["code"], caller.ws.close_code) == ("hoopguard_body_too_large", 1009)
    assert site.outcome(caller.exchange)["reason"].startswith("hoopguard_body_too_large: The conversation")
    flow = site.recorded(caller.exchange)
    assert flow.websocket is not None
    assert json.loads(flow.websocket.messages[-1].content) == heard
    assert 56_000 < site.outcome(caller.exchange)["flow"]["length"] < 72_000


def test_whoever_pings_and_does_not_read_is_not_read_any_more(site: RealtimeSite) -> None:
    """The answers wait for them, and no more than some; others go on, and the model hears nothing of it."""
    with open_socket(site.port) as connection:
        exchange = opened(site, connection)
        connection.settimeout(1.0)
        with pytest.raises(TimeoutError):
            flood(connection, frame(b"p" * 125, opcode=9) * 500)
        with site.talk() as caller:
            caller.say("hello")
            assert caller.hear()["type"] == "conversation.item.added"
        connection.settimeout(DEADLINE_S)
        assert b"p" * 125 in connection.recv(65_536)
        reset(connection)
    assert site.outcome(exchange)["outcome"] == "cancelled"
    assert len(site.realtime.heard) == 1


# ── one side leaves ──


def test_a_caller_who_leaves_in_the_middle_of_an_answer_has_cancelled(site: RealtimeSite) -> None:
    """However politely; the record says that the answer was cut, and holds of it what was let out."""
    site.realtime.act = answering(site)
    with site.talk() as caller:
        caller.send("response.create")
        caller.hear_until("response.output_text.delta")
    outcome = site.outcome(caller.exchange)
    assert (outcome["outcome"], outcome["reason"]) == ("cancelled", "the caller left in the middle of an answer")
    flow = site.recorded(caller.exchange)
    assert flow.websocket is not None
    assert b"I was" in flow.websocket.messages[-1].content


@pytest.mark.parametrize("how", ["close", "close with an error", "shut down", "reset"])
def test_a_model_that_leaves_in_the_middle_of_an_answer_has_failed(site: RealtimeSite, how: str) -> None:
    """However politely; what is held of its answer is not shown, and the caller is told."""
    begin = answering(site)

    def leave(ws: ServerConnection, event: dict[str, Any]) -> bool:
        begin(ws, event)
        if how.startswith("close"):
            ws.close(1000 if how == "close" else 1011, "bye")
            return True
        if how == "reset":
            ws.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ws.socket.shutdown(socket.SHUT_RDWR)
        return True

    site.realtime.act = leave
    with site.talk() as caller:
        caller.send("response.create")
        before = caller.assert_ended("hoopguard_model_unreachable", 1011)
    assert "ada" not in json.dumps(before)
    assert site.outcome(caller.exchange)["outcome"] == "failed"


def test_a_model_that_leaves_after_its_answer_has_not_failed(site: RealtimeSite) -> None:
    """A conversation may end once everything is said."""

    def say_and_leave(ws: ServerConnection, event: dict[str, Any]) -> bool:
        site.realtime.tell(ws, "Good bye.")
        ws.close()
        return True

    site.realtime.act = say_and_leave
    with site.talk() as caller:
        caller.send("response.create")
        assert caller.hear_all()[-1]["type"] == "response.done"
        assert caller.ws.close_code == 1000
    assert site.outcome(caller.exchange)["outcome"] == "allowed"


# ── the gateway ends ──


def test_a_gateway_that_is_told_to_stop_takes_leave_first(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of callers who talk, wait or are being answered: each is told, closed with 1001 and recorded before it ends."""
    with RealtimeSite(tmp_path_factory.mktemp("stopping")) as own:
        own.realtime.act = answering(own)
        own.start_realtime()
        with own.talk() as idle, own.talk() as answered:
            answered.send("response.create")
            answered.hear_until("response.output_text.delta")
            os.kill(own.pid, signal.SIGTERM)
            for caller in (idle, answered):
                caller.assert_ended("hoopguard_stopping", 1001)
            assert own.running.wait(DEADLINE_S) == 0
        for caller in (idle, answered):
            outcome = own.outcome(caller.exchange)
            assert (outcome["outcome"], outcome["reason"].split(":")[0]) == ("failed", "hoopguard_stopping")
        own.assert_books_balance()
        own.verify()
