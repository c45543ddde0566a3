"""The gateway's address, as a caller names it."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port, whether TLS is spoken there, and a path that chooses a connection."""

    host: str
    port: int
    tls: bool = False
    prefix: str = ""

    @property
    def authority(self) -> str:
        """Return it as a Host field has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(url: str) -> Address:
    """Return what a URL such as ``http://gateway:8080`` or ``https://gateway/llama`` means.

    Raises:
        ValueError: it is no such URL, or holds a credential, query or fragment.
    """
    expected = f"expected the gateway's address, such as http://gateway:8080, not {url.rpartition('@')[2]!r}"
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(expected)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(expected) from error
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(expected)
    if parts.username is not None or parts.password is not None:
        raise ValueError("the gateway's address must not hold a credential: tokens come from where they are kept")
    return Address(parts.hostname, port or _PORTS[parts.scheme], parts.scheme == "https", parts.path.rstrip("/"))
