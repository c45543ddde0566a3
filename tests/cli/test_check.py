"""``hoopguard check``, through the real console entry."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from policies import RULES, SECRET, SMALL
from policies import written as written_as

from hoopguard.policy.routes import routes_of

HOOPGUARD = str(Path(sys.executable).parent / "hoopguard")
POLICY = f"""{SMALL}{RULES}
local_users = ["root"]
[[mask]]
name = "personal"
entities = ["EMAIL_ADDRESS"]
"""


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "FORCE_COLOR": "", "HOOPGUARD_POLICY": "", **environment}
    inherited = {name: value for name, value in variables.items() if value}
    command = [HOOPGUARD, *arguments]
    return subprocess.run(command, cwd=folder, env=inherited, capture_output=True, text=True, check=False)


def written(folder: Path, text: str = POLICY) -> Path:
    return written_as(folder, text)


def assert_refused(result: subprocess.CompletedProcess[str], *expected: str) -> None:
    """An operator's mistake: exit 2, one ``error:`` line, nothing on stdout, no traceback and no secret."""
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert "\x1b" not in result.stderr
    assert SECRET not in result.stderr
    for each in expected:
        assert each in result.stderr


def test_a_good_policy_exits_0_and_says_what_it_governs(tmp_path: Path) -> None:
    """The file in the current folder is the default; there are no colours in a pipe."""
    written(tmp_path)
    result = run(tmp_path, "check")
    assert (result.returncode, result.stderr) == (0, "")
    for each in ("good", "https://id.example.com", "llama.example.com, /llama", "block on request", "root", "EMAIL"):
        assert each in result.stdout
    assert "\x1b" not in result.stdout
    assert SECRET not in result.stdout


def test_json_is_one_document(tmp_path: Path) -> None:
    """For scripts: names, addresses and the digest, and nothing secret."""
    file = written(tmp_path)
    result = run(tmp_path, "check", "--policy", str(file), "--json")
    assert result.returncode == 0
    report = json.loads(result.stdout)
    assert report["connections"] == [
        {
            "name": "llama",
            "upstream": "http://127.0.0.1:8000",
            "hosts": ["llama.example.com"],
            "routes": list(routes_of("openai")),
        }
    ]
    assert (report["guardrails"], report["approvals"], report["masks"]) == (["codenames"], ["owners"], ["personal"])
    assert SECRET not in result.stdout


@pytest.mark.parametrize(
    ("pattern", "on", "warned"),
    [(r"\Qa.b\E", "both", True), (r"x(?i)y", "response", True), (r"\Qa.b\E", "request", False), ("a+b", "both", False)],
)
def test_a_pattern_that_would_hold_back_all_of_a_stream_is_named(
    tmp_path: Path, pattern: str, on: str, warned: bool
) -> None:
    """It is a warning, because the policy works; scripts get it too."""
    written(tmp_path, POLICY.replace('words = ["tropical"]', f"patterns = ['{pattern}']\non = '{on}'"))
    result = run(tmp_path, "check")
    assert result.returncode == 0
    assert ("warning: guardrail codenames: streamed answers end" in result.stdout) is warned
    assert bool(json.loads(run(tmp_path, "check", "--json").stdout)["warnings"]) is warned


def test_the_environment_names_the_policy(tmp_path: Path) -> None:
    """``HOOPGUARD_POLICY`` is used where ``--policy`` is not given."""
    (tmp_path / "elsewhere").mkdir()
    file = written(tmp_path / "elsewhere")
    assert run(tmp_path, "check", HOOPGUARD_POLICY=str(file)).returncode == 0


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_bad_policy_exits_2_with_file_key_value_and_expectation(tmp_path: Path, as_json: list[str]) -> None:
    """One line for the error, one for what to do."""
    file = written(tmp_path, POLICY.replace('action = "block"', 'action = "blok"'))
    result = run(tmp_path, "check", *as_json)
    assert_refused(result, f"{file.name}: ", 'guardrail "codenames" · action', "'blok'", "'block', 'approve' or 'flag'")
    assert len(result.stderr.splitlines()) == 2
    assert result.stderr.splitlines()[1].startswith("hint: ")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("EMAIL_ADDRESS", "EMIAL_ADDRESS", "EMIAL_ADDRESS"),
        ("EMAIL_ADDRESS", "PERSON", "PERSON"),
        ('words = ["tropical"]', 'patterns = ["("]', "missing )"),
        ('value = "Bearer', f'key = "{SECRET}", value = "Bearer', "unknown key"),
        (f"Bearer {SECRET}", "Bearer ${env:HG_UNSET}", "HG_UNSET"),
        ("http://127.0.0.1:8000", f"http://ada:{SECRET}@127.0.0.1:8000", "without user"),
        ("version = 1", "version = ", "expected TOML"),
        ("version = 1", "a = " + "[" * 100_000, "expected TOML"),
    ],
    ids=range(8),
)
def test_what_the_gateway_would_not_start_on_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """Entities that nobody recognises included: the stations' own checks run as well."""
    written(tmp_path, POLICY.replace(old, new))
    assert_refused(run(tmp_path, "check"), expected)


def test_a_missing_policy_exits_2(tmp_path: Path) -> None:
    """Named, with what the system said."""
    assert_refused(run(tmp_path, "check"), "policy.toml: cannot be read: No such file or directory")


def test_a_policy_that_is_a_folder_exits_2(tmp_path: Path) -> None:
    """Like any other thing that cannot be read."""
    assert_refused(run(tmp_path, "check", "--policy", str(tmp_path)), "Is a directory")


@pytest.mark.parametrize("arguments", [["check", "--colour"], ["check", "extra"], ["chekc"], []])
def test_a_command_that_cannot_be_used_exits_2(tmp_path: Path, arguments: list[str]) -> None:
    """With the usage, and without a traceback."""
    result = run(tmp_path, *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "Usage" in result.stderr + result.stdout


def test_the_version_is_shown(tmp_path: Path) -> None:
    """Without a policy."""
    result = run(tmp_path, "--version")
    assert (result.returncode, result.stdout.split()[0]) == (0, "hoopguard")


def test_what_would_steer_the_terminal_is_shown_as_an_escape(tmp_path: Path) -> None:
    """Also from a key, a value or a name of a file that somebody else wrote."""
    file = tmp_path / "evil\x1b[2J\u202e.toml"
    file.write_text(POLICY.replace('action = "block"', 'action = "b\\u001b]0;owned\\u0007\\u202elok"'))
    result = run(tmp_path, "check", "--policy", str(file))
    assert_refused(result, "\\x1b[2J\\u202e.toml")
    assert not set(result.stderr) & set("\x1b\x07\u202e")
    named = POLICY.replace('words = ["tropical"]', 'words = ["tropical"]\n"\\u001b[31m\\u202e[bold]" = 1')
    file.write_text(named)
    result = run(tmp_path, "check", "--policy", str(file))
    assert_refused(result, "\\x1b[31m\\u202e[bold]")


def test_colours_are_for_terminals(tmp_path: Path) -> None:
    """On a real terminal the error stands out."""
    leader, follower = pty.openpty()
    try:
        variables = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "CI")}
        subprocess.run(
            [HOOPGUARD, "check"],
            cwd=tmp_path,
            stderr=follower,
            check=False,
            env={**variables, "TERM": "xterm-256color"},
        )
        seen = os.read(leader, 10_000)
    finally:
        os.close(leader)
        os.close(follower)
    assert b"\x1b[" in seen
    assert b"error:" in seen
