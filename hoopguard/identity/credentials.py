"""Find the caller's credential in a request's headers, and take every trace of it away."""

import base64
from collections.abc import Iterable, Mapping
from typing import Final

CREDENTIAL_HEADERS: Final = ("proxy-authorization", "authorization", "x-api-key")
"""Where a caller's token may stand, in the order in which they are looked at."""


def find_credential(headers: Mapping[str, str], names: Iterable[str] = CREDENTIAL_HEADERS) -> str | None:
    """Return the token that the first header with a credential carries, or ``None``.

    ``Basic`` carries the token as its password (RFC 7617): that is all ``HTTPS_PROXY`` can send.
    A header that is there but cannot be read yields the empty token, which nobody accepts: the
    search does not go on to a weaker place.
    """
    for name in names:
        value = headers.get(name)
        if value is not None:
            return value.strip() if name == "x-api-key" else _from_authorization(value)
    return None


def _from_authorization(value: str) -> str:
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() == "basic":
        return _from_basic(rest.strip())
    return ""


def _from_basic(encoded: str) -> str:
    try:
        decoded = base64.b64decode(encoded, validate=True).decode("ascii")
    except ValueError:
        return ""
    _, _, password = decoded.partition(":")
    return password
