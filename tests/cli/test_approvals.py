"""``hoopguard approvals``: what reviewers see, and who may decide with which proof."""

import json
import os
import pwd
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
import typer
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from typer.testing import CliRunner, Result

from hoopguard.approval.asking import Ask
from hoopguard.approval.digest import request_digest
from hoopguard.approval.service import Approvals
from hoopguard.cli import approvals as commands
from hoopguard.identity.principal import Principal
from hoopguard.policy import load_policy
from hoopguard.store import open_store
from hoopguard.store.records import Approval

POLICY = """
version = 1
[[issuer]]
name = "corp"
url = "{url}"
audience = "hoopguard"
claims = {{ groups = "groups" }}
[[connection]]
name = "llama"
upstream = "http://127.0.0.1:8000"
allow = [{{ groups = ["ml"] }}]
[[approval]]
name = "owners"
reviewers = ["owners"]
local_users = {local_users}
quorum = {quorum}
"""
ALICE = Principal("alice", "corp", "person", frozenset({"ml"}), "", 0.0)
KEY = ec.generate_private_key(ec.SECP256R1())


class _Provider(BaseHTTPRequestHandler):
    """An OIDC provider that publishes one key."""

    def do_GET(self) -> None:
        address = f"http://{self.headers['host']}"
        jwk = {**ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "k", "alg": "ES256", "use": "sig"}
        discovery = {"issuer": address, "jwks_uri": f"{address}/jwks"}
        body = json.dumps({"keys": [jwk]} if self.path == "/jwks" else discovery).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Provider) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def token(provider: str) -> Callable[..., str]:
    def sign(subject: str = "bob", groups: tuple[str, ...] = ("owners",), lives_s: float = 60) -> str:
        now = int(time.time())
        claims = {"iss": provider, "aud": "hoopguard", "sub": subject, "groups": groups, "iat": now - 500}
        return jwt.encode({**claims, "exp": int(now + lives_s)}, KEY, "ES256", headers={"kid": "k"})

    return sign


@pytest.fixture(autouse=True)
def policy(tmp_path: Path, provider: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HOOPGUARD_TOKEN", raising=False)
    return write_policy(tmp_path / "policy.toml", provider)


def write_policy(file: Path, url: str, local_users: tuple[str, ...] = (), quorum: int = 1) -> Path:
    file.write_text(POLICY.format(url=url, local_users=json.dumps(local_users), quorum=quorum))
    return file


def ask(policy: Path, preview: str = "user: hello", model: str = "m", now: float | None = None) -> Approval:
    loaded = load_policy(policy)
    digest = request_digest(ALICE.id, "llama", model, "chat/completions", b"{}")
    (rule,) = loaded.policy.approvals
    asked = Ask(ALICE, "llama", model, "chat/completions", digest, rule, (("bulk", "Bulk export."),), preview)
    with open_store(loaded.state) as store:
        return Approvals(store).request(asked, now or time.time())


def state(policy: Path, approval: Approval) -> str:
    with open_store(load_policy(policy).state) as store:
        return Approvals(store).get(approval.id, time.time()).state


def run(policy: Path, *words: str, token: str | None = None, stdin: str | None = None) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    commands.add_to(app)
    app.callback()(lambda: None)
    env = {"HOOPGUARD_TOKEN": token, "HOOPGUARD_POLICY": str(policy), "COLUMNS": "200"}
    return CliRunner().invoke(app, ["approvals", *words], env=env, input=stdin)


def test_nothing_stored_is_an_empty_list(policy: Path) -> None:
    """Before anything was asked, the list is empty and looking creates nothing."""
    assert run(policy, "list").stdout == "no pending approvals\n"
    assert json.loads(run(policy, "list", "--json").stdout) == []
    assert run(policy, "show", "ap-x").exit_code == 2
    assert run(policy, "deny", "ap-x").exit_code == 2
    assert not load_policy(policy).state.exists()


def test_list_and_show_tell_who_asks_what_and_why(policy: Path) -> None:
    """Reading needs no token, and tells caller, model, rule, reason, preview, expiry."""
    approval = ask(policy)
    listed = run(policy, "list").stdout
    assert approval.id in listed
    assert "alice (corp)" in listed
    shown = run(policy, "show", approval.id.upper()).stdout
    for expected in ("alice (corp), groups: ml", "llama · m · chat/completions", "bulk: Bulk export.", "│ user: hello"):
        assert expected in shown
    assert "expires" in shown
    (from_list,) = json.loads(run(policy, "list", "--json").stdout)
    assert from_list == json.loads(run(policy, "show", approval.id, "--json").stdout)
    assert (from_list["id"], from_list["principal"]["subject"], from_list["state"]) == (approval.id, "alice", "pending")


def test_recorded_text_cannot_steer_the_terminal(policy: Path) -> None:
    """Control, bidi and line-separating characters of callers are shown as escapes; lines cannot pose as ours."""
    evil = "\x1b[2J\x9b31m\u202e\u2028\r[red]x[/] :smile:\nap-aaaa: approved"
    approval = ask(policy, preview=evil, model="m\x1b]0;x\x07\nx")
    for words in (("list",), ("show", approval.id), ("list", "--json"), ("show", approval.id, "--json")):
        printed = run(policy, *words).stdout
        assert not set(printed) & set("\x1b\x9b\x07\r\u202e\u2028")
    shown = run(policy, "show", approval.id).stdout
    assert "\\x1b[2J\\x9b31m\\u202e\\u2028\\x0d[red]x[/] :smile:\n  │ ap-aaaa: approved" in shown
    assert json.loads(run(policy, "show", approval.id, "--json").stdout)["preview"] == evil


def test_a_token_in_the_environment_decides(policy: Path, token: Callable[..., str]) -> None:
    """A reviewer with a real signed token approves; a second decision is refused with exit 1."""
    approval = ask(policy)
    done = run(policy, "approve", approval.id, "--note", "fine", token=token())
    assert (done.exit_code, done.stdout) == (0, f"{approval.id}: approved, decided by bob (corp)\n")
    assert "decision approve by bob (corp)" in run(policy, "show", approval.id).stdout
    again = run(policy, "deny", approval.id, token=token("carol"))
    assert (again.exit_code, again.stderr) == (1, f"error: {approval.id} is already approved\n")


def test_a_token_in_a_file_or_on_stdin_decides(policy: Path, token: Callable[..., str], tmp_path: Path) -> None:
    """--token-file reads a file of the owner's only, or stdin, and goes before the environment."""
    approval, file = ask(policy), tmp_path / "token"
    file.write_text(token() + "\n")
    file.chmod(0o644)
    assert "chmod 600" in run(policy, "deny", approval.id, "--token-file", str(file)).stderr
    file.chmod(0o600)
    assert run(policy, "deny", approval.id, "--token-file", str(file), token=token("alice")).exit_code == 0
    other = ask(policy, model="other")
    assert run(policy, "approve", other.id, "--token-file", "-", stdin=token()).exit_code == 0
    assert (state(policy, approval), state(policy, other)) == ("denied", "approved")


@pytest.mark.parametrize(
    ("subject", "groups", "message"),
    [("alice", ("owners", "admins"), "own request"), ("eve", ("ml",), "not a reviewer of 'owners'")],
)
def test_the_wrong_person_is_refused(
    policy: Path, token: Callable[..., str], subject: str, groups: tuple[str, ...], message: str
) -> None:
    """The caller's own token, and one without the reviewers' group, are refused with exit 1."""
    approval = ask(policy)
    refused = run(policy, "approve", approval.id, token=token(subject, groups))
    assert refused.exit_code == 1
    assert message in refused.stderr
    assert state(policy, approval) == "pending"


def test_an_expired_approval_is_refused(policy: Path, token: Callable[..., str]) -> None:
    """A decision that comes too late is refused with exit 1."""
    approval = ask(policy, now=time.time() - 1801)
    refused = run(policy, "approve", approval.id, token=token())
    assert (refused.exit_code, "has expired" in refused.stderr) == (1, True)


def test_a_bad_token_proves_nothing(policy: Path, token: Callable[..., str], provider: str) -> None:
    """An expired, forged, foreign or unreadable token ends with exit 2; being a local user does not help then."""
    user = pwd.getpwuid(os.getuid()).pw_name
    write_policy(policy, provider, (user,))
    approval = ask(policy)
    head, _, signature = token().split(".")
    for bad in (token(lives_s=-300), "x.y.z", f"{head}.{token('carol').split('.')[1]}.{signature}", "nonsense"):
        refused = run(policy, "approve", approval.id, token=bad)
        assert (refused.exit_code, "proves nothing" in refused.stderr) == (2, True)
        assert bad not in refused.output
    assert state(policy, approval) == "pending"


def test_a_provider_that_is_down_is_named(policy: Path, token: Callable[..., str]) -> None:
    """A token whose issuer's keys cannot be had ends in one clear line and exit 2."""
    write_policy(policy, "http://127.0.0.1:9")
    approval = ask(policy)
    claims = {"iss": "http://127.0.0.1:9", "aud": "hoopguard", "sub": "bob", "iat": 1, "exp": int(time.time()) + 60}
    refused = run(policy, "approve", approval.id, token=jwt.encode(claims, KEY, "ES256", headers={"kid": "k"}))
    assert (refused.exit_code, refused.stderr.startswith("error: the token proves nothing")) == (2, True)


def test_a_local_user_decides_only_if_the_rule_says_so(
    policy: Path, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Access to the state folder is no identity: the system's name for the process decides, never $USER."""
    user = pwd.getpwuid(os.getuid()).pw_name
    approval = ask(policy)
    refused = run(policy, "approve", approval.id)
    assert (refused.exit_code, "--token-file" in refused.stderr, "local_users" in refused.stderr) == (2, True, True)
    write_policy(policy, provider, ("somebody",))
    for variable in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(variable, "somebody")
    assert run(policy, "approve", approval.id).exit_code == 2
    write_policy(policy, provider, (user,))
    done = run(policy, "approve", approval.id)
    assert (done.exit_code, done.stdout) == (0, f"{approval.id}: approved, decided by {user} (local user)\n")


def test_a_quorum_needs_that_many_people(policy: Path, token: Callable[..., str], provider: str) -> None:
    """Under a quorum of two, the first agreement leaves it pending, the same person again is refused."""
    write_policy(policy, provider, quorum=2)
    approval = ask(policy)
    assert "pending, 1 of 2 agree" in run(policy, "approve", approval.id, token=token()).stdout
    assert run(policy, "approve", approval.id, token=token()).exit_code == 1
    assert "approved" in run(policy, "approve", approval.id, token=token("carol")).stdout


def test_a_broken_store_is_one_line(policy: Path) -> None:
    """A state folder that cannot be used ends in one clear line and exit 2."""
    ask(policy)
    (load_policy(policy).state / "hoopguard.db").chmod(0o644)
    broken = run(policy, "list")
    assert (broken.exit_code, "chmod 600" in broken.stderr) == (2, True)


def test_input_that_cannot_be_used_is_named(policy: Path, token: Callable[..., str], tmp_path: Path) -> None:
    """A missing or empty token file and an endless note end with exit 2."""
    approval = ask(policy)
    assert "No such file" in run(policy, "deny", approval.id, "--token-file", str(tmp_path / "none")).stderr
    assert "empty" in run(policy, "deny", approval.id, "--token-file", "-", stdin="").stderr
    endless = run(policy, "deny", approval.id, "--note", "n" * 2000, token=token())
    assert (endless.exit_code, "1000 characters" in endless.stderr) == (2, True)


@pytest.mark.parametrize("words", [(), ("approve",), ("deny",)])
def test_help_says_that_deciding_needs_a_token(policy: Path, words: tuple[str, ...]) -> None:
    """--help tells that reading is free and deciding needs proof."""
    shown = " ".join(run(policy, *words, "--help").stdout.split())
    assert "Deciding needs proof of who you are: a token" in shown
    assert "--token " not in shown
