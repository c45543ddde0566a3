"""A token as its bearer sees it: opaque but for the claims that say whose it is and how long it lives."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt

MAX_TOKEN_CHARS: Final = 16_384
"""The gateway takes none that is longer."""

_TOKEN: Final = re.compile(rf"[\x21-\x7e]{{1,{MAX_TOKEN_CHARS}}}")


class NoTokenError(ValueError):
    """There is no token to be had here; ``hint`` says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Token:
    """A token, which source it came from, and what it claims; ``repr`` does not show the value."""

    value: str = field(repr=False)
    source: str
    claims: Mapping[str, Any] = field(repr=False)

    @property
    def expires_at(self) -> float | None:
        """Return when it expires in Unix seconds; None if it does not say."""
        return _time(self.claims.get("exp"))

    @property
    def issued_at(self) -> float | None:
        """Return when it was issued in Unix seconds; None if it does not say."""
        return _time(self.claims.get("iat"))

    @property
    def audiences(self) -> tuple[str, ...]:
        """Return for whom it is meant."""
        return texts(self.claims.get("aud"))


def read_token(value: str, source: str) -> Token:
    """Return the token with its claims, unverified: only the gateway can tell whether they are true.

    Raises:
        NoTokenError: it could not stand in a header.
    """
    value = value.strip()
    if not value:
        raise NoTokenError(f"{source}: expected a token, and it is empty")
    if not _TOKEN.fullmatch(value):
        raise NoTokenError(f"{source}: expected one line of at most {MAX_TOKEN_CHARS} printable ASCII characters")
    try:
        claims = jwt.decode(value, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        claims = {}
    return Token(value, source, claims)


def texts(value: object) -> tuple[str, ...]:
    """Return a claim's values as texts; anything that is neither text nor list of texts has none."""
    values = value if isinstance(value, list) else [value]
    return tuple(each for each in values if isinstance(each, str))


def _time(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 253_402_300_800 else None  # the year 9999 is the last that a calendar can say
