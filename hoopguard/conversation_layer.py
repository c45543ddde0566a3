"""The WebSocket of a live conversation, between caller and model; in place of mitmproxy's own, which fails open.

Frames are read here, and messages go to the conversation whole. Only what its turns say is written, in frames of our
own: nothing of either side's framing, pings, close reasons or extensions reaches the other. Whatever goes wrong ends
the conversation, and it has one outcome.

Written against mitmproxy 12.2 (``mitmproxy/proxy/layers/websocket.py``) and RFC 6455.
"""

import asyncio
import logging
import time
from typing import Final
from weakref import WeakSet

from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.websocket import WebsocketEndHook, WebsocketMessageHook
from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from hoopguard.conversation import Conversation, Heard, Silence, Turn
from hoopguard.exchange import Refused

_log = logging.getLogger(__name__)

_LINGER_S: Final = 5.0
"""How long a caller has to answer our close, so that no reset takes the last event from under their eyes."""

_LOOK_EVERY_S: Final = 2.0
"""How often it is seen to that a conversation in which nobody speaks may go on."""

_STOP_S: Final = 5.0

_OPEN: Final = frozenset({ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING})

Commands = layer.CommandGenerator[None]

_LIVING: Final[WeakSet[Conversation]] = WeakSet()
"""The conversations whose outcome is not recorded yet."""


async def end_conversations(within_s: float = _STOP_S) -> None:
    """Have every conversation end because the gateway does, and wait until their outcomes are recorded."""
    until = time.monotonic() + within_s
    while (living := list(_LIVING)) and time.monotonic() < until:
        for conversation in living:
            conversation.stopping = True
        await asyncio.sleep(0.05)
    if living:
        _log.warning("%d conversations did not end in time", len(living))


class _Side:
    """One end of the conversation, and the message that it is saying."""

    def __init__(self, conn: Connection, kind: ConnectionType) -> None:
        self.conn = conn
        self.ws = Frames(kind)
        self.said = bytearray()

    def take_message(self) -> bytes:
        """Return the message that is now whole."""
        message = bytes(self.said)
        self.said.clear()
        return message


class ConversationLayer(layer.Layer):
    """Reads and writes the frames of both sides."""

    def __init__(self, context: Context, flow: http.HTTPFlow, conversation: Conversation) -> None:
        super().__init__(context)
        self.flow = flow
        self._conversation = conversation
        self._caller = _Side(context.client, ConnectionType.SERVER)
        self._model = _Side(context.server, ConnectionType.CLIENT)
        self._waiting = 0
        self._flooder: _Side | None = None
        self._over = False
        self._alarm: commands.RequestWakeup | None = None

    def handle_event(self, event: events.Event) -> Commands:
        """Take an event; what comes while a message is being inspected waits, but not more than two messages of it."""
        if self._paused and isinstance(event, events.DataReceived):
            if self._waiting + len(event.data) > 2 * self._conversation.max_message_bytes:
                self._flooder = self._side_of(event)
                return
            self._waiting += len(event.data)
        yield from super().handle_event(event)

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, events.Start):
            _LIVING.add(self._conversation)
            yield from self._wake_in(_LOOK_EVERY_S)
            return
        if self._over:
            yield from self._linger(event)
            return
        try:
            yield from self._relay(event)
        except Exception:  # noqa: BLE001 - whatever it is, nothing more may pass here
            _log.exception("a conversation was ended: its frames could not be handled")
            yield from self._play(self._conversation.fail())

    def _wake_in(self, delay_s: float) -> Commands:
        """Set the alarm; an older one is not heard any more. mitmproxy drops it with the caller's connection."""
        self._alarm = commands.RequestWakeup(delay_s)
        yield self._alarm

    def _relay(self, event: events.Event) -> Commands:
        if isinstance(event, events.Wakeup) and event.command is self._alarm:
            yield from self._hear(Silence())
            if not self._over:
                yield from self._wake_in(_LOOK_EVERY_S)
        if not isinstance(event, events.ConnectionEvent):
            return
        side = self._side_of(event)
        if isinstance(event, events.ConnectionClosed):
            side.ws.receive_data(None)
            yield from self._hear(Heard(side is self._caller, None, cleanly=False))
            return
        if isinstance(event, events.DataReceived):
            self._waiting = max(0, self._waiting - len(event.data))
            side.ws.receive_data(event.data)
            for found in side.ws.events():
                yield from self._frame(side, found)
                if self._over:
                    return

    def _side_of(self, event: events.ConnectionEvent) -> _Side:
        return self._caller if event.connection == self._caller.conn else self._model

    def _frame(self, side: _Side, found: Event) -> Commands:
        """Take what a frame says, or the part of it that has come."""
        if isinstance(found, TextMessage):
            side.said += found.data.encode()
            if len(side.said) > self._conversation.max_message_bytes:
                yield from self._refuse(_too_large(side is self._caller))
            elif found.message_finished:
                yield from self._hear(Heard(side is self._caller, side.take_message()))
        elif isinstance(found, Ping):
            yield commands.SendData(side.conn, side.ws.send(found.response()))
        elif isinstance(found, BytesMessage):
            yield from self._refuse(_binary(side is self._caller), CloseReason.UNSUPPORTED_DATA)
        elif isinstance(found, CloseConnection):
            if side.ws.state is ConnectionState.REMOTE_CLOSING:
                yield from self._hear(Heard(side is self._caller, None))
            else:  # nobody said goodbye: wsproto found a frame that the protocol does not allow
                yield from self._refuse(_malformed(side is self._caller), found.code)

    def _hear(self, heard: Heard | Silence) -> Commands:
        """Have a message inspected, a farewell, or that nobody speaks."""
        self._conversation.heard, self._conversation.turn = heard, None
        yield WebsocketMessageHook(self.flow)
        if self._flooder is not None:
            yield from self._refuse(_too_much(self._flooder is self._caller))
        else:
            yield from self._play(self._conversation.turn or self._conversation.fail())

    def _refuse(self, refused: Refused, close: int | None = None) -> Commands:
        yield from self._play(self._conversation.end(refused, close))

    def _play(self, turn: Turn) -> Commands:
        """Write what a turn says, and end after it if it says so."""
        for side, messages in ((self._model, turn.to_model), (self._caller, turn.to_caller)):
            for message in messages if side.ws.state is ConnectionState.OPEN else ():
                yield commands.SendData(side.conn, side.ws.send(TextMessage(message.decode())))
        if turn.close is not None:
            yield from self._end(turn.close)

    def _end(self, close: int) -> Commands:
        """Take leave of both sides; the caller has a moment to read what they were told."""
        self._over = True
        data = self.flow.websocket
        if data is not None:
            data.timestamp_end, data.close_code, data.close_reason = time.time(), close, ""
            data.closed_by_client = self._caller.ws.state is not ConnectionState.OPEN
        for side, code in ((self._model, CloseReason.GOING_AWAY), (self._caller, close)):
            if side.ws.state in _OPEN:
                yield commands.SendData(side.conn, side.ws.send(CloseConnection(code)))
        yield commands.CloseConnection(self._model.conn)
        yield WebsocketEndHook(self.flow)
        _LIVING.discard(self._conversation)
        self.flow.live = False
        if self._caller.ws.state is ConnectionState.CLOSED:
            yield commands.CloseConnection(self._caller.conn)
        else:
            yield from self._wake_in(_LINGER_S)

    def _linger(self, event: events.Event) -> Commands:
        """Wait for the caller's answer to our close; nothing that they still say is heard."""
        if isinstance(event, events.Wakeup):
            done = event.command is self._alarm
        elif isinstance(event, events.ConnectionEvent) and self._side_of(event) is self._caller:
            done = not isinstance(event, events.DataReceived) or self._answers_our_close(event.data)
        else:
            done = False
        if done:
            yield commands.CloseConnection(self._caller.conn)

    def _answers_our_close(self, data: bytes) -> bool:
        if self._caller.ws.state is not ConnectionState.LOCAL_CLOSING:
            return True
        self._caller.ws.receive_data(data)
        return any(isinstance(found, CloseConnection) for found in self._caller.ws.events())


def _too_large(from_caller: bool) -> Refused:
    if from_caller:
        return Refused(413, "hoopguard_body_too_large", "A message is larger than max_body_bytes allows.")
    message = "A message of the model's is larger than max_body_bytes allows."
    return Refused(502, "hoopguard_answer_too_large", message, "failed")


def _too_much(from_caller: bool) -> Refused:
    if from_caller:
        return Refused(413, "hoopguard_body_too_large", "More was sent at once than can wait to be inspected.")
    message = "The model said more at once than can wait to be inspected."
    return Refused(502, "hoopguard_answer_too_large", message, "failed")


def _binary(from_caller: bool) -> Refused:
    if from_caller:
        return Refused(400, "hoopguard_bad_body", "A message has to be text.")
    return Refused(502, "hoopguard_bad_answer", "The model sent what is not text.", "failed")


def _malformed(from_caller: bool) -> Refused:
    if from_caller:
        return Refused(400, "hoopguard_bad_body", "A frame is not one that RFC 6455 allows here.")
    return Refused(502, "hoopguard_bad_answer", "The model sent a frame that RFC 6455 does not allow.", "failed")
