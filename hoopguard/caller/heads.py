"""Heads of HTTP/1.1 messages on their way to the gateway: read strictly, checked for the command's own password, and
written again with the caller's token (RFC 9112 §2, §3.2; RFC 9110 §11.7).
"""

import base64
import hmac
import re
from dataclasses import dataclass, field
from typing import Final, Literal

MAX_HEAD_BYTES: Final = 65_536
Mode = Literal["proxy", "base-url"]

_REQUEST_LINE: Final = re.compile(rb"([A-Z]{1,20}) ([\x21-\x7e]+) HTTP/1\.[01]")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")
_CREDENTIALS: Final = frozenset({b"proxy-authorization", b"authorization", b"x-api-key"})
_HOPS: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection"})
_SAID: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    502: "Bad Gateway",
}


class BadHeadError(ValueError):
    """A head that is not passed on; ``status`` is how to answer it."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """A request's method, target and fields (names in lower case, as they stood there)."""

    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...] = field(repr=False)

    @classmethod
    def of(cls, raw: bytes) -> "Head":
        """Read a head, up to and with its empty line.

        Raises:
            BadHeadError: it is not plainly HTTP/1.1: folded lines, bare line ends, odd names.
        """
        first, *lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
        line = _REQUEST_LINE.fullmatch(first)
        fields = [_FIELD.fullmatch(each) for each in lines]
        if line is None or not all(fields):
            raise BadHeadError("expected the head of an HTTP/1.1 request")
        return cls(line[1], line[2], tuple((each[1].lower(), each[2]) for each in fields if each))

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all fields of that name."""
        return [value for known, value in self.fields if known == name]

    @property
    def is_upgrade(self) -> bool:
        """Tell whether the connection shall speak another protocol after this."""
        return bool(self.values(b"upgrade"))


def forward(head: Head, *, password: str, token: str) -> bytes:
    """Return what to say to the gateway as a proxy: the same, with the token for the password.

    Raises:
        BadHeadError: the password is not there, or nothing is asked of a proxy.
    """
    if not _proves(head.values(b"proxy-authorization"), password):
        raise BadHeadError("the proxy's password is required", 407)
    if head.method != b"CONNECT" and b"://" not in head.target:
        raise BadHeadError("expected CONNECT or a whole URL, as a proxy is asked")
    kept = [pair for pair in head.fields if pair[0] != b"proxy-authorization"]
    added = [(b"proxy-authorization", b"Bearer " + token.encode())]
    return _written(head, head.target, kept if head.method == b"CONNECT" else _closing(head, kept), added)


def redirect(head: Head, *, password: str, token: str, authority: str, prefix: str) -> bytes:
    """Return what to say to the gateway as the model's address: its host and path, the token for the password.

    Raises:
        BadHeadError: the password is not there, or a proxy is asked.
    """
    bearers = head.values(b"authorization") + [b"Bearer " + key for key in head.values(b"x-api-key")]
    if not _proves(bearers, password):
        raise BadHeadError("the API key that the command was given is required", 401)
    if not head.target.startswith(b"/"):
        raise BadHeadError("expected a path, as a server is asked")
    kept = [pair for pair in head.fields if pair[0] not in _CREDENTIALS and pair[0] != b"host"]
    added = [(b"host", authority.encode()), (b"authorization", b"Bearer " + token.encode())]
    return _written(head, prefix.encode() + head.target, _closing(head, kept), added)


def closing_answer(raw: bytes) -> bytes:
    """Return an answer's head that says that the connection ends with it."""
    status, *lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    kept = [line for line in lines if line.partition(b":")[0].strip().lower() not in _HOPS]
    return b"\r\n".join((status, *kept, b"connection: close")) + b"\r\n\r\n"


def status_of(raw: bytes) -> int:
    """Return an answer's status; 0 if it has none."""
    found = re.match(rb"HTTP/1\.[01] ([1-9][0-9]{2})[ \r]", raw)
    return int(found[1]) if found else 0


def refusal(error: BadHeadError) -> bytes:
    """Return the forwarder's own answer."""
    body = f"hoopguard exec: {error}\n".encode()
    lines = [
        f"HTTP/1.1 {error.status} {_SAID[error.status]}",
        "content-type: text/plain",
        f"content-length: {len(body)}",
    ]
    if error.status == 407:
        lines.append('proxy-authenticate: Basic realm="hoopguard exec"')
    return "\r\n".join((*lines, "connection: close", "", "")).encode() + body


def _proves(values: list[bytes], password: str) -> bool:
    """Tell whether these credentials, one at least, are all the password: none may contradict another."""
    return bool(values) and all(hmac.compare_digest(_password(value), password.encode()) for value in values)


def _password(value: bytes) -> bytes:
    scheme, _, rest = value.partition(b" ")
    if scheme.lower() == b"bearer":
        return rest.strip()
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _closing(head: Head, fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Make each request the last of its connection: the next one gets the token that is current then."""
    if head.is_upgrade:
        return fields
    return [pair for pair in fields if pair[0] not in _HOPS] + [(b"connection", b"close")]


def _written(head: Head, target: bytes, fields: list[tuple[bytes, bytes]], added: list[tuple[bytes, bytes]]) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (head.method, target)]
    lines += [b"%b: %b" % pair for pair in (*added, *fields)]
    return b"\r\n".join(lines) + b"\r\n\r\n"
