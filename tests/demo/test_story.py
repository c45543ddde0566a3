"""``make demo`` and ``make run`` as a newcomer runs them; and how a story is judged."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import pytest

from hoopguard.cli.check import check
from hoopguard.demo.installation import PROJECT, Installation, Ports
from hoopguard.demo.stage import Stage
from hoopguard.demo.story import Act, Seen, Told, play
from hoopguard.demo.telling import Page, Silence
from hoopguard.policy import PolicyError, load_policy

DEMO = [sys.executable, "-m", "hoopguard.demo"]
NOBODY = cast(Stage, None)


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of running processes that name a folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:  # it has just ended
            continue
        if str(folder) in line:
            found.append(line)
    return found


@contextmanager
def kept_running(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``make run``'s command, and see to it that nothing of it outlives the test."""
    command = [*DEMO, "--keep-running", "--folder", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


def said_by(process: subprocess.Popen[str]) -> str:
    """Return what the process prints until it says that it stays."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    return "".join(lines)


@pytest.mark.timeout(300)
def test_the_whole_story(tmp_path: Path) -> None:
    """Every step of the demo is as expected, it says how to open the session, and leaves no process."""
    demo = subprocess.run([*DEMO, "--json", "--folder", str(tmp_path)], capture_output=True, text=True, check=False)
    told = json.loads(demo.stdout)
    wrong = [step for step in told["steps"] if not step["ok"]]
    assert not wrong
    assert (demo.returncode, told["ok"], demo.stderr) == (0, True, "")
    assert len(told["steps"]) >= 28
    program, option, segment = told["open"].split(" ", 2)
    assert (Path(program).name, option, Path(segment).suffix) == ("mitmweb", "-nr", ".mitm")
    assert Path(segment).is_file()
    assert processes_of(tmp_path) == []


@pytest.mark.timeout(300)
def test_keep_running_and_the_printed_lines(tmp_path: Path) -> None:
    """What `make run` prints can be pasted into a shell and works; SIGINT ends all processes, exit 0."""
    with kept_running(tmp_path) as process:
        said = said_by(process)
        lines = [line.strip() for line in said.splitlines() if "curl -sS" in line]
        whole, streamed, proxied, _risky = lines
        for line in (whole, proxied):
            answer = json.loads(shell(line))
            assert "Write to <EMAIL_ADDRESS>" in answer["choices"][0]["message"]["content"]
        assert shell(streamed).endswith("data: [DONE]\n\n")
        listed, approve = (line.strip() for line in said.splitlines() if "hoopguard approvals" in line)
        assert shell(listed) == "no pending approvals\n"
        assert " --token-file " in approve
        tokens = sorted((tmp_path / "var").glob("token-*"))
        assert [(token.name, token.stat().st_mode & 0o777) for token in tokens] == [
            ("token-ada", 0o600),
            ("token-ci", 0o600),
            ("token-reviewer", 0o600),
        ]
        assert len(processes_of(tmp_path)) == 6
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert processes_of(tmp_path) == []


def shell(line: str) -> str:
    """Run a line as somebody who pasted it."""
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, check=True, cwd=PROJECT, timeout=60
    ).stdout


@pytest.mark.timeout(300)
def test_keep_running_says_which_process_is_gone(tmp_path: Path) -> None:
    """If one of the processes ends by itself, the others are stopped, and its log is named; exit 1."""
    with kept_running(tmp_path, "--json") as process:
        assert process.stdout is not None
        document = ""
        for line in process.stdout:
            document += line
            if line == "}\n":
                break
        logs = json.loads(document)["logs"]
        (model,) = (pid for pid in children_of(process.pid) if "model-llama" in command_of(pid))
        os.kill(model, signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "model-llama ended by itself" in errors
    assert logs["model-llama"] in errors
    assert processes_of(tmp_path) == []


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid: int) -> str:
    """Return a process's command line."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")


def test_interrupted_while_starting(tmp_path: Path) -> None:
    """An early Ctrl-C stops what has been started so far; exit 130."""
    process = subprocess.Popen(
        [*DEMO, "--folder", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while len(processes_of(tmp_path)) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert processes_of(tmp_path) == []


def test_the_shipped_policy_names_the_documented_ports() -> None:
    """The demo finds the addresses that it has to change, and the docs' ports are those of the policy."""
    policy = load_policy(PROJECT / "policy.toml", secrets=False).policy
    ports = asdict(Ports())
    urls = {issuer.name: issuer.url for issuer in policy.issuers}
    urls |= {connection.name: connection.upstream for connection in policy.connections}
    assert urls == {name: f"http://127.0.0.1:{ports[name]}" for name in ("staff", "ci", "llama", "coder")}


def test_the_shipped_policy_before_and_after_set_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the demo's set-up the check names the missing key file; afterwards the policy is good."""
    place = Installation(tmp_path, Ports.free())
    place.policy.write_text((PROJECT / "policy.toml").read_text())
    with pytest.raises(PolicyError, match=r'connection "llama" · credential · value: .*demo-model\.key'):
        check(place.policy)
    place.prepare()
    check(place.policy)
    assert "good" in capsys.readouterr().out
    assert {issuer.url for issuer in load_policy(place.policy).policy.issuers} == {
        f"http://127.0.0.1:{place.ports.staff}",
        f"http://127.0.0.1:{place.ports.ci}",
    }


def story_of(*seen: Seen | Exception) -> list[Told]:
    """Play an act whose steps see, or run into, what is given."""
    act = Act("An act")

    def playing(one: Seen | Exception) -> Any:
        def step(_: Stage) -> Seen:
            if isinstance(one, Exception):
                raise one
            return one

        return step

    for one in seen:
        act.step("somebody does something", expected="something")(playing(one))
    return play([act], NOBODY, Silence())


def test_a_step_is_ok_only_if_all_its_checks_hold() -> None:
    """A check that does not hold, an error, or no check at all make a step fail; the next one is still tried."""
    story = story_of(
        Seen("a", {"one": True, "two": True}),
        Seen("b", {"one": True, "two": False}),
        Seen("c"),
        KeyError("x"),
        Seen("e"),
    )
    assert [told.ok for told in story] == [True, False, False, False, False]
    assert story[1].failed == ("two",)
    assert "KeyError" in story[3].seen


def test_a_bug_of_the_demo_is_not_a_step_that_failed() -> None:
    """What a step cannot run into by the world's doing ends the demo."""
    with pytest.raises(AssertionError):
        story_of(AssertionError("a bug"))


def test_the_page_names_what_was_not_so(capsys: pytest.CaptureFixture[str]) -> None:
    """A failed step is marked, with what did not hold; text cannot steer the terminal or be taken for markup."""
    (told,) = story_of(Seen("[red]seen[/] \x1b[2J", {"it held": False}))
    Page().tell(told)
    out = capsys.readouterr().out
    assert "✗  1  somebody does something" in out
    assert "[red]seen[/] \\x1b[2J" in out
    assert "not so    it held" in out
