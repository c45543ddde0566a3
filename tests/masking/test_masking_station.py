"""The station: whole bodies, what stays off the event loop, and what cannot be looked at."""

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from maskable import policy
from mitmproxy.connection import ConnectionState
from mitmproxy.test import tflow

from hoopguard.exchange import Exchange, Refused
from hoopguard.masking import addon
from hoopguard.masking.addon import Masking
from hoopguard.masking.detector import Budget, DetectionGaveUp, Detector
from hoopguard.masking.lanes import Lane
from hoopguard.payload.fields import read
from hoopguard.payload.tables import Fields


class Loaded:
    """A loaded policy, as far as the station asks."""

    policy = policy({"name": "pii", "entities": ("pack:pii",)})


LOADED = Loaded()
HOLDER: Any = SimpleNamespace(current=LOADED)


def begun(body: Any, principal: str = "ann") -> Any:
    flow = tflow.tflow()
    exchange = Exchange.begin(flow)
    exchange.policy, exchange.body = LOADED, body
    exchange.connection = SimpleNamespace(name="llm")
    exchange.principal = SimpleNamespace(id=principal)
    exchange.reading = read(body, Fields(vocabulary=frozenset({"a"})))
    return flow


@pytest.fixture(scope="module")
def station() -> Iterator[Masking]:
    """One station for all, for its workers take a moment to start."""
    station = Masking(HOLDER)
    yield station
    station.done()


def masked(station: Masking, body: Any) -> Any:
    flow = begun(body)
    asyncio.run(station.request(flow))
    return Exchange.of(flow)


def test_every_text_of_a_body_is_masked_and_counted(station: Masking) -> None:
    exchange = masked(station, {"a": ["bob@example.com", "", "and ann@example.com", 4111111111111111, 7]})
    assert exchange.body == {"a": ["<EMAIL_ADDRESS>", "", "and <EMAIL_ADDRESS>", "<CREDIT_CARD>", 7]}
    assert exchange.facts["masked"]["request"] == {"EMAIL_ADDRESS": 2, "CREDIT_CARD": 1}


@pytest.mark.parametrize("body", [{"a": ["a b"] * 1_000}, {"a": "1 at bob@example.com, " * 4_000}])
def test_neither_many_values_nor_long_ones_are_looked_at_on_the_event_loop(
    station: Masking, monkeypatch: pytest.MonkeyPatch, body: Any
) -> None:
    threads: set[threading.Thread] = set()

    def scan(*_: Any) -> tuple[()]:
        threads.add(threading.current_thread())
        return ()

    monkeypatch.setattr(Detector, "scan", scan)
    masked(station, body)
    assert threading.main_thread() not in threads


def test_what_cannot_be_looked_at_is_refused_and_left_as_it_was(
    station: Masking, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def give_up(*_: Any, **__: Any) -> Any:
        raise DetectionGaveUp("too dear")

    monkeypatch.setattr(station._inspection, "run", give_up)
    flow = begun({"a": "bob@example.com"})
    with pytest.raises(Refused, match="hoopguard_uninspectable"):
        asyncio.run(station.request(flow))
    assert Exchange.of(flow).body == {"a": "bob@example.com"}


def test_a_key_that_tells_something_is_refused(station: Masking) -> None:
    flow = begun({"ann@example.com": "x"})
    with pytest.raises(Refused, match="hoopguard_uninspectable"):
        asyncio.run(station.request(flow))
    assert Exchange.of(flow).body == {"ann@example.com": "x"}


def test_nobody_works_for_a_caller_who_has_hung_up(station: Masking) -> None:
    flow = begun({"a": "x 1 @ " * 10_000})
    flow.client_conn.state = ConnectionState.CLOSED
    with pytest.raises(Refused) as refused:
        asyncio.run(station.request(flow))
    assert refused.value.outcome == "cancelled"


def test_a_body_is_given_up_when_its_caller_hangs_up() -> None:
    gone = False
    budget = Budget(60, unwanted=lambda: gone)
    budget.left_s()
    gone = True
    with pytest.raises(DetectionGaveUp):
        budget.left_s()


def test_the_jobs_of_one_principal_do_not_keep_another_waiting() -> None:
    done: list[str] = []
    go_on = threading.Event()

    def dear() -> None:
        go_on.wait(30)
        done.append("dear")

    async def run() -> None:
        lane = Lane("test")
        crowd = [asyncio.create_task(lane.run("eve", lambda: False, dear)) for _ in range(5)]
        await asyncio.sleep(0)
        await lane.run("ann", lambda: False, lambda: done.append("ann"))
        go_on.set()
        await asyncio.gather(*crowd)

    asyncio.run(run())
    assert done == ["ann"] + ["dear"] * 5


def test_what_reviewers_are_shown_has_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1_000, 3))
    monkeypatch.setattr(addon, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    flow = begun({})
    Masking(HOLDER).requestheaders(flow)
    redact = Exchange.of(flow).redact
    assert redact is not None
    assert redact("to bob@example.com") == "to <EMAIL_ADDRESS>"
    assert redact("to ann@example.com").startswith("(not shown")
