"""An approval in words for a person and in plain values for a program."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from hoopguard.approval.states import grant_state_at
from hoopguard.store.records import Approval

COLUMNS: Final = ("id", "state", "asked", "who", "model", "rule", "why")
_PLAIN: Final = (
    "id",
    "state",
    "digest",
    "rule",
    "principal",
    "connection",
    "model",
    "route",
    "preview",
    "exchange",
    "quorum",
    "created_at",
    "expires_at",
    "ended_at",
    "grant_s",
)


def row(approval: Approval) -> tuple[str, ...]:
    """Return an approval as one line of a table, in the order of ``COLUMNS``."""
    why = ", ".join(dict.fromkeys(name for name, _ in approval.reasons))
    who = f"{approval.subject} ({approval.issuer})"
    return (approval.id, approval.state, _when(approval.created_at), who, approval.model, approval.rule, why)


def lines(approval: Approval, now: float) -> Iterator[str]:
    """Write an approval for a person; whatever callers chose is made harmless and cannot pose as ours."""
    groups = ", ".join(approval.principal.get("groups", ())) or "none"
    yield f"{approval.id}: {standing(approval)}"
    yield f"asked    {_when(approval.created_at)}, {_over(approval, now)}"
    yield f"who      {approval.subject} ({approval.issuer}), groups: {groups}"
    yield f"what     {approval.connection} · {approval.model} · {approval.route}"
    yield f"rule     {approval.rule}, grants {_terms(approval)}"
    for name, message in approval.reasons:
        yield f"why      {name}: {message}"
    for vote in approval.decisions:
        note = f": {vote.note}" if vote.note else ""
        yield f"decision {vote.verdict} by {vote.subject} ({vote.issuer}) at {_when(vote.at)}{note}"
    if approval.grant is not None and approval.grant.used_at is not None:
        yield f"grant    used at {_when(approval.grant.used_at)} by {approval.grant.used_by}"
    yield "preview  of the request, masked:"
    for line in approval.preview.split("\n"):
        yield f"  │ {line}"


def standing(approval: Approval) -> str:
    """Return the state, and how far a quorum has come."""
    agreed = sum(vote.verdict == "approve" for vote in approval.decisions)
    if approval.state == "pending" and approval.quorum > 1:
        return f"pending, {agreed} of {approval.quorum} agree"
    return approval.state


def _over(approval: Approval, now: float) -> str:
    if approval.state == "pending":
        return f"expires {_when(approval.expires_at)} (in {max(0, round(approval.expires_at - now))} s)"
    return f"{approval.state} {_when(approval.ended_at)}" if approval.ended_at is not None else approval.state


def _terms(approval: Approval) -> str:
    if approval.grant_s is None:
        return "this request, once"
    return f"this caller such requests to this model for {approval.grant_s:g} s"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def as_json(approval: Approval, now: float) -> dict[str, Any]:
    """Return an approval as plain JSON values; times in Unix seconds, texts as they are."""
    grant = approval.grant
    return {
        **{name: getattr(approval, name) for name in _PLAIN},
        "reasons": [{"guardrail": name, "message": message} for name, message in approval.reasons],
        "decisions": [
            {"issuer": v.issuer, "subject": v.subject, "verdict": v.verdict, "note": v.note, "at": v.at}
            for v in approval.decisions
        ],
        "grant": None if grant is None else {"state": grant_state_at(grant, now), "expires_at": grant.expires_at},
    }
