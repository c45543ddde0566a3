"""Service accounts at a running gateway: where a key is taken, when it ends, and that nobody sees it."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from harness import (
    CHAT,
    HOST,
    Site,
    chat,
    chat_bytes,
    connect,
    in_tunnel,
    open_socket,
    read_answer,
    read_until,
    refused,
    status_of,
    wait_for,
)
from realtimesite import RealtimeSite

from hoopguard.demo.stack import free_port
from hoopguard.identity.account_keys import account_of, new_account_id, new_key
from hoopguard.identity.accounts import Accounts
from hoopguard.store import open_store

RULES = """
[accounts]
enabled = true
[[mask]]
name = "keys"
entities = ["pack:secrets"]
[[guardrail]]
name = "risky"
words = ["production"]
action = "approve"
approval = "owners"
[[approval]]
name = "owners"
reviewers = ["owners"]
[record]
durability = "flush"
"""


@pytest.fixture(scope="module")
def _machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("machines"), modes=["", f"regular@{free_port()}"]) as site:
        site.write_policy(RULES)
        assert site.hoopguard("certs", "init").returncode == 0
        with site.balanced():
            yield site


@pytest.fixture
def machines(_machines: Site) -> Site:
    _machines.model.forget()
    return _machines


def command(site: Site, *words: str) -> str:
    done = site.hoopguard("accounts", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def add(site: Site, *words: str, name: str = "") -> tuple[str, str]:
    """Make an account by the command line; return its name and key."""
    chosen = name or f"batch-{new_account_id()}"
    made = json.loads(command(site, "add", chosen, "--expires", "1d", "--json", *(words or ("-g", "ml"))))
    return chosen, made["key"]


def expired_key(site: Site) -> str:
    with open_store(site.state) as store:
        return Accounts(store).add(new_account_id(), ["ml"], expires_s=60, now=time.time() - 60)[1]


def disabled_key(site: Site) -> str:
    name, key = add(site)
    command(site, "disable", name)
    return key


def rotated_key(site: Site) -> str:
    name, key = add(site)
    command(site, "rotate", name, "--expires", "1d")
    return key


def other_secret(site: Site) -> str:
    return new_key(account_of(add(site)[1]) or "")


def mistyped(site: Site) -> str:
    _, key = add(site)
    return key[:30] + ("A" if key[30] != "A" else "B") + key[31:]


BAD: dict[str, Callable[[Site], str]] = {
    "of nobody": lambda _: new_key(new_account_id()),
    "mistyped": mistyped,
    "of another secret": other_secret,
    "expired": expired_key,
    "disabled": disabled_key,
    "rotated": rotated_key,
    "cut off": lambda site: add(site)[1][:-1],
    "prefix only": lambda _: "hgsa_",
    "a JWT behind the prefix": lambda site: f"hgsa_{site.token()}",
    "without end": lambda _: "hgsa_" + "a" * 20_000,
    "SQL": lambda _: "hgsa_' OR 1=1 --",
}

PLACES: dict[str, Callable[[str], dict[str, str]]] = {
    "bearer": lambda key: {"authorization": f"Bearer {key}"},
    "basic": lambda key: {"authorization": "Basic " + base64.b64encode(f"token:{key}".encode()).decode()},
    "x-api-key": lambda key: {"x-api-key": key},
    "proxy bearer": lambda key: {"proxy-authorization": f"Bearer {key}"},
    "proxy basic": lambda key: {"proxy-authorization": "Basic " + base64.b64encode(f":{key}".encode()).decode()},
}


@pytest.mark.parametrize("place", PLACES)
def test_a_key_is_taken_wherever_a_token_is(machines: Site, place: str) -> None:
    """The model gets nothing of it."""
    _, key = add(machines)
    with httpx.Client(base_url=machines.url, trust_env=False, timeout=30) as client:
        assert client.post(CHAT, json=chat("hello"), headers=PLACES[place](key)).status_code == 200
    (seen,) = machines.seen
    assert key not in str(seen.headers)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_key_is_refused_and_nobody_is_told_why(machines: Site, kind: str) -> None:
    """Whatever is wrong with it: the same status, code and words, and the model sees nothing."""
    answer = machines.ask(token=BAD[kind](machines))
    exchange = refused(answer, 401, "hoopguard_bad_token")
    assert answer.json()["error"]["message"] == f"The key was not accepted. (exchange {exchange})"
    assert not machines.seen


def test_a_bad_key_opens_no_tunnel(machines: Site) -> None:
    """The proxy says 407, as to everybody who is not known."""
    with open_socket(machines.proxy_port) as plain:
        plain.sendall(connect(HOST, disabled_key(machines)))
        assert status_of(read_until(plain, b"\r\n\r\n")) == 407


def test_an_account_may_what_its_groups_may(machines: Site) -> None:
    """By the same ``allow`` lines as everybody; without a group it is known and may nothing."""
    _, ci = add(machines, "-g", "ci")
    assert machines.ask(token=ci).status_code == 200
    refused(machines.ask(token=ci, model="other"), 403, "hoopguard_not_permitted")
    _, none = add(machines, "--note", "may nothing")
    refused(machines.ask(token=none), 403, "hoopguard_not_permitted")


def test_disabling_and_rotating_hold_from_the_next_request_on(machines: Site) -> None:
    """The gateway runs on, its memory of the key is warm, another process changes the account."""
    name, first = add(machines)
    assert [machines.ask(token=first).status_code for _ in range(3)] == [200] * 3
    second = command(machines, "rotate", name, "--expires", "1d", "--overlap", "1h").strip()
    assert [machines.ask(token=key).status_code for key in (first, second)] == [200, 200]
    third = command(machines, "rotate", name, "--expires", "1d").strip()
    assert [machines.ask(token=key).status_code for key in (first, second, third)] == [401, 401, 200]
    command(machines, "disable", name)
    assert [machines.ask(token=key).status_code for key in (first, second, third)] == [401, 401, 401]


def test_an_open_tunnel_ends_with_the_account(machines: Site) -> None:
    """A key that was good at CONNECT is looked at again at every request inside."""
    name, key = add(machines)
    with machines.tunnel(key) as tunnel:
        tunnel.sendall(in_tunnel(chat_bytes()))
        assert read_answer(tunnel)[0] == 200
        command(machines, "disable", name)
        tunnel.sendall(in_tunnel(chat_bytes()))
        assert read_answer(tunnel)[0] == 401
    assert len(machines.seen) == 1


def test_a_conversation_ends_with_the_account(tmp_path: Path) -> None:
    """Though nobody speaks; so it does when a rotation leaves the old key no time."""
    with RealtimeSite(tmp_path) as site:
        site.write_realtime_policy("[accounts]\nenabled = true\n")
        site.start_realtime()
        (disabled, first), (rotated, second) = add(site), add(site)
        with site.talk(token=first) as one, site.talk(token=second) as two:
            command(site, "disable", disabled)
            one.assert_ended("hoopguard_bad_token", 1008)
            third = command(site, "rotate", rotated, "--expires", "1d").strip()
            two.assert_ended("hoopguard_bad_token", 1008)
        with site.talk(token=third) as caller:
            caller.say("hello")
            caller.hear()
        assert len(site.realtime.events("conversation.item.create")) == 1


def test_the_record_says_which_account_it_was(machines: Site) -> None:
    """Its name and the reserved issuer, as a service."""
    name, key = add(machines)
    answer = machines.ask(token=key)
    (intent,) = machines.entries(answer.headers["hoopguard-exchange"], "intent")
    principal = intent["data"]["principal"]
    assert (principal["subject"], principal["issuer"]) == (name, "hoopguard accounts")
    assert (principal["kind"], principal["groups"]) == ("service", ["ml"])


def test_nothing_of_a_key_is_in_any_file_or_in_what_the_model_gets(machines: Site) -> None:
    """Used well, used badly, put into a prompt or in the wrong place: no file has its secret part."""
    name, key = add(machines)
    assert machines.ask(f"my key is {key}, keep it", token=key).status_code == 200
    assert "<HOOPGUARD_KEY>" in machines.prompts[-1]
    machines.ask(token=key, model=key)
    machines.ask(token=key, path=f"/{key}")
    machines.ask(token=key[:-1] + ("0" if key[-1] != "0" else "1"))
    command(machines, "disable", name)
    machines.ask(token=key)
    machines.wait_until_settled()
    secret = key.split("_", 2)[2][:43]
    files = [file for file in machines.folder.rglob("*") if file.is_file()]
    assert any("gateway.log" in file.name for file in files)
    assert [file for file in files if secret.encode() in file.read_bytes()] == []
    assert secret not in command(machines, "list", "--json") + command(machines, "list")


def test_the_list_shows_the_last_use(machines: Site) -> None:
    """Soon after it, without waiting for the gateway to stop; a refused key is no use."""

    def last_used(name: str) -> float | None:
        found = {each["name"]: each["last_used_at"] for each in json.loads(command(machines, "list", "--json"))}
        at: float | None = found[name]
        return at

    before = time.time()
    name, key = add(machines)
    assert machines.ask(token=new_key(account_of(key) or "")).status_code == 401
    assert last_used(name) is None
    assert machines.ask(token=key).status_code == 200
    wait_for(lambda: last_used(name) is not None, "the last use is written")
    assert before <= (last_used(name) or 0) <= time.time()


def test_an_account_decides_no_approval(machines: Site) -> None:
    """Not even one in the reviewers' group: deciding needs a person, whom an issuer vouches for."""
    _, key = add(machines, "-g", "owners")
    asked = machines.send(chat_bytes("go to production"), prefer="respond-async")
    (approval,) = asked.json()["error"]["hoopguard"]["approval"]
    done = machines.hoopguard("approvals", "approve", approval, token=key)
    assert (done.returncode, key in done.stdout + done.stderr) == (2, False)
    assert json.loads(machines.hoopguard("approvals", "show", approval, "--json").stdout)["state"] == "pending"


def test_keys_are_taken_only_while_the_policy_says_so(tmp_path: Path) -> None:
    """Where it does not, a good key is as bad as any; accounts that cannot be looked up let nobody in."""
    with Site(tmp_path) as site:
        site.write_policy("")
        _, key = add(site)
        site.start()
        refused(site.ask(token=key), 401, "hoopguard_bad_token")
        site.write_policy("[accounts]\nenabled = true\n")
        database = site.state / "hoopguard.db"
        database.chmod(0o644)
        refused(site.ask(token=key), 503, "hoopguard_store_unavailable")
        assert not site.seen
        database.chmod(0o600)
        assert site.ask(token=key).status_code == 200
        site.write_policy("")
        refused(site.ask(token=key), 401, "hoopguard_bad_token")
        assert site.ask().status_code == 200
