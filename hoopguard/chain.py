"""The one place that fixes the order of the stations, and the gate behind them.

mitmproxy fails open: an exception in a hook is logged and the request goes upstream, and the script's
other addons are skipped. So every station is called from here, inside one fail-closed wrapper, and each
leaves its stamp; the gate clears a request only if all stamps are there. What is not cleared is not sent:
:mod:`hoopguard.transport` asks for the clearance again before it opens a connection.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from mitmproxy import connection, http

from hoopguard.conversation import Conversation
from hoopguard.exchange import Exchange, Refused
from hoopguard.payload import coding, strict_json
from hoopguard.payload.bodies import NOTHING, Written, parse_aside
from hoopguard.payload.errors import error_headers, error_of
from hoopguard.payload.fields import read_aside, replace
from hoopguard.payload.formats import api_of
from hoopguard.payload.streaming import AnswerStream, Channel
from hoopguard.policy import PolicyHolder

_log = logging.getLogger(__name__)

ORDER: Final = ("identity", "guardrail", "approval", "masking", "recorder")
"""The stations, as a request walks through them; an answer walks the other way."""

_QUOTED: Final = re.compile(r"(['\"]).*\1", re.DOTALL)
"""What mitmproxy quotes in its messages: bytes of callers and models, which no record may have."""

_FRAMING: Final = frozenset({b"content-encoding", b"content-length", b"content-type", b"transfer-encoding"})

_BUG: Final = Refused(
    503, "hoopguard_failed", "The gateway could not finish its checks; nothing was let through.", "failed"
)


class Station(Protocol):
    """An addon with a name and any of the hooks ``requestheaders, request, responseheaders, response``."""

    name: str


class Relay:
    """Moves a streamed answer from the model to the caller, and ends it at the first doubt.

    A stream callback that raises would lose that chunk and let the rest out, so this one never does.
    """

    def __init__(self, exchange: Exchange, stream: AnswerStream) -> None:
        self.over = False
        self._exchange = exchange
        self._stream = stream
        self._size = 0
        self._limit: int = exchange.policy.policy.gateway.max_body_bytes

    def __call__(self, chunk: bytes) -> list[bytes]:
        """Take a chunk of the model's (empty at the end); return the chunks that the caller may have."""
        if self.over:
            return []
        try:
            out = self._stream.feed(chunk) if chunk else self._stream.finish()
            self.over = self._stream.ended
        except BaseException:  # noqa: BLE001 - whatever it is, an exit too, the stream must end here
            _log.exception("%s: the answer's stream was ended, it could not be inspected", self._exchange.id)
            out = self._fail("The answer could not be inspected; the stream ends here.")
        if self._size + len(out) > self._limit:
            out = self._fail("The answer is longer than max_body_bytes allows; the stream ends here.")
        return self._kept(out)

    def cut(self, reason: str) -> bytes:
        """End the stream after the model broke it off; return the last bytes for the caller."""
        out = b"" if self.over else self._fail(f"The model broke off its answer: {_QUOTED.sub('…', reason)}")
        return b"".join(self._kept(out))

    def _fail(self, message: str) -> bytes:
        self.over = True
        self._exchange.finish("failed", message)
        return self._stream.fail(502, "hoopguard_stream_failed", message, self._exchange.id)

    def _kept(self, out: bytes) -> list[bytes]:
        """Count what the caller gets, and keep it for the record if it is kept."""
        self._size += len(out)
        recorded = self._stream.take_recorded(out)
        if recorded and self._exchange.sent is not None:
            self._exchange.sent += recorded
        return [out] if out else []


class Chain:
    """The five stations as one mitmproxy addon."""

    name = "hoopguard"

    def __init__(self, policy: PolicyHolder, stations: Sequence[Station]) -> None:
        self._policy = policy
        self._stations = tuple(stations)

    @property
    def max_body_bytes(self) -> int:
        """Return how large a body may be under the policy in force."""
        return self._policy.current.policy.gateway.max_body_bytes

    async def http_connect(self, flow: http.HTTPFlow) -> None:
        """Let a tunnel open only if a station says so; every request in it is looked at again."""
        exchange = Exchange.begin(flow)
        await self._walk(flow, "http_connect", self._stations)
        if exchange.refusal is not None:
            _log.warning("%s: tunnel refused: %s", exchange.id, exchange.refusal)

    async def client_disconnected(self, client: connection.Client) -> None:
        """Tell the stations that a caller's connection is gone."""
        for station in self._stations:
            await _call(station, "client_disconnected", client)

    async def running(self) -> None:
        """Tell the stations that the gateway has begun."""
        for station in self._stations:
            await _call(station, "running")

    async def done(self) -> None:
        """Tell the stations that the gateway ends, the last one first."""
        for station in self._stations[::-1]:
            try:
                await _call(station, "done")
            except Exception:  # noqa: BLE001 - the others have to end as well
                _log.exception("%s did not end well", station.name)

    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Begin an exchange: who asks, and of which model server, is settled before the body is read."""
        exchange = Exchange.begin(flow)
        try:
            exchange.policy = await self._policy.refresh()
            exchange.facts["policy"] = exchange.policy.digest
        except Exception:  # noqa: BLE001 - fail closed
            self._crashed(flow, exchange, "policy")
            return
        await self._walk(flow, "requestheaders", self._stations)

    async def request(self, flow: http.HTTPFlow) -> None:
        """Walk the request through the stations; the gate comes last."""
        if self._begun(flow).answered:
            return
        await self._walk(flow, "request", self._stations)
        self._gate(flow)

    async def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Settle how the answer comes, whole or as a stream."""
        exchange = self._begun(flow)
        if exchange.answered:
            return
        if _opens_conversation(flow, exchange):
            await self._converse(flow, exchange)
            return
        try:
            _settle_form(flow, exchange)
        except Refused as refused:
            self.refuse(flow, refused)
            return
        await self._walk(flow, "responseheaders", self._stations[::-1])
        if flow.response is not None and not exchange.answered and exchange.facts["streamed"]:
            self._relay(flow, exchange)

    async def response(self, flow: http.HTTPFlow) -> None:
        """Walk a whole answer through the stations, or settle a stream that has ended."""
        exchange = self._begun(flow)
        if exchange.conversation is not None:
            return
        if not exchange.answered and exchange.relay is None:
            await self._read_answer(flow, exchange)
        if not exchange.answered and exchange.relay is None:
            await self._walk(flow, "response", self._stations[::-1])
            self._answer_gate(flow, exchange)
        if exchange.relay is not None:
            exchange.finish("allowed", "")
        elif exchange.refusal is not None:
            self._answer_refusal(flow, exchange, exchange.refusal)
        await self._settle(flow, exchange)

    async def error(self, flow: http.HTTPFlow) -> None:
        """Settle an exchange that ended without an answer: the caller hung up, or the connection broke."""
        exchange = self._begun(flow)
        message = _QUOTED.sub("…", flow.error.msg) if flow.error else "unknown"
        if flow.error is not None:
            flow.error.msg = message
        exchange.finish("cancelled", f"the caller's connection ended: {message}")
        await self._settle(flow, exchange)

    async def websocket_message(self, flow: http.HTTPFlow) -> None:
        """Have what was heard in a conversation inspected; without one, nothing goes on."""
        conversation: Conversation | None = self._begun(flow).conversation
        if conversation is not None:
            await conversation.hear(flow)

    async def websocket_end(self, flow: http.HTTPFlow) -> None:
        """Settle a conversation that has ended."""
        exchange = self._begun(flow)
        exchange.finish("failed", "the conversation ended before it could begin")
        await self._settle(flow, exchange)

    def refuse(self, flow: http.HTTPFlow, refused: Refused) -> None:
        """Answer the caller in their API's shape, instead of the model."""
        exchange = self._begun(flow)
        # A traceback would hold the flow, and with it the exchange, for ever.
        refused.__traceback__ = refused.__cause__ = refused.__context__ = None
        exchange.refusal = refused
        exchange.cleared = False
        exchange.conversation = None
        exchange.finish(refused.outcome, f"{refused.code}: {refused.message}")
        self._answer_refusal(flow, exchange, refused)

    def _answer_refusal(self, flow: http.HTTPFlow, exchange: Exchange, refused: Refused) -> None:
        """Put the refusal in place of whatever answer there is; mitmproxy may have put the model's there."""
        status, api = refused.status, _api(flow, exchange)
        body: Any = error_of(api, status, refused.code, refused.message, exchange.id, **refused.more)
        if exchange.format is not None and exchange.format.refusal is not None:
            status, body = exchange.format.refusal(exchange.body, status, body)
        exchange.facts["status"] = status
        headers = error_headers(refused.status, exchange.id)
        # HEAD has no body (RFC 9110 §9.3.2); one would be read as the next answer.
        content = b"" if flow.request.method == "HEAD" else strict_json.dump(body)
        flow.response = http.Response.make(status, content, headers)

    def _begun(self, flow: http.HTTPFlow) -> Exchange:
        """Return the flow's exchange; one that did not enter through the chain gets one, already failed."""
        try:
            return Exchange.of(flow)
        except LookupError:
            exchange = Exchange.begin(flow)
            self._crashed(flow, exchange, "entry")
            return exchange

    async def _walk(self, flow: http.HTTPFlow, phase: str, stations: Sequence[Station]) -> None:
        """Call ``phase`` of each station in turn, until one refuses or fails."""
        exchange = Exchange.of(flow)
        for station in stations:
            try:
                await _call(station, phase, flow)
                exchange.stamp(station.name, phase)
            except Refused as refused:
                self.refuse(flow, refused)
                return
            except BaseException:  # a bug must refuse, never let through, nor end the gateway
                self._crashed(flow, exchange, f"{station.name}.{phase}")
                if _cancelled():
                    raise
                return

    def _crashed(self, flow: http.HTTPFlow, exchange: Exchange, where: str) -> None:
        _log.exception("%s: failed in %s; refused", exchange.id, where)
        self.refuse(flow, _BUG)

    def _gate(self, flow: http.HTTPFlow) -> None:
        """Clear the request if every station has stamped it; write the body that was inspected."""
        exchange = Exchange.of(flow)
        if exchange.answered:
            return
        missing = [name for name in ORDER if not exchange.stamped(name, "request")]
        if missing or not _looked_into(exchange):
            _log.error("%s: no stamp of %s; refused", exchange.id, ", ".join(missing))
            self.refuse(flow, _BUG)
            return
        flow.request.trailers = None
        says_nothing = exchange.body is None or exchange.format.live
        _put_body(flow.request, NOTHING if says_nothing else exchange.format.body.write(exchange.body))
        if exchange.format.live:
            del flow.request.headers["content-length"]  # servers take a handshake that has one for something else
        exchange.cleared = True

    def _answer_gate(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Let a whole answer out if every station has stamped it; write the body that was inspected."""
        if exchange.answered or flow.response is None:
            return
        missing = [name for name in ORDER if not exchange.stamped(name, "response")]
        if missing or exchange.answer is None or not _looked_into(exchange):
            _log.error("%s: answer without stamp of %s; refused", exchange.id, ", ".join(missing) or "payload")
            self.refuse(flow, _BUG)
            return
        flow.response.trailers = None
        body = exchange.format.answer_body.write(exchange.answer)
        if exchange.unmasking is not None:
            exchange.sent = bytearray(body.content)  # the record keeps what was hidden hidden
            body = exchange.format.answer_body.write(_unmasked(exchange))
        _put_body(flow.response, body)
        exchange.facts["status"] = flow.response.status_code
        exchange.finish("allowed", "")

    async def _read_answer(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Parse a whole answer; one that cannot be read does not go out."""
        try:
            raw = _answer_body(flow, exchange)
            exchange.answer = await parse_aside(exchange.format.answer_body, raw, "")
            if not isinstance(exchange.answer, dict | list):
                raise strict_json.BodyError("it is neither an object nor a list")
            exchange.reading = await read_aside(exchange.answer, exchange.format.answer, len(raw))
        except strict_json.BodyError as error:
            message = f"The model's answer cannot be inspected: {error}."
            self.refuse(flow, Refused(502, "hoopguard_bad_answer", message, "failed"))
        except Exception:  # noqa: BLE001 - fail closed
            self._crashed(flow, exchange, "payload")

    def _relay(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        if flow.response is None or exchange.format is None or exchange.format.stream is None:
            self.refuse(flow, _BUG)
            return
        stream = AnswerStream(
            exchange.format.stream.answering(exchange.body),
            exchange.stages,
            exchange.drop_repeats,
            exchange.unmasking,
            exchange.unseen,
        )
        exchange.relay = relay = Relay(exchange, stream)
        exchange.facts["status"] = flow.response.status_code
        flow.response.stream = relay

    async def _converse(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Let a conversation begin if every station has seen that the model agreed to it."""
        if flow.response is None:
            return
        answered = {name.lower(): value for name, value in flow.response.headers.items(multi=True)}
        exchange.facts["streamed"] = True
        await self._walk(flow, "responseheaders", self._stations[::-1])
        if exchange.answered:
            return
        try:
            headers = exchange.opening.answer_headers(answered)
            if not all(exchange.stamped(name, "responseheaders") for name in ORDER):
                raise _BUG
            stations = {station.name: station for station in self._stations}
            exchange.conversation = Conversation(exchange, stations, self._policy)
        except Refused as refused:
            self.refuse(flow, refused)
        except Exception:  # noqa: BLE001 - fail closed
            self._crashed(flow, exchange, "conversation")
        else:
            headers["hoopguard-exchange"] = exchange.id
            flow.response.headers = http.Headers([(name.encode(), text.encode()) for name, text in headers.items()])
            flow.response.reason = "Switching Protocols"
            exchange.facts["status"] = 101

    async def _settle(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Have the outcome recorded; an answer whose outcome cannot be recorded does not go out."""
        if exchange.settled:
            return
        exchange.settled = True
        if flow.response is not None:
            flow.response.trailers = None
        for station in self._stations:
            try:
                await _call(station, "settle", flow)
            except Refused as refused:
                if exchange.refusal is None or exchange.refusal.code != refused.code:
                    self.refuse(flow, refused)
            except BaseException:  # fail closed
                _log.exception("%s: the outcome could not be recorded", exchange.id)
                self.refuse(flow, _BUG)
                if _cancelled():
                    raise


async def _call(station: Station, phase: str, *arguments: Any) -> None:
    hook: Callable[..., Any] | None = getattr(station, phase, None)
    result = hook(*arguments) if hook is not None else None
    if result is not None:
        await result


def _looked_into(exchange: Exchange) -> bool:
    """Tell whether all of the body at hand was read, but for what a rule lets pass unseen."""
    return exchange.reading is not None and exchange.reading.opaque.keys() <= exchange.unseen


def _cancelled() -> bool:
    """Tell whether the task itself was cancelled, rather than a hook having raised ``CancelledError``."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _api(flow: http.HTTPFlow, exchange: Exchange) -> str:
    """Return whose error objects the caller understands; where no route is known yet, the request's head tells."""
    if exchange.format is not None:
        return str(exchange.format.api)
    if "anthropic-version" in flow.request.headers:
        return "anthropic"
    return api_of(flow.request.method, flow.request.path) or "openai"


def _opens_conversation(flow: http.HTTPFlow, exchange: Exchange) -> bool:
    """Tell whether the model agreed to the WebSocket that the caller asked for."""
    return exchange.opening is not None and flow.response is not None and flow.response.status_code == 101


def _settle_form(flow: http.HTTPFlow, exchange: Exchange) -> None:
    """Decide by the answer's head how it is read: as a stream of events, or whole as JSON.

    Raises:
        Refused: neither; nobody could inspect it.
    """
    response = flow.response
    if response is None or response.status_code < 200:
        raise Refused(
            502, "hoopguard_bad_answer", "The model changed the protocol, which is not allowed here.", "failed"
        )
    media = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    _plain_head(response, media)
    shape = exchange.format.stream
    missing_media = not media and exchange.format.answer_body.may_be_missing
    if media != "application/json" and not missing_media and (shape is None or media == shape.media):
        coding = response.headers.get("content-encoding", "identity").lower()
        if shape is None or coding != "identity" or response.status_code != 200:
            message = "The model answered with a stream that cannot be inspected on this route."
            raise Refused(502, "hoopguard_bad_answer", message, "failed")
        exchange.facts["streamed"] = True
        response.headers.pop("content-length", None)
        if flow.request.http_version == "HTTP/1.1":
            response.headers["transfer-encoding"] = "chunked"
    elif media != "application/json" and not missing_media:
        message = (
            f"The model answered {response.status_code} with something that is not JSON, which cannot be inspected."
        )
        raise Refused(502, "hoopguard_bad_answer", message, "failed")


def _plain_head(response: http.Response, media: str) -> None:
    """Leave nothing in an answer's head that a model could speak through."""
    response.headers["content-type"] = media
    if not media:
        del response.headers["content-type"]
    response.reason = ""
    if not response.headers.get("retry-after", "0").isdigit() or len(response.headers.get("retry-after", "")) > 6:
        del response.headers["retry-after"]


def _unmasked(exchange: Exchange) -> Any:
    """Return the answer with the caller's own values where their placeholders stand."""
    stage, shown = exchange.unmasking, []
    for _, _, text in exchange.reading.texts:
        channel = Channel((None, *text.path), text.kind, text.path)
        shown.append(stage.feed(channel, text.value) + stage.finish(channel))
    replace(exchange.reading, shown)
    return exchange.answer


def _put_body(message: http.Message, body: Written) -> None:
    """Give a message the body that was inspected; it has no coding, and is as long, and of the type, as it says."""
    message.raw_content = body.content
    unframed = [field for field in message.headers.fields if field[0].lower() not in _FRAMING]
    media = [(b"content-type", body.content_type.encode())] if body.content else []
    message.headers.fields = (*unframed, *media, (b"content-length", b"%d" % len(body.content)))


def _answer_body(flow: http.HTTPFlow, exchange: Exchange) -> bytes:
    if flow.response is None:
        raise strict_json.BodyError("there is none")
    limit = exchange.policy.policy.gateway.max_body_bytes
    return coding.decode(flow.response.raw_content or b"", flow.response.headers.pop("content-encoding", None), limit)
