"""Ask a human before the model sees what a guardrail wants approved; hold the caller, or have them come back."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from mitmproxy import http
from mitmproxy.connection import ConnectionState

from hoopguard.approval.asking import Ask, Claim
from hoopguard.approval.digest import request_digest
from hoopguard.approval.service import Approvals
from hoopguard.exchange import Exchange, Refused
from hoopguard.payload import strict_json
from hoopguard.policy import Policy
from hoopguard.store import Store, StoreError
from hoopguard.store.records import Approval as Asked

_log = logging.getLogger(__name__)

POLL_S: Final = 0.2
_PREVIEW_CHARS: Final = 4_000


class Approval:
    """Let a request that needs agreement go on only when its reviewers said yes to exactly these bytes."""

    name = "approval"

    def __init__(self, store: Store) -> None:
        self._approvals = Approvals(store)
        self._waiting: Counter[str] = Counter()

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Note whether the caller would rather come back than wait (``Prefer: respond-async``, RFC 7240 §4.1)."""
        preferences = flow.request.headers.get("prefer", "").lower().split(",")
        Exchange.of(flow).facts["respond_async"] = "respond-async" in (part.strip() for part in preferences)

    async def request(self, flow: http.HTTPFlow) -> None:
        """Claim, or ask and wait for, the agreement that the guardrail's verdicts demand."""
        exchange = Exchange.of(flow)
        rules = _demanded(exchange)
        if not rules:
            return
        try:
            asks = await asyncio.to_thread(_asks, exchange, rules)
            await self._await_agreement(flow, exchange, asks)
        except StoreError as error:
            _log.error("%s: the store of approvals cannot be used: %s", exchange.id, error)
            message = "Approvals cannot be looked up just now; nothing was sent to the model."
            raise Refused(503, "hoopguard_store_unavailable", message, "failed") from error

    async def _await_agreement(self, flow: http.HTTPFlow, exchange: Exchange, asks: Sequence[Ask]) -> None:
        """Return when all have agreed; else raise what the caller is told."""
        if self._decided(exchange, await self._claims(asks)):
            return
        asked = await self._ask(exchange, asks)
        if exchange.facts["respond_async"]:
            raise _come_back(asked, "rejected")
        until = time.monotonic() + min(ask.rule.hold_s for ask in asks)
        while time.monotonic() < until:
            await self._wait(flow, asked)
            claims = await self._claims(asks)
            if self._decided(exchange, claims, held=True):
                return
            if any(claim.kind == "new" for claim in claims):
                asked = await self._ask(exchange, asks)
        raise _come_back(asked, "expired")

    async def _claims(self, asks: Sequence[Ask]) -> tuple[Claim, ...]:
        return await asyncio.to_thread(self._approvals.claim_all, asks, time.time())

    async def _ask(self, exchange: Exchange, asks: Sequence[Ask]) -> list[Asked]:
        """Put the request before the reviewers, or find that it is there already."""
        asked = [await asyncio.to_thread(self._approvals.request, ask, time.time()) for ask in asks]
        exchange.facts["approval"] = [_facts(each) for each in asked]
        _log.warning("%s: waits for approval: %s", exchange.id, ", ".join(each.id for each in asked))
        return asked

    async def _wait(self, flow: http.HTTPFlow, asked: Sequence[Asked]) -> None:
        """Wait a moment, counted among those who wait for these approvals; the last to hang up withdraws them."""
        ids = [each.id for each in asked]
        self._waiting.update(ids)
        try:
            await asyncio.sleep(POLL_S)
        finally:
            self._waiting.subtract(ids)
        if flow.client_conn.state & ConnectionState.CAN_READ:
            return
        for each in asked:
            if self._waiting[each.id] <= 0:
                await asyncio.to_thread(self._approvals.cancel, each.id, time.time())
        raise Refused(403, "hoopguard_cancelled", "The caller hung up.", "cancelled")

    def _decided(self, exchange: Exchange, claims: Sequence[Claim], *, held: bool = False) -> bool:
        """Tell whether everybody agreed; raise if somebody did not."""
        known = [claim.approval for claim in claims if claim.approval is not None]
        if known:
            exchange.facts["approval"] = [_facts(each) for each in known]
        for claim in claims:
            if claim.kind == "denied" and claim.approval is not None:
                note = next((decision.note for decision in claim.approval.decisions if decision.note), "")
                message = f"A reviewer denied this request{f': {note}' if note else ''}."
                raise Refused(403, "hoopguard_approval_denied", message, approval=claim.approval.id)
        if exchange.facts.get("held") and any(claim.kind == "expired" for claim in claims):
            raise Refused(
                403, "hoopguard_approval_expired", "Nobody decided in time; send it again to ask anew.", "expired"
            )
        exchange.facts["held"] = True
        return all(claim.kind == "granted" for claim in claims)


def _demanded(exchange: Exchange) -> list[str]:
    """Return the names of the ``[[approval]]`` tables whose agreement the verdicts demand, each once."""
    policy: Policy = exchange.policy.policy
    hit = {verdict["rule"] for verdict in exchange.facts["verdicts"] if not verdict["observed"]}
    names = [rule.approval for rule in policy.guardrails if rule.name in hit and rule.action == "approve"]
    return list(dict.fromkeys(name for name in names if name))


def _asks(exchange: Exchange, names: Sequence[str]) -> list[Ask]:
    policy: Policy = exchange.policy.policy
    facts = exchange.facts
    hit = {verdict["rule"] for verdict in facts["verdicts"] if not verdict["observed"]}
    canonical = strict_json.canonical(exchange.body)
    digest = request_digest(exchange.principal.id, facts["connection"], facts["model"], facts["route"], canonical)
    preview = _preview(exchange)
    return [
        Ask(
            principal=exchange.principal,
            connection=facts["connection"],
            model=facts["model"],
            route=facts["route"],
            digest=digest,
            rule=rule,
            reasons=tuple((g.name, g.message) for g in policy.guardrails if g.name in hit and g.approval == rule.name),
            preview=preview,
            exchange=exchange.id,
        )
        for rule in policy.approvals
        if rule.name in names
    ]


def _preview(exchange: Exchange) -> str:
    """Return what the reviewers read, personal data hidden: what the rules matched, then the rest, the last first.

    The service cuts it where it gets too long, and says by how much.
    """
    redact = exchange.redact or str
    rest = [text.value for _, _, text in reversed(exchange.reading.texts)]
    ordered = list(dict.fromkeys((*exchange.matched, *rest)))
    shown: list[str] = []
    for number, value in enumerate(ordered):
        if sum(len(line) for line in shown) > _PREVIEW_CHARS:
            shown.append(f"… and {len(ordered) - number} more texts that are not shown")
            break
        shown.append(redact(value))
    return "\n".join(shown)


def _come_back(asked: Sequence[Asked], outcome: str) -> Refused:
    ids = ", ".join(each.id for each in asked)
    message = f"This request needs approval ({ids}). Once it is approved, send the same request again."
    return Refused(
        403,
        "hoopguard_approval_required",
        message,
        "expired" if outcome == "expired" else "rejected",
        approval=[each.id for each in asked],
        expires=int(min(each.expires_at for each in asked)),
    )


def _facts(asked: Asked) -> dict[str, object]:
    """Return what the record says of an approval: who decided what."""
    return {
        "id": asked.id,
        "rule": asked.rule,
        "state": asked.state,
        "decisions": [
            {"by": f"{decision.issuer}:{decision.subject}", "verdict": decision.verdict, "note": decision.note}
            for decision in asked.decisions
        ],
    }
