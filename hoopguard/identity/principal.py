"""Who asks: a person or a service, vouched for by an issuer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller.

    ``subject`` is unique within ``issuer`` only; ``id`` is unique among all.
    ``session`` groups a caller's exchanges into one recorded session.
    ``expires`` is the Unix time at which the credential stops being good.
    ``proven`` is what the credential says of the claims that ``allow`` lines require; it is not recorded.
    """

    subject: str
    issuer: str
    kind: Literal["person", "service"]
    groups: frozenset[str]
    session: str
    expires: float
    claims: dict[str, str] = field(default_factory=dict)
    proven: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Return ``issuer:subject``, which names this principal and no other."""
        return f"{self.issuer}:{self.subject}"

    def facts(self) -> dict[str, Any]:
        """Return what the record says of this principal, as plain JSON values."""
        return {
            "id": self.id,
            "subject": self.subject,
            "issuer": self.issuer,
            "kind": self.kind,
            "groups": sorted(self.groups),
            "session": self.session,
            "claims": dict(self.claims),
        }
