"""``hoopguard check --as``: what the gateway would decide, and by which line of the policy."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from policies import SECRET, SMALL, written

from hoopguard.cli.check_access import Question, explain, read_claims
from hoopguard.policy import load_policy

HOOPGUARD = str(Path(sys.executable).parent / "hoopguard")
POLICY = f"""
version = 1
[[issuer]]
name = "staff"
url = "https://id.example.com"
audience = "hoopguard"
[[issuer]]
name = "github"
url = "https://token.actions.githubusercontent.com"
audience = "hoopguard"
require = {{ repository_owner = "acme" }}
groups = ["ci"]

[[connection]]
name = "llama"
upstream = "http://127.0.0.1:8000"
routes = ["chat/completions", "completions", "models"]
credential = {{ value = "Bearer {SECRET}" }}
allow = [
  {{ groups = ["ml"] }},
  {{ groups = ["staff"], models = ["llama-3-8b"] }},
  {{ groups = ["ci"], models = ["llama-3-8b"], routes = ["completions"] }},
  {{ issuers = ["github"], require = {{ repository = "acme/*", ref = "refs/heads/main" }}, models = ["llama-3-*"] }},
]

[[connection]]
name = "coder"
upstream = "http://127.0.0.1:8001"
api = "ollama"
allow = [{{ subjects = ["*@contractors.example.com"] }}]
"""
MAIN = {"repository": ("acme/app",), "ref": ("refs/heads/main",)}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "HOOPGUARD_POLICY")}
    command = [HOOPGUARD, "check", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def decided(folder: Path, question: Question, capsys: pytest.CaptureFixture[str]) -> tuple[bool, dict[str, Any]]:
    """Return whether any connection allows it, and the answers by connection."""
    allowed = explain(load_policy(written(folder, POLICY)).policy, question, as_json=True)
    answers = json.loads(capsys.readouterr().out)["connections"]
    return allowed, {answer["connection"]: answer for answer in answers}


@pytest.mark.parametrize(
    ("question", "line", "lacks"),
    [
        (Question("ada", ("ml",), model="anything"), 0, [None, "groups", "groups", "issuers"]),
        (Question("ada", ("ml", "staff"), model="llama-3-8b"), 0, [None, None, "groups", "issuers"]),
        (Question("ada", ("staff",), model="llama-3-8b"), 1, ["groups", None, "groups", "issuers"]),
        (Question("ada", ("staff",), model="llama-3-70b"), None, ["groups", "models", "groups", "issuers"]),
        (Question("ada", ("staff",)), None, ["groups", "models", "groups", "issuers"]),
        (Question("ada", ("staff",), route="models"), 1, ["groups", None, "groups", "issuers"]),
        (Question("ada", ("staff",), route="models", model="gpt"), 1, ["groups", None, "groups", "issuers"]),
        (Question("ada", ("ci",), model="llama-3-8b"), None, ["groups", "groups", "routes", "issuers"]),
        (Question("ada", ("ci",), route="completions", model="llama-3-8b"), 2, ["groups", "groups", None, "issuers"]),
        (
            Question("repo:acme/app", claims=MAIN, issuer="github", model="llama-3-70b"),
            3,
            ["groups", "groups", "routes", None],
        ),
        (
            Question("repo:acme/app", claims={**MAIN, "ref": ("x",)}, issuer="github", model="llama-3-70b"),
            None,
            ["groups", "groups", "routes", "require.ref"],
        ),
        (Question("x", claims=MAIN, issuer="staff", model="llama-3-8b"), None, ["groups"] * 3 + ["issuers"]),
        (Question("eve", model="llama-3-8b"), None, ["groups", "groups", "groups", "issuers"]),
    ],
    ids=range(13),
)
def test_the_deciding_line_is_named_and_of_the_others_what_they_lack(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    question: Question,
    line: int | None,
    lacks: list[str | None],
) -> None:
    """The first line that allows it decides; a line that does not is named by the key that stands in the way."""
    allowed, answers = decided(tmp_path, question, capsys)
    answer = answers["llama"]
    assert answer["decides"] == (None if line is None else f'connection "llama" · allow[{line}]')
    assert [each["lacks"] for each in answer["lines"]] == lacks
    assert answer["allowed"] is allowed is (line is not None)
    assert bool(answer["reason"]) is not allowed


def test_each_connection_is_asked_for_its_first_route(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that allows it is enough; one that is named is the only one asked."""
    bob = Question("bob@contractors.example.com", model="coder-7b")
    allowed, answers = decided(tmp_path, bob, capsys)
    assert allowed
    assert {name: (each["route"], each["allowed"]) for name, each in answers.items()} == {
        "llama": ("chat/completions", False),
        "coder": ("api/chat", True),
    }
    named = Question("bob@contractors.example.com", model="coder-7b", connection="llama")
    allowed, answers = decided(tmp_path, named, capsys)
    assert (allowed, [*answers]) == (False, ["llama"])


def test_a_token_that_its_issuer_would_not_give_allows_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the issuer requires is taken for granted, unless it is said to be otherwise."""
    for owner, good in (("acme", True), ("evil", False)):
        claims = {**MAIN, "repository_owner": (owner,)}
        question = Question("repo:x", claims=claims, issuer="github", model="llama-3-8b", connection="llama")
        allowed, answers = decided(tmp_path, question, capsys)
        assert allowed is answers["llama"]["allowed"] is good
        assert ("repository_owner" in answers["llama"]["reason"]) is not good


@pytest.mark.parametrize(
    ("question", "known"),
    [
        (Question("ada", issuer="okta"), "staff, github"),
        (Question("ada", connection="gpt"), "llama, coder"),
        (Question("ada", route="messages"), "chat/completions"),
        (Question("ada", connection="coder", route="completions"), "api/chat"),
    ],
    ids=range(4),
)
def test_what_the_policy_does_not_have_is_an_error_that_says_what_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], question: Question, known: str
) -> None:
    """A slip of the pen is not an answer."""
    policy = load_policy(written(tmp_path, POLICY)).policy
    with pytest.raises(typer.Exit) as caught:
        explain(policy, question, as_json=False)
    assert caught.value.exit_code == 2
    assert known in capsys.readouterr().err


def test_claims_are_names_and_values() -> None:
    """A value may hold the sign; a name that is given twice has both values."""
    assert read_claims(["a=b=c", "roles=x", "roles=y", "empty="]) == {
        "a": ("b=c",),
        "roles": ("x", "y"),
        "empty": ("",),
    }
    for wrong in ("a", "=b", ""):
        with pytest.raises(typer.Exit):
            read_claims([wrong])


def test_people_read_it_as_a_table(tmp_path: Path) -> None:
    """Exit 0 if it is allowed and 1 if not; no secret, no colours, nothing that steers a terminal."""
    written(tmp_path, POLICY)
    good = run(tmp_path, "--as", "ada", "--group", "x", "--group", "staff", "--model", "llama-3-8b")
    assert (good.returncode, good.stderr) == (0, "")
    assert 'chat/completions of model llama-3-8b on llama: allowed by connection "llama" · allow[1]' in good.stdout
    assert 'groups = ["staff"], models = ["llama-3-8b"]' in good.stdout
    assert '"repository" = "acme/*"' in good.stdout
    bad = run(tmp_path, "--as", "eve\x1b[2J", "--model", "llama-3-8b")
    assert (bad.returncode, bad.stderr) == (1, "")
    assert "may not use the connection 'llama'" in bad.stdout
    for result in (good, bad):
        assert not {"\x1b"} & {*result.stdout}
        assert SECRET not in result.stdout


def test_scripts_read_it_as_json(tmp_path: Path) -> None:
    """The only issuer of a policy goes without saying."""
    written(tmp_path, SMALL)
    result = run(tmp_path, "--as", "ada", "--group", "ml", "--model", "llama-3-8b", "--json")
    report = json.loads(result.stdout)
    assert (result.returncode, report["issuer"], report["groups"]) == (0, "staff", ["ml"])
    assert report["connections"][0]["decides"] == 'connection "llama" · allow[0]'


@pytest.mark.parametrize(
    "arguments",
    [["--as", ""], ["--model", "x"], ["--group", "ml"], ["--claim", "a=b"], ["--as", "ada", "--claim", "a"]],
)
def test_a_question_that_nobody_asks_is_an_error(tmp_path: Path, arguments: list[str]) -> None:
    """It must not pass for a check of the policy that went well."""
    written(tmp_path, SMALL)
    result = run(tmp_path, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: expected --")
