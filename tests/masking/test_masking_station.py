"""The station: what stays on the event loop, whose thread does the rest, and one budget for each body."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from maskable import policy
from mitmproxy.connection import ConnectionState
from mitmproxy.test import tflow

from hoopguard.exchange import Exchange, Refused
from hoopguard.masking import addon
from hoopguard.masking.addon import Masking
from hoopguard.masking.detector import Budget, DetectionGaveUp
from hoopguard.masking.lanes import Lane
from hoopguard.masking.masker import Masked, Masker
from hoopguard.payload.fields import Fields, read


class Loaded:
    """A loaded policy, as far as the station asks."""

    policy = policy({"name": "pii", "entities": ("pack:pii",)})


LOADED = Loaded()


class Seen:
    """Notes in which thread and with which budget each text was masked."""

    def __init__(self, patch: pytest.MonkeyPatch, give_up: int = 0) -> None:
        self.threads: list[str] = []
        self.budgets: list[Budget] = []
        self.texts: list[str] = []
        self._give_up = give_up
        patch.setattr(Masker, "mask", self._mask)

    def _mask(self, text: str, budget: Budget) -> Masked:
        self.threads.append(threading.current_thread().name.rpartition("_")[0])
        self.budgets.append(budget)
        self.texts.append(text)
        if self._give_up > 0:
            self._give_up -= 1
            raise DetectionGaveUp("too dear")
        return Masked(text.upper(), {"WORD": 1})


def begun(body: Any, principal: str = "ann") -> Any:
    flow = tflow.tflow()
    exchange = Exchange.begin(flow)
    exchange.policy, exchange.body = LOADED, body
    exchange.connection = SimpleNamespace(name="llm")
    exchange.principal = SimpleNamespace(id=principal)
    exchange.reading = read(body, Fields(vocabulary=frozenset({"a"})))
    return flow


def masked(body: Any) -> Any:
    flow = begun(body)
    asyncio.run(Masking().request(flow))
    return Exchange.of(flow)


def test_a_small_body_is_masked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch)
    exchange = masked({"a": ["x", "y", ""]})
    assert exchange.body == {"a": ["X", "Y", ""]}
    assert seen.threads == ["", ""]
    assert seen.texts == ["x", "y"]
    assert exchange.facts["masked"]["request"] == {"WORD": 2}


@pytest.mark.parametrize("body", [["a"] * 1_000, {"a": "a" * 5_000}, {"a": ["x", [[] for _ in range(1_000)]]}])
def test_neither_many_values_nor_long_ones_are_masked_on_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, body: Any
) -> None:
    seen = Seen(monkeypatch)
    masked(body)
    assert set(seen.threads) == {"masking-quick"}


def test_empty_texts_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch)
    assert masked([""] * 20_000).body == [""] * 20_000
    assert seen.texts == []


def test_a_body_with_many_values_is_not_small() -> None:
    assert not addon._is_small(read({"a": [""] * 1_000}, Fields()))
    assert not addon._is_small(read({"a": ["a" * 5_000]}, Fields()))
    assert not addon._is_small(read({str(number): None for number in range(1_000)}, Fields()))
    assert addon._is_small(read({"a": ["hello", {"b": None, "c": 7}]}, Fields()))


def test_a_key_that_tells_something_is_refused() -> None:
    flow = begun({"ann@example.com": "x"})
    with pytest.raises(Refused, match="hoopguard_uninspectable"):
        asyncio.run(Masking().request(flow))
    assert Exchange.of(flow).body == {"ann@example.com": "x"}


def test_all_texts_of_a_body_share_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    for body in (["a"] * 20, ["a" * 100] * 100):
        seen = Seen(monkeypatch)
        masked(body)
        assert len({id(budget) for budget in seen.budgets}) == 1


def test_what_gives_up_is_tried_again_among_the_quick_and_then_among_the_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch, give_up=2)
    exchange = masked({"a": "x"})
    assert seen.threads == ["", "masking-quick", "masking-dear"]
    assert exchange.body == {"a": "X"}
    assert exchange.facts["masked"]["request"] == {"WORD": 1}


def test_what_is_too_dear_is_refused_and_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    Seen(monkeypatch, give_up=3)
    flow = begun({"a": "x"})
    with pytest.raises(Refused, match="hoopguard_uninspectable"):
        asyncio.run(Masking().request(flow))
    assert Exchange.of(flow).body == {"a": "x"}


def test_the_budget_of_a_body_grows_with_its_text_up_to_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch, give_up=1)
    masked(["x" * 10_000] * 3)
    assert seen.threads == ["masking-quick"] + ["masking-dear"] * 3
    assert 3 < seen.budgets[-1].left_s() <= 4
    seen = Seen(monkeypatch, give_up=1)
    masked(["x" * 1_000_000] * 3)
    assert 9 < seen.budgets[-1].left_s() <= 10


def test_nobody_works_for_a_caller_who_has_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen(monkeypatch)
    flow = begun(["x" * 10_000])
    flow.client_conn.state = ConnectionState.CLOSED
    with pytest.raises(Refused) as refused:
        asyncio.run(Masking().request(flow))
    assert refused.value.outcome == "cancelled"
    assert seen.texts == []


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
    Masking().requestheaders(flow)
    redact = Exchange.of(flow).redact
    assert redact is not None
    assert redact("to bob@example.com") == "to <EMAIL_ADDRESS>"
    assert redact("to ann@example.com").startswith("(not shown")
