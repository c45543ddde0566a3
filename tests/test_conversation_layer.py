"""The frames of a live conversation: what waits while a message is inspected, and who looks after a silent one."""

from typing import Any, cast

import pytest
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.http import HTTPFlow
from mitmproxy.options import Options
from mitmproxy.proxy import commands, context, events
from mitmproxy.proxy.layers.websocket import WebsocketEndHook, WebsocketMessageHook
from mitmproxy.test import tflow
from mitmproxy.websocket import WebSocketData
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Message, TextMessage

from hoopguard.conversation import Conversation, Heard, Silence, Turn
from hoopguard.conversation_layer import ConversationLayer
from hoopguard.exchange import Refused


class FakeConversation:
    """Passes what callers say on to the model; remembers what it was shown."""

    max_message_bytes = 1_000

    def __init__(self) -> None:
        self.heard: Heard | Silence | None = None
        self.turn: Turn | None = None
        self.refused: Refused | None = None

    def content(self) -> bytes:
        """Return the message that is being inspected."""
        assert isinstance(self.heard, Heard)
        assert self.heard.content is not None
        return self.heard.content

    def end(self, refused: Refused, close: int | None = None) -> Turn:
        self.refused = refused
        return Turn(to_caller=(refused.code.encode(),), close=close or 1008)

    def fail(self) -> Turn:
        return self.end(Refused(503, "failed", "failed"))


class Talk:
    """A layer, a caller and a model, without a socket between them."""

    def __init__(self) -> None:
        client = Client(peername=("a", 1), sockname=("b", 2), state=ConnectionState.OPEN)
        self.context = context.Context(client, Options())
        self.context.server = Server(address=("model", 80))
        self.context.server.state = ConnectionState.OPEN
        self.flow: HTTPFlow = tflow.tflow(resp=True)
        self.flow.websocket = WebSocketData()
        self.conversation = FakeConversation()
        self.layer = ConversationLayer(self.context, self.flow, cast("Conversation", self.conversation))
        self.caller, self.model = Connection(ConnectionType.CLIENT), Connection(ConnectionType.SERVER)
        self.done: list[commands.Command] = []
        self.take(events.Start())

    def take(self, event: events.Event) -> None:
        self.done += self.layer.handle_event(event)

    def say(self, text: str) -> None:
        self.take(events.DataReceived(self.context.client, self.caller.send(Message(text))))

    def reply(self, text: str) -> None:
        self.take(events.DataReceived(self.context.server, self.model.send(Message(text))))

    def pending(self) -> Any:
        """Return the one hook that is not answered yet."""
        return next(each for each in reversed(self.done) if isinstance(each, commands.StartHook))

    def answer(self, turn: Turn | None = None) -> None:
        """Let a hook end, with what comes of it."""
        self.conversation.turn = turn
        self.take(events.HookCompleted(self.pending(), None))

    def alarms(self) -> list[commands.RequestWakeup]:
        return [each for each in self.done if isinstance(each, commands.RequestWakeup)]

    def closed(self) -> list[Any]:
        return [each.connection for each in self.done if isinstance(each, commands.CloseConnection)]

    def told(self, side: Connection, conn: Any) -> list[Any]:
        """Return what one side has been sent, as messages and a close code."""
        for each in self.done:
            if isinstance(each, commands.SendData) and each.connection == conn:
                side.receive_data(each.data)
        found = list(side.events())
        texts = [each.data for each in found if isinstance(each, TextMessage)]
        return [*texts, *(int(each.code) for each in found if isinstance(each, CloseConnection))]

    def caller_was_told(self) -> list[Any]:
        return self.told(self.caller, self.context.client)


@pytest.mark.parametrize(("from_caller", "code"), [(True, "body_too_large"), (False, "answer_too_large")])
def test_what_waits_is_bounded_and_its_sender_is_named(from_caller: bool, code: str) -> None:
    """While one message is being inspected, two of the largest may wait, whoever's message it is; then it is over."""
    talk = Talk()
    talk.say("{}")
    for _ in range(3):
        (talk.say if from_caller else talk.reply)("x" * 900)
    talk.answer(Turn(to_model=(b"{}",)))
    assert isinstance(talk.pending(), WebsocketEndHook)
    assert talk.caller_was_told() == [f"hoopguard_{code}", 1008]
    assert talk.told(talk.model, talk.context.server) == [1001]


def test_what_waits_is_heard_in_its_order() -> None:
    """Up to the bound nothing is lost, and what has been heard does not count any more."""
    talk = Talk()
    texts = [f"{number:900}" for number in range(8)]
    talk.say(texts[0])
    for text in texts[1:]:
        talk.say(text)
        assert talk.conversation.content().decode() == texts[texts.index(text) - 1]
        talk.answer(Turn(to_model=(talk.conversation.content(),)))
    talk.answer(Turn(to_model=(talk.conversation.content(),)))
    assert talk.told(talk.model, talk.context.server) == texts


def test_a_silent_conversation_is_looked_after_again_and_again() -> None:
    """Each alarm has the stations asked, and sets the next one."""
    talk = Talk()
    for count in range(1, 4):
        assert len(talk.alarms()) == count
        talk.take(events.Wakeup(talk.alarms()[-1]))
        assert isinstance(talk.pending(), WebsocketMessageHook)
        assert isinstance(talk.conversation.heard, Silence)
        talk.answer(Turn())
    assert talk.caller_was_told() == []


def test_an_alarm_waits_for_the_message_at_hand() -> None:
    """One thing at a time is inspected."""
    talk = Talk()
    talk.say("{}")
    talk.take(events.Wakeup(talk.alarms()[-1]))
    assert isinstance(talk.conversation.heard, Heard)
    talk.answer(Turn())
    assert isinstance(talk.conversation.heard, Silence)


def test_a_conversation_that_silence_ends_sets_no_further_alarm_but_the_last() -> None:
    """That one closes the connection of a caller who does not answer our close; older ones mean nothing any more."""
    talk = Talk()
    first = talk.alarms()[-1]
    talk.take(events.Wakeup(first))
    talk.answer(Turn(to_caller=(b"bye",), close=1008))
    talk.answer()
    assert talk.caller_was_told() == ["bye", 1008]
    assert len(talk.alarms()) == 2
    talk.take(events.Wakeup(first))
    assert talk.closed() == [talk.context.server]
    talk.take(events.Wakeup(talk.alarms()[-1]))
    assert talk.closed() == [talk.context.server, talk.context.client]


def test_a_hook_that_says_nothing_ends_the_conversation() -> None:
    """Whatever was heard: no turn, no going on."""
    talk = Talk()
    talk.take(events.Wakeup(talk.alarms()[-1]))
    talk.answer(None)
    talk.answer()
    assert talk.caller_was_told() == ["failed", 1008]
