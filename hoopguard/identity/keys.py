"""The signing keys of one OIDC provider: discovered, cached, refreshed, never fetched in a hurry.

Strangers must not be able to make the gateway fetch: an unknown ``kid`` leads to at most one fetch a
minute, callers that wait share one flight, and a provider that is down costs one attempt every few
seconds. Keys already known stay good while the provider is away.
"""

import asyncio
import logging
import re
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt
import orjson

from hoopguard.policy.model import AsymmetricAlgorithm, Issuer

_log = logging.getLogger(__name__)

FRESH_S: Final = 300.0
UNKNOWN_KID_PAUSE_S: Final = 60.0
FAILURE_PAUSE_S: Final = 5.0
_TIMEOUT_S: Final = 5.0
_MAX_DOCUMENT_BYTES: Final = 1_000_000
_MAX_KEYS: Final = 100
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d{1,9})(?!\d)", re.ASCII | re.IGNORECASE)
_NOT_KEPT: Final = re.compile(r"(?:^|[\s,])no-(?:store|cache)\b", re.ASCII | re.IGNORECASE)
_JSON: Final = re.compile(r"application/(?:[a-z0-9.-]+\+)?json\s*(?:;.*)?", re.ASCII | re.IGNORECASE)

_PLAIN: Final = {"accept": "application/json", "accept-encoding": "identity"}
_RSA: Final[tuple[AsymmetricAlgorithm, ...]] = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final[dict[str, tuple[AsymmetricAlgorithm, ...]]] = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
}

Keys = dict[tuple[str, str], jwt.PyJWK]
"""Keys by ``kid`` and the algorithm that they may verify."""


class KeysUnavailable(Exception):
    """The provider cannot be asked just now and no key is known; the text says why."""


class KeySource:
    """Keys of one issuer by ``kid`` and algorithm."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self._keys: Keys = {}
        self._fetched_at = float("-inf")
        self._fresh_s = FRESH_S
        self._failed_at = float("-inf")
        self._failure = ""
        self._flight: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None

    async def key(self, kid: str | None, algorithm: str, now: float) -> jwt.PyJWK | None:
        """Return the key that ``kid`` names for ``algorithm``, fetching if that may help; ``None`` if there is none.

        Without ``kid`` a key is returned only if it is the only one for the algorithm.

        Raises:
            KeysUnavailable: no key is known and the provider cannot be asked.
        """
        found = self._look_up(kid, algorithm)
        age = now - self._fetched_at
        if found is not None:
            if age > self._fresh_s and self._may_try(now):
                self._start_fetch(now)
            return found
        if self._may_try(now) and (not self._keys or age > UNKNOWN_KID_PAUSE_S):
            await asyncio.shield(self._start_fetch(now))
        elif self._flight is not None:
            await asyncio.shield(self._flight)
        if not self._keys:
            raise KeysUnavailable(f"issuer {self.issuer.name} cannot be reached: {self._failure}")
        return self._look_up(kid, algorithm)

    async def aclose(self) -> None:
        """Close what is open."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.gather(self._flight, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _look_up(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        if kid is not None:
            return self._keys.get((kid, algorithm))
        fitting = [key for (_, each), key in self._keys.items() if each == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    def _may_try(self, now: float) -> bool:
        return now - self._failed_at > FAILURE_PAUSE_S

    def _start_fetch(self, now: float) -> "asyncio.Task[None]":
        if self._flight is None:
            self._flight = asyncio.create_task(self._fetch(now), name=f"keys of {self.issuer.name}")
            self._flight.add_done_callback(self._landed)
        return self._flight

    def _landed(self, _flight: "asyncio.Task[None]") -> None:
        self._flight = None

    async def _fetch(self, now: float) -> None:
        try:
            jwks_url = self.issuer.jwks_url or await self._discover()
            document, fresh_s = await self._get(jwks_url)
            keys = _read_keys(document)
        except Exception as error:  # noqa: BLE001 - whatever a provider does, it counts as being away
            self._failed_at = now
            self._failure = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            _log.warning("keys of issuer %s could not be fetched: %s", self.issuer.name, self._failure)
            return
        if self._failure:
            _log.warning("keys of issuer %s are available again", self.issuer.name)
        self._keys, self._fetched_at, self._fresh_s, self._failure = keys, now, fresh_s, ""

    async def _discover(self) -> str:
        document, _ = await self._get(f"{self.issuer.url.rstrip('/')}/.well-known/openid-configuration")
        if document.get("issuer") != self.issuer.url:
            raise ValueError(
                f"the provider calls itself {str(document.get('issuer'))[:200]!r}, not {self.issuer.url!r}"
            )
        url = document.get("jwks_uri")
        if not isinstance(url, str):
            raise ValueError("the provider's configuration names no jwks_uri")
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("the provider's jwks_uri is not https://")
        return url

    async def _get(self, url: str) -> tuple[dict[str, Any], float]:
        """Return the JSON object at a URL, and for how many seconds it is fresh."""
        if self._client is None:
            context = ssl.create_default_context(cafile=self.issuer.ca)
            self._client = httpx.AsyncClient(verify=context, timeout=_TIMEOUT_S, trust_env=False, headers=_PLAIN)
        async with asyncio.timeout(_TIMEOUT_S), self._client.stream("GET", url) as response:
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"{url} answered {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise ValueError(f"{url} answered in a content encoding that was not asked for")
            if not _JSON.fullmatch(response.headers.get("content-type", "")):
                raise ValueError(f"{url} answered with something that it does not call JSON")
            body = b""
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _MAX_DOCUMENT_BYTES:
                    raise ValueError(f"{url} answered with more than 1 MB")
        document = orjson.loads(body)
        if not isinstance(document, dict):
            raise ValueError(f"{url} answered with something that is not a JSON object")
        return document, _fresh_s(response.headers.get("cache-control", ""))


def _fresh_s(cache_control: str) -> float:
    """Return for how long keys are good without asking again (RFC 9111 §5.2.2).

    A provider can shorten the time, down to the pause that strangers get, and cannot lengthen it: keys that it
    withdraws have to go within minutes, whatever it once said of them.
    """
    if _NOT_KEPT.search(cache_control):
        return UNKNOWN_KID_PAUSE_S
    match = _MAX_AGE.search(cache_control)
    return max(UNKNOWN_KID_PAUSE_S, min(FRESH_S, float(match[1]))) if match else FRESH_S


def _read_keys(document: dict[str, Any]) -> Keys:
    """Return the public signing keys of a JWK set (RFC 7517 §5); others are passed over."""
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise ValueError("the key set has no list of keys")
    keys: Keys = {}
    for number, entry in enumerate(entries[:_MAX_KEYS]):
        if not isinstance(entry, dict) or not _verifies(entry):
            continue
        kid = entry.get("kid")
        name = kid if isinstance(kid, str) else f"#{number}"
        for algorithm in _algorithms(entry):
            try:
                keys[name, algorithm] = jwt.PyJWK(entry, algorithm)
            except (jwt.PyJWTError, ValueError, TypeError):
                continue
    if not keys:
        raise ValueError("the key set has no usable signing key")
    return keys


def _verifies(entry: dict[str, Any]) -> bool:
    """Tell whether a key is public and meant for signatures (RFC 7517 §4.2 and §4.3)."""
    operations = entry.get("key_ops")
    may = operations is None or (isinstance(operations, list) and "verify" in operations)
    return may and entry.get("use", "sig") == "sig" and "d" not in entry


def _algorithms(entry: dict[str, Any]) -> tuple[AsymmetricAlgorithm, ...]:
    """Return what a key may verify: of all that its type and curve can, the ``alg`` that it names if it names one."""
    curve, kind, named = entry.get("crv"), entry.get("kty"), entry.get("alg")
    by_type: dict[str, tuple[AsymmetricAlgorithm, ...]] = {
        "RSA": _RSA,
        "EC": _CURVES.get(curve, ()) if isinstance(curve, str) else (),
        "OKP": ("EdDSA",),
    }
    fitting = by_type.get(kind, ()) if isinstance(kind, str) else ()
    return tuple(each for each in fitting if named is None or each == named)
