"""The demo's OIDC issuer, asked over real sockets."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from hoopguard.demo.issuer import DISCOVERY, FAIL_MODES, DemoIssuer


@pytest.fixture(scope="module")
def running() -> Iterator[DemoIssuer]:
    with DemoIssuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: DemoIssuer) -> DemoIssuer:
    running.fail("none")
    return running


def verify(issuer: DemoIssuer, token: str, audience: str = "hoopguard") -> dict[str, Any]:
    keys = jwt.PyJWKSet.from_dict(httpx.get(f"{issuer.url}/jwks").json())
    header = jwt.get_unverified_header(token)
    claims: dict[str, Any] = jwt.decode(
        token, keys[header["kid"]], algorithms=[header["alg"]], audience=audience, issuer=issuer.url
    )
    return claims


def test_discovery_leads_to_the_keys(issuer: DemoIssuer) -> None:
    """A client that knows only the issuer's URL finds its keys, both RSA and EC."""
    metadata = httpx.get(issuer.url + DISCOVERY).json()
    keys = httpx.get(metadata["jwks_uri"]).json()["keys"]
    assert metadata["issuer"] == issuer.url
    assert {key["alg"] for key in keys} >= {"RS256", "ES256"}
    assert not any("d" in key for key in keys)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_token_asked_for_over_http_verifies(issuer: DemoIssuer, algorithm: str) -> None:
    """POST /token gives a token that PyJWT verifies against the published keys."""
    asked = {
        "subject": "bob@example.com",
        "groups": ["ml", "ci"],
        "audience": "elsewhere",
        "algorithm": algorithm,
        "claims": {"run_id": "17", "sid": None},
    }
    token = httpx.post(f"{issuer.url}/token", json=asked).json()["access_token"]
    claims = verify(issuer, token, "elsewhere")
    assert (claims["sub"], claims["email"], claims["groups"]) == ("bob@example.com", "bob@example.com", ["ml", "ci"])
    assert claims["run_id"] == "17"
    assert "sid" not in claims


def test_a_negative_lifetime_gives_an_expired_token(issuer: DemoIssuer) -> None:
    """A token for the tests of expiry is well signed and over."""
    with pytest.raises(jwt.ExpiredSignatureError):
        verify(issuer, issuer.token(expires_in=-60))


def test_one_subject_has_one_session(issuer: DemoIssuer) -> None:
    """Two tokens of one person share a sid, those of two people do not."""
    sids = [verify(issuer, issuer.token(subject))["sid"] for subject in ("a@example.com", "a@example.com", "b@x.org")]
    assert sids[0] == sids[1] != sids[2]


@pytest.mark.parametrize("asked", [b'{"nix": 1}', b"[]", b"{"])
def test_a_token_request_that_makes_no_sense_is_refused(issuer: DemoIssuer, asked: bytes) -> None:
    """An unknown field or a body that is not an object is a 400, not a token."""
    assert httpx.post(f"{issuer.url}/token", content=asked).status_code == 400


def test_rotation_keeps_or_drops_the_old_keys() -> None:
    """A token of the old key verifies while its key is kept, and not once it is dropped."""
    with DemoIssuer() as issuer:
        old = issuer.token()
        kids = httpx.post(f"{issuer.url}/rotate", json={"keep_old": True}).json()["kids"]
        assert jwt.get_unverified_header(issuer.token())["kid"] in kids
        verify(issuer, old)
        issuer.rotate(keep_old=False)
        with pytest.raises(KeyError):
            verify(issuer, old)


def test_keys_are_not_sent_again_to_who_has_them(issuer: DemoIssuer) -> None:
    """The JWK set can be cached: it has a lifetime, and its ETag gets 304."""
    first = httpx.get(f"{issuer.url}/jwks")
    again = httpx.get(f"{issuer.url}/jwks", headers={"if-none-match": first.headers["etag"]})
    assert "max-age" in first.headers["cache-control"]
    assert (again.status_code, again.content) == (304, b"")


def test_requests_are_counted_by_path() -> None:
    """Tests of caching can see how often keys were fetched."""
    with DemoIssuer() as issuer:
        for _ in range(3):
            httpx.get(f"{issuer.url}/jwks")
        httpx.get(issuer.url + DISCOVERY)
        assert httpx.get(f"{issuer.url}/stats").json() == {"/jwks": 3, DISCOVERY: 1} == issuer.requests


def test_each_failure_is_no_usable_answer(issuer: DemoIssuer) -> None:
    """In every failure mode but slow, discovery does not give the provider's metadata."""
    for mode in set(FAIL_MODES) - {"none", "slow"}:
        assert httpx.post(f"{issuer.url}/fail", json={"mode": mode}).json() == {"mode": mode}
        try:
            answer = httpx.get(issuer.url + DISCOVERY, timeout=0.3)
            usable = (
                answer.status_code == 200
                and answer.headers["content-type"] == "application/json"
                and answer.json()["issuer"] == issuer.url
            )
        except (httpx.HTTPError, ValueError):
            usable = False
        assert not usable, mode


def test_a_failure_can_be_of_one_path(issuer: DemoIssuer) -> None:
    """Discovery may work while the keys cannot be had; slow answers are whole."""
    issuer.fail("error", path="/jwks")
    assert httpx.get(issuer.url + DISCOVERY).status_code == 200
    assert httpx.get(f"{issuer.url}/jwks").status_code == 503
    issuer.fail("slow", delay_s=0.01)
    assert httpx.get(f"{issuer.url}/jwks").json() == issuer.jwks()


def test_an_unknown_failure_is_refused(issuer: DemoIssuer) -> None:
    """A misspelt mode does not leave a test believing that the issuer is broken."""
    assert httpx.post(f"{issuer.url}/fail", json={"mode": "dwon"}).status_code == 400
    assert httpx.get(f"{issuer.url}/nowhere").status_code == 404


def test_it_comes_back_on_its_port() -> None:
    """A stopped issuer is gone; started again it is where its tokens say."""
    issuer = DemoIssuer().start()
    url = issuer.url
    issuer.stop()
    issuer.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/jwks")
    with issuer:
        assert issuer.url == url
        assert httpx.get(f"{url}/jwks").status_code == 200


def test_the_process_says_its_port_and_ends_when_told(tmp_path: Path) -> None:
    """As a process it writes its port, serves, and ends on SIGTERM with 0."""
    file = tmp_path / "port"
    command = [sys.executable, "-m", "hoopguard.demo.issuer", "--port-file", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert url.endswith(f":{file.read_text().strip()}")
        assert httpx.get(url + DISCOVERY).json()["issuer"] == url
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_taken_port_is_one_clear_line() -> None:
    """An occupied port stops the start with exit 2 and says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "hoopguard.demo.issuer", "--port", str(port)]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        with pytest.raises(OSError, match="in use"):
            DemoIssuer(port).start()
    assert ended.returncode == 2
    assert ended.stderr == f"error: cannot listen on 127.0.0.1:{port}: Address already in use\n"
