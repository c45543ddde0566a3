"""Whose a server's session is: the server knows all callers by one credential, and tells them apart by its id alone."""

import base64
import hmac
import secrets
from typing import Final

from hoopguard.exchange import Refused

_TAG_CHARS: Final = 22


class SessionSeals:
    """Puts a seal on the ids of sessions, which opens only for the principal who has got it.

    The key lives as long as the gateway: after its restart, or at another gateway, sessions begin anew.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def sealed(self, connection: str, principal: str, session: str) -> str:
        """Return a session's id as the principal may know it."""
        return session + self._tag(connection, principal, session)

    def opened(self, connection: str, principal: str, sealed: str) -> str:
        """Return a session's id as the server knows it.

        Raises:
            Refused: it is not the principal's; 404 has clients begin a new one.
        """
        session, tag = sealed[:-_TAG_CHARS], sealed[-_TAG_CHARS:]
        if not hmac.compare_digest(tag.encode(), self._tag(connection, principal, session).encode()):
            message = "There is no such session of yours here; initialize a new one."
            raise Refused(404, "hoopguard_unknown_session", message)
        return session

    def _tag(self, connection: str, principal: str, session: str) -> str:
        said = "\0".join((connection, principal, session)).encode()
        return base64.urlsafe_b64encode(hmac.digest(self._key, said, "sha256")).decode()[:_TAG_CHARS]
