"""A forwarder on loopback, between one command and the gateway: a password of its own in, the current token out.

A command's environment cannot be changed once it runs, but tokens expire: so the command is given a password that
means nothing elsewhere, and each of its connections gets the token that is good then. Nothing is logged.
"""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from hoopguard.caller.address import Address
from hoopguard.caller.heads import (
    MAX_HEAD_BYTES,
    BadHeadError,
    Head,
    Mode,
    closing_answer,
    forward,
    redirect,
    refusal,
    status_of,
)
from hoopguard.caller.tokens import Token

_HEAD_S: Final = 30.0
_CONNECT_S: Final = 15.0
_PIECE_BYTES: Final = 65_536
_QUIET_S: Final = 1.0
"""How long a tunnel has been silent that is between two requests."""

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Forwarder:
    """What it needs to know: the gateway, what the command was told, and how to get the current token."""

    gateway: Address
    mode: Mode
    password: str = field(repr=False)
    current: Callable[[], Awaitable[Token]]
    tls: ssl.SSLContext | None = None

    async def serve(self, listening: socket.socket) -> None:
        """Serve a socket that listens, until cancelled."""
        server = await asyncio.start_server(self._connected, sock=listening, limit=MAX_HEAD_BYTES)
        try:
            await asyncio.Event().wait()  # serve_forever() would not end before the last connection does
        finally:
            server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whatever breaks off here, the other side sees its connection closed; there is nobody else to tell.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            try:
                await self._answer((reader, writer))
            except BadHeadError as error:
                writer.write(refusal(error))
                await writer.drain()
            finally:
                writer.close()

    async def _answer(self, command: Stream) -> None:
        head = await _read_head(command[0])
        self._rewritten(head, "")  # who has no password shall cause no connection, and no new token
        token = await self.current()
        gateway = await self._connect()
        try:
            gateway[1].write(self._rewritten(head, token.value))
            await gateway[1].drain()
            if head.method == b"CONNECT":
                await _tunnel(command, gateway, token.expires_at)
            else:
                await _exchange(command, gateway)
        finally:
            gateway[1].close()

    def _rewritten(self, head: Head, token: str) -> bytes:
        if self.mode == "proxy":
            return forward(head, password=self.password, token=token)
        to = self.gateway
        return redirect(head, password=self.password, token=token, authority=to.authority, prefix=to.prefix)

    async def _connect(self) -> Stream:
        try:
            opening = asyncio.open_connection(self.gateway.host, self.gateway.port, ssl=self.tls, limit=MAX_HEAD_BYTES)
            return await asyncio.wait_for(opening, _CONNECT_S)
        except (OSError, TimeoutError) as error:
            why = "in time" if isinstance(error, TimeoutError) else f"({type(error).__name__})"
            raise BadHeadError(f"the gateway at {self.gateway.authority} cannot be reached {why}", 502) from error


async def _read_head(reader: asyncio.StreamReader) -> Head:
    try:
        return Head.of(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_S))
    except asyncio.LimitOverrunError as error:
        raise BadHeadError(f"expected a head of at most {MAX_HEAD_BYTES} bytes") from error
    except TimeoutError as error:
        raise BadHeadError("the request's head did not come in time", 408) from error


async def _exchange(command: Stream, gateway: Stream) -> None:
    """Pass the rest of one request, and its answer; the connection ends with that."""
    sending = asyncio.create_task(_copy(command[0], gateway[1]))
    try:
        await _pass_head(gateway[0], command[1])
        await _copy(gateway[0], command[1])
    finally:
        await _end(sending)


async def _pass_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass the answer's head, and the interim ones before it (RFC 9110 §15.2)."""
    while True:
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.LimitOverrunError, asyncio.IncompleteReadError, ConnectionError) as error:
            raise BadHeadError("the gateway did not answer", 502) from error
        status = status_of(raw)
        if not 100 <= status < 200:
            writer.write(closing_answer(raw))
            return
        writer.write(raw)
        if status == 101:
            return


async def _tunnel(command: Stream, gateway: Stream, expires_at: float | None) -> None:
    """Pass bytes both ways until either side ends, or until the token that opened the tunnel has expired.

    The gateway refuses what comes through after that, and a client that keeps its connections would not know why.
    """
    last = _Last()
    ways = [
        asyncio.create_task(_copy(command[0], gateway[1], last)),
        asyncio.create_task(_copy(gateway[0], command[1], last)),
        asyncio.create_task(_outlived(expires_at, last)),
    ]
    # Over TLS the gateway cannot be told that the command says no more: then that is the end.
    ends = ways[1:] if gateway[1].can_write_eof() else ways
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            await _end(way)


@dataclass(slots=True)
class _Last:
    """When something last went through a tunnel."""

    at: float = field(default_factory=time.monotonic)


async def _outlived(expires_at: float | None, last: _Last) -> None:
    """Return once the token has expired and nothing is on its way."""
    if expires_at is None:
        await asyncio.Event().wait()
        return
    while (left_s := expires_at - time.time()) > 0:
        await asyncio.sleep(min(left_s, 60.0))  # the wall clock may be set
    while (quiet_s := time.monotonic() - last.at) < _QUIET_S:
        await asyncio.sleep(_QUIET_S - quiet_s)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, last: _Last | None = None) -> None:
    """Pass bytes on until they end, and pass on that they ended."""
    while piece := await reader.read(_PIECE_BYTES):
        writer.write(piece)
        if last is not None:
            last.at = time.monotonic()
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, OSError):
        await task
