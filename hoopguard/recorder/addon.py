"""Record every exchange: its intent before a byte goes upstream, its outcome with what was said."""

import hashlib
import logging
import time
from typing import Any, Final
from weakref import WeakKeyDictionary

from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.version import FLOW_FORMAT_VERSION

from hoopguard.exchange import METADATA_KEY, Exchange, Refused
from hoopguard.payload import strict_json
from hoopguard.recorder.commit import Recorder as Journalist
from hoopguard.recorder.errors import RecordError
from hoopguard.recorder.segments import SessionKey
from hoopguard.recorder.tnetstring import Encoded, dumps

_log = logging.getLogger(__name__)

_KEPT_HEADERS: Final = frozenset({b"content-type", b"host", b"hoopguard-exchange", b"traceparent"})
"""Request headers that a recording keeps; credentials are not among them, the gateway's own neither."""


class Recorder:
    """Keep of each exchange what caller and model saw, and a ledger entry that vouches for it."""

    name = "recorder"

    def __init__(self, journal: Journalist) -> None:
        self._journal = journal
        self._intents: set[str] = set()

    async def request(self, flow: http.HTTPFlow) -> None:
        """Write the intent; a request whose intent is not on the disk does not leave."""
        exchange = Exchange.of(flow)
        try:
            await self._journal.settle()
            await self._journal.intent(exchange.id, _intent(exchange))
        except RecordError as error:
            _log.error("%s: the intent could not be recorded: %s", exchange.id, error)
            message = "The request could not be recorded, so it was not sent; the operator has to make room."
            raise Refused(503, "hoopguard_not_recorded", message, "failed") from error
        self._intents.add(exchange.id)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Keep what the caller gets of a stream."""
        exchange = Exchange.of(flow)
        if exchange.facts["streamed"]:
            exchange.sent = bytearray()

    def response(self, flow: http.HTTPFlow) -> None:
        """Wait for the outcome; a whole answer is recorded as the caller gets it."""

    async def settle(self, flow: http.HTTPFlow) -> None:
        """Write the outcome and the flow."""
        exchange = Exchange.of(flow)
        _log.info("%s", _line(exchange))
        if exchange.principal is None:
            return
        facts = exchange.facts
        facts["elapsed_ms"] = round((time.time() - facts["started"]) * 1000)
        key = SessionKey(
            exchange.principal.id, facts["connection"], exchange.principal.session, exchange.principal.subject
        )
        kept = exchange.policy.policy.record.content == "masked"
        recorded = _recorded_flow(flow, exchange) if kept else None
        try:
            if exchange.id in self._intents:
                self._intents.discard(exchange.id)
                await self._journal.outcome(exchange.id, _outcome(exchange), key, recorded)
            else:
                await self._journal.refusal(exchange.id, _intent(exchange), _outcome(exchange), key, recorded)
        except RecordError as error:
            _log.error("%s: the outcome could not be recorded: %s", exchange.id, error)
            message = "The outcome could not be recorded, so the answer is withheld; the operator has to make room."
            raise Refused(503, "hoopguard_not_recorded", message, "failed") from error

    async def done(self) -> None:
        """Write what is left, and the stop."""
        try:
            await self._journal.close()
        except RecordError as error:
            _log.error("the stop could not be recorded: %s", error)


def _intent(exchange: Exchange) -> dict[str, Any]:
    facts = exchange.facts
    body = strict_json.canonical(exchange.body) if exchange.body is not None else b""
    return {
        "principal": facts["principal"],
        "connection": facts["connection"],
        "route": facts["route"],
        "model": facts["model"],
        "policy": facts["policy"],
        "request_sha256": hashlib.sha256(body).hexdigest(),
        "verdicts": facts["verdicts"],
        "approval": facts["approval"],
    }


def _outcome(exchange: Exchange) -> dict[str, Any]:
    names = ("outcome", "reason", "status", "verdicts", "approval", "masked", "streamed", "elapsed_ms", "model")
    return {name: exchange.facts[name] for name in names}


def _recorded_flow(flow: http.HTTPFlow, exchange: Exchange) -> bytes:
    """Return the flow as mitmproxy writes it to a file, without credentials and without unmasked text."""
    request = flow.request.get_state()
    request["headers"] = tuple(field for field in request["headers"] if field[0].lower() in _KEPT_HEADERS)
    if exchange.refusal is not None or not exchange.cleared:
        request["content"], request["trailers"] = b"", None
        # Nobody looked at what stands in the head of a refused request; it may be a token.
        target = exchange.target
        request["method"] = target.format.method.encode() if target is not None else b"REFUSED"
        request["host"] = target.host if target is not None else "refused.invalid"
        request["path"] = target.format.path.encode() if target is not None else b"/"
        request["headers"], request["authority"] = (), b""
    response = flow.response.get_state() if flow.response is not None else None
    if response is not None and exchange.format is not None:  # who has a session's id can speak in the session
        session = exchange.format.session_header.encode()
        response["headers"] = tuple(field for field in response["headers"] if field[0].lower() != session)
    if response is not None and exchange.sent is not None:
        response["content"] = bytes(exchange.sent)
    return dumps(_state(flow, request, response, exchange))


def _state(
    flow: http.HTTPFlow, request: dict[str, Any], response: dict[str, Any] | None, exchange: Exchange
) -> dict[str, Any]:
    """Return what ``HTTPFlow.get_state`` would, had the flow this request and response; that copies everything."""
    return {
        "version": FLOW_FORMAT_VERSION,
        "type": flow.type,
        "id": flow.id,
        "error": flow.error.get_state() if flow.error is not None else None,
        "client_conn": _connection(flow.client_conn),
        "server_conn": _connection(flow.server_conn),
        "intercepted": flow.intercepted,
        "is_replay": flow.is_replay,
        "marked": flow.marked,
        "metadata": {METADATA_KEY: exchange.facts},
        "comment": _sentence(exchange),
        "timestamp_created": flow.timestamp_created,
        "backup": None,
        "request": request,
        "response": response,
        "websocket": _conversation(flow, exchange),
    }


def _conversation(flow: http.HTTPFlow, exchange: Exchange) -> dict[str, Any] | None:
    """Return what ``WebSocketData.get_state`` would; the messages are written already."""
    if flow.websocket is None:
        return None
    spoken = {"messages": exchange.conversation.record.messages} if exchange.conversation is not None else {}
    return {**flow.websocket.get_state(), **spoken}


_WRITTEN: Final[WeakKeyDictionary[Connection, tuple[tuple[Any, ...], Encoded]]] = WeakKeyDictionary()
"""What connections look like in a file, with what they looked like then: many flows share one."""


def _connection(connection: Connection) -> Encoded:
    known, now = _WRITTEN.get(connection), tuple(vars(connection).values())
    if known is None or known[0] != now:
        known = _WRITTEN[connection] = (now, Encoded(dumps(connection.get_state())))
    return known[1]


def _sentence(exchange: Exchange) -> str:
    """Return what happened, as a person would say it."""
    facts = exchange.facts
    who = f"{exchange.principal.subject} ({exchange.principal.issuer})" if exchange.principal else "A stranger"
    what = f"{facts['route'] or 'something'} of {facts['connection'] or 'nobody'}"
    model = f" with {facts['model']}" if facts["model"] else ""
    reason = f" – {facts['reason']}" if facts["reason"] else ""
    hidden = "; ".join(
        f"hidden in the {direction}: {', '.join(f'{count} {entity}' for entity, count in sorted(counts.items()))}"
        for direction, counts in facts["masked"].items()
        if counts
    )
    rules = ", ".join(verdict["rule"] for verdict in facts["verdicts"])
    return (
        f"{who} asked for {what}{model}: {facts['outcome']}{reason}."
        + (f" Rules: {rules}." if rules else "")
        + (f" {hidden[0].upper()}{hidden[1:]}." if hidden else "")
    )


def _line(exchange: Exchange) -> str:
    """Return the log's line about an exchange: no text of the caller's or the model's in it."""
    facts = exchange.facts
    who = exchange.principal.id if exchange.principal else "-"
    line = f"{exchange.id} {who} {facts['connection'] or '-'} {facts['route'] or '-'} {facts['model'] or '-'}"
    line = f"{line}: {facts['outcome']} {facts['status']} {facts['reason']}"
    return line if line.isprintable() else "".join(c if c.isprintable() else "?" for c in line)
