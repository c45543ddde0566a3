"""A small HTTP/1.1 load generator: keep-alive connections, bodies that differ, times of each answer."""

import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

SENTENCE = (
    "the customer asked whether our plan for next week still holds and if the team could look at a short list of "
    "open questions before we meet again because some of them need an answer from people who travel"
)


@dataclass
class Result:
    """What one load saw: seconds of each answer and to each first token, how long it took, what it cost the target."""

    elapsed_s: float = 0.0
    cpu_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Return answers a second."""
        return len(self.latencies_s) / self.elapsed_s

    @property
    def median_ms(self) -> float:
        """Return the median answer's milliseconds."""
        return statistics.median(self.latencies_s) * 1000

    @property
    def p99_ms(self) -> float:
        """Return the 99th percentile in milliseconds."""
        return sorted(self.latencies_s)[int(len(self.latencies_s) * 0.99)] * 1000

    @property
    def cpu_ms(self) -> float:
        """Return the target's processor milliseconds an answer."""
        return self.cpu_s / len(self.latencies_s) * 1000

    @property
    def first_ms(self) -> float:
        """Return the median time to the first token in milliseconds."""
        return statistics.median(self.first_s) * 1000


def chat_body(randomness: random.Random, *, stream: bool, chars: int = 200) -> bytes:
    """Return a chat request whose prompt nobody has seen before."""
    words = SENTENCE.split()
    prompt = ""
    while len(prompt) < chars:
        prompt += randomness.choice(words) + " "
    body = {"model": "llama-3-8b", "messages": [{"role": "user", "content": prompt}], "stream": stream}
    return json.dumps(body).encode()


async def load(
    port: int, headers: dict[str, str], make_body: Callable[[], bytes], *, seconds: float, connections: int
) -> Result:
    """Ask as fast as ``connections`` callers can, for a while."""
    result = Result()
    started = time.perf_counter()
    until = started + seconds
    await asyncio.gather(*(_caller(port, headers, make_body, until, result) for _ in range(connections)))
    result.elapsed_s = time.perf_counter() - started
    return result


async def _caller(
    port: int, headers: dict[str, str], make_body: Callable[[], bytes], until: float, result: Result
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    while time.perf_counter() < until:
        body = make_body()
        request = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            f"{head}Content-Length: {len(body)}\r\n\r\n"
        )
        begun = time.perf_counter()
        writer.write(request.encode() + body)
        first = await _read_answer(reader)
        result.latencies_s.append(time.perf_counter() - begun)
        if first:
            result.first_s.append(first - begun)
    writer.close()


async def _read_answer(reader: asyncio.StreamReader) -> float:
    """Read one answer; return when the first token came, 0 if the answer is no stream."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        rest = await reader.read(2000)
        raise RuntimeError(f"expected 200, got {head.decode()[:300]} {rest.decode(errors='replace')[:300]}")
    if b"content-length:" in head:
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        return 0.0
    first = 0.0
    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
        chunk = await reader.readexactly(size + 2)
        if not first and b'"content":"' in chunk and not _only_empty(chunk):
            first = time.perf_counter()
    await reader.readuntil(b"\r\n")
    return first


def _only_empty(chunk: bytes) -> bool:
    return chunk.count(b'"content":"') == chunk.count(b'"content":""')
