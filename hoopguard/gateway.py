"""Starting the gateway inside mitmproxy: its options locked, its addons trimmed, its doors guarded.

Whatever would let bytes past the chain stops the start: an option with a value that the chain does not
know, a mode without a principal, a policy or a CA that cannot be used. Default addons that could change,
replay or print traffic are taken out, so that their options cannot do harm and their hooks cost nothing.
"""

import gc
import logging
import re
import time
from pathlib import Path
from typing import Any, Final

from mitmproxy import ctx, exceptions
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Server
from mitmproxy.master import Master
from mitmproxy.proxy import layer, mode_specs
from mitmproxy.proxy.layers import ClientTLSLayer, ServerTLSLayer, modes
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.server_hooks import ServerConnectionHookData
from mitmproxy.tls import TlsData
from OpenSSL import SSL

from hoopguard import __version__
from hoopguard.approval.addon import Approval
from hoopguard.authority import AuthorityError, check_authority, load_authority, utc_now
from hoopguard.chain import Chain
from hoopguard.conversation_layer import end_conversations
from hoopguard.dispatch import reserve_flows
from hoopguard.guardrail.addon import Guardrail
from hoopguard.identity.addon import Identity
from hoopguard.identity.routing import upstream_address
from hoopguard.masking.addon import Masking, check_masks
from hoopguard.policy import LoadedPolicy, PolicyError, PolicyHolder
from hoopguard.policy.model import Connection
from hoopguard.policy.routes import ONLY_BY_NAME
from hoopguard.recorder.addon import Recorder
from hoopguard.recorder.commit import Recorder as Journalist
from hoopguard.recorder.errors import RecordError, StateError
from hoopguard.recorder.journal import Settings
from hoopguard.store import StoreError, open_store
from hoopguard.transport import ClosedLayer, GuardedLayer, GuardedStream, guard

_log = logging.getLogger(__name__)

FORCED: Final[dict[str, Any]] = {
    "connection_strategy": "lazy",
    "http3": False,
    "keep_host_header": True,
    "rawtcp": False,
    "upstream_cert": False,
    "websocket": False,
}
"""mitmproxy options that the gateway sets itself, and that must stay so."""

OPEN_OPTIONS: Final = frozenset(
    {
        "block_global",
        "block_private",
        "cert_passphrase",
        "certs",
        "ciphers_client",
        "ciphers_server",
        "client_certs",
        "confdir",
        "flow_detail",
        "hoopguard_policy",
        "http2",
        "http2_ping_keepalive",
        "key_size",
        "listen_host",
        "listen_port",
        "mode",
        "scripts",
        "server",
        "ssl_verify_upstream_trusted_ca",
        "ssl_verify_upstream_trusted_confdir",
        "tcp_timeout",
        "termlog_verbosity",
        "tls_ecdh_curve_client",
        "tls_ecdh_curve_server",
        "tls_version_client_max",
        "tls_version_client_min",
        "tls_version_server_max",
        "tls_version_server_min",
    }
)
"""mitmproxy options that an operator may set; every other one has to keep its default."""

KEPT_ADDONS: Final = frozenset(
    {
        "block",
        "core",
        "errorcheck",
        "hoopguard",
        "hoopguard.gateway",
        "keepserving",
        "nextlayer",
        "proxyserver",
        "scriptloader",
        "termlog",
        "tlsconfig",
    }
)
"""mitmproxy addons that stay; all others could change, replay, store or print what passes."""

_BYTES_IN_LOGS: Final = re.compile(r"b'.*'|b\".*\"", re.DOTALL)


class StartError(Exception):
    """The gateway cannot start; the text says what is wrong and what to do."""


def install(master: Master) -> None:
    """Put the gateway on a master; a script loaded again finds it there already."""
    if master.addons.get(Gateway.name) is not None:
        _log.info("hoopguard is running already; the script's reload changes nothing")
        return
    _quieten_logs()
    gateway = Gateway()
    master.addons.add(gateway)
    try:
        gateway.open(master)
    except (StartError, PolicyError, AuthorityError, StateError, StoreError, RecordError, OSError) as error:
        hint = f" ({error.hint})" if isinstance(error, AuthorityError) else ""
        _log.error("hoopguard does not start: %s%s", error, hint)
        # mitmproxy looks for errors only after it listens; it loads scripts just before.
        raise SystemExit(1) from None
    except BaseException:  # noqa: BLE001 - whatever it is, nothing may start without the chain
        _log.exception("hoopguard does not start: this is a bug, please report it")
        raise SystemExit(1) from None


class Gateway:
    """Guards the doors of the proxy: its options, its layers, its sockets."""

    name = "hoopguard.gateway"

    def __init__(self) -> None:
        self._chain: Chain | None = None
        self._policy: PolicyHolder | None = None

    def load(self, loader: Loader) -> None:
        """Declare the option."""
        loader.add_option("hoopguard_policy", str, "policy.toml", "The policy file that governs this gateway.")

    def configure(self, updated: set[str]) -> None:
        """Refuse, at any time, an option that would let bytes past the chain."""
        if self._chain is None:
            return
        wrong = _wrong_option()
        if wrong:
            raise exceptions.OptionsError(wrong)
        if "hoopguard_policy" in updated:
            raise exceptions.OptionsError("hoopguard_policy cannot change while the gateway runs; restart it")

    def open(self, master: Master) -> None:
        """Check everything, then put the chain in place; nothing listens before this has returned.

        Raises:
            StartError, PolicyError, AuthorityError, StateError, StoreError, RecordError: what is wrong.
        """
        self._policy = policy = PolicyHolder(Path(ctx.options.hoopguard_policy), POLICY_CHECKS)
        loaded = policy.current
        wrong = _wrong_option(before=True)
        if wrong:
            raise StartError(wrong)
        _check_modes(loaded)
        confdir = {"confdir": str(loaded.certs)} if _needs_authority() else {}
        chain = _chain(policy)
        master.options.update(**FORCED, **confdir)
        _trim(master)
        master.addons.add(chain)
        reserve_flows(master.addons, chain)
        self._chain = chain

    def running(self) -> None:
        """Say that the gateway stands."""
        if self._policy is not None and self._chain is not None:
            loaded = self._policy.current
            names = ", ".join(connection.name for connection in loaded.policy.connections)
            _log.info("hoopguard %s governs %s by %s (%s)", __version__, names, loaded.file, loaded.digest[:12])
            _settle_memory()

    async def done(self) -> None:
        """Let nobody be in the middle of a conversation when the stations end, which they do next."""
        await end_conversations()

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        """Let traffic be read as HTTP, or not at all."""
        context = nextlayer.context
        if self._chain is None or any(type(each) not in _KNOWN_LAYERS for each in context.layers):
            _log.warning("a connection was closed: it does not speak HTTP")
            nextlayer.layer = ClosedLayer(context)
            return
        for each in context.layers:
            if type(each) is HttpLayer:
                guard(each, self._chain)

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Let sockets open to the connections' upstreams and nowhere else."""
        connection = self._connection_at(data.server.address)
        if connection is None:
            data.server.error = "hoopguard: not the address of a listed model server"
            _log.error("a connection to %s was stopped: no [[connection]] has this address", data.server.address)
            return
        data.server.sni = upstream_address(connection)[1]

    def tls_start_server(self, data: TlsData) -> None:
        """Verify a model server against its connection's own CA, if it has one; a WebSocket is opened over HTTP/1.1."""
        connection = self._connection_at(data.conn.address if isinstance(data.conn, Server) else None)
        if connection is None:
            return
        if data.ssl_conn is None:
            raise TypeError("mitmproxy's tlsconfig addon has to prepare the connection")
        if connection.ca is not None:
            data.ssl_conn.set_context(_trusting(connection.ca))
        if not ONLY_BY_NAME.isdisjoint(connection.routes):
            data.ssl_conn.set_alpn_protos([b"http/1.1"])

    def _connection_at(self, address: Any) -> Connection | None:
        if self._policy is None or not address:
            return None
        connections = self._policy.current.policy.connections
        return next((each for each in connections if upstream_address(each)[1:] == tuple(address[:2])), None)


_KNOWN_LAYERS: Final = frozenset(
    {GuardedLayer, GuardedStream, HttpLayer, ClientTLSLayer, ServerTLSLayer, modes.HttpProxy, modes.ReverseProxy}
)
"""What a connection may consist of; inside a CONNECT tunnel the guarded ones come before TLS."""


def _chain(policy: PolicyHolder) -> Chain:
    loaded = policy.current
    record = loaded.policy.record
    settings = Settings(record.durability, record.segment_bytes, record.idle_s)
    about = {"hoopguard": __version__, "policy": loaded.digest}
    journal = Journalist.open(loaded.state, settings, time.time, about)
    stations = (Identity(policy), Guardrail(), Approval(open_store(loaded.state)), Masking(policy), Recorder(journal))
    return Chain(policy, stations)


def _wrong_option(*, before: bool = False) -> str:
    """Return what is wrong with mitmproxy's options; ``before`` the gateway has set its own."""
    for name, option in ctx.options.items():
        value, default = option.current(), option.default
        if name in FORCED:
            if not before and value != FORCED[name]:
                return f"the option {name} has to be {FORCED[name]!r} under hoopguard"
        elif name not in OPEN_OPTIONS and value != default:
            return f"the option {name} = {value!r} could let traffic past the chain; leave it at {default!r}"
    return ""


def _modes() -> list[mode_specs.ProxyMode]:
    return [mode_specs.ProxyMode.parse(mode) for mode in ctx.options.mode]


def _needs_authority() -> bool:
    return any(isinstance(mode, mode_specs.RegularMode) for mode in _modes())


def _check_modes(loaded: LoadedPolicy) -> None:
    for mode in _modes():
        reverse = isinstance(mode, mode_specs.ReverseMode) and mode.scheme in ("http", "https")
        if not reverse and not isinstance(mode, mode_specs.RegularMode):
            known = "use reverse:http://…, reverse:https://… or regular"
            raise StartError(f"the mode {mode.full_spec!r} is not one that hoopguard governs; {known}")
    if _needs_authority():
        hosts = [host for connection in loaded.policy.connections for host in connection.hosts]
        check_authority(load_authority(loaded.certs), hosts, utc_now())


def _check_private_cas(loaded: LoadedPolicy) -> None:
    """Refuse two connections to one address that trust different CAs."""
    trusted: dict[tuple[str, int], str | None] = {}
    for connection in loaded.policy.connections:
        address = upstream_address(connection)[1:]
        if trusted.setdefault(address, connection.ca) != connection.ca:
            key = f'connection "{connection.name}" · ca'
            raise PolicyError(loaded.file, key, connection.ca, "another connection to this upstream trusts another CA")
        if connection.ca is not None:
            try:
                _trusting(connection.ca)
            except SSL.Error as error:
                key = f'connection "{connection.name}" · ca'
                raise PolicyError(loaded.file, key, connection.ca, "expected PEM certificates") from error


POLICY_CHECKS: Final = (check_masks, _check_private_cas)
"""What a policy has to pass beyond being well formed; each raises PolicyError."""


def _trim(master: Master) -> None:
    """Take out the addons that do not stay, before any of them has begun to work."""
    for addon in list(master.addons.chain):
        name = getattr(addon, "name", type(addon).__name__.lower())
        if name not in KEPT_ADDONS:
            master.addons.chain.remove(addon)
            del master.addons.lookup[name]


def _settle_memory() -> None:
    """Spare the collector what stays for good; going through all of it held everybody up for a third of a second."""
    gc.collect()
    gc.freeze()


def _trusting(file: str) -> SSL.Context:
    """Return a TLS context that trusts the CAs of a PEM file, and no others."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.load_verify_locations(file)
    context.set_verify(SSL.VERIFY_PEER)
    return context


def _quieten_logs() -> None:
    """Keep raw bytes of callers and models out of mitmproxy's own log lines; note nothing that no line has."""
    logging.getLogger("mitmproxy.proxy.server").addFilter(_without_bytes)
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False


def _without_bytes(record: logging.LogRecord) -> bool:
    record.msg = _BYTES_IN_LOGS.sub("b'…'", str(record.msg))
    return True
