"""Asking, deciding and going through, as the gateway and the reviewers do it."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from asks import BOB, NOW, ONCE, TIMED, ask, caller

from hoopguard.approval.asking import MAX_PREVIEW_CHARS, Ask
from hoopguard.approval.service import Approvals, UnknownApprovalError
from hoopguard.policy.model import Approval as Rule
from hoopguard.store import open_store
from hoopguard.store.records import Approval, Verdict

OTHER_RULE = Rule.model_validate({"name": "lawyers", "reviewers": ("owners",)})


@pytest.fixture
def approvals(tmp_path: Path) -> Iterator[Approvals]:
    with open_store(tmp_path) as store:
        yield Approvals(store)


def decided(approvals: Approvals, asked: Ask, verdict: Verdict = "approve", now: float = NOW) -> Approval:
    approval = approvals.request(asked, now)
    return approvals.decide(approval.id, BOB, verdict, rules=(asked.rule,), now=now)


def test_a_request_waits_then_goes_through_once(approvals: Approvals) -> None:
    """A request is new, then pending, then granted once approved, and after that new again."""
    assert approvals.claim(ask(), NOW).kind == "new"
    approval = approvals.request(ask(), NOW)
    assert re.fullmatch(r"ap-[a-z2-7]{10}", approval.id)
    assert approvals.claim(ask(), NOW).kind == "pending"
    approvals.decide(approval.id, BOB, "approve", rules=(ONCE,), note="fine", now=NOW)
    assert approvals.claim(ask(exchange="hg-2"), NOW + 1).kind == "granted"
    assert approvals.claim(ask(), NOW + 1).kind == "new"
    after = approvals.get(approval.id, NOW + 1)
    assert after.grant is not None
    assert (after.state, after.decisions[0].note, after.grant.used_by) == ("approved", "fine", "hg-2")


def test_asking_again_does_not_flood_reviewers(approvals: Approvals) -> None:
    """A repeated request gets the approval that stands: pending, approved and unused, or denied."""
    first = approvals.request(ask(), NOW)
    assert approvals.request(ask(preview="other"), NOW + 5).id == first.id
    approvals.decide(first.id, BOB, "approve", rules=(ONCE,), now=NOW + 6)
    assert approvals.request(ask(), NOW + 7).id == first.id
    assert approvals.claim(ask(), NOW + 8).kind == "granted"
    second = approvals.request(ask(), NOW + 9)
    assert second.id != first.id
    approvals.decide(second.id, BOB, "deny", rules=(ONCE,), now=NOW + 10)
    assert approvals.request(ask(), NOW + 11).id == second.id
    assert len(approvals.list(NOW + 11)) == 2


@pytest.mark.parametrize(
    "other",
    [
        ask(b"[]"),
        ask(principal=caller("carol")),
        ask(principal=caller("alice", "other")),
        ask(connection="other"),
        ask(model="other"),
        ask(route="completions"),
        ask(rule=OTHER_RULE),
    ],
)
def test_once_is_for_exactly_this_request(approvals: Approvals, other: Ask) -> None:
    """A once-only grant lets nothing through that differs in caller, connection, model, route, rule or body."""
    decided(approvals, ask())
    assert approvals.claim(other, NOW).kind == "new"
    assert approvals.claim(ask(), NOW).kind == "granted"


def test_another_caller_with_the_same_digest_gets_nothing(approvals: Approvals) -> None:
    """Even a digest in the wrong hands opens nothing: the caller is compared as well."""
    decided(approvals, ask())
    stolen = Ask(
        **{name: getattr(ask(principal=caller("carol")), name) for name in Ask.__slots__ if name != "digest"},
        digest=ask().digest,
    )
    assert approvals.claim(stolen, NOW).kind == "new"


def test_a_time_is_granted_to_the_caller_for_the_model(approvals: Approvals) -> None:
    """A grant for a time covers the caller's other requests to the model, until it runs out."""
    decided(approvals, ask(rule=TIMED))
    for body in (b"{}", b"[1]", b"[2]", b"{}"):
        assert approvals.claim(ask(body, rule=TIMED), NOW + 899).kind == "granted"
    assert approvals.claim(ask(b"[1]", rule=TIMED), NOW + 900).kind == "new"
    assert approvals.claim(ask(rule=TIMED), NOW + 900).kind == "expired"


@pytest.mark.parametrize(
    "other",
    [
        ask(b"[]", rule=TIMED, principal=caller("carol")),
        ask(b"[]", rule=TIMED, principal=caller("alice", "other")),
        ask(b"[]", rule=TIMED, connection="other"),
        ask(b"[]", rule=TIMED, model="other"),
        ask(b"[]", rule=TIMED.model_copy(update={"name": "lawyers"})),
        ask(b"[]", rule=TIMED, reasons=(("bulk", ""), ("secrets", ""))),
        ask(b"[]", rule=ONCE),
        ask(rule=ONCE),
    ],
)
def test_a_time_is_granted_for_nothing_else(approvals: Approvals, other: Ask) -> None:
    """Another caller, connection, model, rule or finding, or a policy that now grants once, is not covered."""
    decided(approvals, ask(rule=TIMED))
    assert approvals.claim(other, NOW).kind == "new"


def test_a_denial_of_these_bytes_beats_a_grant_for_a_time(approvals: Approvals) -> None:
    """What was denied stays denied although another request has earned its caller some time."""
    decided(approvals, ask(b"no", rule=TIMED), "deny")
    decided(approvals, ask(rule=TIMED))
    assert approvals.claim(ask(b"no", rule=TIMED), NOW).kind == "denied"


def test_a_question_that_a_grant_overtook_is_withdrawn(approvals: Approvals) -> None:
    """A pending request that goes through on a grant for a time leaves the reviewers' list."""
    waiting = approvals.request(ask(b"[]", rule=TIMED), NOW)
    decided(approvals, ask(rule=TIMED))
    assert approvals.claim(ask(b"[]", rule=TIMED), NOW + 1).kind == "granted"
    assert approvals.get(waiting.id, NOW + 1).state == "cancelled"


def test_a_denial_holds_for_a_while(approvals: Approvals) -> None:
    """A denied request stays denied for the rule's expiry time; then it may be asked again."""
    denied = decided(approvals, ask(), "deny")
    assert approvals.claim(ask(), NOW + 1799).kind == "denied"
    assert approvals.claim(ask(), NOW + 1800).kind == "new"
    assert approvals.request(ask(), NOW + 1800).id != denied.id


@pytest.mark.parametrize("swept", [True, False])
def test_what_nobody_decides_expires(approvals: Approvals, swept: bool) -> None:
    """An undecided approval is expired at its time, swept or not, and the request may be asked again."""
    first = approvals.request(ask(), NOW)
    assert approvals.expire_due(NOW + 1799) == ()
    if swept:
        assert [a.state for a in approvals.expire_due(NOW + 1800)] == ["expired"]
        assert approvals.expire_due(NOW + 1800) == ()
    assert approvals.claim(ask(), NOW + 1800).kind == "expired"
    assert approvals.list(NOW + 1800, "pending") == ()
    assert [a.ended_at for a in approvals.list(NOW + 1800, "expired")] == [NOW + 1800]
    again = approvals.request(ask(), NOW + 1801)
    assert again.id != first.id
    assert approvals.get(first.id, NOW + 1801).state == "expired"


def test_a_grant_that_lapsed_is_expired(approvals: Approvals) -> None:
    """An approval that its caller did not use in time lets nothing through any more."""
    decided(approvals, ask())
    assert approvals.claim(ask(), NOW + 1800).kind == "expired"
    assert approvals.request(ask(), NOW + 1800).state == "pending"


def test_a_caller_that_hangs_up_cancels(approvals: Approvals) -> None:
    """A cancelled approval cannot be decided or cancelled again, and a decided one cannot be cancelled."""
    first = approvals.request(ask(), NOW)
    assert approvals.cancel(first.id, NOW)
    assert not approvals.cancel(first.id, NOW)
    assert approvals.claim(ask(), NOW).kind == "new"
    second = decided(approvals, ask())
    assert not approvals.cancel(second.id, NOW)
    assert approvals.claim(ask(), NOW).kind == "granted"


async def test_fifty_coroutines_that_claim_one_grant_get_it_once(approvals: Approvals) -> None:
    """Of fifty requests held in one gateway, one gets a once-only grant and the others find it spent."""
    decided(approvals, ask())
    claims = await asyncio.gather(*(asyncio.to_thread(approvals.claim, ask(), NOW) for _ in range(50)))
    assert Counter(claim.kind for claim in claims) == {"granted": 1, "new": 49}


def test_several_rules_are_granted_together_or_not_at_all(approvals: Approvals) -> None:
    """A request under two rules spends neither grant before both have been given."""
    both = (ask(), ask(rule=OTHER_RULE))
    decided(approvals, both[0])
    assert [claim.kind for claim in approvals.claim_all(both, NOW)] == ["ready", "new"]
    decided(approvals, both[1])
    assert [claim.kind for claim in approvals.claim_all(both, NOW)] == ["granted", "granted"]
    assert [claim.kind for claim in approvals.claim_all(both, NOW)] == ["new", "new"]


def test_state_survives_a_restart(tmp_path: Path) -> None:
    """What one process asked and another decided, a third one finds."""
    with open_store(tmp_path) as store:
        approval = Approvals(store).request(ask(), NOW)
    with open_store(tmp_path) as store:
        assert Approvals(store).list(NOW, "pending") == (approval,)
        Approvals(store).decide(approval.id, BOB, "approve", rules=(ONCE,), now=NOW)
    with open_store(tmp_path) as store:
        assert Approvals(store).claim(ask(), NOW).kind == "granted"


def test_what_is_kept_of_a_request_is_bounded(approvals: Approvals) -> None:
    """A long preview is cut and says so; long model names are shortened but stay apart."""
    one, other = ask(model="m" * 100_000 + "1"), ask(model="m" * 100_000 + "2", preview="p" * 100_000)
    assert len(approvals.request(one, NOW).model) < 300
    kept = approvals.request(other, NOW)
    assert kept.preview.startswith("p" * MAX_PREVIEW_CHARS)
    assert kept.preview.endswith("(96000 more characters)")
    assert kept.model != approvals.request(one, NOW).model
    posing = ask(model=kept.model)
    assert approvals.request(posing, NOW).model != kept.model


def test_odd_characters_can_be_kept(approvals: Approvals) -> None:
    """NUL and lone surrogates, which databases refuse, neither stop an approval nor get into the store."""
    approval = approvals.request(ask(model="m\ud800", preview="a\0b\udfff"), NOW)
    assert approvals.get(approval.id, NOW).preview == "a\ufffdb\\udfff"


def test_an_unknown_approval_is_named(approvals: Approvals) -> None:
    """An id that does not exist is an error that names it, and a note that is too long is refused."""
    with pytest.raises(UnknownApprovalError, match="ap-nothing"):
        approvals.get("ap-nothing", NOW)
    with pytest.raises(ValueError, match="1000 characters"):
        approvals.decide("ap-nothing", BOB, "deny", rules=(), note="n" * 1001, now=NOW)
