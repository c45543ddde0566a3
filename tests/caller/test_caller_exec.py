"""``hoopguard exec``: the command is itself, with its own signals and exit code, and sees no token."""

import json
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from calling import DEADLINE_S, HOOPGUARD, clean_environment, environment_of, hoopguard

from hoopguard.caller.bundle import TRUST_VARIABLES, make_bundles, system_roots
from hoopguard.caller.environment import no_proxy
from hoopguard.caller.running import EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND

TOKEN = "caller.token.7d1f"
NOWHERE = "http://127.0.0.1:1"
EXEC = ("exec", "--gateway", NOWHERE, "--")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment with a token, and a folder of its own for what is temporary."""
    (tmp_path / "tmp").mkdir()
    return clean_environment(HOOPGUARD_TOKEN=TOKEN, TMPDIR=str(tmp_path / "tmp"))


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """A file that looks like a CA's certificate."""
    file = tmp_path / "ca.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\nb3Vycw==\n-----END CERTIFICATE-----\n")
    return file


def python(*lines: str) -> tuple[str, str, str]:
    return (sys.executable, "-c", "\n".join(lines))


def wait_for(true: Callable[[], object], what: str) -> None:
    until = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < until, f"waited in vain until {what}"
        time.sleep(0.02)


def start(env: dict[str, str], *command: str, options: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    whole = [HOOPGUARD, "exec", "--gateway", NOWHERE, *options, "--", *command]
    return subprocess.Popen(whole, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_commands(env: dict[str, str], code: int) -> None:
    assert hoopguard(*EXEC, "sh", "-c", f"exit {code}", env=env).returncode == code


def test_a_command_that_a_signal_kills_is_seen_so_by_a_shell(env: dict[str, str]) -> None:
    """128 and the signal's number: the shell's own words for it."""
    script = '"$0" exec --gateway http://127.0.0.1:1 -- sh -c "kill -TERM \\$\\$"; echo $?'
    done = subprocess.run(["sh", "-c", script, HOOPGUARD], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.split()[-1] == str(128 + signal.SIGTERM)


def test_a_command_that_cannot_be_run(env: dict[str, str], tmp_path: Path) -> None:
    """127 if there is none, 126 if it may not be run, as shells have it."""
    (tmp_path / "plain").write_text("")
    missing = hoopguard(*EXEC, "no-such-command", env=env)
    assert (missing.returncode, missing.stderr.startswith("error: no-such-command: ")) == (EXIT_NOT_FOUND, True)
    assert hoopguard(*EXEC, str(tmp_path / "plain"), env=env).returncode == EXIT_NOT_EXECUTABLE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH, signal.SIGUSR1])
def test_a_signal_reaches_the_command_once(env: dict[str, str], number: signal.Signals) -> None:
    """Sent to hoopguard's process id, which is the command's, and counted there."""
    lines = (
        "import os, signal, sys",
        "count = []",
        f"signal.signal({int(number)}, lambda *_: count.append(1))",
        "print(os.getpid(), flush=True)",
        "sys.stdin.read()",
        "print(len(count))",
    )
    process = start(env, *python(*lines))
    assert int(first_line(process)) == process.pid
    process.send_signal(number)
    said, _ = process.communicate(timeout=DEADLINE_S)
    assert (said.strip(), process.returncode) == ("1", 0)


def test_a_broken_pipe_ends_the_command(env: dict[str, str]) -> None:
    """Python ignores SIGPIPE; the command does not inherit that."""
    process = start(env, "sh", "-c", "while echo y; do :; done")
    assert first_line(process) == "y"
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(DEADLINE_S) == -signal.SIGPIPE
    assert process.stdin is not None
    process.stdin.close()


def test_input_output_and_arguments_are_the_commands_own(env: dict[str, str]) -> None:
    """Options after the command are its own, even those that hoopguard has as well."""
    script = "import sys; print(sys.argv[1:], sys.stdin.read())"
    done = hoopguard(
        "exec", "--gateway", NOWHERE, sys.executable, "-c", script, "--json", "--ca", "--", "x", env=env, stdin="hello"
    )
    assert done.stdout.strip() == "['--json', '--ca', '--', 'x'] hello"


def test_the_command_has_no_child_that_it_did_not_make(env: dict[str, str]) -> None:
    """Who waits for all children must not find the forwarder among them."""
    done = hoopguard(*EXEC, *python("import os", "os.wait()"), env=env)
    assert "ChildProcessError" in done.stderr


@pytest.mark.parametrize("mode", ["proxy", "base-url"])
def test_the_command_sees_no_token(env: dict[str, str], mode: str) -> None:
    """Not in its environment, nor in its arguments, whatever names it has there."""
    gitlab = {"GITLAB_CI": "true", "HOOPGUARD_ID_TOKEN": "gitlab.token.5a", "ANTHROPIC_AUTH_TOKEN": "another"}
    seen = environment_of("--gateway", NOWHERE, "--mode", mode, env={**env, **gitlab})
    assert TOKEN not in str(seen)
    assert "gitlab.token.5a" not in str(seen)
    if mode == "base-url":
        assert seen["OPENAI_BASE_URL"] == f"{seen['ANTHROPIC_BASE_URL']}/v1"
        assert seen["OPENAI_API_KEY"] == seen["ANTHROPIC_API_KEY"]
        assert not {"HTTPS_PROXY", "ANTHROPIC_AUTH_TOKEN"} & set(seen)
    else:
        assert seen["HTTPS_PROXY"] == seen["https_proxy"]
        assert seen["HTTPS_PROXY"].startswith("http://hoopguard:")
        assert "OPENAI_BASE_URL" not in seen
    again = environment_of("--gateway", NOWHERE, "--mode", mode, env=env)
    name = "HTTPS_PROXY" if mode == "proxy" else "OPENAI_API_KEY"
    assert again[name] != seen[name]


def test_what_was_reached_directly_still_is() -> None:
    assert no_proxy({"NO_PROXY": "db.internal, 127.0.0.1", "no_proxy": "cache"}) == (
        "db.internal,127.0.0.1,cache,localhost,::1"
    )


def test_the_bundle_adds_the_ca(env: dict[str, str], ca: Path) -> None:
    """Each client trusts what it trusted, and the CA; the files are the owner's alone, and go with the command."""
    lines = ("import json, os, sys", "print(json.dumps(dict(os.environ)), flush=True)", "sys.stdin.read()")
    process = start(env, *python(*lines), options=("--ca", str(ca)))
    seen = json.loads(first_line(process))
    files = {name: Path(seen[name]) for name in TRUST_VARIABLES}
    assert files["SSL_CERT_FILE"].read_bytes() == system_roots() + ca.read_bytes()
    assert files["NODE_EXTRA_CA_CERTS"].read_bytes() == ca.read_bytes()
    assert len(set(files.values())) == 2
    folder = files["SSL_CERT_FILE"].parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in files.values()} == {0o600}
    process.kill()
    process.communicate()
    wait_for(lambda: not folder.exists(), "the bundle is gone, though the command was killed")


def test_what_one_client_trusts_is_not_given_to_others(ca: Path, tmp_path: Path) -> None:
    """A client's own bundle is added to for that client only."""
    own = tmp_path / "own.pem"
    own.write_text("# a company's CA, and no line end")
    bundles = make_bundles(ca, {"GIT_SSL_CAINFO": str(own), "NODE_EXTRA_CA_CERTS": "/nonexistent"})
    files = {name: Path(file).read_bytes() for name, file in bundles.variables.items()}
    bundles.remove()
    assert files["GIT_SSL_CAINFO"] == own.read_bytes() + b"\n" + ca.read_bytes()
    assert [name for name, content in files.items() if b"a company" in content] == ["GIT_SSL_CAINFO"]
    assert files["NODE_EXTRA_CA_CERTS"] == ca.read_bytes()
    assert not bundles.folder.exists()


def test_roots_where_the_system_has_no_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder of certificates is read by its hashes; without any, certifi's roots do."""
    (tmp_path / "a.pem").write_text("A")
    (tmp_path / "0a1b2c3d.0").symlink_to("a.pem")
    found = SimpleNamespace(cafile=None, capath=str(tmp_path))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: found)
    assert system_roots() == b"A\n"
    (tmp_path / "0a1b2c3d.0").unlink()
    assert b"BEGIN CERTIFICATE" in system_roots()


@pytest.mark.parametrize(
    "content", ["", "-----BEGIN CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\n"], ids=["no", "key"]
)
def test_a_ca_file_that_is_none(env: dict[str, str], tmp_path: Path, content: str) -> None:
    """A file without a certificate, or with a private key: the command does not run."""
    file = tmp_path / "ca.pem"
    file.write_text(content)
    done = hoopguard("exec", "--gateway", NOWHERE, "--ca", str(file), "--", "echo", "ran", env=env)
    assert (done.returncode, done.stdout) == (2, "")
    assert str(file) in done.stderr
    assert not list((tmp_path / "tmp").iterdir())


def test_without_a_token_the_command_does_not_run() -> None:
    done = hoopguard(*EXEC, "echo", "ran", env=clean_environment())
    assert (done.returncode, done.stdout) == (2, "")
    assert "tried: " in done.stderr


def test_the_forwarder_ends_with_the_command(env: dict[str, str]) -> None:
    """While the command runs its port is open, afterwards it is not."""
    process = start(env, *python("import os, sys", "print(os.environ['HTTPS_PROXY'], flush=True)", "sys.stdin.read()"))
    port = int(first_line(process).rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port), DEADLINE_S).close()
    process.communicate()

    def refused() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    wait_for(refused, "nobody listens any more")


def test_whoever_has_no_password_gets_nothing(env: dict[str, str]) -> None:
    """Another user of the machine finds the port, and no way through it."""
    script = 'curl -sS -o /dev/null -w "%{http_connect}" -x "http://hoopguard:x@${HTTPS_PROXY##*@}" https://x.example'
    done = hoopguard(*EXEC, "sh", "-c", script, env=env)
    assert done.stdout == "407"
    bare = 'curl -sS -w "%{http_code}" -o /dev/null "$OPENAI_BASE_URL/models"'
    done = hoopguard("exec", "--gateway", NOWHERE, "--mode", "base-url", "--", "sh", "-c", bare, env=env)
    assert done.stdout == "401"


def test_a_head_without_end_is_refused(env: dict[str, str]) -> None:
    """The forwarder reads a bounded head, and goes on serving."""
    lines = (
        "import os, socket",
        "from urllib.parse import urlsplit",
        "to = urlsplit(os.environ['HTTPS_PROXY'])",
        "for _ in range(2):",
        "    with socket.create_connection((to.hostname, to.port), 30) as plain:",
        "        plain.sendall(b'CONNECT x:443 HTTP/1.1' + bytes([13, 10]) + b'a: ' + b'x' * 65_536)",
        "        print(plain.recv(65_536).split()[1])",
    )
    assert hoopguard(*EXEC, *python(*lines), env=env).stdout.split() == ["b'400'", "b'400'"]


def test_a_gateway_that_is_not_there_is_named(env: dict[str, str]) -> None:
    script = 'curl -sS "$OPENAI_BASE_URL/models" -H "authorization: Bearer $OPENAI_API_KEY"'
    done = hoopguard("exec", "--gateway", NOWHERE, "--mode", "base-url", "--", "sh", "-c", script, env=env)
    assert "the gateway at 127.0.0.1:1 cannot be reached" in done.stdout
