"""What the approval tests share: rules, callers, asks, and work for other processes to do."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hoopguard.approval.asking import Ask
from hoopguard.approval.digest import request_digest
from hoopguard.approval.reviewers import Reviewer
from hoopguard.approval.service import Approvals
from hoopguard.approval.states import DecisionRefusedError
from hoopguard.identity.principal import Principal
from hoopguard.policy.model import Approval as Rule
from hoopguard.store import open_store

NOW = 1_800_000_000.0
ONCE = Rule.model_validate({"name": "owners", "reviewers": ("owners",), "expires": "30m"})
TIMED = Rule.model_validate({"name": "owners", "reviewers": ("owners",), "expires": "30m", "grant": "15m"})
QUORUM = Rule.model_validate({"name": "owners", "reviewers": ("owners",), "quorum": 3})
BOB = Reviewer("bob", "corp", frozenset({"owners"}))


def caller(subject: str = "alice", issuer: str = "corp") -> Principal:
    return Principal(subject, issuer, "person", frozenset({"ml"}), "session", NOW + 3600)


def ask(body: bytes = b"{}", **changes: Any) -> Ask:
    known: dict[str, Any] = {
        "principal": caller(),
        "connection": "llama",
        "model": "m",
        "route": "chat/completions",
        "rule": ONCE,
        "reasons": (("bulk", "Bulk export."),),
        "preview": "user: <PERSON>",
        "exchange": "hg-1",
        **changes,
    }
    names = (known["principal"].id, known["connection"], known["model"], known["route"])
    return Ask(digest=request_digest(*names, body), **known)


def claim_in_process(state: Path, number: int) -> str:
    """Claim the usual request as a process of its own would."""
    with open_store(state) as store:
        return Approvals(store).claim(ask(exchange=f"hg-{number}"), NOW + 1).kind


def request_in_process(state: Path, number: int) -> str:
    with open_store(state) as store:
        return Approvals(store).request(ask(), NOW).id


def agree_in_process(state: Path, number: int) -> str:
    """Agree as reviewer ``number`` to the one approval that there is."""
    with open_store(state) as store:
        approvals = Approvals(store)
        (pending, *_) = approvals.list(NOW)
        reviewer = Reviewer(f"reviewer-{number}", "corp", frozenset({"owners"}))
        try:
            return approvals.decide(pending.id, reviewer, "approve", rules=(QUORUM,), now=NOW + 1).state
        except DecisionRefusedError as error:
            return error.code


def same_reviewer_in_process(state: Path, number: int) -> str:
    return agree_in_process(state, 0)


def in_processes(count: int, work: Callable[[Path, int], str], state: Path) -> list[str]:
    """Do the work in real processes that all begin at the same moment; return what each found."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hoopguard.approval.service", "hoopguard.identity.principal", "asks"])
    barrier, found = context.Barrier(count), context.Queue()
    processes = [context.Process(target=_begin, args=(barrier, found, work, state, n)) for n in range(count)]
    for process in processes:
        process.start()
    answers: list[str] = [found.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
        process.close()
    found.close()
    found.join_thread()
    return answers


def _begin(barrier: Any, found: Any, work: Callable[[Path, int], str], state: Path, number: int) -> None:
    barrier.wait(60)
    try:
        found.put(work(state, number))
    except Exception as error:  # noqa: BLE001 - whatever it was, the test has to see it
        found.put(repr(error))
