"""Law 2: no way around the chain, however the request is written."""

import contextlib
import json
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pytest
from harness import (
    CHAT,
    HOST,
    MODEL_KEY,
    Site,
    chat,
    chat_bytes,
    connect,
    in_tunnel,
    open_socket,
    raw_refused,
    read_all,
    read_answer,
    read_until,
    refused,
    status_of,
)

from hoopguard.demo.stack import free_port

BODY = chat_bytes()
LENGTH = f"content-length: {len(BODY)}\r\n".encode()
CHUNKED = b"transfer-encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


def post(site: Site, **headers: str) -> bytes:
    return site.head(content_type="application/json", **headers)


AMBIGUOUS = {
    "length and chunked": LENGTH + CHUNKED + b"\r\n" + CHUNKS,
    "chunked and length": CHUNKED + b"content-length: 3\r\n\r\n" + CHUNKS,
    "two lengths": LENGTH + b"content-length: 3\r\n\r\n" + BODY,
    "same length twice": LENGTH + LENGTH + b"\r\n" + BODY,
    "list of lengths": LENGTH.replace(b"\r\n", b", 3\r\n") + b"\r\n" + BODY,
    "signed length": LENGTH.replace(b": ", b": +") + b"\r\n" + BODY,
    "negative length": b"content-length: -1\r\n\r\n" + BODY,
    "underscored length": b"content-length: 1_0\r\n\r\n" + BODY,
    "chunked twice": CHUNKED + CHUNKED + b"\r\n" + CHUNKS,
    "unknown transfer coding": b"transfer-encoding: xchunked\r\n\r\n" + CHUNKS,
    "identity": b"transfer-encoding: identity\r\n" + LENGTH + b"\r\n" + BODY,
    "space before the colon": b"transfer-encoding : chunked\r\n" + LENGTH + b"\r\n" + CHUNKS,
    "control before chunked": b"transfer-encoding:\x0bchunked\r\n" + LENGTH + b"\r\n" + CHUNKS,
    "no colon": b"nonsense\r\n" + LENGTH + b"\r\n" + BODY,
    "folded header": b"user-agent: a\r\n b\r\n" + LENGTH + b"\r\n" + BODY,
    "length in a fold": b"user-agent: a\r\n content-length: 1\r\n" + LENGTH + b"\r\n" + BODY,
    "bare CR": b"user-agent: a\rx-evil: b\r\n" + LENGTH + b"\r\n" + BODY,
    "NUL": b"user-agent: a\x00b\r\n" + LENGTH + b"\r\n" + BODY,
    "two hosts": b"host: other\r\n" + LENGTH + b"\r\n" + BODY,
    "two tokens": b"authorization: Bearer x\r\n" + LENGTH + b"\r\n" + BODY,
    "two content types": b"content-type: text/plain\r\n" + LENGTH + b"\r\n" + BODY,
}


@pytest.mark.parametrize("what", AMBIGUOUS)
def test_a_request_that_reads_two_ways_is_refused(site: Site, what: str) -> None:
    """Framing and headers that two parsers could read two ways get 400 in the API's shape."""
    answer = site.raw(post(site) + AMBIGUOUS[what])
    assert status_of(answer) == 400
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] in (
        "hoopguard_bad_request",
        "hoopguard_ambiguous",
    )
    assert site.seen == []


CLOSED = {
    "bad chunk size": CHUNKED + b"\r\nzz\r\nfoo\r\n0\r\n\r\n",
    "trailers": CHUNKED + b"\r\n" + CHUNKS[:-2] + b"authorization: Bearer x\r\n\r\n",
    "huge header block": b"".join(b"x-%d: %b\r\n" % (n, b"a" * 1000) for n in range(200)) + LENGTH + b"\r\n" + BODY,
    "endless header": b"x-endless: " + b"a" * 400_000,
    "endless name": b"a" * 400_000,
}


@pytest.mark.parametrize("what", CLOSED)
def test_what_cannot_be_read_closes_the_connection(site: Site, what: str) -> None:
    """A body or a header beyond what HTTP allows here ends the connection; nothing is sent on."""
    assert site.raw(post(site) + CLOSED[what]) == b""
    assert site.seen == []
    assert site.ask().status_code == 200


READ = {
    "chunk extensions": CHUNKED + b"\r\n%x;name=value\r\n%b\r\n0;last\r\n\r\n" % (len(BODY), BODY),
    "many chunks": CHUNKED + b"\r\n" + b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n",
    "bare LF in the header": LENGTH.replace(b"\r\n", b"\n") + b"\n" + BODY,
    "expect": b"expect: 100-continue\r\n" + LENGTH + b"\r\n" + BODY,
}


@pytest.mark.parametrize("what", READ)
def test_what_reads_one_way_is_sent_one_way(site: Site, what: str) -> None:
    """An unusual but clear framing is accepted, and the model gets the plain one."""
    assert b" 200 " in site.raw(post(site) + READ[what])
    (seen,) = site.seen
    assert json.loads(seen.body) == chat("hello")
    assert seen.header("content-length") == str(len(seen.body))
    assert seen.header("transfer-encoding") == ""


@pytest.mark.parametrize("how", ["declared", "chunked", "absurd"])
def test_a_body_beyond_the_bound_is_refused(site: Site, how: str) -> None:
    """More than ``max_body_bytes`` is 413 in the API's shape: by its announcement, or as soon as it came."""
    if how == "chunked":
        piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        answer = site.raw(post(site) + CHUNKED + b"\r\n", *[piece] * 40)
    else:
        length = b"9" * (7 if how == "declared" else 30)
        answer = site.raw(post(site) + b"content-length: " + length + b"\r\n\r\n" + b"x")
    raw_refused(answer, 413, "hoopguard_body_too_large")
    assert site.seen == []


PATHS = [
    "/v1/load_lora_adapter",
    "/metrics",
    "/health",
    "/",
    "*",
    "//v1/chat/completions",
    "/v1//chat/completions",
    "/./v1/chat/completions",
    "/v1/../metrics",
    "/v1/chat/completions/../../load_lora_adapter",
    "/v1/chat/completions/.",
    "/v1/chat/completions/",
    "/v1/%63hat/completions",
    "/%2e%2e/metrics",
    "/v1/chat/completions;x",
    "/v1/chat/completions?x=1",
    "/v1/chat/completions#x",
    "/V1/chat/completions",
    "/v1/chat/completions%00",
    "/v1\\chat/completions",
    "/llama/metrics",
    "/llama//metrics",
    "/llama/llama/v1/chat/completions",
    "/v1/chat/completions\xe9",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_is_not_listed_is_refused(site: Site, path: str) -> None:
    """Admin routes, and every other way to write them or a listed one, get 403."""
    raw_refused(site.raw(site.head(path, content_type="application/json") + LENGTH + b"\r\n" + BODY), 403, ROUTE)
    assert site.seen == []


ROUTE = "hoopguard_route_not_listed"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "BREW"])
def test_a_method_that_is_not_listed_is_refused(site: Site, method: str) -> None:
    """A listed path takes its own method only."""
    raw_refused(
        site.raw(site.head(method=method, content_type="application/json") + LENGTH + b"\r\n" + BODY), 403, ROUTE
    )
    assert site.seen == []


def test_a_refused_head_request_has_no_body(site: Site) -> None:
    """``HEAD`` is refused without a body, which the next answer would be mistaken for."""
    answer = site.raw(site.head(method="HEAD") + b"\r\n")
    assert status_of(answer) == 403
    assert answer.endswith(b"\r\n\r\n")


def test_a_method_is_sent_as_the_route_has_it(site: Site) -> None:
    """``post`` is not another method to the model than it was to the policy."""
    site.raw(post(site).replace(b"POST", b"post", 1) + LENGTH + b"\r\n" + BODY)
    assert {request.method for request in site.seen} <= {"POST"}


def test_an_absolute_target_does_not_lead_elsewhere(site: Site) -> None:
    """The reverse proxy sends no absolute target on, and refuses one that its Host header contradicts."""
    head = post(site)
    own = head.replace(b"POST /", b"POST http://127.0.0.1:9/", 1)
    site.raw(own + LENGTH + b"\r\n" + BODY)
    assert all(request.path == CHAT for request in site.seen)
    site.model.forget()
    other = head.replace(b"POST /", b"POST http://other.example/", 1)
    raw_refused(site.raw(other + LENGTH + b"\r\n" + BODY), 400, "hoopguard_ambiguous")
    assert site.seen == []


@pytest.mark.parametrize("headers", ["websocket", "h2c", "h2c, websocket", "anything"])
def test_an_upgrade_is_refused(site: Site, headers: str) -> None:
    """Changing the protocol is not a way out of being inspected."""
    request = (
        post(site, connection="upgrade", upgrade=headers, http2_settings="AAMAAABkAAQAAP__") + LENGTH + b"\r\n" + BODY
    )
    assert b"hoopguard_upgrade_refused" in site.raw(request)
    assert site.seen == []


def test_an_upgrade_by_the_model_is_refused(site: Site) -> None:
    """A model that answers 101 changes nothing but its own answer, which is 502."""
    site.model.behave("upgrade")
    refused(site.ask(), 502, "hoopguard_bad_answer")


@pytest.mark.parametrize("junk", [b"\x00\x01\x02\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HELO x\r\n\r\n"])
def test_what_is_not_http_reaches_nobody(site: Site, junk: bytes) -> None:
    """Bytes of another protocol get an error or nothing, and the model gets nothing."""
    answer = site.raw(junk)
    assert b" 200 " not in answer
    assert site.seen == []


def test_an_old_client_is_answered(site: Site) -> None:
    """HTTP/1.0 works, buffered and streamed; the end of a stream is the end of the connection."""
    for stream in (False, True):
        body = chat_bytes("who is the customer", stream=stream)
        head = post(site).replace(b"HTTP/1.1", b"HTTP/1.0") + f"content-length: {len(body)}\r\n\r\n".encode()
        answer = site.raw(head + body)
        assert status_of(answer) == 200
        assert b"EMAIL_ADDRESS" in answer
        assert b"transfer-encoding" not in answer.lower()
        assert (b"data: [DONE]" in answer) == stream


def test_pipelined_requests_are_each_governed(site: Site) -> None:
    """Of several requests sent at once each gets its own answer, in order, allowed or not."""
    good = site.head(content_type="application/json", connection="keep-alive") + LENGTH + b"\r\n" + BODY
    bad = good.replace(b"hello", b"fruit")
    banana = chat_bytes("banana")
    blocked = site.head(content_type="application/json", connection="keep-alive")
    blocked += b"content-length: %d\r\n\r\n" % len(banana) + banana
    admin = site.head("/metrics", method="GET", connection="keep-alive") + b"\r\n"
    with open_socket(site.port) as connection:
        connection.sendall(good + blocked + admin + bad)
        assert [read_answer_of(connection) for _ in range(4)] == [200, 403, 403, 200]
    assert site.prompts == ["hello", "fruit"]


_left: dict[int, bytes] = {}


def read_answer_of(connection: socket.socket) -> int:
    """Read one answer of several that may have come in one piece."""
    received = _left.pop(connection.fileno(), b"")
    while True:
        head, found, rest = received.partition(b"\r\n\r\n")
        if found:
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(rest) >= length:
                _left[connection.fileno()] = rest[length:]
                return status_of(head)
        received += connection.recv(65_536)


# ── the forward proxy ───────────────────────────────────────────────────────────────────────────────────────────────

TARGETS = [
    ("example.com", 443),
    ("llama.models.example.com", 22),
    ("127.0.0.1", 443),
    ("localhost", 443),
    ("[::1]", 443),
    ("llama.models.example.com.", 443),
    ("evil.llama.models.example.com", 443),
    ("2130706433", 443),
]


@pytest.mark.parametrize(("host", "port"), TARGETS)
def test_a_tunnel_to_what_is_not_listed_is_refused(site: Site, host: str, port: int) -> None:
    """CONNECT opens to a connection's host on port 443, and to nothing else."""
    answer = site.raw(connect(host, site.token(), port), port=site.proxy_port)
    assert status_of(answer) in (400, 403)
    assert site.seen == []


def test_a_tunnel_to_the_model_itself_is_refused(site: Site) -> None:
    """Not even the upstream's own address is a way in."""
    answer = site.raw(connect("127.0.0.1", site.token(), site.model.port), port=site.proxy_port)
    raw_refused(answer, 403, "hoopguard_unknown_host")
    head = site.head("x", method="GET").replace(b"GET x", b"GET %b/metrics" % site.model.url.encode())
    head = head.replace(b"host: 127.0.0.1:%d" % site.port, b"host: 127.0.0.1:%d" % site.model.port)
    raw_refused(site.raw(head + b"\r\n", port=site.proxy_port), 403, "hoopguard_unknown_host")
    assert site.seen == []


def test_a_tunnel_needs_a_token(site: Site) -> None:
    """Without a credential, with a bad one or with one in the wrong header, CONNECT gets 407."""
    for head in (b"", b"proxy-authorization: Basic eDp5\r\n", b"authorization: Bearer %b\r\n" % site.token().encode()):
        request = f"CONNECT {HOST}:443 HTTP/1.1\r\nhost: {HOST}:443\r\n".encode() + head + b"\r\n"
        with open_socket(site.proxy_port) as connection:
            connection.sendall(request)
            answer = read_until(connection, b"\r\n\r\n")
        assert status_of(answer) == 407
        assert b"proxy-authenticate" in answer.lower()


def test_a_request_in_a_tunnel_is_governed(site: Site) -> None:
    """In a tunnel a request is answered, masked and recorded as any; admin routes stay shut."""
    with site.tunnel(site.token()) as tunnel:
        tunnel.sendall(in_tunnel(chat_bytes("who is the customer")))
        status, body = read_answer(tunnel)
        assert status == 200
        assert b"EMAIL_ADDRESS" in body
        tunnel.sendall(in_tunnel(chat_bytes("banana")))
        assert read_answer(tunnel)[0] == 403
        tunnel.sendall(in_tunnel(b"{}", "/v1/load_lora_adapter"))
        assert read_answer(tunnel)[0] == 403
        tunnel.sendall(in_tunnel(b"", "/metrics", method="GET"))
        assert read_answer(tunnel)[0] == 403
    (seen,) = site.seen
    assert seen.header("authorization") == f"Bearer {MODEL_KEY}"
    assert seen.header("proxy-authorization") == ""


@pytest.mark.parametrize("where", ["host", "sni"])
def test_names_that_disagree_are_refused(site: Site, where: str) -> None:
    """CONNECT, TLS server name and Host header have to name one host."""
    if where == "host":
        with site.tunnel(site.token()) as tunnel:
            tunnel.sendall(in_tunnel(BODY, host="other.example.com"))
            status, body = read_answer(tunnel)
            assert (status, json.loads(body)["error"]["code"]) == (400, "hoopguard_ambiguous")
    else:
        answer = b""
        with contextlib.suppress(OSError), site.tunnel(site.token(), sni="other.example.com") as tunnel:
            tunnel.sendall(in_tunnel(BODY))
            answer = read_all(tunnel)
        assert b" 200 " not in answer
    assert site.seen == []


@pytest.mark.parametrize(
    "junk", [b"\x00\x01\x02\x03 not HTTP\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n\r\n", b"EHLO me\r\n\r\n"]
)
@pytest.mark.parametrize("tls", [True, False])
def test_what_is_not_http_in_a_tunnel_reaches_nobody(site: Site, junk: bytes, tls: bool) -> None:
    """A tunnel is for HTTP in TLS; anything else gets an error or nothing."""
    if tls:
        with site.tunnel(site.token()) as tunnel:
            tunnel.sendall(junk)
            answer = read_all(tunnel)
    else:
        with open_socket(site.proxy_port) as plain:
            plain.sendall(connect(HOST, site.token()))
            assert status_of(read_until(plain, b"\r\n\r\n")) == 200
            plain.sendall(junk)
            answer = read_all(plain)
    assert b" 200 " not in answer
    assert site.seen == []


class _Http2Only(ssl.SSLContext):
    """What httpx offers is HTTP/1.1 first, and the gateway takes what the client likes best."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        super().set_alpn_protocols(["h2"])


def test_an_http2_client_is_governed(site: Site) -> None:
    """HTTP/2 in the tunnel is answered, masked, streamed and refused as HTTP/1 is."""
    proxy = httpx.Proxy(site.proxy, auth=("token", site.token()))
    trust = _Http2Only(ssl.PROTOCOL_TLS_CLIENT)
    trust.load_verify_locations(site.folder / "certs" / "mitmproxy-ca-cert.pem")
    with httpx.Client(proxy=proxy, verify=trust, http2=True, trust_env=False, timeout=30) as client:
        answer = client.post(f"https://{HOST}{CHAT}", json=chat("who is the customer"))
        assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
        assert "EMAIL_ADDRESS" in answer.text
        streamed = client.post(f"https://{HOST}{CHAT}", json=chat("who is the customer", stream=True))
        assert "data: [DONE]" in streamed.text
        refused(client.post(f"https://{HOST}{CHAT}", json=chat("banana")), 403, "hoopguard_blocked")
        refused(client.get(f"https://{HOST}/metrics"), 403, "hoopguard_route_not_listed")
        host = {"host": "other.example.com"}
        assert client.post(f"https://{HOST}{CHAT}", json=chat("x"), headers=host).status_code == 400
    assert len(site.seen) == 2


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path, modes=["", f"regular@{free_port()}"]) as site:
        site.write_policy()
        assert site.hoopguard("certs", "init").returncode == 0
        site.start()
        yield site
        site.stop()
        site.assert_books_balance()


@pytest.mark.parametrize("why", ["expired", "permission taken", "issuer removed"])
def test_a_tunnel_does_not_outlive_its_token(own: Site, why: str) -> None:
    """Each request in an open tunnel is checked again: expiry and a changed policy count at once."""
    token = own.token(expires_in=2.0 if why == "expired" else 3600.0)
    with own.tunnel(token) as tunnel:
        tunnel.sendall(in_tunnel(BODY))
        assert read_answer(tunnel)[0] == 200
        if why == "permission taken":
            own.put_policy(own.policy.read_text().replace('groups = ["ml"]', 'groups = ["others"]'))
        elif why == "issuer removed":
            own.put_policy(own.policy.read_text().replace(own.issuer.url, "http://127.0.0.1:9"))
        expected = 403 if why == "permission taken" else 401
        answered = 1
        until = time.monotonic() + 30
        while time.monotonic() < until:
            tunnel.sendall(in_tunnel(BODY))
            status, _ = read_answer(tunnel)
            if status != 200:
                break
            assert why == "expired"
            answered += 1
            time.sleep(0.25)
        assert status == expected
    assert len(own.seen) == answered


MEDDLER = """
from hoopguard.gateway import install

def load(loader):
    install(loader.master)

def request(flow):
    flow.request.text = "not inspected"
    flow.request.headers["x-side-door"] = "open"

def response(flow):
    flow.response.text = "not inspected"
"""


def test_no_other_addon_gets_a_flow_into_its_hands(tmp_path: Path) -> None:
    """A script whose hooks come after the gate can change neither what was cleared nor what is answered."""
    script = tmp_path / "meddler.py"
    script.write_text(MEDDLER)
    with Site(tmp_path / "site") as site:
        site.write_policy()
        site.start(script=script)
        answer = site.ask("hello there")
        assert answer.json()["choices"][0]["message"]["content"]
        assert site.prompts == ["hello there"]
        assert not site.seen[-1].header("x-side-door")
