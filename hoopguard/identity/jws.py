"""What a token says before its signature is verified: enough to choose the key, and to refuse what nobody may send.

Only the compact serialisation of RFC 7515 §7.1 is taken, with JSON that has one meaning; see RFC 8725 for what the
others have been attacked with.
"""

import base64
import re
from typing import Any, Final, NamedTuple

from hoopguard.identity.token_types import HEADER_TYPES
from hoopguard.payload import strict_json

MAX_TOKEN_CHARS: Final = 16_384
_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+", re.ASCII)
_UNTRUSTED_HEADERS: Final = ("jwk", "jku", "x5u", "x5c", "crit")


class TokenRejected(Exception):
    """The token does not identify anyone; the text says why and can be shown to its bearer."""


class Unverified(NamedTuple):
    """A token's header and claims, of which nothing is proven yet."""

    header: dict[str, Any]
    claims: dict[str, Any]


def read_unverified(token: str) -> Unverified:
    """Return what a token says of itself.

    Raises:
        TokenRejected: it is not a signed JWT, brings its own key, or is of a type that is no credential.
    """
    compact = _COMPACT.fullmatch(token) if len(token) <= MAX_TOKEN_CHARS else None
    if compact is None:
        raise TokenRejected("the credential is not a signed JWT of at most 16 KB")
    header, claims = _object(compact[1]), _object(compact[2])
    if not isinstance(header.get("kid"), str | None) or not isinstance(header.get("alg"), str):
        raise TokenRejected("the token's header does not name its key and algorithm as texts")
    if any(name in header for name in _UNTRUSTED_HEADERS):
        raise TokenRejected("the token brings its own key, or demands extensions; neither is taken")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in HEADER_TYPES:
        raise TokenRejected("the token's header names a type (typ) that is no credential")
    return Unverified(header, claims)


def _object(part: str) -> dict[str, Any]:
    try:
        value = strict_json.parse(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (strict_json.BodyError, ValueError) as error:
        raise TokenRejected("the credential is not a readable JWT, in which no name may stand twice") from error
    if not isinstance(value, dict):
        raise TokenRejected("the credential is not a readable JWT, of JSON objects")
    return value
