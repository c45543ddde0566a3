"""mitmproxy's HTTP layers, closed where they fail open.

The stations decide in hooks; but a hook that never ran decides nothing. So the last word is here, in the
proxy's own layers: no request leaves without the gate's clearance and to no other address than its
connection's; an answer that must not go on is ended properly and the model is read no further; an error of
the model, of the network or of mitmproxy itself reaches the caller in their API's shape, or not at all.

Written against mitmproxy 12.2 (``mitmproxy/proxy/layers/http``); ``tests/e2e`` holds what it promises.
"""

import logging
import time
from dataclasses import dataclass
from typing import Final

from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import HttpLayer, HttpStream, SendHttp, _http1
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._hooks import HttpRequestHeadersHook, HttpResponseHook
from mitmproxy.proxy.layers.http._http1 import Http1Server
from mitmproxy.proxy.layers.websocket import WebsocketEndHook
from mitmproxy.websocket import WebSocketData

from hoopguard.chain import Chain
from hoopguard.conversation_layer import ConversationLayer
from hoopguard.exchange import Exchange, Refused, Relay
from hoopguard.payload.errors import error_body, error_headers

_log = logging.getLogger(__name__)

MAX_HEADER_BYTES: Final = 65_536
_DRAINED_BYTES: Final = 65_536
_WATCH_EVERY_S: Final = 2.0
_TOO_LATE: Final = "it did not answer in time"

Commands = layer.CommandGenerator[None]


@dataclass
class StreamPieceHook(commands.StartHook):
    """A long piece of a streamed answer waits to be inspected; nothing else of this exchange goes on until it is."""

    flow: http.HTTPFlow


def guard(http_layer: HttpLayer, chain: Chain) -> None:
    """Turn a fresh HTTP layer of mitmproxy's into a guarded one."""
    http_layer.__class__ = GuardedLayer
    if isinstance(http_layer, GuardedLayer):
        http_layer.chain = chain
        http_layer.watch = None


def _error_response(status_code: int, message: str = "") -> bytes:
    """Answer in the caller's API what cannot be read as HTTP; mitmproxy would answer with a web page."""
    exchange_id = Exchange().id
    _log.warning("%s: a connection was closed: what came is not HTTP that can be read one way", exchange_id)
    body = error_body("openai", status_code, "hoopguard_bad_request", "The request is not proper HTTP.", exchange_id)
    headers = {**error_headers(status_code, exchange_id), "connection": "close"}
    raw: bytes = http1.assemble_response(http.Response.make(status_code, body, headers))
    return raw


_http1.make_error_response = _error_response


class ClosedLayer(layer.Layer):
    """Closes the caller's connection, whatever comes."""

    def _handle_event(self, event: events.Event) -> Commands:
        yield commands.CloseConnection(self.context.client)


class GuardedLayer(HttpLayer):
    """One caller's connection: whatever goes wrong in it closes it."""

    chain: Chain
    watch: commands.RequestWakeup | None

    def _handle_event(self, event: events.Event) -> Commands:
        if isinstance(event, events.Wakeup) and event.command is self.watch:
            yield from self._look_after_streams()
            return
        try:
            yield from super()._handle_event(event)
        except Exception:  # noqa: BLE001 - whatever it is, nothing more may pass here
            _log.exception("a connection was closed: its traffic could not be handled")
            yield from self._close(event)
            return
        if isinstance(event, events.DataReceived) and self._header_too_large(event.connection):
            _log.warning("a connection was closed: its request's header has more than %d bytes", MAX_HEADER_BYTES)
            yield commands.CloseConnection(event.connection)
        if self.streams and self.watch is None:
            yield from self._watch_again()

    def make_stream(self, stream_id: int) -> Commands:
        """Begin a request in a guarded stream."""
        self.streams[stream_id] = stream = GuardedStream(self.context.fork(), stream_id)
        stream.chain = self.chain
        yield from self.event_to_child(stream, events.Start())

    def _header_too_large(self, connection: Connection) -> bool:
        reader = self.connections.get(connection)
        return (
            isinstance(reader, Http1Server)
            and reader.state == reader.read_headers
            and len(reader.buf) > MAX_HEADER_BYTES
        )

    def _close(self, event: events.Event) -> Commands:
        """Close the side that the failed event came from; if it came from none, the caller's."""
        connection = event.connection if isinstance(event, events.ConnectionEvent) else self.context.client
        yield commands.CloseConnection(connection)

    def _watch_again(self) -> Commands:
        self.watch = commands.RequestWakeup(_WATCH_EVERY_S)
        yield self.watch

    def _look_after_streams(self) -> Commands:
        """End what has waited too long for its model; one timer a connection, only while something runs."""
        self.watch = None
        now = time.monotonic()
        for stream in list(self.streams.values()):
            if isinstance(stream, GuardedStream) and stream.waited_too_long(now):
                error = ResponseProtocolError(stream.stream_id, _TOO_LATE, ErrorCode.GENERIC_SERVER_ERROR)
                yield from self.event_to_child(stream, error)
        if self.streams:
            yield from self._watch_again()


class GuardedStream(HttpStream):
    """One request and its answer."""

    chain: Chain
    over = False
    heard_at: float | None = None

    def waited_too_long(self, now: float) -> bool:
        """Tell whether the model has been silent for longer than its connection allows."""
        exchange = self._exchange()
        if self.over or self.heard_at is None or exchange is None or exchange.connection is None:
            return False
        return bool(now - self.heard_at > exchange.connection.answer_timeout_s)

    def make_server_connection(self) -> layer.CommandGenerator[bool]:
        """Open, or take, the connection to the model; only for a cleared request, only to its own upstream."""
        exchange = self._exchange()
        request = self.flow.request
        target = exchange.target if exchange is not None and exchange.cleared else None
        if target is None or (request.scheme, request.host, request.port) != (target.scheme, target.host, target.port):
            _log.error("a request without clearance was stopped before it could leave")
            yield from self._answer(_uncleared())
            return False
        ok = yield from super().make_server_connection()
        self.heard_at = time.monotonic()
        if ok and exchange is not None and exchange.opening is not None and self.context.server.alpn == b"h2":
            yield from self._answer(_cannot_upgrade())
            return False
        return ok

    def state_wait_for_response_headers(self, event: HttpEvent) -> Commands:
        """Take the answer's head; if a station refused it, answer at once and read the model no further."""
        self.heard_at = time.monotonic()
        yield from super().state_wait_for_response_headers(event)
        exchange = self._exchange()
        if not self.over and exchange is not None and exchange.refusal is not None:
            yield from self._stop_model("refused")
            yield from self._send()

    def state_consume_response_body(self, event: HttpEvent) -> Commands:
        """Collect a whole answer."""
        self.heard_at = time.monotonic()
        yield from super().state_consume_response_body(event)

    def state_stream_response_body(self, event: HttpEvent) -> Commands:
        """Pass a streamed answer on; where the relay ends it, end it properly."""
        self.heard_at = time.monotonic()
        exchange = self._exchange()
        relay = exchange.relay if exchange is not None else None
        chunk = event.data if isinstance(event, ResponseData) else b""
        aside = relay is not None and relay.is_long(chunk)
        if relay is not None and aside:
            yield from self._relay_aside(relay, chunk)
        if not aside or not isinstance(event, ResponseData):
            yield from super().state_stream_response_body(event)
        if isinstance(event, ResponseData) and not self.over and relay is not None and relay.over:
            yield from self._stop_model("the stream is over")
            yield from self._send(already_streamed=True)

    def _relay_aside(self, relay: Relay, chunk: bytes) -> Commands:
        """Have a long piece of an answer inspected, while others go on."""
        relay.wait(chunk)
        yield StreamPieceHook(self.flow)
        self.heard_at = time.monotonic()
        for part in relay.take():
            yield SendHttp(ResponseData(self.stream_id, part), self.context.client)

    def send_response(self, already_streamed: bool = False) -> Commands:
        """Answer the caller; a conversation that they did not wait for has an outcome, too."""
        yield from super().send_response(already_streamed)
        exchange = self._exchange()
        if exchange is not None and exchange.conversation is not None and self.child_layer is None:
            yield WebsocketEndHook(self.flow)

    def flow_done(self) -> Commands:
        """Be done with the request, or begin the conversation that it has opened."""
        exchange = self._exchange()
        if exchange is None or exchange.conversation is None:
            yield from super().flow_done()
            return
        self.heard_at = None
        self.flow.websocket = WebSocketData()
        self.child_layer = ConversationLayer(self.context, self.flow, exchange.conversation)
        self._handle_event = self.passthrough
        yield from self.child_layer.handle_event(events.Start())
        yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)

    def handle_protocol_error(self, event: RequestProtocolError | ResponseProtocolError) -> Commands:
        """Tell the caller of the model's failure as their API does, or end the stream as it does."""
        if self.over:
            self.server_state = self.state_errored
            return
        waiting = self.client_state == self.state_done
        if isinstance(event, ResponseProtocolError) and waiting and event.code is not ErrorCode.KILL:
            if self.server_state == self.state_stream_response_body:
                yield from self._end_broken_stream(event.message)
                return
            if self.server_state in (self.state_wait_for_response_headers, self.state_consume_response_body):
                yield from self._stop_model(event.message)
                yield from self._answer(_model_failed(event.message))
                return
        yield from super().handle_protocol_error(event)

    def check_body_size(self, request: bool) -> layer.CommandGenerator[bool]:
        """Refuse what is larger than the policy allows, in the API's shape; take little of what is refused anyway."""
        if not self._too_large(request):
            return False
        if not request:
            yield from self._stop_model("its answer is too large")
            yield from self._answer(_answer_too_large())
            return True
        if self._exchange() is None:
            yield HttpRequestHeadersHook(self.flow)
        exchange = self._exchange()
        refused = exchange.refusal if exchange is not None and exchange.refusal is not None else _request_too_large()
        self.request_body_buf.clear()
        yield from self._answer(refused, close=True)
        return True

    def _too_large(self, request: bool) -> bool:
        exchange = self._exchange()
        unwanted = request and exchange is not None and exchange.refusal is not None
        limit = _DRAINED_BYTES if unwanted else self.chain.max_body_bytes
        message: http.Message | None = self.flow.request if request else self.flow.response
        received = len(self.request_body_buf if request else self.response_body_buf)
        if received or message is None:
            return received > limit
        declared = message.headers.get("content-length", "")
        return declared.isdigit() and int(declared[:20]) > limit

    def _answer(self, refused: Refused, *, close: bool = False) -> Commands:
        """Answer the caller ourselves."""
        self.chain.refuse(self.flow, refused)
        if close and self.flow.response is not None:
            self.flow.response.headers["connection"] = "close"
            yield from self._send_and_close()
            return
        yield from self._send()

    def _send(self, *, already_streamed: bool = False) -> Commands:
        self.over = True
        yield from self.send_response(already_streamed=already_streamed)
        self.server_state = self.state_errored

    def _send_and_close(self) -> Commands:
        """Answer a request whose body is still coming, and take no more of it."""
        self.over = True
        self.client_state = self.server_state = self.state_errored
        yield HttpResponseHook(self.flow)
        response = self.flow.response
        if response is not None:
            yield SendHttp(ResponseHeaders(self.stream_id, response, False), self.context.client)
            yield SendHttp(ResponseData(self.stream_id, response.raw_content or b""), self.context.client)
            yield SendHttp(ResponseEndOfMessage(self.stream_id), self.context.client)
        yield SendHttp(ResponseProtocolError(self.stream_id, "closed", ErrorCode.KILL), self.context.client)
        self.flow.live = False

    def _end_broken_stream(self, message: str) -> Commands:
        exchange = self._exchange()
        relay = exchange.relay if exchange is not None else None
        yield from self._stop_model(message)
        last = relay.cut(message) if relay is not None else b""
        if last:
            yield SendHttp(ResponseData(self.stream_id, last), self.context.client)
        yield from self._send(already_streamed=True)

    def _stop_model(self, reason: str) -> Commands:
        """Close the model's side of this request, if there is one."""
        if self.context.server in self._layer().connections:
            yield SendHttp(RequestProtocolError(self.stream_id, reason, ErrorCode.CANCEL), self.context.server)

    def _layer(self) -> HttpLayer:
        parent = self.context.layers[self.context.layers.index(self) - 1]
        if not isinstance(parent, HttpLayer):
            raise TypeError("a stream stands in an HTTP layer")
        return parent

    def _exchange(self) -> Exchange | None:
        try:
            return Exchange.of(self.flow)
        except (LookupError, AttributeError):
            return None


def _uncleared() -> Refused:
    return Refused(503, "hoopguard_failed", "The gateway did not clear this request; nothing was sent.", "failed")


def _cannot_upgrade() -> Refused:
    message = "The model server speaks HTTP/2, over which this WebSocket cannot be opened."
    return Refused(502, "hoopguard_bad_answer", message, "failed")


def _model_failed(message: str) -> Refused:
    if message == _TOO_LATE:
        return Refused(504, "hoopguard_model_timeout", "The model did not answer in time.", "failed")
    return Refused(
        502, "hoopguard_model_unreachable", "The model could not be reached, or broke off its answer.", "failed"
    )


def _answer_too_large() -> Refused:
    return Refused(502, "hoopguard_answer_too_large", "The model's answer is larger than max_body_bytes.", "failed")


def _request_too_large() -> Refused:
    return Refused(413, "hoopguard_body_too_large", "The request is larger than max_body_bytes allows.", "rejected")
