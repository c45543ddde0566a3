"""What the forwarder says to the gateway, for whatever is said to it."""

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopguard.caller.address import Address, parse_address
from hoopguard.caller.heads import BadHeadError, Head, closing_answer, forward, redirect, refusal, status_of

PASSWORD = "local-password"
TOKEN = "caller.token.x"
BASIC = b"Basic " + base64.b64encode(f"hoopguard:{PASSWORD}".encode())
NAMES = st.sampled_from(
    [b"accept", b"Authorization", b"Proxy-Authorization", b"X-Api-Key", b"connection", b"host", b"upgrade", b"x-odd"]
)
VALUES = st.one_of(
    st.sampled_from([BASIC, b"Bearer " + PASSWORD.encode(), PASSWORD.encode(), b"Bearer other", b"", b"close"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(lambda text: text.strip().encode()),
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=6)


def head(line: bytes, *fields: tuple[bytes, bytes]) -> bytes:
    return b"\r\n".join((line, *(b"%b: %b" % pair for pair in fields))) + b"\r\n\r\n"


def as_proxy(raw: bytes) -> Head:
    return Head.of(forward(Head.of(raw), password=PASSWORD, token=TOKEN))


def as_address(raw: bytes, prefix: str = "") -> Head:
    written = redirect(Head.of(raw), password=PASSWORD, token=TOKEN, authority="gateway:8080", prefix=prefix)
    return Head.of(written)


def refused_with(action: Callable[[], Head]) -> tuple[int, Head | None]:
    """Return how a refusal is answered, or 0 and what was written."""
    try:
        return 0, action()
    except BadHeadError as error:
        return error.status, None


def test_a_tunnel_is_asked_for_with_the_token() -> None:
    """CONNECT stays as it is, but for the credential."""
    said = as_proxy(head(b"CONNECT llama:443 HTTP/1.1", (b"Host", b"llama:443"), (b"Proxy-Authorization", BASIC)))
    assert (said.method, said.target) == (b"CONNECT", b"llama:443")
    assert set(said.fields) == {(b"host", b"llama:443"), (b"proxy-authorization", b"Bearer " + TOKEN.encode())}


def test_a_plain_request_is_the_last_of_its_connection() -> None:
    fields = [(b"proxy-authorization", BASIC), (b"Proxy-Connection", b"keep-alive"), (b"authorization", b"Bearer own")]
    said = as_proxy(head(b"GET http://llama/v1/models HTTP/1.1", *fields))
    assert said.values(b"connection") == [b"close"]
    assert said.values(b"proxy-connection") == []
    assert said.values(b"authorization") == [b"Bearer own"]


def test_a_base_url_becomes_the_gateways() -> None:
    for credential in ((b"authorization", b"Bearer " + PASSWORD.encode()), (b"x-api-key", PASSWORD.encode())):
        said = as_address(head(b"POST /v1/messages HTTP/1.1", (b"Host", b"127.0.0.1:1"), credential), "/llama")
        assert said.target == b"/llama/v1/messages"
        assert said.values(b"host") == [b"gateway:8080"]
        assert said.values(b"authorization") == [b"Bearer " + TOKEN.encode()]
        assert said.values(b"x-api-key") == []


@given(FIELDS)
def test_whatever_is_said_to_the_proxy(fields: list[tuple[bytes, bytes]]) -> None:
    """Without the password nothing goes on; with it, exactly one credential does, and it is the token."""
    proofs = [value for name, value in fields if name.lower() == b"proxy-authorization"]
    good = {BASIC, b"Bearer " + PASSWORD.encode()}
    status, said = refused_with(lambda: as_proxy(head(b"CONNECT llama:443 HTTP/1.1", *fields)))
    if said is None:
        assert status == 407
        assert not proofs or set(proofs) - good
        return
    assert proofs
    assert set(proofs) <= good
    assert said.values(b"proxy-authorization") == [b"Bearer " + TOKEN.encode()]


@given(FIELDS)
def test_whatever_is_said_to_the_address(fields: list[tuple[bytes, bytes]]) -> None:
    """Without the password nothing goes on; with it, exactly one credential does, and it is the token."""
    status, said = refused_with(lambda: as_address(head(b"GET /v1/models HTTP/1.1", *fields)))
    if said is None:
        assert status == 401
        return
    assert any(PASSWORD.encode() in value or value == BASIC for _, value in fields)
    assert said.values(b"authorization") == [b"Bearer " + TOKEN.encode()]
    assert said.values(b"x-api-key") == said.values(b"proxy-authorization") == []
    assert said.values(b"host") == [b"gateway:8080"]


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\na : b\r\n\r\n",
        b"GET / HTTP/1.1\r\na: b\nc: d\r\n\r\n",
        b"GET / HTTP/1.1\na: b\r\n\r\n",
        b"GET / HTTP/1.1\r\na: b\rc: d\r\n\r\n",
        b"GET / HTTP/1.1\r\na: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n\r\n\r\n",
        b"\r\n\r\n",
    ],
    ids=repr,
)
def test_what_could_be_read_in_two_ways_is_not_passed_on(raw: bytes) -> None:
    with pytest.raises(BadHeadError):
        Head.of(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_none(raw: bytes) -> None:
    status, read = refused_with(lambda: Head.of(raw + b"\r\n\r\n"))
    assert (status, read is None) in ((0, False), (400, True))


def test_a_refusal_of_the_forwarders_own() -> None:
    """It is a whole answer; 407 comes with its challenge (RFC 9110 §15.5.8)."""
    for status in (400, 401, 407, 408, 502):
        said = refusal(BadHeadError("why", status))
        head_, _, body = said.partition(b"\r\n\r\n")
        assert status_of(said) == status
        assert b"content-length: %d" % len(body) in head_
        assert (b"proxy-authenticate: Basic " in head_) == (status == 407)


def test_each_way_is_only_one_way() -> None:
    """A proxy is not asked as a server is, nor the other way round."""
    with pytest.raises(BadHeadError):
        as_proxy(head(b"GET /v1/models HTTP/1.1", (b"proxy-authorization", BASIC)))
    for target in (b"http://other/v1/models", b"*"):
        with pytest.raises(BadHeadError):
            as_address(head(b"GET %b HTTP/1.1" % target, (b"x-api-key", PASSWORD.encode())))


def test_an_upgrade_keeps_its_connection() -> None:
    fields = [(b"x-api-key", PASSWORD.encode()), (b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
    assert as_address(head(b"GET /v1/realtime HTTP/1.1", *fields)).values(b"connection") == [b"Upgrade"]


def test_an_answers_head_says_that_it_is_the_last() -> None:
    raw = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nx: y\r\n\r\n"
    assert closing_answer(raw) == b"HTTP/1.1 200 OK\r\nx: y\r\nconnection: close\r\n\r\n"
    assert (status_of(raw), status_of(b"HTTP/1.1 100\r\n\r\n"), status_of(b"odd")) == (200, 100, 0)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://gateway:8080", Address("gateway", 8080)),
        ("https://gateway/llama/", Address("gateway", 443, True, "/llama")),
        ("http://[::1]:9", Address("::1", 9)),
    ],
)
def test_the_gateways_address(url: str, address: Address) -> None:
    assert parse_address(url) == address
    assert parse_address(f"http://{address.authority}").authority == address.authority


@pytest.mark.parametrize(
    "url",
    ["gateway:8080", "ftp://x", "http://", "http://x:99999", "http://x/\r\ny", "http://x/?q", "http://token:secret@x"],
)
def test_what_is_no_address_of_a_gateway(url: str) -> None:
    with pytest.raises(ValueError, match="gateway's address") as caught:
        parse_address(url)
    assert "secret" not in str(caught.value)
