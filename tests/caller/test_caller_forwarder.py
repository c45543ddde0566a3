"""The forwarder between a client and a gateway that are both in the test's hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from hoopguard.caller.address import Address
from hoopguard.caller.forwarder import Forwarder, Stream
from hoopguard.caller.heads import Mode
from hoopguard.caller.running import listen
from hoopguard.caller.tokens import Token

ASK = b"POST /v1/x HTTP/1.1\r\nhost: h\r\nx-api-key: password\r\ncontent-length: 2\r\n\r\nhi"
OPEN = b"CONNECT llama:443 HTTP/1.1\r\nhost: llama:443\r\nproxy-authorization: Bearer password\r\n\r\n"


@dataclass
class Both:
    """A way through the forwarder: open a client's side, and take the gateway's side of it."""

    port: int
    arrived: "asyncio.Queue[Stream]" = field(default_factory=asyncio.Queue)

    async def client(self) -> Stream:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def pair(self, head: bytes) -> tuple[Stream, Stream, bytes]:
        """Return both sides once the head has arrived, and how it did."""
        client = await self.client()
        client[1].write(head)
        gateway = await self.arrived.get()
        return client, gateway, await gateway[0].readuntil(b"\r\n\r\n")


@asynccontextmanager
async def forwarding(mode: Mode, token: Token) -> AsyncIterator[Both]:
    async def current() -> Token:
        return token

    async def arrive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await both.arrived.put((reader, writer))

    server = await asyncio.start_server(arrive, "127.0.0.1", 0)
    listening = listen()
    both = Both(listening.getsockname()[1])
    address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
    serving = asyncio.create_task(Forwarder(address, mode, "password", current).serve(listening))
    try:
        async with asyncio.timeout(30):
            yield both
    finally:
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        server.close()


async def close(*streams: Stream) -> None:
    for _, writer in streams:
        writer.close()
    await asyncio.sleep(0)


FOREVER = Token("caller.token.x", "test", {})


async def test_a_stream_stays_a_stream() -> None:
    """Each piece is there before the next one is sent."""
    async with forwarding("base-url", FOREVER) as both:
        client, gateway, head = await both.pair(ASK)
        assert b"authorization: Bearer caller.token.x\r\n" in head
        assert b"password" not in head
        assert await gateway[0].readexactly(2) == b"hi"
        gateway[1].write(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        assert await client[0].readuntil(b"\r\n\r\n") == b"HTTP/1.1 103 Early Hints\r\n\r\n"
        assert b"connection: close\r\n" in await client[0].readuntil(b"\r\n\r\n")
        for piece in (b"1\r\na\r\n", b"1\r\nb\r\n", b"0\r\n\r\n"):
            gateway[1].write(piece)
            assert await client[0].readexactly(len(piece)) == piece
        await close(client, gateway)


@pytest.mark.parametrize(("mode", "head"), [("base-url", ASK), ("proxy", OPEN)])
async def test_a_client_that_hangs_up_is_gone_for_the_gateway_too(mode: Mode, head: bytes) -> None:
    async with forwarding(mode, FOREVER) as both:
        client, gateway, _ = await both.pair(head)
        client[1].close()
        assert await gateway[0].read() in (b"hi", b"")
        await close(gateway)


async def test_a_gateway_that_hangs_up_is_gone_for_the_client_too() -> None:
    """In a tunnel that is the end; where an answer is due it is a 502 of the forwarder's own."""
    async with forwarding("proxy", FOREVER) as both:
        client, gateway, _ = await both.pair(OPEN)
        await close(gateway)
        assert await client[0].read() == b""
        await close(client)
    async with forwarding("base-url", FOREVER) as both:
        client, gateway, _ = await both.pair(ASK)
        await close(gateway)
        assert (await client[0].read()).startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        await close(client)


async def test_a_busy_tunnel_outlives_its_token_until_it_falls_silent() -> None:
    """An answer that is still coming is not cut when the token has expired; the silent tunnel is closed."""
    async with forwarding("proxy", Token("caller.token.x", "test", {"exp": 1})) as both:
        client, gateway, _ = await both.pair(OPEN)
        for _ in range(30):
            gateway[1].write(b"x")
            assert await client[0].readexactly(1) == b"x"
        assert await client[0].read() == b""
        assert await gateway[0].read() == b""
        await close(client, gateway)


async def test_without_the_password_the_gateway_hears_nothing() -> None:
    async with forwarding("proxy", FOREVER) as both:
        client = await both.client()
        client[1].write(OPEN.replace(b"password", b"guess"))
        assert (await client[0].read()).startswith(b"HTTP/1.1 407 ")
        assert both.arrived.empty()
        await close(client)
