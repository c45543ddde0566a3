"""Approvals, decided with the real command line while real callers wait."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import CHAT, Site, chat, refused, wait_for


class Asking(threading.Thread):
    """A caller who is held."""

    def __init__(self, site: Site, prompt: str, **how: Any) -> None:
        super().__init__()
        self.site, self.prompt, self.how = site, prompt, how
        self.response: httpx.Response | None = None
        self.start()

    def run(self) -> None:
        self.response = self.site.ask(self.prompt, **self.how)

    def answer(self) -> httpx.Response:
        self.join(60)
        assert self.response is not None
        return self.response


@pytest.fixture(scope="module")
def _held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("held")) as site:
        site.write_policy()
        with site.balanced():
            yield site


@pytest.fixture
def held(_held: Site) -> Site:
    _held.model.forget()
    return _held


def pending(site: Site, prompt: str) -> str:
    """Return the id of the approval that a prompt waits for."""
    found: list[str] = []

    def look() -> bool:
        listed = json.loads(site.hoopguard("approvals", "list", "--json").stdout)
        found[:] = [each["id"] for each in listed if prompt in json.dumps(each)]
        return bool(found)

    wait_for(look, f"{prompt!r} waits")
    return found[0]


def decide(site: Site, how: str, approval: str, *, subject: str = "olga@example.com", group: str = "owners") -> int:
    return site.hoopguard("approvals", how, approval, "--note", "noted", token=site.token(subject, [group])).returncode


def later(site: Site, prompt: str) -> httpx.Response:
    with site.client() as client:
        return client.post(CHAT, json=chat(prompt), headers={"prefer": "respond-async"})


@pytest.mark.parametrize("stream", [False, True])
def test_an_approved_request_is_answered(held: Site, stream: bool) -> None:
    """A held request goes on once somebody entitled approved it, and the record says who."""
    prompt = f"production approve {stream}"
    asking = Asking(held, prompt, stream=stream)
    approval = pending(held, prompt)
    assert held.seen == []
    assert decide(held, "approve", approval) == 0
    answer = asking.answer()
    assert answer.status_code == 200
    (decision,) = held.outcome(answer.headers["hoopguard-exchange"])["approval"][0]["decisions"]
    assert decision == {"by": "demo:olga@example.com", "verdict": "approve", "note": "noted"}
    assert held.prompts == [prompt]


def test_a_denied_request_is_refused(held: Site) -> None:
    """A denial refuses the held request with the reviewer's note."""
    asking = Asking(held, "production deny")
    assert decide(held, "deny", pending(held, "production deny")) == 0
    answer = asking.answer()
    refused(answer, 403, "hoopguard_approval_denied")
    assert "noted" in answer.text
    assert held.seen == []


def test_nobody_approves_their_own(held: Site) -> None:
    """The caller, though a reviewer, cannot approve; neither can somebody who is none."""
    asking = Asking(held, "production own", token=held.token("olga@example.com", ["ml", "owners"]))
    approval = pending(held, "production own")
    assert decide(held, "approve", approval) == 1
    assert decide(held, "approve", approval, subject="eve@example.com", group="ml") == 1
    assert held.hoopguard("approvals", "approve", approval).returncode == 2
    assert held.seen == []
    assert decide(held, "approve", approval, subject="oscar@example.com") == 0
    assert asking.answer().status_code == 200


def test_a_caller_may_come_back(held: Site) -> None:
    """``Prefer: respond-async`` is told the approval's id; the same request goes through once approved, once."""
    response = later(held, "production later")
    exchange = refused(response, 403, "hoopguard_approval_required")
    assert held.outcome(exchange)["outcome"] == "rejected"
    (approval,) = response.json()["error"]["hoopguard"]["approval"]
    assert decide(held, "approve", approval) == 0
    refused(later(held, "production later, but other bytes"), 403, "hoopguard_approval_required")
    assert later(held, "production later").status_code == 200
    refused(later(held, "production later"), 403, "hoopguard_approval_required")
    assert held.prompts == ["production later"]


def test_an_approval_is_the_askers_own(held: Site) -> None:
    """Somebody else with the same words does not get through on it."""
    response = later(held, "production mine")
    (approval,) = response.json()["error"]["hoopguard"]["approval"]
    assert decide(held, "approve", approval) == 0
    with held.client(token=held.token("eve@example.com")) as client:
        other = client.post(CHAT, json=chat("production mine"), headers={"prefer": "respond-async"})
    refused(other, 403, "hoopguard_approval_required")
    assert held.seen == []


def test_the_hold_ends_and_the_approval_survives_a_restart(tmp_path: Path) -> None:
    """When the hold time is over the caller is told to come back; a restart in between forgets nothing."""
    with Site(tmp_path) as site:
        site.write_policy(hold="500ms")
        site.start()
        response = site.ask("production restart")
        exchange = refused(response, 403, "hoopguard_approval_required")
        assert site.outcome(exchange)["outcome"] == "expired"
        (approval,) = response.json()["error"]["hoopguard"]["approval"]
        site.running.kill()
        assert decide(site, "approve", approval) == 0
        site.start()
        assert site.ask("production restart").status_code == 200
        assert site.prompts == ["production restart"]
        site.stop()
        site.assert_books_balance()
        site.verify()


def test_nobody_decides_in_time(tmp_path: Path) -> None:
    """An approval that expires while the caller is held refuses the request."""
    with Site(tmp_path) as site:
        site.write_policy(expires="1s")
        site.start()
        exchange = refused(site.ask("production expiry"), 403, "hoopguard_approval_expired")
        assert site.outcome(exchange)["outcome"] == "expired"
        assert site.seen == []
