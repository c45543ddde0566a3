"""Law 5: a canary test – known secrets go in through every door, and no file or log has them."""

import base64
import contextlib
import json
import socket
from pathlib import Path

import httpx
from harness import CHAT, MODEL_KEY, Site, chat, chat_bytes, connect, in_tunnel, open_socket, read_all, read_answer

from hoopguard.demo.stack import free_port

EMAIL = "grace.canary.hopper@example.com"
CARD = "4012888888881881"
PHONE = "+1 415-555-0198"
KEY_TEXT = "CANARYKEYb64mZ9PrivateMaterial"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_TEXT}\n-----END RSA PRIVATE KEY-----"
BLOCKED = "banana-canary-unmasked-words"
UNLISTED = "canary-in-a-path"
ANSWER_EMAIL = "ada.lovelace@example.com"
BROKEN = ("garbage", "die_mid_stream", "wrong_type", "hang_mid_stream", "trailers", "dup_keys", "error_event")
PERSONAL = f"mail {EMAIL}, card {CARD}, call {PHONE}"


def spellings(secret: str) -> list[bytes]:
    """Return a secret as it might be written: plain, in JSON, UTF-16, hex and base64 at each alignment."""
    plain = secret.encode()
    found = [plain, json.dumps(secret)[1:-1].encode(), secret.encode("utf-16-le"), plain.hex().encode()]
    for pad in range(3):
        encoded = base64.b64encode(b"\x00" * pad + plain)
        found.append(encoded[4 : len(encoded) - 4])
    return found


def test_no_secret_is_in_any_file_or_log(tmp_path: Path) -> None:
    """Tokens, keys, personal data and blocked texts are in no file of the state and in no debug log."""
    with Site(tmp_path, modes=["", f"regular@{free_port()}"]) as site:
        site.write_policy(answer_timeout="2s", hold="1s")
        assert site.hoopguard("certs", "init").returncode == 0
        site.start(options=("termlog_verbosity=debug", "flow_detail=4"))
        tokens = use_every_door(site)
        site.stop()
        site.assert_books_balance()
        site.verify()
        secrets = [*tokens, *(token.rpartition(".")[2] for token in tokens), MODEL_KEY, EMAIL, CARD, PHONE, KEY_TEXT]
        secrets += [ANSWER_EMAIL, BLOCKED]
        files = [path for path in (*site.state.rglob("*"), tmp_path / "gateway.log") if path.is_file()]
        assert len(files) > 5
        for path in files:
            content = path.read_bytes()
            for secret in secrets:
                for spelling in spellings(secret):
                    assert spelling not in content, (path, secret)


def spill(site: Site, bytes_: bytes) -> None:
    """Send bytes that may be only the beginning of something, and hang up."""
    with open_socket(site.port) as connection:
        connection.sendall(bytes_)
        connection.shutdown(socket.SHUT_WR)
        read_all(connection)


def use_every_door(site: Site) -> list[str]:
    """Send the canaries through requests, answers, streams, errors and broken bytes; return the tokens used."""
    good, expired = site.token(), site.token(expires_in=-60)
    other, junk = site.token(audience="somebody-else"), "canary.token.junk0000"
    for token in (good, expired, other, junk):
        site.ask(PERSONAL, token=token)
        with contextlib.suppress(httpx.HTTPError), site.client() as client:
            client.get(f"/{UNLISTED}/{token}", headers={"x-api-key": token, "cookie": f"a={token}"})
        with open_socket(site.proxy_port) as connection:
            connection.sendall(connect("unlisted.example.com", token))
            connection.recv(65_536)
    for stream in (False, True):
        site.ask("who is the customer", stream=stream)
        site.ask(f"say: {PERSONAL}", stream=stream)
        site.ask(f"banana {BLOCKED} {PERSONAL}", stream=stream)
        site.ask(f"say: a cherry after {PERSONAL}", stream=stream)
        for mode in (
            "garbage",
            "die_mid_stream",
            "wrong_type",
            "hang_mid_stream",
            "trailers",
            "dup_keys",
            "error_event",
        ):
            site.model.behave(mode, after=6)
            site.ask(f"say: {PERSONAL}", stream=stream)
    site.ask(PEM)
    site.ask(f"production {PERSONAL}")
    site.ask("use the tool")
    site.ask(PERSONAL, user=EMAIL, metadata={"who": EMAIL})
    site.ask(PERSONAL, tools=[{"type": "function", "function": {"name": "f", "description": PERSONAL}}])
    site.send(chat_bytes(PERSONAL)[:-1])
    site.send(chat_bytes(PERSONAL) + PERSONAL.encode())
    site.send(f'{{"{EMAIL}":1,"{EMAIL}":2}}'.encode())
    site.send(b'{"model": "' + EMAIL.encode() + b'", "messages": []}')
    site.send(PERSONAL.encode(), content_type=f"text/{good}")
    site.send(PERSONAL.encode(), content_encoding=KEY_TEXT)
    spill(site, PERSONAL.encode() + b"\r\n\r\n")
    spill(site, f"GET /{good} HTTP/1.1\r\nauthorization Bearer {good}\r\n\r\n".encode())
    spill(site, f"GET / HTTP/1.1\r\nauthorization: Bearer {good}\r\nx: {good}".encode())
    spill(site, site.head(content_type="application/json") + f"content-length: 1, {EMAIL}\r\n\r\n".encode())
    spill(site, site.head(content_type="application/json") + b"transfer-encoding: chunked\r\n\r\n" + PERSONAL.encode())
    with site.tunnel(good) as tunnel:
        tunnel.sendall(in_tunnel(chat_bytes(PERSONAL)))
        assert read_answer(tunnel)[0] == 200
        tunnel.sendall(f"{PERSONAL}\r\n\r\n".encode())
    with httpx.Client(base_url=site.url, trust_env=False, timeout=30) as client:
        assert client.post(CHAT, json=chat(PERSONAL), headers={"x-api-key": good}).status_code == 200
    return [good, expired, other, junk]
