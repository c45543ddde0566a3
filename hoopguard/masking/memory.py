"""What was found in texts looked at lately: chat turns resend the whole history, which is looked at once."""

import hashlib
import secrets
from collections import OrderedDict
from threading import Lock
from typing import Final

from hoopguard.masking.findings import Finding

MOST_TEXTS: Final = 8_192
MOST_FINDINGS: Final = 65_536


class Memory:
    """Findings by a keyed hash of their text; of the text itself nothing is kept. Safe to use from several threads."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._found: OrderedDict[bytes, tuple[Finding, ...]] = OrderedDict()
        self._findings = 0
        self._lock = Lock()

    def __len__(self) -> int:
        """Return how many texts are remembered."""
        return len(self._found)

    def recall(self, text: str) -> tuple[Finding, ...] | None:
        """Return what was found in a text, or None if it is not remembered."""
        digest = self._digest(text)
        with self._lock:
            found = self._found.get(digest)
            if found is not None:
                self._found.move_to_end(digest)
            return found

    def remember(self, text: str, findings: tuple[Finding, ...]) -> None:
        """Remember what was found in a text, and forget what has not been asked for longest."""
        digest = self._digest(text)
        with self._lock:
            self._findings += len(findings) - len(self._found.pop(digest, ()))
            self._found[digest] = findings
            while len(self._found) > MOST_TEXTS or self._findings > MOST_FINDINGS:
                _, forgotten = self._found.popitem(last=False)
                self._findings -= len(forgotten)

    def _digest(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=32).digest()
