"""``hoopguard audit``."""

import json
from pathlib import Path

import pytest
import typer
from recorded import HOSTILE, damage, record
from typer.testing import CliRunner

from hoopguard.cli import audit
from hoopguard.policy import load_policy

app = typer.Typer(pretty_exceptions_enable=False)
audit.add_to(app)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    record(tmp_path / "var")
    return tmp_path / "var"


def test_a_clean_record_exits_0_and_says_what_was_checked(state: Path) -> None:
    result = CliRunner().invoke(app, ["audit", "verify", "--state", str(state)])
    assert result.exit_code == 0
    assert "8 entries, 3 exchanges, 3 flows" in result.output
    assert "nothing is wrong" in result.output


def test_a_changed_byte_exits_1_and_names_the_flow(state: Path) -> None:
    damage(state, "_alice_")
    result = CliRunner().invoke(app, ["audit", "verify", "--state", str(state)])
    assert result.exit_code == 1
    assert "hg-1" in result.output
    assert "0001.mitm @0+" in result.output


def test_json_is_for_scripts_and_pure_ascii(state: Path) -> None:
    ledger = state / "ledger" / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace('"exchange":"hg-3"', f'"exchange":{json.dumps(HOSTILE[-4:] + "ü")}'))
    result = CliRunner().invoke(app, ["audit", "verify", "--state", str(state), "--json"])
    report = json.loads(result.stdout)
    assert (result.exit_code, report["clean"]) == (1, False)
    assert result.stdout.isascii()


def test_recorded_control_characters_do_not_reach_the_terminal(state: Path) -> None:
    ledger = state / "ledger" / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace('"exchange":"hg-3"', '"exchange":"\u202e\x9b"'))
    result = CliRunner().invoke(app, ["audit", "verify", "--state", str(state)])
    assert result.exit_code == 1
    assert "\\u202e\\x9b" in result.output
    assert not set(result.output) & set("\x1b\x9b\u202e")


def test_no_record_exits_2_with_a_hint(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["audit", "verify", "--state", str(tmp_path)])
    assert result.exit_code == 2
    assert "hint:" in result.output


def test_without_state_the_policy_names_the_folder(state: Path) -> None:
    policy = state.parent / "policy.toml"
    policy.write_text(
        """
        version = 1
        [[issuer]]
        name = "staff"
        url = "https://login.example.com"
        audience = "hoopguard"
        [[connection]]
        name = "llama"
        upstream = "http://127.0.0.1:8000"
        allow = [{ groups = ["*"] }]
        """
    )
    assert load_policy(policy).state == state
    assert CliRunner().invoke(app, ["audit", "verify", "--policy", str(policy)]).exit_code == 0
