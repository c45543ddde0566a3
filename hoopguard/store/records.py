"""What is stored of approvals, as frozen objects: plain values, times in Unix seconds."""

from dataclasses import dataclass
from typing import Any, Literal

State = Literal["pending", "approved", "denied", "expired", "cancelled"]
Verdict = Literal["approve", "deny"]


@dataclass(frozen=True, slots=True)
class Decision:
    """One reviewer's vote on one approval; ``issuer`` is ``local user`` for a user of this machine."""

    approval_id: str
    issuer: str
    subject: str
    verdict: Verdict
    note: str
    at: float


@dataclass(frozen=True, slots=True)
class Grant:
    """What an approval lets through: one request if ``seconds`` is None, else all within a time.

    ``used_at`` and ``used_by`` (an exchange id) are set when a once-only grant has been spent.
    """

    approval_id: str
    granted_at: float
    expires_at: float
    seconds: float | None
    used_at: float | None = None
    used_by: str | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """One question to the reviewers, with its answers so far.

    ``rule`` names the policy's ``[[approval]]``; ``reasons`` are pairs of a guardrail's name and its
    message. ``quorum``, ``expires_s`` and ``grant_s`` (None: once) are the rule's terms when it was
    asked. ``ended_at`` is when it stopped being pending.
    """

    id: str
    digest: str
    rule: str
    issuer: str
    subject: str
    principal: dict[str, Any]
    connection: str
    model: str
    route: str
    reasons: tuple[tuple[str, str], ...]
    preview: str
    exchange: str
    quorum: int
    expires_s: float
    grant_s: float | None
    state: State
    created_at: float
    expires_at: float
    ended_at: float | None = None
    decisions: tuple[Decision, ...] = ()
    grant: Grant | None = None
