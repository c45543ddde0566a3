"""One connection of the demo's HTTP/1.1 server: h11 says what the bytes mean, a handler answers."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import h11

_MAX_BODY_BYTES: Final = 256_000_000


@dataclass(slots=True, eq=False)
class Request:
    """One request as it arrived; ``outcome`` says how its answer went."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    outcome: Literal["pending", "finished", "hung_up", "broken_off"] = "pending"

    def header(self, name: str) -> str:
        """Return the first header called ``name`` (lower case), or an empty text."""
        return next((value for key, value in self.headers if key == name), "")

    def json(self) -> Any:
        """Parse the body; an empty one means ``{}``.

        Raises:
            ValueError: the body is not JSON.
        """
        return json.loads(self.body) if self.body else {}


@dataclass(slots=True)
class Reply:
    """An answer: whole, or an iterator whose items are sent as they come (chunked)."""

    body: bytes | AsyncIterator[bytes]
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    trailers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0.0


@dataclass(slots=True)
class RawReply:
    """Bytes sent exactly as they are, then the connection is closed; for answers that HTTP forbids."""

    chunks: AsyncIterator[bytes]


def json_reply(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """Answer with ``value`` as JSON."""
    return Reply(json.dumps(value).encode(), status, headers=headers)


async def chunks_of(*chunks: bytes, then_hang: bool = False) -> AsyncIterator[bytes]:
    """Give ``chunks``, then end; or never end, until whoever waits hangs up."""
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(0)
    if then_hang:
        await asyncio.Event().wait()


Handle = Callable[[Request], Awaitable[Reply | RawReply]]


@dataclass(slots=True, eq=False)
class Connection(asyncio.Protocol):
    """One client's connection: h11 decides what the bytes mean, a task answers, a hang-up cancels it."""

    handle: Handle
    connections: set["Connection"]
    transport: asyncio.Transport = field(init=False)
    http: h11.Connection = field(default_factory=lambda: h11.Connection(h11.SERVER, max_incomplete_event_size=65_536))
    request: Request | None = None
    body: bytearray = field(default_factory=bytearray)
    task: asyncio.Task[None] | None = None
    writable: asyncio.Event = field(default_factory=asyncio.Event)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = transport  # type: ignore[assignment] # asyncio's own signature is wider than TCP
        self.writable.set()
        self.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Cancel the answer that nobody waits for any more."""
        self.connections.discard(self)
        self.writable.set()
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        """Hold the answer back: the client reads too slowly."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Let the answer go on."""
        self.writable.set()

    def cut(self) -> None:
        """Drop the connection without a goodbye."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and answer once they make a request."""
        self.http.receive_data(data)
        if self.task is None:
            self._read()

    def _read(self) -> None:
        """Take events from h11 until a request is whole; the next one waits until it has been answered."""
        try:
            while self.task is None:
                event = self.http.next_event()
                if isinstance(event, h11.Request):
                    self._begin(event)
                elif isinstance(event, h11.Data):
                    self._take(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    self._answer()
                else:
                    return
        except h11.RemoteProtocolError as error:
            self._refuse(error)

    def _begin(self, event: h11.Request) -> None:
        path, _, query = event.target.decode("latin-1").partition("?")
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
        self.request = Request(event.method.decode("ascii"), path, query, headers)
        self.body.clear()
        if self.http.they_are_waiting_for_100_continue:
            self._write(h11.InformationalResponse(status_code=100, headers=[]))

    def _take(self, data: bytes) -> None:
        self.body += data
        if len(self.body) > _MAX_BODY_BYTES:
            self.cut()

    def _answer(self) -> None:
        if self.request is not None:
            self.request.body = bytes(self.body)
            self.task = asyncio.get_running_loop().create_task(self._respond(self.request))

    def _refuse(self, error: h11.RemoteProtocolError) -> None:
        if self.http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [("content-length", "0"), ("connection", "close")]
            self._write(h11.Response(status_code=error.error_status_hint, headers=headers))
            self._write(h11.EndOfMessage())
        self.transport.close()

    def _write(self, *events: h11.Event) -> None:
        self.transport.write(b"".join(self.http.send(event) or b"" for event in events))

    async def _respond(self, request: Request) -> None:
        whole = False
        try:
            reply = await self.handle(request)
            await (self._send_raw(reply) if isinstance(reply, RawReply) else self._send(request, reply))
            whole = True
            request.outcome = "broken_off" if isinstance(reply, RawReply) else "finished"
        except asyncio.CancelledError:
            request.outcome = "hung_up"
        finally:
            self.task = None
            if not whole:
                self.transport.close()
        if whole:
            self._next()

    def _next(self) -> None:
        if self.http.our_state is h11.DONE and self.http.their_state is h11.DONE:
            self.http.start_next_cycle()
            self._read()
        else:
            self.transport.close()

    async def _send_raw(self, reply: RawReply) -> None:
        async for chunk in reply.chunks:
            self.transport.write(chunk)
            await self.writable.wait()
        self.transport.close()

    async def _send(self, request: Request, reply: Reply) -> None:
        await asyncio.sleep(reply.delay_s) if reply.delay_s else None
        headers = [("content-type", reply.content_type), *reply.headers]
        if isinstance(reply.body, bytes) and not reply.trailers:
            headers.append(("content-length", str(len(reply.body))))
        head = h11.Response(status_code=reply.status, headers=headers)
        if isinstance(reply.body, bytes):
            data = () if request.method == "HEAD" or not reply.body else (h11.Data(data=reply.body),)
            self._write(head, *data, h11.EndOfMessage(headers=list(reply.trailers)))
            return
        self._write(head)
        async for chunk in reply.body:
            self._write(h11.Data(data=chunk))
            await self.writable.wait()
        self._write(h11.EndOfMessage(headers=list(reply.trailers)))
