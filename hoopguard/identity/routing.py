"""Which connection and route a request means, by the names that the policy gives them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from hoopguard.exchange import Refused
from hoopguard.payload.formats import Format, find_format
from hoopguard.payload.identifiers import is_label
from hoopguard.policy.model import Connection

_PATH: Final = re.compile(r"/[A-Za-z0-9._~/-]*", re.ASCII)
_HOST: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
_NAMES_MODEL: Final = re.compile(r"model=([^&;#=]{1,512})", re.ASCII)
_ESCAPED: Final = re.compile(r"(?:[A-Za-z0-9_.:/-]|%2[BFDEbfde]|%3[Aa]|%5[Ff])+", re.ASCII)
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: its connection, the wire format of its route, and the upstream's address.

    ``route_path`` is the path as the format knows it; ``path`` has the upstream's own before it. ``model`` is the one
    that a live route's query names.
    """

    connection: Connection
    format: Format
    scheme: str
    host: str
    port: int
    path: str
    route_path: str
    model: str | None = None

    @property
    def authority(self) -> str:
        """Return what the upstream's ``Host`` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def upstream_address(connection: Connection) -> tuple[str, str, int]:
    """Return ``(scheme, host, port)`` of a connection's model server."""
    parts = urlsplit(connection.upstream)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]


def split_host(header: str) -> str:
    """Return the lower-case host name of a ``Host`` header or authority, without its port; empty if it is neither."""
    match = _HOST.fullmatch(header)
    return match[1].strip("[]").lower() if match else ""


def by_host(connections: Sequence[Connection], host: str) -> Connection | None:
    """Return the connection that lists ``host``."""
    return next((connection for connection in connections if host in connection.hosts), None)


def find_target(
    connections: Sequence[Connection], method: str, path: str, host: str, default: tuple[str, int] | None
) -> Target:
    """Return what a request means: by its host, else by its path's first part, else the listener's own upstream.

    ``path`` is the request target as it came; ``default`` is the address that the reverse listener was
    started with, ``None`` for the forward proxy, where only the host counts.

    Raises:
        Refused: the policy lists no such connection or route.
    """
    bare, _, query = path.partition("?")
    named = _NAMES_MODEL.fullmatch(query)
    if (query and not named) or not _PATH.fullmatch(bare) or "//" in bare or "/." in bare:
        raise _unusual()
    connection, rest = _find_connection(connections, bare, host, default)
    if connection is None:
        known = ", ".join(f"/{each.name}" for each in connections)
        hint = f"; use one of its hosts, or begin the path with one of {known}" if default is not None else ""
        raise Refused(403, "hoopguard_unknown_host", f"The policy lists no model server for this host{hint}.")
    wire = find_format(connection.routes, method, rest)
    if wire is None:
        listed = ", ".join(connection.routes)
        # Neither method nor path is repeated: this message is recorded, and a caller can put anything there.
        message = f"This method and path are not a listed route of {connection.name!r}; listed: {listed}."
        raise Refused(403, "hoopguard_route_not_listed", message)
    if named and not wire.live:
        raise _unusual()
    model = _model(named[1]) if named else None
    asked = f"?model={quote(model, safe='')}" if model is not None else ""
    scheme, upstream_host, port = upstream_address(connection)
    base = urlsplit(connection.upstream).path.rstrip("/")
    return Target(connection, wire, scheme, upstream_host, port, base + rest + asked, rest, model)


def _model(written: str) -> str:
    """Return the model that a query names, read in the one way in which all servers read it."""
    model = unquote(written, errors="strict") if _ESCAPED.fullmatch(written) else ""
    if not is_label(model):
        raise _unusual()
    return model


def _unusual() -> Refused:
    return Refused(403, "hoopguard_route_not_listed", "Paths with a query or unusual characters are not listed.")


def _find_connection(
    connections: Sequence[Connection], path: str, host: str, default: tuple[str, int] | None
) -> tuple[Connection | None, str]:
    named = by_host(connections, host)
    if named is not None or default is None:
        return named, path
    for connection in connections:
        if path.startswith(f"/{connection.name}/"):
            return connection, path.removeprefix(f"/{connection.name}")
    fallback = next((each for each in connections if upstream_address(each)[1:] == default), None)
    return fallback, path
