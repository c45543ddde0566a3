"""The signing keys of one OIDC provider: discovered, cached, refreshed, never fetched in a hurry.

Strangers must not be able to make the gateway fetch: an unknown ``kid`` leads to at most one fetch a
minute, callers that wait share one flight, and a provider that is down costs one attempt every few
seconds. Keys already known stay good while the provider is away.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt
import orjson

from hoopguard.policy.model import Issuer

_log = logging.getLogger(__name__)

FRESH_S: Final = 300.0
UNKNOWN_KID_PAUSE_S: Final = 60.0
FAILURE_PAUSE_S: Final = 5.0
_TIMEOUT_S: Final = 5.0
_MAX_DOCUMENT_BYTES: Final = 1_000_000
_MAX_KEYS: Final = 100

Fetch = Callable[[str], Any]


class KeysUnavailable(Exception):
    """The provider cannot be asked just now and no key is known; the text says why."""


class KeySource:
    """Keys of one issuer by ``kid``."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._failed_at = float("-inf")
        self._failure = ""
        self._flight: asyncio.Task[None] | None = None
        self._client: httpx.AsyncClient | None = None

    async def key(self, kid: str | None, now: float) -> jwt.PyJWK | None:
        """Return the key that ``kid`` names, fetching if that may help; ``None`` if there is none.

        Without ``kid`` a key is returned only if it is the only one.

        Raises:
            KeysUnavailable: no key is known and the provider cannot be asked.
        """
        found = self._look_up(kid)
        age = now - self._fetched_at
        if found is not None:
            if age > FRESH_S and self._may_try(now):
                self._start_fetch(now)
            return found
        if self._may_try(now) and (not self._keys or age > UNKNOWN_KID_PAUSE_S):
            await asyncio.shield(self._start_fetch(now))
        elif self._flight is not None:
            await asyncio.shield(self._flight)
        if not self._keys:
            raise KeysUnavailable(f"issuer {self.issuer.name} cannot be reached: {self._failure}")
        return self._look_up(kid)

    async def aclose(self) -> None:
        """Close what is open."""
        if self._flight is not None:
            self._flight.cancel()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _look_up(self, kid: str | None) -> jwt.PyJWK | None:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

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
            keys = _read_keys(await self._get(jwks_url))
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError, ssl.SSLError) as error:
            self._failed_at = now
            self._failure = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            _log.warning("keys of issuer %s could not be fetched: %s", self.issuer.name, self._failure)
            return
        if self._failure:
            _log.warning("keys of issuer %s are available again", self.issuer.name)
        self._keys, self._fetched_at, self._failure = keys, now, ""

    async def _discover(self) -> str:
        document = await self._get(f"{self.issuer.url.rstrip('/')}/.well-known/openid-configuration")
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

    async def _get(self, url: str) -> dict[str, Any]:
        if self._client is None:
            context = ssl.create_default_context(cafile=self.issuer.ca)
            self._client = httpx.AsyncClient(verify=context, timeout=_TIMEOUT_S, trust_env=False)
        async with asyncio.timeout(_TIMEOUT_S), self._client.stream("GET", url) as response:
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"{url} answered {response.status_code}")
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_DOCUMENT_BYTES:
                    raise ValueError(f"{url} answered with more than 1 MB")
        document = orjson.loads(body)
        if not isinstance(document, dict):
            raise ValueError(f"{url} answered with something that is not a JSON object")
        return document


def _read_keys(document: dict[str, Any]) -> dict[str, jwt.PyJWK]:
    """Return the asymmetric signing keys of a JWK set (RFC 7517 §5); others are passed over."""
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise ValueError("the key set has no list of keys")
    keys: dict[str, jwt.PyJWK] = {}
    for number, entry in enumerate(entries[:_MAX_KEYS]):
        if not isinstance(entry, dict) or entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK.from_dict(entry)
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        keys[str(entry.get("kid", f"#{number}"))] = key
    if not keys:
        raise ValueError("the key set has no usable signing key")
    return keys
