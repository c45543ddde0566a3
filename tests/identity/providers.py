"""A provider that publishes whatever a test wants, and tokens that are really signed."""

import base64
import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from hoopguard.demo.connection import RawReply, Reply, Request, json_reply
from hoopguard.demo.loopback import LoopbackServer
from hoopguard.policy.model import Issuer

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
DISCOVERY = "/.well-known/openid-configuration"


def rsa_jwk(key: rsa.RSAPrivateKey = RSA_KEY, **more: Any) -> dict[str, Any]:
    jwk = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return {**jwk, "kid": "k1", "alg": "RS256", "use": "sig", **more}


def ec_jwk(**more: Any) -> dict[str, Any]:
    jwk = ECAlgorithm.to_jwk(EC_KEY.public_key(), as_dict=True)
    jwk.pop("key_ops", None)
    return {**jwk, "kid": "e1", "alg": "ES256", "use": "sig", **more}


def public_pem() -> bytes:
    return RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Provider(LoopbackServer):
    """Publishes ``keys``; ``replies`` put something else at a path."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        super().__init__()
        self.keys = list(keys) or [rsa_jwk(), ec_jwk()]
        self.replies: dict[str, Reply] = {}
        self.requests: Counter[str] = Counter()

    async def handle(self, request: Request) -> Reply | RawReply:
        self.requests[request.path] += 1
        if request.path in self.replies:
            return self.replies[request.path]
        if request.path == DISCOVERY:
            return json_reply({"issuer": self.url, "jwks_uri": f"{self.url}/jwks"})
        return json_reply({"keys": self.keys}) if request.path == "/jwks" else json_reply({}, 404)

    def issuer(self, **more: Any) -> Issuer:
        return Issuer.model_validate({"name": "staff", "url": self.url, "audience": "hoopguard", **more})

    def claims(self, **over: Any) -> dict[str, Any]:
        """Return good claims with some put over them; ``None`` takes one away."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": "hoopguard", "sub": "ada", "iat": now, "exp": now + 600}
        return {name: value for name, value in {**usual, **over}.items() if value is not None}

    def token(self, headers: Mapping[str, Any] | None = None, key: Any = RSA_KEY, **over: Any) -> str:
        algorithm = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"
        kid = "e1" if algorithm == "ES256" else "k1"
        return jwt.encode(self.claims(**over), key, algorithm, headers={"kid": kid, **(headers or {})})


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: Any, payload: Any) -> str:
    """Sign whatever header and payload with the provider's own RSA key, as RS256 does."""
    signing_input = f"{part(header)}.{part(payload)}"
    return f"{signing_input}.{part(RSA_KEY.sign(signing_input.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def hmac_signed(header: Any, payload: Any, secret: bytes) -> str:
    signing_input = f"{part(header)}.{part(payload)}"
    return f"{signing_input}.{part(hmac.new(secret, signing_input.encode(), hashlib.sha256).digest())}"
