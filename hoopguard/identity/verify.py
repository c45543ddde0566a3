"""A token in, a principal out; or a reason why not.

Every check that PyJWT makes is asked for by name, and what it does not make is made here: the
issuer is chosen by exact match before any key is touched, and the algorithm by the issuer's own
list, never by the token.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Set
from dataclasses import dataclass
from typing import Any, Final

import jwt

from hoopguard.identity.claims import is_left_out, only_text_of, said_of, texts_of, unmet
from hoopguard.identity.jws import MAX_TOKEN_CHARS as MAX_TOKEN_CHARS
from hoopguard.identity.jws import TokenRejected as TokenRejected
from hoopguard.identity.jws import read_unverified
from hoopguard.identity.keys import KeySource, KeysUnavailable
from hoopguard.identity.principal import Principal
from hoopguard.identity.token_types import refusal
from hoopguard.policy.model import Issuer

_REMEMBERED: Final = 10_000
_LAST_TIME: Final = 253_402_300_799.0
"""The end of the year 9999: the last time that a calendar can say."""
_REQUIRED: Final = ("exp", "iat", "iss", "aud")
_JWT: Final = jwt.PyJWT(options={"enforce_minimum_key_length": True})


class IssuerUnavailable(Exception):
    """The token may be good, but its issuer's keys cannot be had just now."""


class TokenVerifier:
    """Verifies tokens of the policy's issuers, and remembers those it has seen, by hash.

    ``asked`` are the claims that principals have to bring for the policy's ``allow`` lines.
    """

    def __init__(
        self, issuers: Iterable[Issuer], asked: Set[str] = frozenset(), known: Iterable[KeySource] = ()
    ) -> None:
        sources = [*known]
        self._asked = asked
        self._sources = {
            issuer.url: next((source for source in sources if source.issuer == issuer), None) or KeySource(issuer)
            for issuer in issuers
        }
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()

    def renewed(self, issuers: Iterable[Issuer], asked: Set[str] = frozenset()) -> "TokenVerifier":
        """Return a verifier for a new policy; keys of issuers that did not change are kept."""
        return TokenVerifier(issuers, asked, self._sources.values())

    async def verify(self, token: str, now: float) -> Principal:
        """Return the principal that ``token`` proves.

        Raises:
            TokenRejected: the token is not good.
            IssuerUnavailable: it cannot be told whether the token is good.
        """
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        remembered = self._seen.get(digest)
        if remembered is not None and await remembered.is_good(now):
            self._seen.move_to_end(digest)
            return remembered.principal
        seen = await self._checked(token, now)
        self._seen[digest] = seen
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return seen.principal

    async def aclose(self) -> None:
        """Close the connections to the providers."""
        for source in self._sources.values():
            await source.aclose()

    async def _checked(self, token: str, now: float) -> "_Seen":
        header, claimed = read_unverified(token)
        source = self._source_of(claimed.get("iss"))
        issuer = source.issuer
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in issuer.algorithms:
            raise TokenRejected(f"the token's algorithm is not one that issuer {issuer.name} may use")
        try:
            key = await source.key(kid, algorithm, now)
        except KeysUnavailable as error:
            raise IssuerUnavailable(str(error)) from error
        if key is None:
            raise TokenRejected(f"the token is signed with a key that issuer {issuer.name} does not publish")
        claims = _decode(token, key, issuer)
        _check_times(claims, now, issuer.leeway_s)
        _check_policy(issuer, header, claims)
        return _Seen(_principal(issuer, claims, self._asked), source, kid, key)

    def _source_of(self, issuer: object) -> KeySource:
        """Return the keys of the issuer whose URL a token claims, in just the policy's letters."""
        source = self._sources.get(issuer) if isinstance(issuer, str) else None
        if source is None:
            raise TokenRejected("the token's issuer is not one that this gateway trusts")
        return source


@dataclass(frozen=True, slots=True)
class _Seen:
    """A token that was verified: with this key, which its issuer has to publish still."""

    principal: Principal
    source: KeySource
    kid: str | None
    key: jwt.PyJWK

    async def is_good(self, now: float) -> bool:
        """Tell whether the token has not expired and its key not been withdrawn since."""
        if now >= self.principal.expires + self.source.issuer.leeway_s:
            return False
        try:
            key = await self.source.key(self.kid, self.key.algorithm_name, now)
        except KeysUnavailable:
            return False
        return key is not None and (key is self.key or key.key == self.key.key)


def _decode(token: str, key: jwt.PyJWK, issuer: Issuer) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = _JWT.decode(
            token,
            key=key,
            algorithms=[key.algorithm_name],
            audience=list(issuer.audience),
            issuer=issuer.url,
            leeway=issuer.leeway_s,
            options={"require": list(_REQUIRED), "verify_signature": True},
        )
    except jwt.ExpiredSignatureError as error:
        raise TokenRejected("the token has expired; get a new one") from error
    except jwt.InvalidAudienceError as error:
        raise TokenRejected(f"the token is for another audience; ask for {issuer.audience[0]!r}") from error
    except jwt.ImmatureSignatureError as error:
        raise TokenRejected("the token is not good yet; check the clocks") from error
    except jwt.MissingRequiredClaimError as error:
        raise TokenRejected(f"the token lacks the claim {error.claim!r}") from error
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise TokenRejected("the token's signature or claims are not good") from error
    return claims


def _check_policy(issuer: Issuer, header: dict[str, Any], claims: dict[str, Any]) -> None:
    """Check what the policy demands of the issuer's tokens beyond their being genuine."""
    wrong = refusal(issuer.token, header, claims)
    if wrong is not None:
        raise TokenRejected(wrong)
    name = unmet({name: said_of(claims, name) for name in issuer.require}, issuer.require)
    if name is not None:
        raise TokenRejected(f"the token's claim {name!r} is not what the policy requires")
    if issuer.claims.groups and is_left_out(claims, issuer.claims.groups):
        raise TokenRejected(
            "the token leaves its groups out, because they are too many (group overage); "
            "have the provider send only the groups assigned to this application, or its app roles"
        )


def _check_times(claims: dict[str, Any], now: float, leeway_s: float) -> None:
    """Check the claims that are times (RFC 7519 §2 NumericDate): numbers, and such that the token is good ``now``."""
    times: dict[str, float] = {}
    for name in ("exp", "iat", "nbf"):
        value = claims.get(name)
        if value is None and name == "nbf":
            continue
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _LAST_TIME:
            raise TokenRejected(f"the token's claim {name!r} is not a time")
        times[name] = value
    if now >= times["exp"] + leeway_s:
        raise TokenRejected("the token has expired; get a new one")
    if max(times["iat"], times.get("nbf", 0.0)) > now + leeway_s:
        raise TokenRejected("the token is not good yet; check the clocks")


def _principal(issuer: Issuer, claims: dict[str, Any], asked: Set[str]) -> Principal:
    subject = only_text_of(claims, issuer.claims.subject)
    if not subject:
        raise TokenRejected(f"the token's claim {issuer.claims.subject!r} does not name one subject")
    sessions = texts_of(claims, issuer.claims.session) if issuer.claims.session else ()
    groups = texts_of(claims, issuer.claims.groups) if issuer.claims.groups else ()
    return Principal(
        subject=subject,
        issuer=issuer.name,
        kind=issuer.kind,
        groups=frozenset((*groups, *issuer.groups)),
        session=sessions[0] if sessions else "",
        expires=float(claims["exp"]),
        claims={name: ", ".join(texts_of(claims, name)) for name in issuer.claims.keep},
        proven={name: said for name in asked if (said := said_of(claims, name))},
    )
