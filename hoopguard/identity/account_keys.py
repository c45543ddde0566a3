"""The keys of service accounts: how one is made, read and compared.

``hgsa_<account id>_<32 random bytes, base64url>_<CRC-32, hex>``: the prefix and the checksum let scanners for secrets
be sure of one, the id finds the account without a search. Only the SHA-256 of a key is kept: 256 random bits cannot be
guessed, so that a slow hash, which passwords need, would protect nothing more.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from typing import Final

KEY_PREFIX: Final = "hgsa_"
_ID_CHARS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_ID_LENGTH: Final = 12
_SECRET_BYTES: Final = 32
_KEY: Final = re.compile(rf"{KEY_PREFIX}([{_ID_CHARS}]{{{_ID_LENGTH}}})_[A-Za-z0-9_-]{{43}}_[0-9a-f]{{8}}", re.ASCII)


def new_account_id() -> str:
    """Return the id of a new account: 60 random bits."""
    return "".join(secrets.choice(_ID_CHARS) for _ in range(_ID_LENGTH))


def new_key(account_id: str) -> str:
    """Return a new key of an account."""
    body = f"{KEY_PREFIX}{account_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return f"{body}_{_checksum(body)}"


def account_of(key: str) -> str | None:
    """Return the id of the account whose key this may be; ``None`` if it is nobody's, mistyped say."""
    match = _KEY.fullmatch(key)
    body, _, checksum = key.rpartition("_")
    return match[1] if match and checksum == _checksum(body) else None


def key_sha256(key: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def is_key(key: str, kept: str) -> bool:
    """Tell whether this is the key of which ``kept`` is kept, in a time that says nothing."""
    return hmac.compare_digest(key_sha256(key), kept)


def _checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()):08x}"
