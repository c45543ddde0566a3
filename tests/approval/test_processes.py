"""Many real processes on one database: nothing is granted twice, nothing decided is lost."""

from collections import Counter
from pathlib import Path

from asks import (
    BOB,
    NOW,
    ONCE,
    QUORUM,
    agree_in_process,
    ask,
    claim_in_process,
    in_processes,
    request_in_process,
    same_reviewer_in_process,
)

from hoopguard.approval.service import Approvals
from hoopguard.store import open_store


def test_fifty_processes_that_claim_one_grant_get_it_once(tmp_path: Path) -> None:
    """Of fifty processes that claim a once-only grant at the same moment, exactly one is granted."""
    with open_store(tmp_path) as store:
        approvals = Approvals(store)
        approval = approvals.request(ask(), NOW)
        approvals.decide(approval.id, BOB, "approve", rules=(ONCE,), now=NOW)
        kinds = Counter(in_processes(50, claim_in_process, tmp_path))
        assert kinds == {"granted": 1, "new": 49}
        grant = approvals.get(approval.id, NOW + 2).grant
    assert grant is not None
    assert grant.used_at == NOW + 1
    assert grant.used_by is not None


def test_processes_that_ask_at_once_make_one_approval_and_one_database(tmp_path: Path) -> None:
    """Processes that send the same request at the same moment share one approval, and the database that one made."""
    state = tmp_path / "var"
    assert len(set(in_processes(12, request_in_process, state))) == 1
    with open_store(state) as store:
        assert len(Approvals(store).list(NOW)) == 1
    assert [path.name for path in state.iterdir() if path.name.startswith(".")] == []


def test_a_quorum_is_reached_by_exactly_its_number_of_people(tmp_path: Path) -> None:
    """Of ten reviewers who agree at the same moment, three are counted, and the others find it decided."""
    with open_store(tmp_path) as store:
        approvals = Approvals(store)
        approval = approvals.request(ask(rule=QUORUM), NOW)
        found = Counter(in_processes(10, agree_in_process, tmp_path))
        assert found == {"pending": 2, "approved": 1, "already_decided": 7}
        assert len(approvals.get(approval.id, NOW + 2).decisions) == 3


def test_one_reviewer_in_many_processes_has_one_vote(tmp_path: Path) -> None:
    """A reviewer who agrees from ten processes at the same moment is counted once."""
    with open_store(tmp_path) as store:
        approvals = Approvals(store)
        approval = approvals.request(ask(rule=QUORUM), NOW)
        found = Counter(in_processes(10, same_reviewer_in_process, tmp_path))
        assert found == {"pending": 1, "already_voted": 9}
        assert len(approvals.get(approval.id, NOW + 2).decisions) == 1
