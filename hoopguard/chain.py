"""The one place that fixes the order of the stations, and the gate behind them.

mitmproxy fails open: an exception in a hook is logged and the request goes upstream, and the script's
other addons are skipped. So every station is called from here, inside one fail-closed wrapper, and each
leaves its stamp; the gate clears a request only if all stamps are there. What is not cleared is not sent:
:mod:`hoopguard.transport` asks for the clearance again before it opens a connection.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from mitmproxy import connection, http

from hoopguard import messages
from hoopguard.conversation import Conversation
from hoopguard.exchange import Exchange, Refused
from hoopguard.policy import PolicyHolder
from hoopguard.relay import Relay

_log = logging.getLogger(__name__)

ORDER: Final = ("identity", "guardrail", "approval", "masking", "recorder")
"""The stations, as a request walks through them; an answer walks the other way."""

_BUG: Final = Refused(
    503, "hoopguard_failed", "The gateway could not finish its checks; nothing was let through.", "failed"
)


class Station(Protocol):
    """An addon with a name and any of the hooks ``requestheaders, request, responseheaders, response``."""

    name: str


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
        with _Closing(self, flow, exchange, "policy"):
            exchange.policy = await self._policy.refresh()
            exchange.facts["policy"] = exchange.policy.digest
        if not exchange.answered:
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
        exchange.reading = None
        with _Closing(self, flow, exchange, "the answer's head"):
            messages.settle_form(flow, exchange)
        if not exchange.answered:
            await self._walk(flow, "responseheaders", self._stations[::-1])
        self._relay(flow, exchange)

    async def stream_piece(self, flow: http.HTTPFlow) -> None:
        """Have a long piece of a streamed answer inspected, while others go on."""
        relay = self._begun(flow).relay
        if relay is not None:
            await relay.inspect()

    async def response(self, flow: http.HTTPFlow) -> None:
        """Walk a whole answer through the stations, or settle a stream that has ended."""
        exchange = self._begun(flow)
        if exchange.conversation is not None:
            return
        if not exchange.answered and exchange.relay is None:
            with _Closing(self, flow, exchange, "the answer's body"):
                await messages.read_answer(flow, exchange)
        if not exchange.answered and exchange.relay is None:
            await self._walk(flow, "response", self._stations[::-1])
            await self._answer_gate(flow, exchange)
        if exchange.relay is not None:
            exchange.finish("allowed", "")
        elif exchange.refusal is not None:
            messages.write_refusal(flow, exchange, exchange.refusal)
        await self._settle(flow, exchange)

    async def error(self, flow: http.HTTPFlow) -> None:
        """Settle an exchange that ended without an answer: the caller hung up, or the connection broke."""
        exchange = self._begun(flow)
        message = messages.unquoted(flow.error.msg) if flow.error else "unknown"
        if flow.error is not None:
            flow.error.msg = message
        exchange.finish("cancelled", f"the caller's connection ended: {message}")
        await self._settle(flow, exchange)

    async def abandon(self, flow: http.HTTPFlow) -> None:
        """Settle an exchange that was ended because a hook failed, for mitmproxy calls no other hook then."""
        exchange = self._begun(flow)
        exchange.finish(_BUG.outcome, f"{_BUG.code}: {_BUG.message}")
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
        messages.write_refusal(flow, exchange, refused)

    def _begun(self, flow: http.HTTPFlow) -> Exchange:
        """Return the flow's exchange; one that did not enter through the chain gets one, already failed."""
        try:
            return Exchange.of(flow)
        except LookupError:
            exchange = Exchange.begin(flow)
            self.crashed(flow, exchange, "entry")
            return exchange

    async def _walk(self, flow: http.HTTPFlow, phase: str, stations: Sequence[Station]) -> None:
        """Call ``phase`` of each station in turn, until one refuses or fails."""
        exchange = Exchange.of(flow)
        with _Closing(self, flow, exchange, phase):
            for station in stations:
                await _call(station, phase, flow)
                exchange.stamp(station.name, phase)

    def crashed(self, flow: http.HTTPFlow, exchange: Exchange, where: str, error: BaseException | None = None) -> None:
        """Refuse an exchange because of a bug of ours; the log has it, the caller does not."""
        _log.error("%s: failed in %s; refused", exchange.id, where, exc_info=error)
        self.refuse(flow, _BUG)

    def _gate(self, flow: http.HTTPFlow) -> None:
        """Clear the request if every station has stamped it; write the body that was inspected."""
        exchange = Exchange.of(flow)
        if exchange.answered:
            return
        with _Closing(self, flow, exchange, "the gate"):
            _demand_stamps(exchange, "request")
            messages.write_request(flow.request, exchange)
            exchange.cleared = True

    async def _answer_gate(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Let a whole answer out if every station has stamped it; write the body that was inspected."""
        if exchange.answered or flow.response is None:
            return
        with _Closing(self, flow, exchange, "the answer's gate"):
            _demand_stamps(exchange, "response")
            await messages.write_answer(flow.response, exchange)
            exchange.facts["status"] = flow.response.status_code
            exchange.finish("allowed", "")

    def _relay(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Have the answer streamed through the stages that the stations have set."""
        if exchange.answered or flow.response is None or not exchange.facts["streamed"]:
            return
        with _Closing(self, flow, exchange, "the relay"):
            _demand_stamps(exchange, "responseheaders")
            flow.response.stream = exchange.relay = Relay.begin(exchange)
            exchange.facts["status"] = flow.response.status_code

    async def _converse(self, flow: http.HTTPFlow, exchange: Exchange) -> None:
        """Let a conversation begin if every station has seen that the model agreed to it."""
        if flow.response is None:
            return
        answered = {name.lower(): value for name, value in flow.response.headers.items(multi=True)}
        exchange.facts["streamed"] = True
        await self._walk(flow, "responseheaders", self._stations[::-1])
        if exchange.answered:
            return
        with _Closing(self, flow, exchange, "the conversation"):
            _demand_stamps(exchange, "responseheaders")
            headers = {**exchange.opening.answer_headers(answered), "hoopguard-exchange": exchange.id}
            flow.response.headers = http.Headers([(name.encode(), text.encode()) for name, text in headers.items()])
            flow.response.reason = "Switching Protocols"
            exchange.facts["status"] = 101
            stations = {station.name: station for station in self._stations}
            exchange.conversation = Conversation(exchange, stations, self._policy)

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


class _Closing:
    """Refuses an exchange if what is done inside refuses it or fails, whatever it is."""

    __slots__ = ("_chain", "_exchange", "_flow", "_where")

    def __init__(self, chain: Chain, flow: http.HTTPFlow, exchange: Exchange, where: str) -> None:
        self._chain = chain
        self._flow = flow
        self._exchange = exchange
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is None:
            return False
        if isinstance(error, Refused):
            self._chain.refuse(self._flow, error)
            return True
        self._chain.crashed(self._flow, self._exchange, self._where, error)
        return not _cancelled()


async def _call(station: Station, phase: str, *arguments: Any) -> None:
    hook: Callable[..., Any] | None = getattr(station, phase, None)
    result = hook(*arguments) if hook is not None else None
    if result is not None:
        await result


def _demand_stamps(exchange: Exchange, phase: str) -> None:
    """Demand that every station has done its work, and that all of a whole body was read but what a rule lets pass.

    Raises:
        RuntimeError: one has not; there is a bug.
    """
    if missing := [name for name in ORDER if not exchange.stamped(name, phase)]:
        raise RuntimeError(f"no stamp of {', '.join(missing)}")
    if phase == "responseheaders":
        return
    if exchange.reading is None or not exchange.reading.opaque.keys() <= exchange.unseen:
        raise RuntimeError("the body was not read")


def _cancelled() -> bool:
    """Tell whether the task itself was cancelled, rather than a hook having raised ``CancelledError``."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _opens_conversation(flow: http.HTTPFlow, exchange: Exchange) -> bool:
    """Tell whether the model agreed to the WebSocket that the caller asked for."""
    return exchange.opening is not None and flow.response is not None and flow.response.status_code == 101
