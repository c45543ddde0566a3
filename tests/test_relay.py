"""A long piece of a streamed answer is inspected in a thread; whatever happens there, nothing gets out uninspected."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from hoopguard.exchange import Exchange
from hoopguard.payload import openai_chat
from hoopguard.payload.channels import Channel
from hoopguard.policy import PolicyHolder
from hoopguard.relay import Relay

POLICY = """
version = 1
[[issuer]]
name = "i"
url = "http://127.0.0.1:9"
audience = "a"
[[connection]]
name = "m"
upstream = "http://127.0.0.1:9"
allow = [{ groups = ["*"] }]
"""


class Watching:
    """Notes in which thread it was asked, and hides one word."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def feed(self, channel: Channel, text: str) -> str:
        self.threads.add(threading.get_ident())
        if "bug" in text:
            raise ValueError("a bug")
        return text.replace("secret", "***")

    def finish(self, channel: Channel) -> str:
        return ""


class _Flow:
    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}


def relay(tmp_path: Path, stage: Watching) -> tuple[Relay, Exchange, _Flow]:
    (tmp_path / "policy.toml").write_text(POLICY)
    flow = _Flow()
    exchange = Exchange.begin(flow)
    exchange.policy = PolicyHolder(tmp_path / "policy.toml", ()).current
    exchange.format, exchange.body, exchange.stages = openai_chat.FORMAT, {"stream": True}, [stage]
    return Relay.begin(exchange), exchange, flow


def event(text: str) -> bytes:
    delta = {"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    return f"data: {json.dumps(delta)}\n\n".encode()


def test_what_is_long_is_what_an_event_has_come_to(tmp_path: Path) -> None:
    """However it is cut: the piece that completes a long event may be short."""
    one, _, _ = relay(tmp_path, Watching())
    raw = event("x" * 9_000)
    assert one.is_long(raw)
    assert not one.is_long(raw[:5_000])
    assert one(raw[:5_000]) == []
    assert one.is_long(raw[5_000:])
    one(raw[5_000:])
    assert not one.is_long(event("x"))


async def test_a_long_piece_is_inspected_in_a_thread(tmp_path: Path) -> None:
    stage = Watching()
    one, exchange, _ = relay(tmp_path, stage)
    one.wait(event("the secret " * 1_000))
    await one.inspect()
    out = b"".join(one.take())
    assert out.count(b"***") == 1_000
    assert b"secret" not in out
    assert threading.get_ident() not in stage.threads
    assert not exchange.answered
    assert b"".join(one(event("short"))).count(b"short") == 1
    assert threading.get_ident() in stage.threads


async def test_a_long_piece_that_cannot_be_inspected_ends_the_stream(tmp_path: Path) -> None:
    one, exchange, _ = relay(tmp_path, Watching())
    one.wait(event("secret bug " * 1_000))
    await one.inspect()
    out = b"".join(one.take())
    assert b"hoopguard_stream_failed" in out
    assert b"secret" not in out
    assert one.over
    assert exchange.facts["outcome"] == "failed"


def test_a_long_piece_that_nobody_inspected_ends_the_stream(tmp_path: Path) -> None:
    """A hook that failed, or was never called."""
    one, exchange, _ = relay(tmp_path, Watching())
    one.wait(event("secret"))
    out = b"".join(one.take())
    assert b"hoopguard_stream_failed" in out
    assert b"secret" not in out
    assert exchange.facts["outcome"] == "failed"
    assert one(event("secret")) == []


@pytest.mark.parametrize("size", [10, 20_000])
def test_a_stream_that_is_over_takes_nothing_aside(tmp_path: Path, size: int) -> None:
    one, _, _ = relay(tmp_path, Watching())
    one.cut("gone")
    assert not one.is_long(b"x" * size)
