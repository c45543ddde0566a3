"""Who is asking, of which model, and may they? The caller's credential ends here."""

import logging
import re
import time
from collections.abc import Mapping
from typing import Final
from weakref import WeakKeyDictionary

from mitmproxy import connection, http
from mitmproxy.proxy.mode_specs import ReverseMode

from hoopguard.exchange import Exchange, Refused
from hoopguard.identity.account_keys import KEY_PREFIX
from hoopguard.identity.account_verifier import AccountVerifier
from hoopguard.identity.credentials import CREDENTIAL_HEADERS, find_credential
from hoopguard.identity.opening import OPENING_HEADERS, read_opening, token_of
from hoopguard.identity.permissions import permit
from hoopguard.identity.principal import Principal
from hoopguard.identity.routing import Target, by_host, find_target, split_host
from hoopguard.identity.sessions import SessionSeals
from hoopguard.identity.verify import IssuerUnavailable, TokenRejected, TokenVerifier
from hoopguard.payload import coding, strict_json
from hoopguard.payload.bodies import parse_aside
from hoopguard.payload.coding import BodyTooLarge
from hoopguard.payload.fields import read_aside
from hoopguard.payload.formats import Format
from hoopguard.payload.tables import LABEL, Fields
from hoopguard.policy import LoadedPolicy, PolicyHolder
from hoopguard.store import StoreError

_log = logging.getLogger(__name__)

_SINGLE_HEADERS: Final = frozenset({*CREDENTIAL_HEADERS, *OPENING_HEADERS, "host", "content-encoding", "content-type"})
"""Headers that decide something, and so may not stand there twice."""

_TRACE: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
"""``traceparent`` (W3C Trace Context §3.2): the one header of the caller's that a model server gets."""

_RESPONSE_HEADERS: Final = frozenset(
    {b"content-type", b"content-encoding", b"content-length", b"transfer-encoding", b"retry-after"}
)
"""What a caller gets of the model's headers."""

_OPENED: Final = Fields({"model": LABEL})
"""What a WebSocket is opened with."""
_MODEL: Final = re.compile(r"[A-Za-z0-9_.:/+-]{0,256}", re.ASCII)
_BREAKS: Final = re.compile(rb"[\r\n\0]")
_TUNNEL_PORTS: Final = frozenset({443})
_HOW_TO: Final = (
    'Send it as "Authorization: Bearer <token>" (an SDK\'s api_key), as x-api-key, '
    "or as the proxy's password in HTTPS_PROXY."
)


class Identity:
    """Tie every request to a principal, a connection, a route and a model, or refuse it."""

    name = "identity"

    def __init__(self, policy: PolicyHolder) -> None:
        self._policy = policy
        self._verifier = TokenVerifier(policy.current.policy.issuers, policy.current.policy.claims_asked)
        self._verifier_of = policy.current.digest
        self._accounts = AccountVerifier(policy.current.state)
        self._seals = SessionSeals()
        self._tunnels: dict[str, tuple[str, str]] = {}
        self._speaking: WeakKeyDictionary[http.HTTPFlow, str] = WeakKeyDictionary()

    async def http_connect(self, flow: http.HTTPFlow) -> None:
        """Open a tunnel for a known caller to a listed host; what is in it is looked at request by request."""
        loaded = await self._policy.refresh()
        token = find_credential(_lowered(flow.request.headers), ("proxy-authorization",))
        await self._authenticate(loaded, token, missing=407)
        host = flow.request.host.lower()
        if by_host(loaded.policy.connections, host) is None or flow.request.port not in _TUNNEL_PORTS:
            raise Refused(403, "hoopguard_unknown_host", "The policy lists no model server at this host and port.")
        self._tunnels[flow.client_conn.id] = (host, token or "")

    def client_disconnected(self, client: connection.Client) -> None:
        """Forget the tunnel."""
        self._tunnels.pop(client.id, None)

    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Authenticate the caller and find what they want to reach, before the body is read."""
        exchange = Exchange.of(flow)
        loaded: LoadedPolicy = exchange.policy
        headers = _lowered(flow.request.headers)
        tunnel = self._tunnels.get(flow.client_conn.id)
        token = tunnel[1] if tunnel else find_credential(headers)
        token = token_of(headers) if token is None else token
        forward = not isinstance(flow.client_conn.proxy_mode, ReverseMode)
        missing = 407 if forward and not tunnel else 401
        principal = await self._authenticate(loaded, token, missing)
        exchange.principal = principal
        exchange.facts["principal"] = principal.facts()
        exchange.target = target = _target(flow, loaded, tunnel, headers)
        exchange.connection, exchange.format = target.connection, target.format
        exchange.facts["connection"] = target.connection.name
        exchange.facts["route"] = target.format.name
        allowed = permit(target.connection, principal, target.format.name, None)
        if not allowed.allowed:
            raise Refused(403, "hoopguard_not_permitted", allowed.reason)
        if target.format.live:
            exchange.opening = read_opening(headers, flow.request.http_version)
            self._speaking[flow] = token or ""

    async def request(self, flow: http.HTTPFlow) -> None:
        """Read the body as its route demands, check the model, and put the connection's credential in."""
        exchange = Exchange.of(flow)
        try:
            exchange.body = await _body(flow, exchange)
            model = exchange.target.model or exchange.format.model(exchange.body, exchange.target.route_path)
            fields = _OPENED if exchange.format.live else exchange.format.request
            exchange.reading = await read_aside(exchange.body, fields, len(flow.request.raw_content or b""), asked=True)
        except BodyTooLarge as error:
            raise Refused(413, "hoopguard_body_too_large", f"{error}.") from error
        except strict_json.BodyError as error:
            raise Refused(400, "hoopguard_bad_body", f"{error}.") from error
        # Where a model could be named and is not, the server takes one of its own: only who may use all may ask for it.
        could_name = exchange.format.has_body and "model" in exchange.format.request.table
        asked = "" if model is None and could_name else model
        allowed = permit(exchange.connection, exchange.principal, exchange.format.name, asked)
        if not allowed.allowed:
            exchange.facts["model"] = "(not permitted)"  # it may be anything, a key put in the wrong place too
            raise Refused(403, "hoopguard_not_permitted", allowed.reason)
        exchange.facts["model"] = (model or "") if _MODEL.fullmatch(model or "") else "(not a model's name)"
        _readdress(flow, exchange.target, exchange.id, self._own_headers(flow.request, exchange))
        if exchange.opening is not None:
            flow.request.headers.update(exchange.opening.request_headers())

    def _own_headers(self, request: http.Request, exchange: Exchange) -> dict[str, str]:
        """Return the headers that are the API's own business, its session's id as the server knows it."""
        headers, session = _named_headers(request, exchange.format), exchange.format.session_header
        if session in headers:
            principal = exchange.principal.id
            headers[session] = self._seals.opened(exchange.connection.name, principal, headers[session])
        return headers

    async def message(self, flow: http.HTTPFlow) -> None:
        """See at each message of a conversation, whoever sends it, that its caller's token still holds."""
        await self._authenticate(Exchange.of(flow).policy, self._speaking[flow], 401)

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Let only those of the model's headers out that say something of the answer's form."""
        if flow.response is None:
            return
        exchange, headers = Exchange.of(flow), flow.response.headers
        kept = [field for field in headers.fields if _may_pass(field, exchange.format.headers)]
        headers.fields = (*kept, (b"hoopguard-exchange", exchange.id.encode()))
        session = exchange.format.session_header
        if session in headers:
            headers[session] = self._seals.sealed(exchange.connection.name, exchange.principal.id, headers[session])

    async def done(self) -> None:
        """Close the connections to the providers and to the accounts."""
        await self._verifier.aclose()
        await self._accounts.aclose()

    async def _authenticate(self, loaded: LoadedPolicy, token: str | None, missing: int) -> Principal:
        if loaded.digest != self._verifier_of:
            self._verifier = self._verifier.renewed(loaded.policy.issuers, loaded.policy.claims_asked)
            self._verifier_of = loaded.digest
        if token is None:
            raise Refused(missing, "hoopguard_no_credential", f"A token is required. {_HOW_TO}")
        if token.startswith(KEY_PREFIX):
            return await self._authenticate_account(loaded, token, missing)
        try:
            return await self._verifier.verify(token, time.time())
        except TokenRejected as error:
            raise Refused(missing, "hoopguard_bad_token", f"The token was not accepted: {error}.") from error
        except IssuerUnavailable as error:
            _log.warning("a token was refused: %s", error)
            message = "The token's issuer cannot be reached just now, so it cannot be verified; try again soon."
            raise Refused(503, "hoopguard_issuer_unavailable", message, "failed") from error

    async def _authenticate_account(self, loaded: LoadedPolicy, key: str, missing: int) -> Principal:
        """Return the service account whose key this is; whoever's is not good learns nothing more."""
        try:
            principal = await self._accounts.verify(key, time.time()) if loaded.policy.accounts.enabled else None
        except StoreError as error:
            _log.error("a key was refused: the accounts cannot be looked up: %s", error)
            message = "Service accounts cannot be looked up just now; nothing was sent to the model."
            raise Refused(503, "hoopguard_store_unavailable", message, "failed") from error
        if principal is None:
            raise Refused(missing, "hoopguard_bad_token", "The key was not accepted.")
        return principal


def _may_pass(field: tuple[bytes, bytes], own: Mapping[str, re.Pattern[str]]) -> bool:
    """Tell whether a header of the model's says only how its answer comes, or is one of its API's ``own``."""
    name = field[0].lower()
    if name in _RESPONSE_HEADERS:
        return True
    pattern = own.get(name.decode("latin-1"))
    return pattern is not None and pattern.fullmatch(field[1].decode("latin-1")) is not None


async def _body(flow: http.HTTPFlow, exchange: Exchange) -> object:
    raw = flow.request.raw_content or b""
    if not exchange.format.has_body:
        if raw:
            raise strict_json.BodyError("this route takes no body")
        return {"model": exchange.target.model} if exchange.format.live else None
    kind, media = exchange.format.body, flow.request.headers.get("content-type", "")
    if not kind.takes(media):
        raise strict_json.BodyError(f"the content type has to be {kind.media}")
    limit = exchange.policy.policy.gateway.max_body_bytes
    return await parse_aside(kind, coding.decode(raw, flow.request.headers.get("content-encoding"), limit), media)


def _lowered(headers: http.Headers) -> Mapping[str, str]:
    """Return the headers by lower-case name.

    Raises:
        Refused: a header that decides something stands there twice, or one could be read as several
            (folded lines, RFC 9112 §5.2; a bare CR; NUL).
    """
    lowered: dict[str, str] = {}
    for raw_name, value in headers.fields:
        name = raw_name.decode("utf-8", "surrogateescape").lower()
        if _BREAKS.search(value):
            raise Refused(400, "hoopguard_ambiguous", "A header holds a line break or NUL.")
        if name in lowered and name in _SINGLE_HEADERS:
            raise Refused(400, "hoopguard_ambiguous", f"The header {name} is there more than once.")
        lowered[name] = value.decode("utf-8", "surrogateescape")
    return lowered


def _refuse_upgrades(headers: Mapping[str, str]) -> None:
    if "upgrade" in headers:
        raise Refused(403, "hoopguard_upgrade_refused", "Changing the protocol (Upgrade) is not allowed here.")


def _target(
    flow: http.HTTPFlow, loaded: LoadedPolicy, tunnel: tuple[str, str] | None, headers: Mapping[str, str]
) -> Target:
    """Return where a request goes; only to a live route may it change the protocol."""
    try:
        host, default = _named_host(flow, tunnel), _listener_upstream(flow)
        target = find_target(loaded.policy.connections, flow.request.method, flow.request.path, host, default)
    except Refused:
        _refuse_upgrades(headers)
        raise
    if not target.format.live:
        _refuse_upgrades(headers)
    return target


def _named_host(flow: http.HTTPFlow, tunnel: tuple[str, str] | None) -> str:
    """Return the host that the caller names; every place that names one has to agree."""
    header = split_host(flow.request.host_header or "")
    if isinstance(flow.client_conn.proxy_mode, ReverseMode):
        if flow.request.authority and split_host(flow.request.authority) != header:
            raise Refused(400, "hoopguard_ambiguous", "URL and Host header name different hosts.")
        return header
    names = {flow.request.host.lower(), header, *([tunnel[0]] if tunnel else [])}
    if flow.request.authority:
        names.add(split_host(flow.request.authority))
    if flow.client_conn.sni:
        names.add(flow.client_conn.sni.lower())
    if len(names) != 1:
        raise Refused(400, "hoopguard_ambiguous", "CONNECT, TLS server name, URL and Host header name different hosts.")
    return header


def _listener_upstream(flow: http.HTTPFlow) -> tuple[str, int] | None:
    mode = flow.client_conn.proxy_mode
    return (mode.address[0], mode.address[1]) if isinstance(mode, ReverseMode) else None


def _named_headers(request: http.Request, format_: Format) -> dict[str, str]:
    """Return the headers that are the API's own business.

    Raises:
        Refused: one of them does not look like what the API has there.
    """
    found = {name: request.headers[name] for name in format_.headers if name in request.headers}
    for name, value in found.items():
        if not format_.headers[name].fullmatch(value):
            raise Refused(400, "hoopguard_ambiguous", f"The header {name} is not what the API has there.")
    return found


def _readdress(flow: http.HTTPFlow, target: Target, exchange_id: str, own: Mapping[str, str]) -> None:
    """Turn the request to the model server, as the gateway's own and with nothing of the caller's in it."""
    request, credential = flow.request, target.connection.credential
    trace = request.headers.get("traceparent", "")
    headers = {"accept-encoding": "identity", "hoopguard-exchange": exchange_id}
    if target.format.accept:
        headers["accept"] = target.format.accept
    headers |= own
    if _TRACE.fullmatch(trace):
        headers["traceparent"] = trace
    if credential is not None:
        headers[credential.header] = credential.value.reveal()
    request.headers = http.Headers([(name.encode(), value.encode()) for name, value in headers.items()])
    request.method, request.authority = target.format.method, ""
    request.scheme, request.host, request.port, request.path = target.scheme, target.host, target.port, target.path
    request.host_header = target.authority
