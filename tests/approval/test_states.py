"""Who may decide what, and what it leads to."""

from dataclasses import replace

import pytest
from asks import BOB, NOW, ONCE, QUORUM, TIMED, ask
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.approval.asking import new_approval
from hoopguard.approval.reviewers import Reviewer, same_person
from hoopguard.approval.states import TRANSITIONS, DecisionRefusedError, grant_state_at, rule_on, state_at
from hoopguard.policy.model import Approval as Rule
from hoopguard.store.records import Approval, Decision, State, Verdict

OWNERS = frozenset({"owners"})
PENDING = new_approval(ask(), NOW)


def refusal(approval: Approval, rule: Rule | None, reviewer: Reviewer, now: float = NOW) -> str:
    with pytest.raises(DecisionRefusedError) as caught:
        rule_on(approval, rule, reviewer, "approve", "", now)
    return caught.value.code


def test_only_pending_approvals_move() -> None:
    """No event leads out of an end state, and every event leads out of pending."""
    assert {state for state, _ in TRANSITIONS} == {"pending"}
    assert {event for _, event in TRANSITIONS} == {"approve", "deny", "expire", "cancel"}
    assert set(TRANSITIONS.values()) == {"approved", "denied", "expired", "cancelled"}


@given(st.floats(0, 1e10))
def test_a_pending_approval_expires_at_its_time_and_not_before(now: float) -> None:
    """A pending approval is expired from its expiry on, whether or not that was written down."""
    assert state_at(PENDING, now) == ("expired" if now >= PENDING.expires_at else "pending")


@pytest.mark.parametrize("state", ["approved", "denied", "cancelled", "expired"])
def test_what_has_ended_cannot_be_decided(state: State) -> None:
    """A vote on an approval that has ended is refused."""
    expected = state if state in ("cancelled", "expired") else "already_decided"
    assert refusal(replace(PENDING, state=state), ONCE, BOB) == expected


def test_what_is_overdue_cannot_be_decided() -> None:
    """A vote that comes at the very moment of expiry is too late."""
    assert refusal(PENDING, ONCE, BOB, PENDING.expires_at) == "expired"
    assert rule_on(PENDING, ONCE, BOB, "approve", "", PENDING.expires_at - 0.001).state == "approved"


@pytest.mark.parametrize(
    "reviewer",
    [
        Reviewer("alice", "corp", OWNERS),
        Reviewer("alice", "other", OWNERS),
        Reviewer("Alice ", "other", OWNERS),
        Reviewer("alice", "corp", frozenset({"owners", "admin", "admins"})),
        Reviewer.local("alice"),
    ],
)
def test_nobody_decides_their_own_request(reviewer: Reviewer) -> None:
    """The one who asks cannot decide, under any issuer, in any spelling, as a local user or as an admin."""
    rule = Rule.model_validate({"name": "owners", "reviewers": ("owners", "admin"), "local_users": ("alice",)})
    assert refusal(PENDING, rule, reviewer) == "own_request"


def test_a_local_user_is_the_person_of_that_mailbox() -> None:
    """Who asked as alice@example.com cannot decide as the local user alice, nor vote twice that way."""
    assert same_person("corp", "alice@example.com", "local user", "alice")
    assert not same_person("corp", "alice@example.com", "other", "alice")


@pytest.mark.parametrize(
    ("reviewer", "entitled"),
    [
        (Reviewer("bob", "corp", OWNERS), True),
        (Reviewer("bob", "corp", frozenset({"other"})), False),
        (Reviewer("bob", "corp", OWNERS, kind="service"), False),
        (Reviewer("carol", "corp"), True),
        (Reviewer("dave", "corp"), True),
        (Reviewer("dave", "other"), False),
        (Reviewer.local("root"), True),
        (Reviewer.local("bob"), False),
        (Reviewer.local("carol"), False),
        (Reviewer("root", "corp"), False),
    ],
)
def test_the_rule_says_who_decides(reviewer: Reviewer, entitled: bool) -> None:
    """Groups, subjects and local users are entitled each by their own list; services never are."""
    rule = Rule.model_validate(
        {
            "name": "owners",
            "reviewers": ("owners",),
            "reviewer_subjects": ("carol", "corp:dave"),
            "local_users": ("root",),
        }
    )
    if entitled:
        assert rule_on(PENDING, rule, reviewer, "approve", "", NOW).state == "approved"
    else:
        assert refusal(PENDING, rule, reviewer) == "not_entitled"


def test_a_rule_that_is_gone_entitles_nobody() -> None:
    """An approval whose rule the policy no longer has cannot be decided."""
    assert refusal(PENDING, None, BOB) == "not_entitled"


def test_a_reviewer_votes_once() -> None:
    """A second vote of the same person is refused, also with a token of another issuer."""
    voted = replace(PENDING, decisions=(Decision(PENDING.id, "corp", "bob", "approve", "", NOW),))
    assert refusal(voted, QUORUM, BOB) == "already_voted"
    assert refusal(voted, QUORUM, Reviewer("BOB", "other", OWNERS)) == "already_voted"


@given(st.integers(1, 10), st.lists(st.sampled_from(["approve", "deny"]), min_size=1, max_size=12))
def test_a_quorum_approves_and_one_denial_denies(quorum: int, votes: list[Verdict]) -> None:
    """Different people's votes end in the first denial or in the quorum's last agreement, whichever comes first."""
    rule = QUORUM.model_copy(update={"quorum": quorum})
    approval = new_approval(ask(rule=rule), NOW)
    for number, verdict in enumerate(votes):
        ruling = rule_on(approval, rule, Reviewer(f"r{number}", "corp", OWNERS), verdict, "", NOW)
        approval = replace(approval, state=ruling.state, decisions=(*approval.decisions, ruling.decision))
        assert (ruling.grant is not None) == (ruling.state == "approved")
        if ruling.state != "pending":
            break
    first_denial = votes.index("deny") if "deny" in votes else len(votes)
    expected = "approved" if first_denial >= quorum else "denied" if first_denial < len(votes) else "pending"
    assert approval.state == expected


def test_the_stricter_of_then_and_now_holds() -> None:
    """A policy edited while an approval waits can ask for more people and grant less, never the opposite."""
    assert rule_on(PENDING, QUORUM, BOB, "approve", "", NOW).state == "pending"
    grant = rule_on(PENDING, TIMED, BOB, "approve", "", NOW).grant
    assert grant is not None
    assert grant.seconds is None
    assert refusal(replace(PENDING, quorum=3, decisions=()), ONCE, Reviewer("x", "corp")) == "not_entitled"
    assert rule_on(replace(PENDING, quorum=3), ONCE, BOB, "approve", "", NOW).state == "pending"


def test_an_unused_grant_lapses() -> None:
    """A once-only grant that nobody uses lapses as long after the decision as the question was open."""
    grant = rule_on(PENDING, ONCE, BOB, "approve", "", NOW).grant
    assert grant is not None
    assert grant_state_at(grant, NOW + 1799) == "open"
    assert grant_state_at(grant, NOW + 1800) == "lapsed"
    assert grant_state_at(replace(grant, used_at=NOW), NOW + 1800) == "used"
