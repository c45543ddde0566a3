"""The token of a command that runs for long: renewed before it expires, once for all who ask."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from hoopguard.caller.sources import Source
from hoopguard.caller.tokens import NoTokenError, Token

_AHEAD_S: Final = 60.0
_AHEAD_SHARE: Final = 0.2
_PAUSE_S: Final = 2.0
"""How long a source is left alone after it was asked."""


def renew_at(token: Token, now: float) -> float | None:
    """Return when to ask for the next one: a minute ahead, or a fifth of a short life; None if it does not expire."""
    if token.expires_at is None:
        return None
    life_s = token.expires_at - (token.issued_at if token.issued_at is not None else now)
    return token.expires_at - min(_AHEAD_S, max(0.0, life_s) * _AHEAD_SHARE)


class RenewedToken:
    """The current token of a source."""

    def __init__(self, source: Source, first: Token, complain: Callable[[str], None]) -> None:
        self._source = source
        self._token = first
        self._complain = complain
        self._renewal: asyncio.Task[None] | None = None
        self._renewed_at = 0.0
        self._said = ""

    async def current(self) -> Token:
        """Return a token that is good, as far as it says so itself and its source has one.

        Nobody waits for the next one while this one lasts. A source that fails is said once; once the token has
        expired all the same, it is the gateway that refuses it, with its own words.
        """
        now = time.time()
        due = renew_at(self._token, now)
        if due is None or now < due:
            return self._token
        if self._renewal is None and now >= self._renewed_at + _PAUSE_S:
            self._renewal = asyncio.create_task(self._renew())
        if self._renewal is not None and now >= (self._token.expires_at or 0.0):
            await asyncio.shield(self._renewal)
        return self._token

    async def _renew(self) -> None:
        try:
            self._token = await asyncio.to_thread(self._source.read)
        except NoTokenError as error:
            if str(error) != self._said:
                self._said = str(error)
                self._complain(f"no new token: {error}")
        finally:
            self._renewal = None
            self._renewed_at = time.time()
