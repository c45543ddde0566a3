"""How an approval moves from pending to its end: a table, and pure functions over it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from hoopguard.approval.reviewers import Reviewer, is_entitled, same_person
from hoopguard.policy.model import Approval as Rule
from hoopguard.store.records import Approval, Decision, Grant, State, Verdict

Event = Literal["approve", "deny", "expire", "cancel"]
GrantState = Literal["open", "used", "lapsed"]
RefusalCode = Literal["already_decided", "expired", "cancelled", "not_entitled", "own_request", "already_voted"]

TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        ("pending", "approve"): "approved",
        ("pending", "deny"): "denied",
        ("pending", "expire"): "expired",
        ("pending", "cancel"): "cancelled",
    }
)
"""All there is. ``approve`` happens when the quorum is reached; an approved approval stays so, as
the record of what people decided, while its grant is used or lapses."""


class DecisionRefusedError(Exception):
    """A vote does not count; the text says why, ``code`` says it to programs."""

    def __init__(self, code: RefusalCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a vote leads to: the vote itself, the state after it, and a grant if all have agreed."""

    decision: Decision
    state: State
    grant: Grant | None


def state_at(approval: Approval, now: float) -> State:
    """Return the state at this time: a pending approval is expired from ``expires_at`` on."""
    if approval.state == "pending" and now >= approval.expires_at:
        return TRANSITIONS["pending", "expire"]
    return approval.state


def grant_state_at(grant: Grant, now: float) -> GrantState:
    """Return whether the grant still lets something through at this time."""
    if grant.used_at is not None:
        return "used"
    return "lapsed" if now >= grant.expires_at else "open"


def rule_on(
    approval: Approval, rule: Rule | None, reviewer: Reviewer, verdict: Verdict, note: str, now: float
) -> Ruling:
    """Judge a vote. ``rule`` is the approval's rule in the policy now in force, None if it is gone.

    Raises:
        DecisionRefusedError: the approval has ended, or this reviewer has no say in it.
    """
    _check_open(approval, now)
    if rule is None:
        raise DecisionRefusedError("not_entitled", f"the policy no longer has an [[approval]] called {approval.rule!r}")
    _check_reviewer(approval, rule, reviewer)
    decision = Decision(approval.id, reviewer.issuer, reviewer.subject, verdict, note, now)
    if verdict == "deny":
        return Ruling(decision, TRANSITIONS["pending", "deny"], None)
    agreed = 1 + sum(vote.verdict == "approve" for vote in approval.decisions)
    if agreed < quorum(approval, rule):
        return Ruling(decision, "pending", None)
    return Ruling(decision, TRANSITIONS["pending", "approve"], _grant(approval, rule, now))


def quorum(approval: Approval, rule: Rule) -> int:
    """Return how many people must agree: the rule's number when asked or now, whichever is more."""
    return max(approval.quorum, rule.quorum)


def _check_open(approval: Approval, now: float) -> None:
    state = state_at(approval, now)
    if state == "expired":
        raise DecisionRefusedError("expired", f"{approval.id} has expired; the caller has to ask again")
    if state == "cancelled":
        raise DecisionRefusedError("cancelled", f"{approval.id} was cancelled; its caller hung up or went on without")
    if state != "pending":
        raise DecisionRefusedError("already_decided", f"{approval.id} is already {state}")


def _check_reviewer(approval: Approval, rule: Rule, reviewer: Reviewer) -> None:
    if not is_entitled(reviewer, rule):
        raise DecisionRefusedError(
            "not_entitled", f"{reviewer.subject} ({reviewer.issuer}) is not a reviewer of {rule.name!r}"
        )
    if same_person(reviewer.issuer, reviewer.subject, approval.issuer, approval.subject):
        raise DecisionRefusedError("own_request", f"{approval.id} is {reviewer.subject}'s own request")
    for vote in approval.decisions:
        if same_person(reviewer.issuer, reviewer.subject, vote.issuer, vote.subject):
            raise DecisionRefusedError("already_voted", f"{vote.subject} has already decided on {approval.id}")


def _grant(approval: Approval, rule: Rule, now: float) -> Grant:
    """Grant what both the rule when asked and the rule now allow; once-only lapses if nobody comes."""
    if approval.grant_s is None or rule.grant == "once":
        return Grant(approval.id, now, now + min(approval.expires_s, rule.expires_s), None)
    seconds = min(approval.grant_s, rule.grant)
    return Grant(approval.id, now, now + seconds, seconds)
