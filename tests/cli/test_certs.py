"""``hoopguard certs`` as an operator types it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hoopguard.cli.certs import Shell, assignment

POLICY = """
version = 1
[[issuer]]
name = "demo"
url = "http://127.0.0.1:9400"
audience = "hoopguard"
[[connection]]
name = "llama"
upstream = "http://127.0.0.1:8000"
hosts = [{hosts}]
allow = [{{ groups = ["*"] }}]
"""
RUN = "import typer; from hoopguard.cli import certs; app = typer.Typer(); certs.add_to(app); app()"
Certs = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def certs(tmp_path: Path) -> Certs:
    write_policy(tmp_path, "llama.models.example.com")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", RUN, "certs", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def write_policy(folder: Path, *hosts: str) -> None:
    text = POLICY.format(hosts=", ".join(f'"{host}"' for host in hosts))
    (folder / "policy.toml").write_text(text)


def test_init_then_show(certs: Certs, tmp_path: Path) -> None:
    """A CA is made for the policy's hosts, in the policy's folder, and shown as it is."""
    made = certs("init", "--days", "10")
    assert made.returncode == 0
    assert "it can speak for: llama.models.example.com" in made.stdout
    shown = json.loads(certs("show", "--json").stdout)
    assert shown["permitted_hosts"] == ["llama.models.example.com"]
    assert shown["folder"] == str(tmp_path / "certs")
    assert shown["problem"] is None
    words = certs("show").stdout
    assert shown["fingerprint"] in words
    assert "llama.models.example.com" in words


def test_init_does_not_overwrite(certs: Certs, tmp_path: Path) -> None:
    """The second init is an error with a hint, and changes nothing; --force makes a new CA."""
    certs("init")
    before = (tmp_path / "certs" / "mitmproxy-ca.pem").read_bytes()
    refused = certs("init")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: there is a CA")
    assert "hint: " in refused.stderr
    assert (tmp_path / "certs" / "mitmproxy-ca.pem").read_bytes() == before
    assert certs("init", "--force").returncode == 0
    assert (tmp_path / "certs" / "mitmproxy-ca.pem").read_bytes() != before


def test_no_hosts_is_said(certs: Certs, tmp_path: Path) -> None:
    """A policy without hosts gets a CA that can speak for none, and the operator is told."""
    write_policy(tmp_path)
    assert "no connection of the policy has hosts" in certs("init").stdout
    assert "no host" in certs("show").stdout


def test_show_finds_that_the_policy_moved_on(certs: Certs, tmp_path: Path) -> None:
    """A host that came later is a finding (exit 1); one that went is shown."""
    certs("init")
    write_policy(tmp_path, "qwen.models.example.com")
    shown = certs("show")
    assert shown.returncode == 1
    assert "qwen.models.example.com" in shown.stderr
    assert "not in the policy:   llama.models.example.com" in shown.stdout
    as_json = certs("show", "--json")
    assert as_json.returncode == 1
    assert "qwen" in json.loads(as_json.stdout)["problem"]


@pytest.mark.parametrize("command", ["show", "env"])
def test_without_a_ca_it_says_how_to_make_one(certs: Certs, command: str) -> None:
    """No CA is one line and a hint."""
    ended = certs(command)
    assert ended.returncode == 2
    assert "hint: run: hoopguard certs init" in ended.stderr


@pytest.mark.parametrize("line", ['eval "$({})"', "eval $({})"])
def test_env_is_what_a_shell_takes(certs: Certs, tmp_path: Path, line: str) -> None:
    """A POSIX shell that evaluates the output, quoted or not, has every variable, and each names a file."""
    certs("init")
    script = tmp_path / "env.py"
    script.write_text(RUN)
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    command = f"{line.format(f'{sys.executable} {script} certs env')}; {sys.executable} -c '{show}'"
    ended = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True, env={})
    seen = json.loads(ended.stdout)
    for variable in ("CURL_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO"):
        assert seen[variable] == str(tmp_path / "certs" / "hoopguard-bundle.pem")
    assert seen["NODE_EXTRA_CA_CERTS"] == str(tmp_path / "certs" / "mitmproxy-ca-cert.pem")
    assert "HTTPS_PROXY" not in seen


def test_env_says_where_the_token_goes(certs: Certs) -> None:
    """The proxy's line is there to be copied, but not set: it needs a token."""
    certs("init")
    for shell in Shell:
        printed = certs("env", "--shell", shell).stdout
        assert printed.splitlines()[-1].startswith("# ")
        assert "http://token:YOUR-TOKEN@" in printed.splitlines()[-1]


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        (Shell.SH, r"""export A='it'"'"'s a $x\'"""),
        (Shell.FISH, r"""set -gx A 'it\'s a $x\\'"""),
        (Shell.POWERSHELL, r"""$env:A = 'it''s a $x\'"""),
    ],
)
def test_odd_paths_are_quoted(shell: Shell, expected: str) -> None:
    """A folder with quotes, blanks or dollars in its name cannot run anything."""
    assert assignment(shell, "A", "it's a $x\\") == expected
