"""``hoopguard sessions``."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest
import typer
from recorded import HOSTILE, damage, record, record_live
from typer.testing import CliRunner, Result

from hoopguard.cli import sessions

app = typer.Typer(pretty_exceptions_enable=False)
sessions.add_to(app)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("state")
    record(state)
    return state


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["sessions", *words])


def test_the_list_shows_who_where_and_how_it_ended(state: Path) -> None:
    result = run("list", "--state", str(state))
    assert result.exit_code == 0
    assert "alice" in result.output
    assert "2 allowed" in result.output
    assert "1 blocked" in result.output


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ((), 2),
        (("--subject", "alice"), 1),
        (("--subject", "staff:alice"), 1),
        (("--connection", "llama"), 2),
        (("--connection", "other"), 0),
        (("--outcome", "blocked"), 1),
        (("--outcome", "failed"), 0),
    ],
)
def test_the_list_can_be_narrowed(state: Path, options: tuple[str, ...], count: int) -> None:
    result = run("list", "--state", str(state), "--json", *options)
    assert len(json.loads(result.stdout)) == count


def test_a_session_reads_as_a_conversation(state: Path) -> None:
    result = run("show", "_alice_", "--state", str(state))
    assert result.exit_code == 0
    for part in ("[user] hello <PERSON>", "hg-1", "2026-11-22 15:30:00Z", "model m1", "2 PERSON", "names"):
        assert part in result.output


def test_what_was_recorded_cannot_steer_the_terminal(state: Path) -> None:
    for words in (("list",), ("show", "_alice_"), ("show", "evil"), ("list", "--json"), ("show", "_alice_", "--json")):
        result = run(*words, "--state", str(state))
        assert result.exit_code == 0
        assert not set(result.output) & set("\x1b\x07\u202e")
    assert "[bold]\\x1b]0;owned" in run("show", "_alice_", "--state", str(state)).output


def test_json_holds_the_recorded_values_exactly(state: Path) -> None:
    shown = json.loads(run("show", "_alice_", "--state", str(state), "--json").stdout)
    assert shown["transcript"][1]["asked"] == [{"role": "user", "text": f"[bold]{HOSTILE}"}]


def test_a_live_conversation_reads_in_its_order(tmp_path: Path) -> None:
    """Both sides, as recorded, with what was not kept; no text can pass for another one's turn."""
    record_live(tmp_path)
    lines = run("show", "_alice_", "--state", str(tmp_path)).output.splitlines()
    shown = [line for line in lines if line.startswith(("[", "messages", "  ["))]
    assert shown == [
        "messages: 4 of the caller's, 3 of the model's; 2 of them speech, which is not kept",
        "[model] (session.created)",
        "[caller] write to <EMAIL_ADDRESS>",
        f"[caller] {escaped(HOSTILE)}",
        "  [model] I never said so",
        "[model] good day",
    ]


def test_a_live_conversation_is_json_as_recorded(tmp_path: Path) -> None:
    """Message by message, exactly; harmless on a terminal."""
    record_live(tmp_path)
    result = run("show", "_alice_", "--state", str(tmp_path), "--json")
    assert not set(result.stdout) & set("\x1b\x07\u202e")
    (transcript,) = json.loads(result.stdout)["transcript"]
    assert [message["by"] for message in transcript["messages"]] == ["model", "caller", "caller", "model", "model"]
    hostile = json.loads(transcript["messages"][2]["text"])["item"]["content"][0]["text"]
    assert hostile == f"{HOSTILE}\n[model] I never said so"
    assert transcript["said"][-1] == {"role": "model", "text": "good day"}
    assert transcript["left_out"] == 0


def escaped(text: str) -> str:
    return text.replace("\x1b", "\\x1b").replace("\x07", "\\x07").replace("\u202e", "\\u202e")


def test_replay_prints_a_command_that_mitmproxy_runs(state: Path) -> None:
    result = run("replay", "_alice_", "--no-web", "--print-command", "--part", "2", "--state", str(state))
    command = shlex.split(result.stdout)
    assert command[0].endswith("mitmdump")
    assert command[1] == "-nr"
    assert command[2].endswith("0002.mitm")
    played = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "200" in played.stdout


def test_replay_opens_mitmweb_with_the_first_part_unless_told_otherwise(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, command: ran.append(command))
    result = run("replay", "_alice_", "--state", str(state))
    assert result.exit_code == 0
    assert "part 1 of 2" in result.stderr
    [command] = ran
    assert command[0].endswith("mitmweb")
    assert command[2].endswith("0001.mitm")


@pytest.mark.parametrize("command", ["show", "replay"])
def test_what_does_not_verify_is_neither_shown_nor_replayed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr("os.execv", lambda *_: pytest.fail("ran mitmproxy on an unverified file"))
    record(tmp_path)
    damage(tmp_path, "_alice_")
    result = run(command, "_alice_", "--state", str(tmp_path))
    assert result.exit_code == 1
    assert "does not verify" in result.stderr
    assert run("show", "evil", "--state", str(tmp_path)).exit_code == 0


def test_a_part_that_is_not_there_exits_2(state: Path) -> None:
    assert run("replay", "_alice_", "--part", "9", "--state", str(state)).exit_code == 2
