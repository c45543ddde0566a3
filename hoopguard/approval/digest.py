"""What a decision is bound to: one digest over who asks what of which model."""

import hashlib
from typing import Final

_DOMAIN: Final = b"hoopguard approval v1"


def request_digest(principal_id: str, connection: str, model: str, route: str, canonical_body: bytes) -> str:
    """Return the SHA-256, in hex, of a request as its reviewers see it.

    Each part is preceded by its length as eight bytes, so that no two different requests are
    encoded alike, however their parts run into each other. ``canonical_body`` is what goes
    upstream, not what the caller sent.
    """
    # JSON can hold a lone surrogate; "surrogatepass" keeps such texts apart from all others.
    texts = [part.encode("utf-8", "surrogatepass") for part in (principal_id, connection, model, route)]
    digest = hashlib.sha256()
    for part in (_DOMAIN, *texts, canonical_body):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
