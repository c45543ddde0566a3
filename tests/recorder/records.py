"""A small record, made the way a gateway makes one."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import orjson
from mitmproxy.io import tnetstring
from mitmproxy.test import tflow

from hoopguard.recorder.commit import Recorder
from hoopguard.recorder.journal import Settings
from hoopguard.recorder.segments import SessionKey

ALICE = SessionKey("staff:alice", "llama", "sid-1", "alice@example.com")
BOB = SessionKey("staff:bob", "mistral", "sid-2", "bob@example.com")
TALK: dict[str, Any] = {"model": "m1", "messages": [{"role": "user", "content": "who is <PERSON>?"}]}
ANSWER: dict[str, Any] = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "nobody knows"}}]}


def clock() -> float:
    return 1_795_361_400.25


def intent_of(key: SessionKey, model: str = "m1") -> dict[str, Any]:
    principal = {"id": key.principal, "subject": key.subject, "groups": ["eng"]}
    return {"principal": principal, "connection": key.connection, "route": "chat/completions", "model": model}


def outcome_of(outcome: str = "allowed") -> dict[str, Any]:
    return {"outcome": outcome, "reason": "", "status": 200, "verdicts": [], "masked": {"request": {"PERSON": 1}}}


def talk_bytes(exchange: str, request: Any = None, answer: bytes | None = None) -> bytes:
    flow = tflow.tflow(resp=True)
    flow.request.content = json.dumps(request or TALK).encode()
    assert flow.response
    flow.response.content = answer if answer is not None else json.dumps(ANSWER).encode()
    flow.comment = f"exchange {exchange}"
    flow.metadata["hoopguard"] = {
        "id": exchange,
        "started": clock(),
        "model": "m1",
        "outcome": "allowed",
        "verdicts": [{"rule": "names", "action": "flag"}],
        "masked": {"request": {"PERSON": 1}, "response": {}},
    }
    return tnetstring.dumps(flow.get_state())


def open_recorder(state: Path, durability: Literal["fsync", "flush"] = "flush", segment_bytes: int = 6000) -> Recorder:
    return Recorder.open(state, Settings(durability, segment_bytes=segment_bytes), clock, {"gateway": "test"})


async def exchange(recorder: Recorder, name: str, key: SessionKey = ALICE, outcome: str = "allowed") -> None:
    await recorder.intent(name, intent_of(key))
    await recorder.outcome(name, outcome_of(outcome), key, talk_bytes(name))


def make(state: Path, exchanges: int = 8) -> None:
    """Record exchanges of two sessions over several segments, and stop properly."""

    async def work(recorder: Recorder) -> None:
        for number in range(exchanges):
            await exchange(recorder, f"hg-{number}", (ALICE, BOB)[number % 2], ("allowed", "blocked")[number % 3 == 0])
        await recorder.append("policy", "", {"digest": "ab" * 32})

    play(state, work)


def play(
    state: Path, work: Callable[[Recorder], Awaitable[None]], durability: Literal["fsync", "flush"] = "flush"
) -> None:
    async def run() -> None:
        recorder = open_recorder(state, durability)
        await work(recorder)
        await recorder.close()

    asyncio.run(run())


def entries(state: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (state / "ledger" / "ledger.jsonl").read_bytes().splitlines()]


def segments(state: Path) -> list[Path]:
    return sorted((state / "sessions").glob("*/*.mitm"))
