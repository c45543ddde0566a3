"""What is asked for, and where it stands: whether a request may go on what was approved so far."""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Connection

from hoopguard.approval.reviewers import Verified
from hoopguard.approval.states import TRANSITIONS, grant_state_at, state_at
from hoopguard.policy.model import Approval as Rule
from hoopguard.store import approvals
from hoopguard.store.records import Approval

MAX_PREVIEW_CHARS: Final = 4_000
_MAX_NAME_CHARS: Final = 200

Kind = Literal["granted", "ready", "pending", "denied", "expired", "new"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that needs somebody's agreement under one rule of the policy.

    ``digest`` comes from :func:`hoopguard.approval.digest.request_digest`; ``reasons`` are pairs of a
    guardrail's name and its message; ``preview`` is what the reviewer gets to read: masked text.
    """

    principal: Verified
    connection: str
    model: str
    route: str
    digest: str
    rule: Rule
    reasons: tuple[tuple[str, str], ...] = ()
    preview: str = ""
    exchange: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """Where an :class:`Ask` stands.

    ``granted``  it may go to the model, now; a once-only grant has just been spent on it.
    ``ready``    approved and unspent; another rule's agreement to the same request is missing.
    ``pending``  reviewers have it. ``denied``: they said no, and that still holds.
    ``expired``  nobody decided in time, or the grant lapsed before it was used.
    ``new``      nothing stands; ``approval`` is None or one that is over. Ask with ``request``.
    """

    kind: Kind
    approval: Approval | None


def stand(connection: Connection, ask: Ask, now: float) -> Claim:
    """Return where a request stands, changing nothing; ``ready`` if it may go.

    A denial of exactly this request goes before a grant for a time that others earned for it.
    """
    last = _latest(connection, ask)
    if last is not None and last.state == "denied" and now < (last.ended_at or 0.0) + last.expires_s:
        return Claim("denied", last)
    for approval in _timed(connection, ask, now):
        if _covers(approval, ask, now):
            return Claim("ready", approval)
    return Claim("new", None) if last is None else Claim(_own_kind(last, now), last)


def _own_kind(last: Approval, now: float) -> Kind:
    state = state_at(last, now)
    if state in ("pending", "expired"):
        return "pending" if state == "pending" else "expired"
    if state != "approved" or last.grant is None:
        return "new"
    grant_state = grant_state_at(last.grant, now)
    if grant_state == "lapsed":
        return "expired"
    # A grant for a time that is open but did not cover the request does not hold under this policy.
    return "ready" if grant_state == "open" and last.grant.seconds is None else "new"


def _covers(approval: Approval, ask: Ask, now: float) -> bool:
    """Tell whether a grant for a time extends to this request.

    The query has matched principal, rule, connection and model. Besides, no guardrail may have
    found what the reviewers were not shown, and the policy in force must still grant such a time.
    """
    grant, shown = approval.grant, {name for name, _ in approval.reasons}
    if grant is None or grant.seconds is None or ask.rule.grant == "once":
        return False
    if approval.route != _name(ask.route):
        return False
    in_time = now < grant.granted_at + min(grant.seconds, ask.rule.grant)
    return in_time and {name for name, _ in _reasons(ask)} <= shown


def pass_through(connection: Connection, ask: Ask, claim: Claim, now: float) -> Claim:
    """Turn ``ready`` into ``granted``: spend the grant, and withdraw a question that it overtook."""
    if claim.approval is None or claim.approval.grant is None:
        return Claim("new", None)
    if claim.approval.grant.seconds is None:
        spent = approvals.spend(connection, claim.approval.id, at=now, by=ask.exchange)
        return Claim("granted" if spent else "new", claim.approval)
    last = _latest(connection, ask)
    if last is not None and state_at(last, now) == "pending":
        approvals.end(connection, last.id, TRANSITIONS["pending", "cancel"], now)
    return Claim("granted", claim.approval)


def new_approval(ask: Ask, now: float) -> Approval:
    """Return the pending approval that puts this request before the reviewers."""
    rule = ask.rule
    return Approval(
        id=f"ap-{base64.b32encode(secrets.token_bytes(7))[:10].decode().lower()}",
        digest=ask.digest,
        rule=rule.name,
        issuer=ask.principal.issuer,
        subject=ask.principal.subject,
        principal=ask.principal.facts(),
        connection=ask.connection,
        model=_name(ask.model),
        route=_name(ask.route),
        reasons=_reasons(ask),
        preview=_preview(ask.preview),
        exchange=ask.exchange,
        quorum=rule.quorum,
        expires_s=rule.expires_s,
        grant_s=None if rule.grant == "once" else rule.grant,
        state="pending",
        created_at=now,
        expires_at=now + rule.expires_s,
    )


def storable(text: str) -> str:
    r"""Return the text without what databases refuse: NUL becomes U+FFFD, a lone surrogate ``\udxxx``."""
    return text.replace("\0", "\ufffd").encode("utf-8", "backslashreplace").decode()


def _latest(connection: Connection, ask: Ask) -> Approval | None:
    who = ask.principal
    return approvals.latest(connection, digest=ask.digest, rule=ask.rule.name, issuer=who.issuer, subject=who.subject)


def _timed(connection: Connection, ask: Ask, now: float) -> tuple[Approval, ...]:
    return approvals.timed(
        connection,
        rule=ask.rule.name,
        issuer=ask.principal.issuer,
        subject=ask.principal.subject,
        connection_name=ask.connection,
        model=_name(ask.model),
        now=now,
    )


def _reasons(ask: Ask) -> tuple[tuple[str, str], ...]:
    return tuple((_name(name), storable(message)[:MAX_PREVIEW_CHARS]) for name, message in ask.reasons)


def _preview(text: str) -> str:
    kept = storable(text[:MAX_PREVIEW_CHARS])
    left_out = len(text) - MAX_PREVIEW_CHARS
    return kept if left_out <= 0 else f"{kept}\n… ({left_out} more characters)"


def _name(text: str) -> str:
    """Return a name that the caller chose, of bounded length; different names stay different.

    The short form is itself longer than what is kept whole, so that no name can pose as it.
    """
    if len(text) <= _MAX_NAME_CHARS and storable(text) == text:
        return text
    fingerprint = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{storable(text)[:_MAX_NAME_CHARS].ljust(_MAX_NAME_CHARS, '.')} sha256:{fingerprint}"
