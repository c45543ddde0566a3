"""A gateway in front of one server that says what it is told to, in every API: answers that no honest one gives."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
from gateways import HEAD
from harness import Site
from oddities import EMAIL

from hoopguard.demo.connection import Reply, Request, chunks_of
from hoopguard.demo.loopback import LoopbackServer

APIS: Final = ("anthropic", "kserve", "llamacpp", "mcp", "ollama", "openai", "tgi")
GUARDED: Final = ("guarded-mcp", "guarded-openai")
"""Connections that rules block answers of, and that none masks."""
_CONNECTION: Final = """
[[connection]]
name = "{name}"
upstream = "{url}"
api = "{api}"
allow = [{{ groups = ["ml"] }}, {{ groups = ["few"], models = ["llama"] }}]
"""
_RULES: Final = """
[[guardrail]]
name = "no-bananas"
on = "both"
words = ["banana"]
action = "block"
[[guardrail]]
name = "secret-project"
on = "response"
patterns = ['Project Blue ?bird']
action = "block"
[[mask]]
name = "people"
entities = ["EMAIL_ADDRESS"]
operator = "pseudonym"
connections = {masked}
[[mask]]
name = "numbers"
entities = ["CREDIT_CARD", "PHONE_NUMBER"]
connections = {masked}
[record]
durability = "flush"
"""


class ScriptedServer(LoopbackServer):
    """Answers every request alike; ``seen`` is what it was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Request] = []
        self.answer()

    def answer(self, body: Any = None, *, status: int = 200, **headers: str) -> None:
        """Answer with JSON from now on; header names with ``_`` for ``-``."""
        self.answer_with(json.dumps({} if body is None else body).encode(), status=status, headers=headers)

    def stream(self, events: Sequence[Any], media: str = "text/event-stream") -> None:
        """Answer with a stream of events from now on."""
        before, after = (b"data: ", b"\n\n") if media == "text/event-stream" else (b"", b"\n")
        self.answer_with(*(before + json.dumps(event).encode() + after for event in events), media=media)

    def answer_with(
        self,
        *chunks: bytes,
        status: int = 200,
        media: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer with these bytes from now on, in chunks if they are several."""
        self._chunks, self._status, self._media = chunks, status, media
        self._headers = tuple((name.replace("_", "-"), value) for name, value in (headers or {}).items())

    async def handle(self, request: Request) -> Reply:
        """Remember the request, and answer as told."""
        self.seen.append(request)
        body = self._chunks[0] if len(self._chunks) == 1 else chunks_of(*self._chunks)
        return Reply(body, self._status, self._media, self._headers)


class ScriptedSite(Site):
    """Connections to the one server by path prefix: one for each API, masked, and the ``GUARDED``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.server = ScriptedServer().start()
        self.modes = [f"reverse:{self.server.url}@0"]
        text = HEAD.format(issuer=self.issuer.url)
        for name in (*APIS, *GUARDED):
            text += _CONNECTION.format(name=name, url=self.server.url, api=name.removeprefix("guarded-"))
        self.put_policy(text + _RULES.format(masked=json.dumps(APIS)))

    def close(self) -> None:
        super().close()
        self.server.stop()

    def forget(self) -> None:
        """Have the server forget what it was sent, and what to answer."""
        self.server.seen.clear()
        self.server.answer()

    def post(self, path: str, body: Any, *groups: str, subject: str = "ada@example.com", **headers: str) -> Any:
        """Ask below a connection, as somebody; header names with ``_`` for ``-``."""
        return self.request("POST", path, subject, *groups, body=body, **headers)

    def request(
        self, method: str, path: str, subject: str, *groups: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with self.client(token=self.token(subject, groups or ("ml",))) as client:
            return client.request(method, path, json=body, headers=named)

    @property
    def sent(self) -> str:
        """Return the bodies that the server was sent."""
        return "\n".join(request.body.decode() for request in self.server.seen)

    def kept(self) -> bytes:
        """Return all that the gateway has written, its log too, once every exchange is settled."""
        self.wait_until_settled()
        files = [path for path in self.folder.rglob("*") if path.is_file() and path.name != "policy.toml"]
        return b"".join(path.read_bytes() for path in files)

    def assert_kept_nothing_of(self, *secrets: str) -> None:
        kept = self.kept()
        assert [secret for secret in (EMAIL, *secrets) if secret.encode() in kept] == []
