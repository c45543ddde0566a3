"""Approvals: asking for one, deciding it, and going through on it, over the store.

All calls block for one short transaction; the gateway makes them in ``asyncio.to_thread``. Nothing
is kept in memory, so that a restart of any process changes nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from hoopguard.approval.asking import Ask, Claim, new_approval, pass_through, stand, storable
from hoopguard.approval.reviewers import Reviewer
from hoopguard.approval.states import TRANSITIONS, rule_on, state_at
from hoopguard.policy.model import Approval as Rule
from hoopguard.store import Store, approvals
from hoopguard.store.records import Approval, State, Verdict

__all__ = ["MAX_NOTE_CHARS", "Approvals", "Ask", "Claim", "UnknownApprovalError"]

MAX_NOTE_CHARS: Final = 1_000


class UnknownApprovalError(LookupError):
    """There is no approval of this id."""


class Approvals:
    """The approvals of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def request(self, ask: Ask, now: float) -> Approval:
        """Return the approval that stands for this request, asking for a new one if none does.

        The one returned may be pending, approved and not yet used, or denied; nothing is spent.
        """
        with self._store.writing() as connection:
            claim = stand(connection, ask, now)
            if claim.approval is not None and claim.kind in ("ready", "pending", "denied"):
                return claim.approval
            if claim.approval is not None and claim.kind == "expired":
                approvals.end(connection, claim.approval.id, "expired", claim.approval.expires_at)
            approval = new_approval(ask, now)
            approvals.add(connection, approval)
            return approval

    def claim(self, ask: Ask, now: float) -> Claim:
        """Let the request through if it may go, spending a once-only grant; else say where it stands."""
        return self.claim_all((ask,), now)[0]

    def claim_all(self, asks: Sequence[Ask], now: float) -> tuple[Claim, ...]:
        """Claim for a request that needs several rules' agreement: all are granted or nothing is spent.

        Of many who claim the same once-only grant at the same time, in any process, one gets it.
        """
        with self._store.reading() as connection:
            claims = tuple(stand(connection, ask, now) for ask in asks)
        if any(claim.kind != "ready" for claim in claims):
            return claims
        with self._store.writing() as connection:
            claims = tuple(stand(connection, ask, now) for ask in asks)
            if any(claim.kind != "ready" for claim in claims):
                return claims
            return tuple(pass_through(connection, ask, claim, now) for ask, claim in zip(asks, claims, strict=True))

    def decide(
        self,
        approval_id: str,
        reviewer: Reviewer,
        verdict: Verdict,
        *,
        rules: Sequence[Rule],
        note: str = "",
        now: float,
    ) -> Approval:
        """Count a reviewer's vote and return the approval after it.

        ``rules`` are the ``[[approval]]`` tables of the policy now in force: who may decide is
        looked up when they decide.

        Raises:
            UnknownApprovalError: there is no such approval.
            DecisionRefusedError: it has ended, or this reviewer has no say in it.
            ValueError: the note is too long.
        """
        if len(note) > MAX_NOTE_CHARS:
            raise ValueError(f"expected a note of at most {MAX_NOTE_CHARS} characters")
        with self._store.writing() as connection:
            approval = _found(connection, approval_id)
            rule = next((rule for rule in rules if rule.name == approval.rule), None)
            ruling = rule_on(approval, rule, reviewer, verdict, storable(note), now)
            approvals.add_decision(connection, ruling.decision)
            if ruling.state != "pending":
                approvals.end(connection, approval_id, ruling.state, now)
            if ruling.grant is not None:
                approvals.add_grant(connection, ruling.grant)
            return _found(connection, approval_id)

    def cancel(self, approval_id: str, now: float) -> bool:
        """Withdraw the question, say because its caller hung up; return False if it had ended."""
        with self._store.writing() as connection:
            approval = _found(connection, approval_id)
            if state_at(approval, now) != "pending":
                return False
            return approvals.end(connection, approval_id, TRANSITIONS["pending", "cancel"], now)

    def expire_due(self, now: float) -> tuple[Approval, ...]:
        """Write down which pending approvals have run out of time, and return them.

        Nothing depends on when this is called: a late approval counts as expired all the same.
        """
        with self._store.reading() as connection:
            if not approvals.due(connection, now):
                return ()
        with self._store.writing() as connection:
            overdue = approvals.due(connection, now)
            for approval in overdue:
                approvals.end(connection, approval.id, TRANSITIONS["pending", "expire"], approval.expires_at)
        return tuple(_seen_at(approval, now) for approval in overdue)

    def get(self, approval_id: str, now: float) -> Approval:
        """Return one approval as it stands now.

        Raises:
            UnknownApprovalError: there is no such approval.
        """
        with self._store.reading() as connection:
            return _seen_at(_found(connection, approval_id), now)

    def list(self, now: float, state: State | None = None) -> tuple[Approval, ...]:
        """Return the approvals that are in this state now, or all, the oldest first."""
        stored: dict[State | None, tuple[State, ...]] = {
            None: ("pending", "approved", "denied", "expired", "cancelled"),
            "expired": ("pending", "expired"),
        }
        with self._store.reading() as connection:
            found = approvals.listed(connection, stored.get(state, (state,) if state else ()))
        seen = tuple(_seen_at(approval, now) for approval in found)
        return tuple(approval for approval in seen if state in (None, approval.state))


def _found(connection: Connection, approval_id: str) -> Approval:
    approval = approvals.find(connection, approval_id)
    if approval is None:
        raise UnknownApprovalError(f"there is no approval {approval_id!r}")
    return approval


def _seen_at(approval: Approval, now: float) -> Approval:
    state = state_at(approval, now)
    if state == approval.state:
        return approval
    return replace(approval, state=state, ended_at=approval.expires_at)
