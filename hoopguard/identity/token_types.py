"""Which kind of token it is: what is made for one purpose must not serve another (RFC 8725 §3.11 and §3.12)."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from hoopguard.policy.model import TokenType

HEADER_TYPES: Final = frozenset({"jwt", "application/jwt", "jose", "at+jwt", "application/at+jwt"})
"""Values of ``typ`` that are taken, in lower case (RFC 7519 §5.1, RFC 9068 §2.1; JOSE as in SPIFFE's JWT-SVID §2.3)."""

_ACCESS_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
_KEYCLOAK: Final[Mapping[str, Literal["access", "id", "foreign"]]] = {
    "bearer": "access",
    "dpop": "access",
    "id": "id",
    "refresh": "foreign",
    "offline": "foreign",
    "logout": "foreign",
}
"""What Keycloak says in the claim ``typ``."""
_OF_ID_TOKENS: Final = ("nonce", "at_hash", "c_hash")
_OF_ACCESS_TOKENS: Final = ("scope", "scp", "azpacr", "appidacr")
"""OAuth's scopes (RFC 9068 §2.2.3; ``scp`` at Okta and Entra ID), and how Entra ID's client proved itself."""


def refusal(wanted: TokenType, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str | None:
    """Return why a token is not of the type that the policy wants of its issuer; ``None`` if it is."""
    kind = _kind(header, claims)
    if kind == "foreign":
        return "the token is for renewing or for logging out, and no credential"
    if wanted == "access" and kind != "access":
        return "an access token is required here, and this is not one"
    if wanted == "id" and kind == "access":
        return "an ID token is required here, and this is an access token"
    return None


def _kind(header: Mapping[str, Any], claims: Mapping[str, Any]) -> Literal["access", "id", "unmarked", "foreign"]:
    """Tell by what a token says of itself, else by what only tokens of that kind have."""
    named = claims.get("typ")
    if "events" in claims:  # a security event (RFC 8417 §2.2), such as OpenID Connect's logout token
        return "foreign"
    if isinstance(named, str) and named.lower() in _KEYCLOAK:
        return _KEYCLOAK[named.lower()]
    if str(header.get("typ", "")).lower() in _ACCESS_TYPES:
        return "access"
    if any(name in claims for name in _OF_ID_TOKENS):
        return "id"
    return "access" if any(name in claims for name in _OF_ACCESS_TOKENS) else "unmarked"
