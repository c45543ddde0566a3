"""Encrypting what was found, so that whoever has the policy's key can read it again.

AES-SIV (RFC 5297), with the entity's name as associated data. It is deterministic: equal values give equal tokens,
as with a keyed hash. That is wanted: the model can tell that two mentions are of the same person, history that is
resent stays byte for byte the same, and a stream gives what the whole gives. Lengths show too.
"""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_INFO: Final = b"hoopguard operator encrypt, version 1"
_KEY_BYTES: Final = 64
TOKEN_TEXT: Final = re.compile(r"<([A-Z][A-Z0-9_]*):enc1:([A-Za-z0-9_-]{22,})>")


def token_pattern(entities: frozenset[str]) -> str:
    """Return the pattern of the tokens of some entities."""
    return rf"(?-i:<(?:{'|'.join(sorted(entities, reverse=True))}):enc1:[A-Za-z0-9_-]{{22,}}>)"


class Cipher:
    """Turns values into tokens and back, under one key."""

    def __init__(self, secret: str) -> None:
        """Derive the key from a secret by HKDF (RFC 5869); any text will do, if it cannot be guessed."""
        derived = HKDF(SHA256(), _KEY_BYTES, salt=None, info=_INFO).derive(secret.encode("utf-8", "surrogatepass"))
        self._siv = AESSIV(derived)

    def encrypt(self, entity: str, text: str) -> str:
        """Return a token that stands for a value and names its entity."""
        sealed = self._siv.encrypt(text.encode("utf-8", "surrogatepass"), [entity.encode()])
        return f"<{entity}:enc1:{urlsafe_b64encode(sealed).decode().rstrip('=')}>"

    def decrypt(self, token: str) -> str | None:
        """Return the value that a token stands for, or None if it was not made with this key."""
        match = TOKEN_TEXT.fullmatch(token)
        if match is None:
            return None
        try:
            sealed = urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4))
            return self._siv.decrypt(sealed, [match[1].encode()]).decode("utf-8", "surrogatepass")
        except (binascii.Error, InvalidTag, ValueError):
            return None


def keep_tokens(ciphers: Sequence[Cipher]) -> Callable[[str, str], str]:
    """Return what is done with a token that is in a text already: a genuine one stays, any other is a value."""

    def keep(entity: str, text: str) -> str:
        if any(cipher.decrypt(text) is not None for cipher in ciphers):
            return text
        found = TOKEN_TEXT.search(text)
        return ciphers[0].encrypt(found[1] if found else "VALUE", text)

    return keep


def reveal(text: str, ciphers: Sequence[Cipher]) -> tuple[str, int]:
    """Return a text with the values of its tokens in it, and how many tokens none of the keys has made."""
    unknown = 0

    def value(match: re.Match[str]) -> str:
        nonlocal unknown
        found = next((value for cipher in ciphers if (value := cipher.decrypt(match.group())) is not None), None)
        unknown += found is None
        return match.group() if found is None else found

    return TOKEN_TEXT.sub(value, text), unknown
