"""An MCP server over streamable HTTP, by the official package: tools, a resource, a prompt, logs and progress."""

import asyncio
import contextlib
import json
import socket
import threading
from typing import Any, ClassVar, Self

import uvicorn
from fake import KEY
from mcp.server.fastmcp import Context, FastMCP
from pydantic import BaseModel, Field
from speech import address, said
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hoopguard.demo.connection import Request

SERVER = "customers"


class Customer(BaseModel):
    """What a tool gives back with its structure."""

    summary: str = Field(description=said("field"))
    email: str


class FakeMCP:
    """The server, in a thread; ``stateless`` without sessions, ``whole`` with JSON in place of event streams."""

    api: ClassVar[str] = "mcp"

    def __init__(self, *, stateless: bool = False, whole: bool = False) -> None:
        self.seen: list[Request] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        server = FastMCP(SERVER, said("instructions"), stateless_http=stateless, json_response=whole, log_level="ERROR")
        _offer(server)
        app = _Recorder(server.streamable_http_app(), self.seen)
        config = uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._server.run(sockets=[self._socket])

    def start(self) -> Self:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def forget(self) -> None:
        self.seen.clear()

    def bodies(self) -> list[Any]:
        """Return what was posted; a listening GET and a session's DELETE say nothing."""
        return [json.loads(request.body) for request in self.seen if request.body]


def _offer(server: FastMCP) -> None:
    @server.tool(description=said("description"))
    async def find_customer(query: str, contact: dict[str, str], context: Context[Any, Any, Any]) -> Customer:
        await context.info(said("log"))
        await context.report_progress(1, 2, said("progress"))
        return Customer(summary=said("tool"), email=address("structured"))

    @server.tool()
    def fail() -> str:
        raise ValueError(said("failure"))

    @server.resource("customer://list", description=said("resource"), mime_type="text/plain")
    def customers() -> str:
        return said("contents")

    @server.prompt(description=said("prompt"))
    def greet(name: str) -> str:
        return f"Greet {name}. {said('greeting')}"


class _Recorder:
    """Keep every request, and let only those pass that have the key."""

    def __init__(self, app: ASGIApp, seen: list[Request]) -> None:
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        request = Request(scope["method"], scope["path"], scope["query_string"].decode(), headers, body)
        self._seen.append(request)
        if request.header("authorization") != f"Bearer {KEY}":
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, again, send)
