"""A small HTTP/1.1 server for the demo's own processes: h11 on asyncio, bound to 127.0.0.1 and nothing else."""

import asyncio
import contextlib
import json
import signal
import ssl
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import h11

LOOPBACK: Final = "127.0.0.1"
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


class LoopbackServer(ABC):
    """A server in a thread of its own (``start``/``stop``, or ``with``), or as a whole process (``run``)."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._tls = tls
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._connections: set[_Connection] = set()

    @abstractmethod
    async def handle(self, request: Request) -> Reply | RawReply:
        """Answer one request."""

    @property
    def url(self) -> str:
        """Return where the server listens, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.port}"

    def start(self) -> Self:
        """Listen, in a thread; a server that was stopped starts again on the port that it had.

        Raises:
            OSError: the port is taken.
        """
        started: list[OSError | None] = []
        ready = threading.Event()

        def tell(error: OSError | None) -> None:
            started.append(error)
            ready.set()

        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(tell)), daemon=True)
        self._thread.start()
        ready.wait()
        if started[0] is not None:
            self._thread.join()
            raise started[0]
        return self

    def stop(self) -> None:
        """Cut all connections and end the thread; harmless if it has ended."""
        if self._thread is None or self._loop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = self._loop = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def run(self, port_file: Path | None = None) -> int:
        """Serve until SIGTERM or SIGINT; say where on stdout and, as a number, in ``port_file``."""
        failed: list[OSError] = []

        def tell(error: OSError | None) -> None:
            if error is not None:
                failed.append(error)
                return
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, self._stopping.set)
            if port_file is not None:
                _write_whole(port_file, f"{self.port}\n")
            print(f"listening on {self.url}", flush=True)

        asyncio.run(self._serve(tell))
        if failed:
            print(f"error: cannot listen on {LOOPBACK}:{self.port}: {failed[0].strerror}", file=sys.stderr)
        return 2 if failed else 0

    async def _serve(self, tell: Callable[[OSError | None], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            server = await self._loop.create_server(
                lambda: _Connection(self, self._connections), LOOPBACK, self.port, ssl=self._tls, backlog=1024
            )
        except OSError as error:
            tell(error)
            return
        self.port = server.sockets[0].getsockname()[1]
        tell(None)
        await self._stopping.wait()
        server.close()
        for connection in tuple(self._connections):
            connection.cut()
        await server.wait_closed()


def _write_whole(file: Path, text: str) -> None:
    draft = file.with_name(f".{file.name}.tmp")
    draft.write_text(text)
    draft.replace(file)


@dataclass(slots=True, eq=False)
class _Connection(asyncio.Protocol):
    """One client's connection: h11 decides what the bytes mean, a task answers, a hang-up cancels it."""

    server: LoopbackServer
    connections: set["_Connection"]
    transport: asyncio.Transport = field(init=False)
    http: h11.Connection = field(default_factory=lambda: h11.Connection(h11.SERVER, max_incomplete_event_size=65_536))
    request: Request | None = None
    body: bytearray = field(default_factory=bytearray)
    task: asyncio.Task[None] | None = None
    writable: asyncio.Event = field(default_factory=asyncio.Event)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment] # asyncio's own signature is wider than TCP
        self.writable.set()
        self.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.connections.discard(self)
        self.writable.set()
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def cut(self) -> None:
        """Drop the connection without a goodbye."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
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
            reply = await self.server.handle(request)
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
