"""A gateway, an issuer and a model on loopback, with what a test needs to ask and to look."""

import base64
import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Self

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from gateways import HEAD, LISTENING, NO_BANANAS, PERSONAL_DATA
from openai import DefaultHttpxClient, OpenAI

from hoopguard.demo.connection import Request
from hoopguard.demo.issuer import DemoIssuer
from hoopguard.demo.model import DemoModel
from hoopguard.demo.stack import ADDONS, GatewayProcess

MODEL_KEY: Final = "model-key-3f9c51d7a2"
HOST: Final = "llama.models.example.com"
CHAT: Final = "/v1/chat/completions"
DEADLINE_S: Final = 30.0
"""How long anything may take before a test gives up; never what it should take."""

_BIN: Final = Path(sys.executable).parent

_LLAMA: Final = """
[[connection]]
name = "llama"
upstream = "{model}"
hosts = ["llama.models.example.com"]
routes = ["chat/completions", "completions", "models", "embeddings"]
answer_timeout = "{answer_timeout}"
credential = {{ value = "Bearer ${{env:HG_E2E_MODEL_KEY}}" }}
allow = [
  {{ groups = ["ml"] }},
  {{ groups = ["ci"], models = ["llama-3-8b"], routes = ["chat/completions"] }},
]
"""

_OWN_RULES: Final = r"""
[[guardrail]]
name = "private-keys"
patterns = ['-----BEGIN (\w+ )?PRIVATE KEY-----']
action = "block"
message = "Private keys must not be sent to a model."
[[guardrail]]
name = "no-cherries"
on = "response"
words = ["cherry"]
action = "block"
message = "The model must not speak of cherries."
[[guardrail]]
name = "watched"
words = ["elderberry"]
action = "block"
mode = "observe"
[[guardrail]]
name = "risky"
words = ["production"]
action = "approve"
approval = "owners"
message = "Production needs an owner's word."
[[approval]]
name = "owners"
reviewers = ["owners"]
hold = "{hold}"
expires = "{expires}"
"""

RULES: Final = NO_BANANAS + _OWN_RULES + PERSONAL_DATA


class Site:
    """One folder with a policy, and the three processes around it (issuer and model are threads)."""

    def __init__(self, folder: Path, *, model: DemoModel | None = None, modes: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.policy = folder / "policy.toml"
        self.issuer = DemoIssuer().start()
        self.model = (model or DemoModel(api_key=MODEL_KEY)).start()
        self.modes = list(modes)
        self.port = 0
        self.proxy_port = 0
        self.gateway: GatewayProcess | None = None

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def proxy(self) -> str:
        return f"http://127.0.0.1:{self.proxy_port}"

    @property
    def pid(self) -> int:
        assert self.running.process is not None
        return self.running.process.pid

    @property
    def running(self) -> GatewayProcess:
        assert self.gateway is not None
        return self.gateway

    @property
    def log(self) -> str:
        return (self.folder / "gateway.log").read_text("utf-8", "replace")

    def write_policy(self, rules: str | None = None, *, extra: str = "", **values: str) -> str:
        """Write the policy whole, by renaming, as an editor does; return its text."""
        known = {
            "issuer": self.issuer.url,
            "model": self.model.url,
            "answer_timeout": "20s",
            "hold": "20s",
            "expires": "10m",
        } | values
        text = (HEAD + _LLAMA).format(**known)
        text += (
            RULES.replace("{hold}", known["hold"]).replace("{expires}", known["expires"]) if rules is None else rules
        )
        self.put_policy(text + extra)
        return text + extra

    def put_policy(self, text: str) -> None:
        draft = self.folder / "policy.toml.new"
        draft.write_text(text)
        draft.replace(self.policy)

    def launcher(
        self,
        *,
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        script: Path = ADDONS,
        modes: Sequence[str] | None = None,
    ) -> GatewayProcess:
        """Return the gateway's process, not started."""
        chosen = self.modes if modes is None else modes
        known = [mode or f"reverse:{self.model.url}@0" for mode in chosen] or [f"reverse:{self.model.url}@0"]
        environment = {"HG_E2E_MODEL_KEY": MODEL_KEY, **(env or {})}
        return GatewayProcess(self.policy, known, folder=self.folder, env=environment, options=options, script=script)

    def start(self, **how: Any) -> Self:
        """Start the gateway; ports are chosen by the system and read from its log."""
        self.gateway = self.launcher(**how)
        seen = len(self.log) if (self.folder / "gateway.log").exists() else 0
        self.gateway.start()
        self.find_ports(seen)
        return self

    def find_ports(self, seen: int = 0) -> None:
        wait_for(lambda: len(LISTENING.findall(self.log[seen:])) >= max(1, len(self.modes)), "it listens")
        for kind, port in LISTENING.findall(self.log[seen:]):
            if kind == "reverse":
                self.port = int(port)
            else:
                self.proxy_port = int(port)

    def stop(self) -> None:
        if self.gateway is not None:
            self.gateway.stop()

    @contextlib.contextmanager
    def balanced(self) -> Iterator[Self]:
        """Run the gateway for several tests; whatever they did to it, its books have to balance at the end."""
        yield self.start()
        self.stop()
        self.assert_books_balance()
        self.verify()

    def close(self) -> None:
        self.stop()
        self.model.stop()
        self.issuer.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def token(self, subject: str = "ada@example.com", groups: Sequence[str] = ("ml",), **claims: Any) -> str:
        return self.issuer.token(subject, groups, **claims)

    def client(self, *, token: str | None = None, **more: Any) -> httpx.Client:
        headers = {"authorization": f"Bearer {token or self.token()}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=DEADLINE_S, **more)

    def ask(self, prompt: str = "hello", *, token: str | None = None, path: str = CHAT, **body: Any) -> httpx.Response:
        """Ask through the reverse proxy, without retries."""
        with self.client(token=token) as client:
            return client.post(path, json=chat(prompt, **body))

    def send(self, content: bytes, *, token: str | None = None, **headers: str) -> httpx.Response:
        """Post raw bytes as the body; header names with ``_`` for ``-``."""
        named = {"content-type": "application/json"} | {key.replace("_", "-"): value for key, value in headers.items()}
        with self.client(token=token) as client:
            return client.post(CHAT, content=content, headers=named)

    def openai(self, token: str | None = None) -> OpenAI:
        """Return the SDK as anybody would set it up, its retries included."""
        client = DefaultHttpxClient(trust_env=False, timeout=DEADLINE_S)
        return OpenAI(base_url=f"{self.url}/v1", api_key=token or self.token(), http_client=client)

    def raw(self, *pieces: bytes, port: int | None = None) -> bytes:
        """Send bytes as they are; return all that comes back until the gateway closes or falls silent."""
        with socket.create_connection(("127.0.0.1", port or self.port), DEADLINE_S) as connection:
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    connection.sendall(piece)
            return read_all(connection)

    def head(self, path: str = CHAT, *, method: str = "POST", token: str | None = None, **headers: str) -> bytes:
        """Return a request's head, to be completed by hand (no empty line at its end); it asks for one answer."""
        named = {"host": f"127.0.0.1:{self.port}", "connection": "close"}
        headers = named | {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1"]
        lines.append(f"authorization: Bearer {token or self.token()}")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n"

    @contextlib.contextmanager
    def tunnel(
        self, token: str, *, host: str = HOST, sni: str = "", alpn: Sequence[str] = ("http/1.1",)
    ) -> Iterator[ssl.SSLSocket]:
        """Open a CONNECT tunnel and TLS in it, as HTTPS_PROXY makes a client do."""
        with open_socket(self.proxy_port) as plain:
            plain.sendall(connect(host, token))
            answer = read_until(plain, b"\r\n\r\n")
            assert status_of(answer) == 200, answer
            context = self.trust()
            context.check_hostname = not sni
            context.set_alpn_protocols(list(alpn))
            with context.wrap_socket(plain, server_hostname=sni or host) as secure:
                yield secure

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "certs" / "mitmproxy-ca-cert.pem"))

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def seen(self) -> list[Request]:
        """Return what reached the model."""
        return self.model.seen

    @property
    def prompts(self) -> list[str]:
        """Return the last message of every request that reached the model."""
        return [json.loads(request.body)["messages"][-1]["content"] for request in self.seen if request.body]

    def ledger(self) -> list[dict[str, Any]]:
        lines = (self.state / "ledger" / "ledger.jsonl").read_bytes().split(b"\n")
        return [json.loads(line) for line in lines[:-1]]

    def entries(self, exchange: str, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.ledger() if entry["exchange"] == exchange and entry["type"] == kind]

    def outcome(self, exchange: str) -> dict[str, Any]:
        """Return the one outcome of an exchange, waiting for it; there must not be two."""
        wait_for(lambda: self.entries(exchange, "outcome"), f"the outcome of {exchange}")
        (entry,) = self.entries(exchange, "outcome")
        data: dict[str, Any] = entry["data"]
        return data

    def last_exchange(self) -> str:
        return str([entry for entry in self.ledger() if entry["type"] == "intent"][-1]["exchange"])

    def assert_books_balance(self) -> None:
        """Every intent has exactly one outcome, every outcome one intent."""
        ledger = self.ledger()
        intents = Counter(entry["exchange"] for entry in ledger if entry["type"] == "intent")
        outcomes = Counter(entry["exchange"] for entry in ledger if entry["type"] == "outcome")
        assert set(intents.values()) <= {1}
        assert intents == outcomes

    def wait_until_settled(self) -> None:
        """Wait until every intent has an outcome."""

        def settled() -> bool:
            kinds = Counter(entry["type"] for entry in self.ledger())
            return kinds["intent"] == kinds["outcome"]

        wait_for(settled, "every exchange has its outcome")

    def hoopguard(self, *arguments: str, token: str = "", **env: str) -> "subprocess.CompletedProcess[str]":
        """Run the real command line on this site's policy."""
        environment = {**os.environ, "HG_E2E_MODEL_KEY": MODEL_KEY, "NO_COLOR": "1", **env}
        environment["HOOPGUARD_POLICY"] = str(self.policy)
        if token:
            environment["HOOPGUARD_TOKEN"] = token
        command = [str(_BIN / "hoopguard"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)

    def verify(self) -> None:
        done = self.hoopguard("audit", "verify")
        assert done.returncode == 0, done.stdout + done.stderr


def connect(host: str, token: str, port: int = 443) -> bytes:
    proof = base64.b64encode(f"token:{token}".encode()).decode()
    name = f"{host}:{port}"
    return f"CONNECT {name} HTTP/1.1\r\nhost: {name}\r\nproxy-authorization: Basic {proof}\r\n\r\n".encode()


def in_tunnel(body: bytes, path: str = CHAT, host: str = HOST, method: str = "POST") -> bytes:
    """Return a whole request without a credential: the tunnel has it."""
    head = f"{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read one answer that says its length; the connection can go on."""
    head, _, body = read_until(connection, b"\r\n\r\n").partition(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", head.lower())
    assert found, head
    while len(body) < int(found[1]):
        body += connection.recv(65_536)
    return status_of(head), body


def chat(prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": "llama-3-8b", "messages": [{"role": "user", "content": prompt}], **more}


def chat_bytes(prompt: str = "hello", **more: Any) -> bytes:
    return json.dumps(chat(prompt, **more)).encode()


def wait_for(true: Callable[[], object], what: str) -> None:
    """Wait until something holds; fail after a deadline that is generous everywhere."""
    until = time.monotonic() + DEADLINE_S
    while time.monotonic() < until:
        if true():
            return
        time.sleep(0.02)
    raise AssertionError(f"waited in vain until {what}")


def read_all(connection: socket.socket, silence_s: float = 1.0) -> bytes:
    """Read until the other side closes, or until it has begun to answer and then falls silent."""
    received = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        while True:
            connection.settimeout(silence_s if received else DEADLINE_S)
            piece = connection.recv(65_536)
            if not piece:
                break
            received += piece
    return received


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Read until ``end`` has come; fail if the other side closes before."""
    connection.settimeout(DEADLINE_S)
    received = b""
    while end not in received:
        piece = connection.recv(65_536)
        assert piece, f"closed after {received[-200:]!r}"
        received += piece
    return received


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def error_of(response: httpx.Response) -> dict[str, Any]:
    """Return the API's error object, checked for what every refusal has to have (law 7)."""
    error: dict[str, Any] = response.json()["error"]
    exchange = response.headers["hoopguard-exchange"]
    assert response.headers["content-type"] == "application/json"
    assert error["hoopguard"]["exchange"] == exchange
    assert exchange in error["message"]
    return error


def refused(response: httpx.Response, status: int, code: str) -> str:
    """Assert a refusal; return its exchange id."""
    assert (response.status_code, response.json().get("error", {}).get("code")) == (status, code), response.text
    error_of(response)
    return str(response.headers["hoopguard-exchange"])


def raw_refused(answer: bytes, status: int, code: str) -> None:
    """Assert that bytes from a socket are one refusal in the API's shape."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert status_of(answer) == status, answer[:400]
    assert json.loads(body)["error"]["code"] == code, answer[:400]
    assert b"content-type: application/json" in head.lower()


def events_of(text: str) -> list[dict[str, Any]]:
    """Return a stream's events, without ``[DONE]``."""
    data = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    return [json.loads(each) for each in data if each != "[DONE]"]


def streamed_text(text: str) -> str:
    """Return what a stream said, its pieces joined."""
    deltas = [choice["delta"] for event in events_of(text) for choice in event.get("choices", [])]
    return "".join(delta.get("content") or "" for delta in deltas)


def make_certificate(
    folder: Path, name: str, *, signer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Write ``<name>.pem`` (certificate and key) for 127.0.0.1, or a CA if nobody signs it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer[0].subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if signer is not None:
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(signer[1] if signer else key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / f"{name}.pem").write_bytes(private + public)
    (folder / f"{name}-cert.pem").write_bytes(public)
    return certificate, key


@contextlib.contextmanager
def open_socket(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as connection:
        yield connection
