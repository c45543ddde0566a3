"""The opening handshake of a WebSocket (RFC 6455 §4): the caller's with the gateway, and the gateway's with the model.

They are two handshakes with a key each. Nothing of the caller's goes on but the one sub-protocol that is known, and no
extension is ever offered or taken: a compressed frame could not be inspected.
"""

import base64
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from wsproto.utilities import generate_accept_token

from hoopguard.exchange import Refused

OPENING_HEADERS: Final = frozenset({"upgrade", "sec-websocket-key", "sec-websocket-protocol", "sec-websocket-version"})
"""Headers that decide something about an upgrade, and so may not stand there twice."""

_PROTOCOL: Final = "realtime"
_TOKEN: Final = "openai-insecure-api-key."  # noqa: S105 - a sub-protocol's name, which browsers send for a header
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==", re.ASCII)
_VERSION: Final = "13"


@dataclass(frozen=True, slots=True)
class Opening:
    """What a caller asked for, and the key of the gateway's own handshake with the model."""

    key: str
    speaks_realtime: bool
    own_key: str = field(default_factory=lambda: base64.b64encode(secrets.token_bytes(16)).decode())

    def request_headers(self) -> dict[str, str]:
        """Return the headers with which the gateway asks the model."""
        headers = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": _VERSION,
            "sec-websocket-key": self.own_key,
        }
        return headers | ({"sec-websocket-protocol": _PROTOCOL} if self.speaks_realtime else {})

    def answer_headers(self, answered: Mapping[str, str]) -> dict[str, str]:
        """Return the headers with which the caller's handshake is answered, by how the model answered the gateway's.

        Raises:
            Refused: the model's is no answer to what was asked (RFC 6455 §4.1).
        """
        protocol = answered.get("sec-websocket-protocol")
        expected = generate_accept_token(self.own_key.encode())
        if (
            answered.get("upgrade", "").lower() != "websocket"
            or not hmac.compare_digest(answered.get("sec-websocket-accept", "").encode(), expected)
            or "sec-websocket-extensions" in answered
            or protocol not in ((None, _PROTOCOL) if self.speaks_realtime else (None,))
        ):
            message = "The model did not open the WebSocket as it was asked to."
            raise Refused(502, "hoopguard_bad_answer", message, "failed")
        headers = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-accept": generate_accept_token(self.key.encode()).decode(),
        }
        return headers | ({"sec-websocket-protocol": _PROTOCOL} if protocol else {})


def token_of(headers: Mapping[str, str]) -> str | None:
    """Return the token that a browser sends as a sub-protocol, for want of a header; empty if there are several."""
    if "upgrade" not in headers:
        return None
    tokens = [name.removeprefix(_TOKEN) for name in _protocols(headers) if name.startswith(_TOKEN)]
    return (tokens[0] if len(tokens) == 1 else "") if tokens else None


def read_opening(headers: Mapping[str, str], http_version: str) -> Opening:
    """Return what a caller asks for who opens a WebSocket.

    Raises:
        Refused: it is not the handshake of RFC 6455 §4.2.1; over HTTP/2 there is none.
    """
    connection = [name.strip().lower() for name in headers.get("connection", "").split(",")]
    key = headers.get("sec-websocket-key", "")
    if (
        http_version != "HTTP/1.1"
        or headers.get("upgrade", "").lower() != "websocket"
        or "upgrade" not in connection
        or headers.get("sec-websocket-version") != _VERSION
        or not _KEY.fullmatch(key)
    ):
        message = "This route is a WebSocket: it is opened with version 13 of the protocol, over HTTP/1.1."
        raise Refused(403, "hoopguard_upgrade_refused", message)
    return Opening(key, _PROTOCOL in _protocols(headers))


def _protocols(headers: Mapping[str, str]) -> list[str]:
    return [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
