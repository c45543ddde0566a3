"""How the demo model can go wrong, by name: an honest reply goes in, the reply that is sent comes out."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Final

from hoopguard.demo import shapes
from hoopguard.demo.connection import RawReply, Reply, chunks_of, json_reply

Sent = Reply | RawReply


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One entry of ``POST /_behave``: ``mode`` for the next ``times`` requests; the rest are the modes' parameters.

    ``after`` counts the events of a stream that are still honest; ``size_bytes`` 0 is the mode's own default.
    """

    mode: str
    times: int = 1
    after: int = 3
    delay_s: float = 0.2
    size_bytes: int = 0
    status: int = 500
    text: str = ""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"expected a mode out of {', '.join(sorted(MODES))}, not {self.mode!r}")


def misbehave(behaviour: Behaviour, reply: Reply) -> Sent:
    """Turn an honest reply into what ``behaviour`` sends."""
    return MODES[behaviour.mode](behaviour, reply)


# ── JSON that should not be taken: in a body, or in the event after the first `after` ones ──────────────────────────


def _dup_keys(_: Behaviour, body: bytes) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "harmless"}, "delta": {"content": "harmless"}}
    return b'{"choices":' + json.dumps([choice]).encode() + b"," + body[1:]


def _deep(behaviour: Behaviour, body: bytes) -> bytes:
    depth = behaviour.size_bytes or 100_000
    return body[:-1] + b',"extra":' + b"[" * depth + b"]" * depth + b"}"


def _huge(behaviour: Behaviour, body: bytes) -> bytes:
    return body[:-1] + b',"padding":"' + b"x" * (behaviour.size_bytes or 20_000_000) + b'"}'


_BAD_JSON: Final[dict[str, Callable[[Behaviour, bytes], bytes]]] = {
    "garbage": lambda _, body: b"\x00\x01 this is not JSON {{{",
    "truncated_json": lambda _, body: body[:-5],
    "trailing": lambda _, body: body + b'{"choices":[]}',
    "dup_keys": _dup_keys,
    "invalid_utf8": lambda _, body: body.replace(b'"id":"', b'"id":"\xff\xfe', 1),
    "nan": lambda _, body: body[:-1] + b',"score":NaN}',
    "deep": _deep,
    "huge": _huge,
    "not_an_object": lambda _, body: b'["a list, not an object"]',
}


def _bad_json(spoil: Callable[[Behaviour, bytes], bytes], behaviour: Behaviour, reply: Reply) -> Sent:
    if isinstance(reply.body, bytes):
        return replace(reply, body=spoil(behaviour, reply.body))
    return replace(reply, body=_spoiled(spoil, behaviour, reply.body))


async def _spoiled(
    spoil: Callable[[Behaviour, bytes], bytes], behaviour: Behaviour, events: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    number = 0
    async for event in events:
        if number == behaviour.after and event.startswith(b"data: {"):
            yield b"data: " + spoil(behaviour, event[6:-2]) + b"\n\n"
        else:
            yield event
        number += 1


# ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _first(count: int, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    number = 0
    async for event in events:
        if number == count:
            return
        yield event
        number += 1


async def _chunked(reply: Reply, events: AsyncIterator[bytes], *, then_hang: bool) -> AsyncIterator[bytes]:
    yield f"HTTP/1.1 200 OK\r\ncontent-type: {reply.content_type}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
    async for event in events:
        yield b"%x\r\n%b\r\n" % (len(event), event)
    async for nothing in chunks_of(then_hang=then_hang):
        yield nothing


def _cut_off(behaviour: Behaviour, reply: Reply, *, then_hang: bool) -> Sent:
    """Send the first part of an answer, then end the connection or say nothing more."""
    if isinstance(reply.body, bytes):
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {reply.content_type}\r\ncontent-length: {len(reply.body)}\r\n\r\n"
        return RawReply(chunks_of(head.encode() + reply.body[: len(reply.body) // 2], then_hang=then_hang))
    return RawReply(_chunked(reply, _first(behaviour.after, reply.body), then_hang=then_hang))


async def _mapped(change: Callable[[bytes], list[bytes]], events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for event in events:
        for piece in change(event):
            await asyncio.sleep(0)
            yield piece


def _each_event(change: Callable[[bytes], list[bytes]], _: Behaviour, reply: Reply) -> Sent:
    return reply if isinstance(reply.body, bytes) else replace(reply, body=_mapped(change, reply.body))


async def _error_after(behaviour: Behaviour, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for event in _first(behaviour.after, events):
        yield event
    yield b"data: " + json.dumps(shapes.error("the demo model broke", "server_error")).encode() + b"\n\n"


def _error_event(behaviour: Behaviour, reply: Reply) -> Sent:
    return reply if isinstance(reply.body, bytes) else replace(reply, body=_error_after(behaviour, reply.body))


async def _slowly(delay_s: float, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for event in events:
        yield event
        await asyncio.sleep(delay_s)


def _slow(behaviour: Behaviour, reply: Reply) -> Sent:
    if isinstance(reply.body, bytes):
        return replace(reply, delay_s=behaviour.delay_s)
    return replace(reply, body=_slowly(behaviour.delay_s, reply.body))


# ── HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=2)
def _bomb(size_bytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"a" * 1_000_000
    packed = [packer.compress(b'{"id":"')]
    packed += [packer.compress(block) for _ in range(size_bytes // len(block))]
    return b"".join([*packed, packer.compress(b'"}'), packer.flush()])


def _gzip_bomb(behaviour: Behaviour, _: Reply) -> Sent:
    return Reply(_bomb(behaviour.size_bytes or 300_000_000), headers=(("content-encoding", "gzip"),))


async def _packed(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(wbits=31)
    async for event in events:
        yield packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()


def _encoded(coding: str, _: Behaviour, reply: Reply) -> Sent:
    headers = (*reply.headers, ("content-encoding", coding))
    if isinstance(reply.body, bytes):
        return replace(reply, body=gzip.compress(reply.body), headers=headers)
    return replace(reply, body=_packed(reply.body), headers=headers)


def _trailers(_: Behaviour, reply: Reply) -> Sent:
    body = chunks_of(reply.body) if isinstance(reply.body, bytes) else reply.body
    return replace(reply, body=body, trailers=(("x-demo-trailer", "written to ada.lovelace@example.com"),))


def _status(behaviour: Behaviour, _: Reply) -> Sent:
    return json_reply(shapes.error("the demo model failed on purpose", "server_error"), behaviour.status)


def _raw(*chunks: bytes) -> Callable[[Behaviour, Reply], Sent]:
    return lambda _, reply: RawReply(chunks_of(*chunks))


_REDIRECT: Final = (("location", "http://127.0.0.1:9/elsewhere"),)
_TWO_LENGTHS: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 40\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\n"
_UPGRADE: Final = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhello"

MODES: Final[dict[str, Callable[[Behaviour, Reply], Sent]]] = {
    "normal": lambda _, reply: reply,
    "say": lambda _, reply: reply,  # the model itself takes `text` for its answer
    "slow": _slow,
    "hang": lambda _, reply: RawReply(chunks_of(then_hang=True)),
    "die": _raw(),
    "hang_mid_stream": partial(_cut_off, then_hang=True),
    "die_mid_stream": partial(_cut_off, then_hang=False),
    "no_done": partial(_each_event, lambda event: [] if event == b"data: [DONE]\n\n" else [event]),
    "split_bytes": partial(_each_event, lambda event: [event[at : at + 1] for at in range(len(event))]),
    "crlf": partial(_each_event, lambda event: [b": a comment\r\n" + event.replace(b"\n", b"\r\n")]),
    "error_event": _error_event,
    "wrong_type": lambda _, reply: replace(reply, content_type="text/html"),
    "encoded_gzip": partial(_encoded, "gzip"),
    "unknown_encoding": partial(_encoded, "snappy"),
    "gzip_bomb": _gzip_bomb,
    "trailers": _trailers,
    "status": _status,
    "status_500": _status,
    "redirect": lambda _, reply: Reply(b"", 302, headers=_REDIRECT),
    "garbage_http": _raw(b"\x16\x03\x01 this is not HTTP\r\n\r\n"),
    "two_lengths": _raw(_TWO_LENGTHS),
    "upgrade": _raw(_UPGRADE),
    **{mode: partial(_bad_json, spoil) for mode, spoil in _BAD_JSON.items()},
}


def read_behaviour(asked: dict[str, Any]) -> Behaviour:
    """Read the JSON of ``POST /_behave``; prepare what takes long before the request that needs it.

    Raises:
        ValueError: an unknown mode. TypeError: an unknown parameter.
    """
    behaviour = Behaviour(**asked)
    if behaviour.mode == "gzip_bomb":
        _gzip_bomb(behaviour, Reply(b""))
    return behaviour
