"""What a stream costs token by token: a model that talks at a human pace, and memory over many streams."""

import asyncio
import itertools
import json
import random
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.load import SENTENCE, chat_body, load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bench.__main__ import Target

_QUARTERS = 4


class PacedModel:
    """A model that says so many tokens, one every so often, and remembers when it said each of its last answer."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self.tokens = 1000
        self.pace_s = 0.005
        self.said_at: list[float] = []

    @asynccontextmanager
    async def serving(self) -> "AsyncIterator[None]":
        """Answer while the block runs."""
        server = await asyncio.start_server(self._answers, sock=self._socket.dup())
        async with server:
            yield

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
                await self._say(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _say(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        began, self.said_at = time.perf_counter(), []
        for number, token in enumerate(_tokens(self.tokens)):
            await asyncio.sleep(max(0.0, began + number * self.pace_s - time.perf_counter()))
            self.said_at.append(time.perf_counter())
            _write(writer, _event({"content": token}))
            await writer.drain()
        _write(writer, _event({}, "stop") + b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")
        await writer.drain()


@dataclass
class Heard:
    """One answer as a caller heard it: when its parts came, when its first text, and the target's processor time."""

    began: float
    cpu_s: float = 0.0
    parts: list[float] = field(default_factory=list)
    first: float = 0.0


@dataclass
class Cost:
    """What one target makes of one answer."""

    delay_s: float
    cpu_s: float
    first_after: int
    total_s: float


def report(model: PacedModel, targets: Sequence["Target"], *, rounds: int, streams: int, connections: int) -> None:
    """Measure and print: first the targets in turn with a slow model, then the last one's memory with a fast one.

    The first target is the measure of the others.
    """
    asyncio.run(_report(model, targets, rounds, streams, connections))


async def _report(model: PacedModel, targets: Sequence["Target"], rounds: int, streams: int, connections: int) -> None:
    async with model.serving():
        costs: dict[str, list[Cost]] = {target.name: [] for target in targets}
        for number, target in itertools.product(range(rounds + 1), targets):
            cost = await _cost(model, target)
            if number:
                costs[target.name].append(cost)
        print(f"\nOne stream of {model.tokens} tokens, one every {model.pace_s * 1000:g} ms (bare: passing streams on)")
        _print_costs(costs, model.tokens)
        model.pace_s, model.tokens = 0.0, 30
        print(f"\nMemory of {targets[-1].name} over {streams} streams of {model.tokens} tokens")
        await _print_memory(targets[-1], streams, connections)


def _print_costs(costs: dict[str, list[Cost]], tokens: int) -> None:
    print(f"{'':44}{'added ms a token':>18}{'cpu ms a token':>16}{'first text after':>18}{'total s':>9}{'of bare':>9}")
    bare = next(iter(costs.values()))
    for name, runs in costs.items():
        added_ms = _median(runs, lambda cost: cost.delay_s) - _median(bare, lambda cost: cost.delay_s)
        row = f"  {name:42}{added_ms * 1000:>18.3f}{_median(runs, lambda cost: cost.cpu_s) / tokens * 1000:>16.3f}"
        row += f"{_median(runs, lambda cost: cost.first_after):>11.0f} tokens{_median(runs, lambda c: c.total_s):>9.2f}"
        ratio = statistics.median(run.total_s / other.total_s for run, other in zip(runs, bare, strict=True))
        print(f"{row}{ratio:>9.3f}")


def _median(runs: list[Cost], figure: Callable[[Cost], float]) -> float:
    return statistics.median(figure(run) for run in runs)


async def _cost(model: PacedModel, target: "Target") -> Cost:
    """Ask once; a part's delay is the time since the model said something last."""
    heard = await _hear(target)
    said = iter([*model.said_at, float("inf")])
    delays = []
    last, following = 0.0, next(said)
    for at in heard.parts:
        while following <= at:
            last, following = following, next(said)
        delays.append(at - last)
    first_after = sum(at <= heard.first for at in model.said_at)
    return Cost(statistics.median(delays), heard.cpu_s, first_after, heard.parts[-1] - heard.began)


async def _hear(target: "Target") -> Heard:
    body = chat_body(random.Random(7), stream=True)
    head = {**target.headers, "Host": f"127.0.0.1:{target.port}", "Content-Type": "application/json"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    before, heard = target.cpu_s(), Heard(time.perf_counter())
    writer.write(f"POST /v1/chat/completions HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"expected 200, got {answer.decode(errors='replace')[:300]}")
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        part = await reader.readexactly(size + 2)
        heard.parts.append(time.perf_counter())
        if not heard.first and b'"content":"' in part.replace(b'"content":""', b""):
            heard.first = heard.parts[-1]
    writer.close()
    heard.cpu_s = target.cpu_s() - before
    return heard


async def _print_memory(target: "Target", streams: int, connections: int) -> None:
    randomness = random.Random(11)
    asked = 0

    def body() -> bytes:
        nonlocal asked
        asked += 1
        return chat_body(randomness, stream=True)

    for quarter in range(_QUARTERS + 1):
        while asked < max(streams * quarter // _QUARTERS, connections):
            await load(target.port, target.headers, body, seconds=0.5, connections=connections)
        print(f"  after {asked:>7} streams {_resident_mb(target.pid):>8.1f} MB")


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def _tokens(number: int) -> Iterator[str]:
    words = SENTENCE.split()
    for place in range(number):
        yield f" {words[place % len(words)]}" if place else words[0]


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(body, separators=(',', ':'))}\n\n".encode()


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(data), data))
