"""``hoopguard accounts``: a key is handed over once, and what goes wrong is one line."""

import json
import re
import time
from pathlib import Path

import pytest
import typer
from policies import SMALL, written
from typer.testing import CliRunner, Result

from hoopguard.cli import accounts as commands
from hoopguard.identity.account_keys import account_of
from hoopguard.identity.accounts import Accounts
from hoopguard.policy import load_policy
from hoopguard.store import open_store

DAY_S = 86_400.0


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return written(tmp_path, f"{SMALL}\n[accounts]\nenabled = true\n")


def run(policy: Path, *words: str) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    commands.add_to(app)
    app.callback()(lambda: None)
    env = {"HOOPGUARD_POLICY": str(policy), "COLUMNS": "300", "TERM": "dumb"}
    return CliRunner().invoke(app, ["accounts", *words], env=env)


def add(policy: Path, name: str = "nightly", *words: str) -> str:
    done = run(policy, "add", name, "--expires", "90d", *words)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def test_a_key_is_all_that_is_printed_for_a_program(policy: Path) -> None:
    """It is alone on stdout; what a person has to know is on stderr, without the key."""
    done = run(policy, "add", "nightly", "--expires", "90d", "--group", "ci", "-g", "ml", "--note", "for Ann")
    key = done.stdout.removesuffix("\n")
    assert (done.exit_code, account_of(key) is not None) == (0, True)
    assert "not shown again" in done.stderr
    assert key not in done.stderr
    assert "\x1b" not in done.output


def test_json_is_one_document_with_the_key_in_it(policy: Path) -> None:
    """And with what a list says of the account; a list has neither key nor hash."""
    before = time.time()
    made = json.loads(run(policy, "add", "nightly", "--expires", "90d", "-g", "ci", "--json").stdout)
    key = made.pop("key")
    assert account_of(key) == made["id"]
    assert before + 90 * DAY_S <= made["expires_at"] <= time.time() + 90 * DAY_S
    listed = run(policy, "list", "--json").stdout
    assert json.loads(listed) == [made]
    assert (made["state"], made["groups"], made["last_used_at"]) == ("active", ["ci"], None)
    assert not re.search("sha256|hgsa", listed)


def test_a_list_tells_who_may_until_when_and_the_last_use(policy: Path) -> None:
    """Looking before there is anything creates nothing."""
    assert run(policy, "list").stdout == "no accounts\n"
    assert json.loads(run(policy, "list", "--json").stdout) == []
    assert not load_policy(policy).state.exists()
    key = add(policy, "nightly", "-g", "ci", "--note", "the [red]batch[/] :smile:")
    add(policy, "builds")
    with open_store(load_policy(policy).state) as store:
        Accounts(store).used(account_of(key) or "", 1_800_000_000)
    header, builds, nightly = run(policy, "list").stdout.splitlines()
    assert header.split() == ["name", "state", "groups", "expires", "last", "used", "note"]
    assert builds.split()[:2] == ["builds", "active"]
    assert "never" in builds
    assert "2027-01-15T08:00:00Z" in nightly
    assert "the [red]batch[/] :smile:" in nightly


def test_an_expiry_cannot_be_left_out(policy: Path) -> None:
    """Neither for a new account nor for a new key of one; nothing is made."""
    assert run(policy, "add", "nightly").exit_code == 2
    assert run(policy, "list").stdout == "no accounts\n"
    add(policy)
    assert run(policy, "rotate", "nightly").exit_code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("add", "nightly", "--expires", "2 years"), "--expires 2 years: expected a duration"),
        (("add", "nightly", "--expires", "0"), "expected an expiry"),
        (("add", "nightly", "--expires", "400d"), "366 days"),
        (("add", "Nightly", "--expires", "90d"), "expected a name"),
        (("add", "nightly", "--expires", "90d", "-g", "*"), "name of a group"),
        (("add", "nightly", "--expires", "90d", "--note", "a\nb"), "one line"),
        (("rotate", "other", "--expires", "90d"), "no account 'other'"),
        (("rotate", "present", "--expires", "90d", "--overlap", "31d"), "expected an overlap"),
        (("disable", "other"), "no account 'other'"),
    ],
)
def test_input_that_cannot_be_used_is_named(policy: Path, words: tuple[str, ...], message: str) -> None:
    """With exit code 2, in one line, and nothing on stdout."""
    add(policy, "present")
    done = run(policy, *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert [each["name"] for each in json.loads(run(policy, "list", "--json").stdout)] == ["present"]


def test_what_the_account_does_not_allow_is_refused(policy: Path) -> None:
    """A name that is taken, a disabled account: exit code 1, and no key."""
    add(policy)
    taken = run(policy, "add", "nightly", "--expires", "90d")
    assert (taken.exit_code, taken.stdout, "already" in taken.stderr) == (1, "", True)
    assert run(policy, "disable", "nightly").stdout == "nightly: disabled\n"
    assert json.loads(run(policy, "disable", "nightly", "--json").stdout)["state"] == "disabled"
    rotated = run(policy, "rotate", "nightly", "--expires", "90d")
    assert (rotated.exit_code, rotated.stdout, "disabled" in rotated.stderr) == (1, "", True)


def test_rotating_prints_another_key_of_the_same_account(policy: Path) -> None:
    """The old one ends, or lives on for the overlap that is asked for."""
    first = add(policy)
    second = run(policy, "rotate", "nightly", "--expires", "90d").stdout.strip()
    assert second != first
    assert account_of(second) == account_of(first)
    (account,) = json.loads(run(policy, "list", "--json").stdout)
    assert account["old_key_expires_at"] is None
    before = time.time()
    third = json.loads(run(policy, "rotate", "nightly", "--expires", "1h", "--overlap", "15m", "--json").stdout)
    assert before + 900 <= third["old_key_expires_at"] <= time.time() + 900
    assert third["expires_at"] <= time.time() + 3600


def test_a_policy_that_takes_no_keys_is_pointed_out(tmp_path: Path) -> None:
    """On stderr: the account is made all the same."""
    off = written(tmp_path, SMALL)
    done = run(off, "add", "nightly", "--expires", "90d", "--json")
    assert "enabled = true" in done.stderr
    assert json.loads(done.stdout)["name"] == "nightly"


def test_a_state_folder_that_others_can_read_is_refused(policy: Path) -> None:
    """With the command that mends it, for reading too."""
    add(policy)
    (load_policy(policy).state / "hoopguard.db").chmod(0o644)
    for words in (("list",), ("disable", "nightly"), ("add", "other", "--expires", "1d")):
        done = run(policy, *words)
        assert (done.exit_code, "chmod 600" in done.stderr) == (2, True)


@pytest.mark.parametrize("command", ["add", "list", "rotate", "disable"])
def test_help_gives_an_example_and_the_exit_codes(policy: Path, command: str) -> None:
    shown = " ".join(run(policy, command, "--help").stdout.split())
    assert f"Example: hoopguard accounts {command}" in shown
    assert "Exit codes: 0 done" in shown
