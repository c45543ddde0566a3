"""An OIDC issuer for the demo and the tests: discovery, keys, and tokens for whoever asks.

``python -m hoopguard.demo.issuer --port 0 --port-file F``; it trusts everybody who can reach it, so it binds
loopback only. ``POST /token`` signs, ``POST /rotate`` changes the keys, ``POST /fail`` breaks it on purpose.
"""

import argparse
import hashlib
import json
import secrets
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from hoopguard.demo.connection import RawReply, Reply, Request, chunks_of, json_reply
from hoopguard.demo.loopback import LoopbackServer

Algorithm = Literal["RS256", "ES256"]
DISCOVERY: Final = "/.well-known/openid-configuration"
JWKS: Final = "/jwks"
FAIL_MODES: Final = ("none", "down", "slow", "hang", "error", "wrong-content-type", "garbage", "empty", "wrong-issuer")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key of the issuer, with the name that its tokens carry as ``kid``."""

    kid: str
    algorithm: Algorithm
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

    def public_jwk(self) -> dict[str, Any]:
        """Return the public half as the JWK set shows it."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            jwk = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        else:
            jwk = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        jwk.pop("key_ops", None)
        return {**jwk, "kid": self.kid, "alg": self.algorithm, "use": "sig"}


def new_key(algorithm: Algorithm) -> SigningKey:
    """Make a key for ``algorithm``."""
    kid = f"{algorithm.lower()}-{secrets.token_hex(4)}"
    if algorithm == "RS256":
        return SigningKey(kid, algorithm, rsa.generate_private_key(public_exponent=65537, key_size=2048))
    return SigningKey(kid, algorithm, ec.generate_private_key(ec.SECP256R1()))


@dataclass(frozen=True, slots=True)
class Failure:
    """How ``POST /fail`` said that the issuer misbehaves; ``path`` empty means on discovery and keys alike."""

    mode: str = "none"
    delay_s: float = 2.0
    path: str = ""


class DemoIssuer(LoopbackServer):
    """The issuer; in a test: ``with DemoIssuer() as issuer: issuer.token("ada@example.com", groups=["ml"])``."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self._keys = [new_key("RS256"), new_key("ES256")]
        self._failure = Failure()
        self._requests: Counter[str] = Counter()
        self._sid_salt = secrets.token_hex(8)

    @property
    def requests(self) -> dict[str, int]:
        """Return how often each path was asked for; the demo's own controls do not count."""
        return dict(self._requests)

    def token(
        self,
        subject: str = "ada@example.com",
        groups: Sequence[str] = (),
        audience: str | Sequence[str] = "hoopguard",
        expires_in: float = 3600.0,
        claims: Mapping[str, Any] | None = None,
        algorithm: Algorithm = "RS256",
        headers: Mapping[str, Any] | None = None,
    ) -> str:
        """Sign a token; ``claims`` are put over the usual ones, and a claim that is ``None`` is left out.

        A subject with an ``@`` is its own ``email``; each subject has one ``sid`` while the issuer lives. A
        negative ``expires_in`` makes a token that has expired.
        """
        now = time.time()
        usual: dict[str, Any] = {
            "iss": self.url,
            "sub": subject,
            "aud": audience if isinstance(audience, str) else list(audience),
            "iat": int(min(now, now + expires_in - 1)),
            "exp": int(now + expires_in),
            "jti": secrets.token_hex(8),
            "groups": list(groups),
            "email": subject if "@" in subject else None,
            "sid": hashlib.sha256(f"{self._sid_salt}{subject}".encode()).hexdigest()[:16],
        }
        payload = {name: value for name, value in {**usual, **(claims or {})}.items() if value is not None}
        key = next(key for key in self._keys if key.algorithm == algorithm)
        return jwt.encode(payload, key.private, algorithm, headers={"kid": key.kid, **(headers or {})})

    def rotate(self, *, keep_old: bool = True) -> list[str]:
        """Sign with new keys from now on; return their ``kid``s. Dropped keys leave the JWK set at once."""
        fresh = [new_key("RS256"), new_key("ES256")]
        self._keys = [*fresh, *(self._keys if keep_old else ())]
        return [key.kid for key in fresh]

    def fail(self, mode: str, *, delay_s: float = 2.0, path: str = "") -> None:
        """Misbehave on discovery and keys (or only on ``path``) until told ``none``.

        Raises:
            ValueError: there is no such mode.
        """
        if mode not in FAIL_MODES:
            raise ValueError(f"expected a mode out of {', '.join(FAIL_MODES)}, not {mode!r}")
        self._failure = Failure(mode, delay_s, path)

    def jwks(self) -> dict[str, Any]:
        """Return the JWK set."""
        return {"keys": [key.public_jwk() for key in self._keys]}

    def discovery(self) -> dict[str, Any]:
        """Return the provider's metadata (OpenID Connect Discovery 1.0 §3)."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}{JWKS}",
            "token_endpoint": f"{self.url}/token",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        }

    async def handle(self, request: Request) -> Reply | RawReply:
        """Answer one request to the issuer."""
        if request.path in (DISCOVERY, JWKS):
            self._requests[request.path] += 1
            return await self._published(request)
        if (request.method, request.path) == ("GET", "/stats"):
            return json_reply(self.requests)
        try:
            return self._control(request.method, request.path, request.json())
        except (ValueError, TypeError, AttributeError) as error:
            return json_reply({"error": "invalid_request", "error_description": str(error)}, 400)

    def _control(self, method: str, path: str, asked: dict[str, Any]) -> Reply:
        if method != "POST":
            return json_reply({"error": "not_found"}, 404)
        if path == "/token":
            return json_reply({"access_token": self.token(**asked), "token_type": "Bearer"})
        if path == "/rotate":
            return json_reply({"kids": self.rotate(keep_old=bool(asked.get("keep_old", True)))})
        if path == "/fail":
            self.fail(**asked)
            return json_reply({"mode": self._failure.mode})
        return json_reply({"error": "not_found"}, 404)

    async def _published(self, request: Request) -> Reply | RawReply:
        document = self.discovery() if request.path == DISCOVERY else self.jwks()
        failure = self._failure
        if failure.mode != "none" and failure.path in ("", request.path):
            return await _failing(failure, document)
        body = json.dumps(document).encode()
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = (("etag", tag), ("cache-control", "public, max-age=300"))
        if request.header("if-none-match") == tag:
            return Reply(b"", 304, headers=headers)
        return Reply(body, headers=headers)


async def _failing(failure: Failure, document: dict[str, Any]) -> Reply | RawReply:
    body = json.dumps(document).encode()
    if failure.mode == "slow":
        return Reply(body, delay_s=failure.delay_s)
    if failure.mode in ("down", "hang"):
        return RawReply(chunks_of(then_hang=failure.mode == "hang"))
    return {
        "error": Reply(b'{"error":"server_error"}', 503),
        "wrong-content-type": Reply(body, content_type="text/html"),
        "garbage": Reply(b"\x00<html>{not json"),
        "empty": Reply(b""),
        "wrong-issuer": Reply(json.dumps({**document, "issuer": "https://somebody-else.example"}).encode()),
    }[failure.mode]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the issuer until it is told to end."""
    parser = argparse.ArgumentParser(prog="python -m hoopguard.demo.issuer", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--port-file", type=Path, help="where to write the port, once it listens")
    chosen = parser.parse_args(arguments)
    return DemoIssuer(chosen.port).run(chosen.port_file)


if __name__ == "__main__":
    sys.exit(main())
