"""Law 2, and bad input: what would open a side door, or cannot be right, stops the start with one clear line."""

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from harness import Site, refused, wait_for

from hoopguard.authority import init_authority
from hoopguard.demo.stack import NotStarted, free_port

DANGEROUS = [
    "stream_large_bodies=1m",
    "ignore_hosts=.*",
    "allow_hosts=example",
    "tcp_hosts=.*",
    "udp_hosts=.*",
    "ssl_insecure=true",
    "validate_inbound_headers=false",
    "body_size_limit=1m",
    "modify_body=/x/y",
    "modify_headers=/x/y",
    "map_remote=|a|b",
    "map_local=|a|/etc/passwd",
    "save_stream_file=/dev/null",
    "hardump=/dev/null",
    "proxyauth=any",
    "upstream_auth=a:b",
    "client_replay=/dev/null",
]
MODES = [
    "transparent",
    "socks5",
    "upstream:http://127.0.0.1:9",
    "reverse:tcp://127.0.0.1:9",
    "reverse:dns://127.0.0.1:9",
]


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path) as site:
        site.write_policy()
        yield site


def does_not_start(site: Site, *names: str, modes: list[str] | None = None, options: tuple[str, ...] = ()) -> None:
    """Assert that the start fails before anything listens, with one line of error that names the thing."""
    gateway = site.launcher(options=options, modes=modes)
    with pytest.raises(NotStarted):
        gateway.start()
    assert gateway.wait() not in (0, None)
    assert " listening at " not in site.log
    assert "Traceback" not in site.log
    (line,) = [line for line in site.log.splitlines() if "does not start" in line]
    for name in names:
        assert name in line, line


@pytest.mark.parametrize("option", DANGEROUS)
def test_a_dangerous_option_stops_the_start(fresh: Site, option: str) -> None:
    """An option that could let bytes past the chain is refused by name."""
    does_not_start(fresh, option.partition("=")[0], options=(option,))


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_without_a_principal_stops_the_start(fresh: Site, mode: str) -> None:
    """Only reverse HTTP(S) and the regular proxy are governed; every other mode is refused by name."""
    does_not_start(fresh, mode, modes=[f"{mode}@{free_port()}"])


def test_unsafe_values_are_forced_off(fresh: Site) -> None:
    """``rawtcp``, ``websocket`` and eager connections are off, whatever the command line says."""
    fresh.start(options=("rawtcp=true", "websocket=true", "connection_strategy=eager", "http3=true"))
    assert fresh.ask().status_code == 200
    answer = fresh.raw(fresh.head("/v1/models", method="GET", upgrade="websocket", connection="upgrade") + b"\r\n")
    assert b"hoopguard_upgrade_refused" in answer
    with socket.create_connection(("127.0.0.1", fresh.port)) as connection:
        connection.sendall(b"\x00\x01 not HTTP\r\n\r\n")
        assert b"demo" not in connection.recv(65_536)
    assert len(fresh.seen) == 1


Change = Callable[[str], str]
POLICIES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "unknown key": (lambda text: text.replace("[gateway]", "[gateway]\nsate = 1"), ("gateway · sate", "unknown key")),
    "unknown table": (lambda text: text + "\n[[gardrail]]\nname = 'x'\n", ("gardrail", "unknown key")),
    "duplicate name": (lambda text: text + DUPLICATE, ("two [[guardrail]]", "'no-bananas'")),
    "RE2 refuses": (lambda text: text + PATTERN, ('guardrail "bad"', "patterns", "RE2")),
    "never matches": (lambda text: text + EMPTY, ('guardrail "never"', "never match")),
    "not TOML": (lambda text: text + "\nx = = 1", ("expected TOML", "line")),
    "unset secret": (lambda text: text.replace("HG_E2E_MODEL_KEY", "HG_E2E_NOT_SET"), ("llama", "HG_E2E_NOT_SET")),
    "unknown entity": (lambda text: text.replace('"PHONE_NUMBER"', '"FONE"'), ("mask", "FONE")),
    "plain HTTP issuer": (lambda text: text.replace("http://127.0.0.1", "http://x.example", 1), ("url", "https://")),
}
DUPLICATE = "\n[[guardrail]]\nname = 'no-bananas'\nwords = ['x']\naction = 'flag'\n"
PATTERN = "\n[[guardrail]]\nname = 'bad'\npatterns = ['(?=x)y']\naction = 'flag'\n"
EMPTY = "\n[[guardrail]]\nname = 'never'\naction = 'flag'\n"


@pytest.mark.parametrize("what", POLICIES)
def test_a_bad_policy_stops_the_start(fresh: Site, what: str) -> None:
    """The error names the file, the key and what was expected, for the gateway and for ``hoopguard check``."""
    change, names = POLICIES[what]
    fresh.put_policy(change(fresh.policy.read_text()))
    does_not_start(fresh, "policy.toml", *names)
    checked = fresh.hoopguard("check")
    assert checked.returncode == 2 or what == "unknown entity"
    assert "Traceback" not in checked.stderr


def test_a_secret_that_others_can_read_stops_the_start(fresh: Site) -> None:
    """A credential's file with mode 644 is refused, with the command that mends it."""
    key = fresh.folder / "key"
    key.write_text("model-key")
    key.chmod(0o644)
    fresh.put_policy(fresh.policy.read_text().replace("env:HG_E2E_MODEL_KEY", "file:key"))
    does_not_start(fresh, str(key), "chmod 600")


def test_a_missing_policy_stops_the_start(fresh: Site) -> None:
    """A policy file that is not there is named."""
    fresh.policy.unlink()
    does_not_start(fresh, "policy.toml", "cannot be read")


def test_a_missing_ca_stops_the_forward_proxy(fresh: Site) -> None:
    """Without a CA regular mode does not start, and the line says how to make one."""
    does_not_start(fresh, "certs", "hoopguard certs init", modes=[f"regular@{free_port()}"])


def test_an_expired_ca_stops_the_forward_proxy(fresh: Site) -> None:
    """An expired CA is named together with its date."""
    init_authority(fresh.folder / "certs", ["llama.models.example.com"], datetime.now(UTC) - timedelta(days=9), 1)
    does_not_start(fresh, "expired", modes=[f"regular@{free_port()}"])


def test_a_ca_for_other_hosts_stops_the_forward_proxy(fresh: Site) -> None:
    """A CA that may not speak for a connection's host is refused by that host's name."""
    init_authority(fresh.folder / "certs", ["other.example.com"], datetime.now(UTC), 9)
    does_not_start(fresh, "llama.models.example.com", modes=[f"regular@{free_port()}"])


def test_a_newer_state_folder_stops_the_start(fresh: Site) -> None:
    """A state folder that a newer hoopguard wrote is left alone."""
    fresh.state.mkdir()
    (fresh.state / "VERSION").write_text("99\n")
    does_not_start(fresh, str(fresh.state), "99")
    assert [path.name for path in fresh.state.iterdir() if path.name != "lock"] == ["VERSION"]


@pytest.mark.parametrize("where", ["state", "ledger", "lock", "approvals"])
def test_a_state_folder_that_cannot_be_used_stops_the_start(fresh: Site, where: str) -> None:
    """A file where a folder has to be, or the other way round, is one clear line."""
    if where == "state":
        fresh.state.write_text("a file")
    elif where == "ledger":
        (fresh.state / "ledger" / "ledger.jsonl").mkdir(parents=True)
        (fresh.state / "VERSION").write_text("1\n")
    elif where == "lock":
        (fresh.state / "lock").mkdir(parents=True)
    else:
        fresh.start()
        fresh.stop()
        (store,) = fresh.state.glob("*.db")
        store.unlink()
        store.mkdir()
        (fresh.folder / "gateway.log").unlink()
    does_not_start(fresh, str(fresh.state))


def test_two_gateways_on_one_state_folder_are_refused(fresh: Site) -> None:
    """The second one does not start; the first one is not disturbed."""
    fresh.start()
    second = Site(fresh.folder / "second")
    try:
        second.put_policy(fresh.policy.read_text().replace('"state"', '"../state"'))
        does_not_start(second, str(fresh.state), "another gateway")
    finally:
        second.close()
    assert fresh.ask().status_code == 200


def test_an_occupied_port_stops_the_start(fresh: Site) -> None:
    """A port that somebody else listens on is named in the error, and the process ends."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = fresh.launcher(modes=[f"reverse:{fresh.model.url}@{port}"])
        with pytest.raises(NotStarted):
            gateway.start()
        assert gateway.wait() != 0
        assert str(port) in fresh.log
        assert "Traceback" not in fresh.log


def test_an_issuer_that_is_down_delays_nobody_else(fresh: Site) -> None:
    """The gateway starts, refuses the issuer's tokens with 503, says so, and recovers by itself."""
    token = fresh.token()
    fresh.issuer.stop()
    fresh.start()
    refused(fresh.ask(token=token), 503, "hoopguard_issuer_unavailable")
    assert fresh.seen == []
    assert "a token was refused: issuer demo" in fresh.log
    fresh.issuer.start()
    wait_for(lambda: fresh.ask(token=token).status_code == 200, "the issuer is found again")
