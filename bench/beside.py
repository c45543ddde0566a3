"""Small requests while large prompts are looked at: who asks little should not wait for who asks much."""

import asyncio
import json
import random
from functools import partial
from typing import TYPE_CHECKING

from bench.detection import with_entities
from bench.load import Result, chat_body, load

if TYPE_CHECKING:
    from bench.__main__ import Target

_LARGE_CHARS = 100_000
_LARGE_CALLERS = 2


def report(target: "Target", *, seconds: float, connections: int) -> None:
    """Measure small requests alone, then beside prompts of 100 KB with an entity every 250 bytes; print both."""
    alone, _ = asyncio.run(_measure(target, seconds, connections, large=0))
    beside, large = asyncio.run(_measure(target, seconds, connections, large=_LARGE_CALLERS))
    print(f"\n{target.name}: {connections} callers who ask little, {_LARGE_CALLERS} who ask 100 KB full of entities")
    print(f"{'':44}{'answers/s':>10}{'median ms':>11}{'p99 ms':>9}")
    for name, result in (("little, alone", alone), ("little, beside the large", beside), ("large", large)):
        print(f"  {name:42}{result.rate:>10.1f}{result.median_ms:>11.2f}{result.p99_ms:>9.1f}")


async def _measure(target: "Target", seconds: float, connections: int, *, large: int) -> tuple[Result, Result]:
    randomness = random.Random(5)
    ask = partial(load, target.port, target.headers, seconds=seconds)
    little = ask(partial(chat_body, randomness, stream=False), connections=connections)
    if not large:
        return await little, Result()
    both = await asyncio.gather(little, ask(partial(_large_body, randomness), connections=large))
    return both[0], both[1]


def _large_body(randomness: random.Random) -> bytes:
    text = with_entities(randomness, _LARGE_CHARS)
    return json.dumps({"model": "llama-3-8b", "messages": [{"role": "user", "content": text}]}).encode()
