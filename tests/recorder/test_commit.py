"""The recorder under concurrency, faults and restarts."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import (
    ALICE,
    BOB,
    clock,
    entries,
    exchange,
    intent_of,
    make,
    open_recorder,
    outcome_of,
    segments,
    talk_bytes,
)

from hoopguard.recorder import disk
from hoopguard.recorder.commit import Recorder
from hoopguard.recorder.errors import RecordError, StateError
from hoopguard.recorder.journal import UNKNOWN_OUTCOME
from hoopguard.recorder.verify import verify


class Faults:
    """Lets the file layer fail at chosen calls, half-way through a write."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.fails: Callable[[int], bool] = lambda _: False
        self._write, self._sync, self._truncate = disk.write_at, disk.sync, disk.truncate
        patch.setattr(disk, "write_at", self.write_at)
        patch.setattr(disk, "sync", self.sync)
        patch.setattr(disk, "truncate", self.truncate)

    def _due(self) -> bool:
        self.calls += 1
        return self.fails(self.calls)

    def write_at(self, descriptor: int, content: bytes, offset: int) -> None:
        if self._due():
            self._write(descriptor, content[: len(content) // 2], offset)
            raise OSError(errno.ENOSPC, "No space left on device")
        self._write(descriptor, content, offset)

    def sync(self, descriptor: int) -> None:
        if self._due():
            raise OSError(errno.EIO, "Input/output error")
        self._sync(descriptor)

    def truncate(self, descriptor: int, length: int) -> None:
        if self._due():
            raise OSError(errno.EIO, "Input/output error")
        self._truncate(descriptor, length)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch)


@pytest.mark.parametrize("durability", ["fsync", "flush"])
async def test_entries_stand_in_the_order_of_the_calls_with_no_gap(tmp_path: Path, durability: Any) -> None:
    recorder = open_recorder(tmp_path, durability)
    seqs = await asyncio.gather(*(recorder.append("approval", f"hg-{n}", {"n": n}) for n in range(200)))
    await recorder.close()
    assert list(seqs) == list(range(1, 201))
    assert [entry["data"].get("n") for entry in entries(tmp_path)] == [None, *range(200), None]
    assert verify(tmp_path).clean


async def test_all_that_waits_while_the_disk_works_shares_one_fsync(tmp_path: Path, faults: Faults) -> None:
    recorder = open_recorder(tmp_path, "fsync")
    faults.calls = 0
    await asyncio.gather(*(recorder.intent(f"hg-{n}", {}) for n in range(100)))
    assert faults.calls <= 6  # at most two batches of: lines, fsync, head
    await recorder.close()


@pytest.mark.parametrize("durability", ["fsync", "flush"])
async def test_a_big_flow_or_a_slow_disk_does_not_stop_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Any
) -> None:
    recorder = open_recorder(tmp_path, durability)
    await recorder.intent("hg-1", {})
    let_go, write_at = threading.Event(), disk.write_at

    def slow(descriptor: int, content: bytes, offset: int) -> None:
        assert let_go.wait(60)
        write_at(descriptor, content, offset)

    monkeypatch.setattr(disk, "write_at", slow)
    writing = asyncio.create_task(recorder.outcome("hg-1", {}, ALICE, b"x" * 1_000_000))
    await asyncio.sleep(0.01)
    assert not writing.done()
    let_go.set()
    assert (await writing).flow is not None
    await recorder.close()


async def test_a_flow_is_on_the_disk_before_the_entry_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = open_recorder(tmp_path, "fsync")
    await recorder.intent("hg-1", {})
    steps: list[str] = []
    for name in ("write_at", "sync"):
        original = getattr(disk, name)

        def spy(descriptor: int, *rest: Any, name: str = name, original: Any = original) -> None:
            steps.append(f"{name} {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")  # noqa: PTH115
            original(descriptor, *rest)

        monkeypatch.setattr(disk, name, spy)
    await recorder.outcome("hg-1", {}, ALICE, b"4:flow,")
    assert steps == [
        "write_at 0001.mitm",
        "sync 0001.mitm",
        "write_at ledger.jsonl",
        "sync ledger.jsonl",
        "write_at head",
    ]
    await recorder.close()


async def test_a_caller_that_is_cancelled_while_waiting_is_recorded_all_the_same(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path, "fsync")
    waiting = asyncio.create_task(recorder.intent("hg-1", {}))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await recorder.outcome("hg-1", outcome_of("cancelled"))
    await recorder.close()
    assert [entry["type"] for entry in entries(tmp_path)] == ["start", "intent", "outcome", "stop"]


async def test_an_exchange_has_one_intent_and_one_outcome(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path)
    with pytest.raises(LookupError):
        await recorder.outcome("hg-1", {})
    await recorder.intent("hg-1", {})
    with pytest.raises(ValueError, match="already"):
        await recorder.intent("hg-1", {})
    ended = await asyncio.gather(*(recorder.outcome("hg-1", {}) for _ in range(3)), return_exceptions=True)
    assert [isinstance(one, LookupError) for one in ended] == [False, True, True]
    await recorder.close()
    assert verify(tmp_path).clean


async def test_a_refusal_is_an_intent_and_an_outcome_together(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path, "fsync")
    done = await recorder.refusal("hg-1", intent_of(ALICE), outcome_of("rejected"), ALICE, talk_bytes("hg-1"))
    assert (done.seq, done.flow is not None) == (2, True)
    await recorder.close()
    assert verify(tmp_path).clean


async def test_a_refusal_after_an_intent_that_was_cancelled_while_written_gives_it_its_outcome(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path, "fsync")
    waiting = asyncio.create_task(recorder.intent("hg-1", {}))
    await asyncio.sleep(0)
    waiting.cancel()
    assert (await recorder.refusal("hg-1", {}, outcome_of("cancelled"))).seq == 2
    await recorder.close()
    await recorder.close()
    assert [entry["type"] for entry in entries(tmp_path)] == ["start", "intent", "outcome", "stop"]


async def test_a_refusal_that_finds_no_room_leaves_nothing_owed(tmp_path: Path, faults: Faults) -> None:
    recorder = open_recorder(tmp_path)
    faults.fails = lambda _: True
    with pytest.raises(RecordError):
        await recorder.refusal("hg-1", {}, {}, ALICE, b"flow")
    assert await recorder.settle() == 0
    faults.fails = lambda _: False
    await recorder.close()
    assert [entry["type"] for entry in entries(tmp_path)] == ["start", "stop"]
    assert not segments(tmp_path)


async def test_a_stop_that_cannot_be_written_lets_the_folder_go_and_the_next_start_makes_up_for_it(
    tmp_path: Path, faults: Faults
) -> None:
    recorder = open_recorder(tmp_path)
    await recorder.intent("hg-1", {})
    faults.fails = lambda _: True
    with pytest.raises(RecordError):
        await recorder.close()
    faults.fails = lambda _: False
    await open_recorder(tmp_path).close()
    assert verify(tmp_path).problems == ()


def test_a_start_that_cannot_be_written_fails_and_lets_the_folder_go(tmp_path: Path, faults: Faults) -> None:
    make(tmp_path)
    calls = faults.calls
    faults.fails = lambda call: call > calls + 1
    with pytest.raises(RecordError):
        open_recorder(tmp_path)
    faults.fails = lambda _: False
    asyncio.run(open_recorder(tmp_path).close())
    assert verify(tmp_path).problems == ()


async def test_a_fault_of_our_own_fails_the_event_and_is_not_swallowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = open_recorder(tmp_path, "flush")
    with monkeypatch.context() as patch:
        patch.setattr("hoopguard.recorder.ledger.encode", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await recorder.refusal("hg-1", {}, {}, ALICE, b"flow")
    await recorder.refusal("hg-2", {}, {}, ALICE, b"flow")
    await recorder.close()
    assert verify(tmp_path).problems == ()


async def test_an_outcome_without_a_flow_still_names_its_session(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path)
    await recorder.intent("hg-1", {})
    await recorder.outcome("hg-1", {}, ALICE)
    await recorder.close()
    data = entries(tmp_path)[2]["data"]
    assert data["flow"] is None
    assert "_alice@example.com_llama_" in data["session"]
    assert not segments(tmp_path)


@pytest.mark.parametrize("durability", ["fsync", "flush"])
async def test_on_a_full_disk_every_append_fails_until_there_is_room(
    tmp_path: Path, faults: Faults, durability: Any
) -> None:
    recorder = open_recorder(tmp_path, durability)
    await exchange(recorder, "hg-1")
    await recorder.intent("hg-2", intent_of(BOB))
    faults.fails = lambda _: True
    for attempt in range(3):
        with pytest.raises(RecordError):
            await recorder.intent(f"hg-lost-{attempt}", {})
    with pytest.raises(RecordError):
        await recorder.outcome("hg-2", outcome_of(), BOB, talk_bytes("hg-2"))
    assert await recorder.settle() == 1
    faults.fails = lambda _: False
    assert await recorder.settle() == 0
    await exchange(recorder, "hg-3")
    await recorder.close()
    outcomes = {entry["exchange"]: entry["data"] for entry in entries(tmp_path) if entry["type"] == "outcome"}
    assert sorted(outcomes) == ["hg-1", "hg-2", "hg-3"]
    assert outcomes["hg-2"]["flow"] is None
    assert "cannot be written" in outcomes["hg-2"]["unrecorded"]
    assert verify(tmp_path).clean


async def test_an_owed_outcome_can_be_changed_until_it_is_written(tmp_path: Path, faults: Faults) -> None:
    recorder = open_recorder(tmp_path)
    await recorder.intent("hg-1", {})
    faults.fails = lambda _: True
    with pytest.raises(RecordError):
        await recorder.outcome("hg-1", outcome_of("allowed"))
    faults.fails = lambda _: False
    await recorder.outcome("hg-1", outcome_of("failed"))
    await recorder.close()
    assert [entry["data"].get("outcome") for entry in entries(tmp_path)] == [None, None, "failed", None]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=20, max_size=120), st.sampled_from(["fsync", "flush"]), st.integers(1, 8))
def test_whatever_call_fails_what_was_acknowledged_is_there_and_the_chain_holds(
    tmp_path_factory: pytest.TempPathFactory, plan: list[bool], durability: Any, width: int
) -> None:
    state = tmp_path_factory.mktemp("state")
    acknowledged: dict[str, int] = {}

    async def one(recorder: Recorder, name: str) -> None:
        try:
            acknowledged[f"intent {name}"] = await recorder.intent(name, {})
            done = await recorder.outcome(name, outcome_of(), (ALICE, BOB)[hash(name) % 2], talk_bytes(name))
            acknowledged[f"outcome {name}"] = done.seq
        except RecordError:
            pass

    async def work(faults: Faults) -> None:
        recorder = open_recorder(state, durability)
        faults.calls = 0
        faults.fails = lambda call: call <= len(plan) and plan[call - 1]
        for wave in range(6):
            await asyncio.gather(*(one(recorder, f"hg-{wave}-{n}") for n in range(width)))
        faults.fails = lambda _: False
        await recorder.close()

    with pytest.MonkeyPatch.context() as patch:
        asyncio.run(work(Faults(patch)))
    report = verify(state)
    assert report.problems == ()
    found = {f"{entry['type']} {entry['exchange']}": entry["seq"] for entry in entries(state)}
    assert acknowledged.items() <= found.items()


async def test_the_state_folder_takes_one_gateway_at_a_time(tmp_path: Path) -> None:
    first = open_recorder(tmp_path)
    with pytest.raises(StateError, match="another gateway"):
        open_recorder(tmp_path)
    await first.close()
    await open_recorder(tmp_path).close()


def test_a_state_folder_of_a_newer_version_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("7\n")
    with pytest.raises(StateError, match=f"{tmp_path}.* 7, .* 1"):
        open_recorder(tmp_path)


def test_a_ledger_without_a_version_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "VERSION").unlink()
    with pytest.raises(StateError, match="VERSION"):
        open_recorder(tmp_path)


async def test_an_exchange_open_at_the_stop_has_failed(tmp_path: Path) -> None:
    recorder = open_recorder(tmp_path)
    await recorder.intent("hg-1", {})
    await recorder.close({"why": "test"})
    with pytest.raises(RecordError):
        await recorder.intent("hg-2", {})
    assert [entry["type"] for entry in entries(tmp_path)] == ["start", "intent", "outcome", "stop"]
    assert entries(tmp_path)[2]["data"]["reason"] == UNKNOWN_OUTCOME


def test_a_start_repairs_what_a_crash_left_and_says_so(tmp_path: Path) -> None:
    make(tmp_path)
    ledger, extra = tmp_path / "ledger" / "ledger.jsonl", segments(tmp_path)[0].with_name("0099.mitm")
    lines = ledger.read_bytes().splitlines(keepends=True)
    stop_removed = b"".join(lines[:-1])
    ledger.write_bytes(stop_removed + b'{"data":{},"exch')
    with segments(tmp_path)[0].open("ab") as segment:
        segment.write(b"half a flow")
    extra.write_bytes(b"a flow whose outcome was not written")
    asyncio.run(open_recorder(tmp_path).close())
    repairs = [entry["data"] for entry in entries(tmp_path) if entry["type"] == "repair"]
    assert [repair["what"].split()[0:2] for repair in repairs] == [
        ["a", "torn"],
        ["the", "ledger"],
        ["bytes", "that"],
        ["bytes", "that"],
    ]
    assert not extra.exists()
    assert verify(tmp_path).clean
    assert len(verify(tmp_path).repairs) == 4


@pytest.mark.parametrize("damage", [lambda lines: lines[3:], lambda lines: [*lines[:2], b"{}\n", *lines[3:]]])
def test_a_damaged_ledger_is_not_gone_on_with(tmp_path: Path, damage: Callable[[list[bytes]], list[bytes]]) -> None:
    make(tmp_path)
    ledger = tmp_path / "ledger" / "ledger.jsonl"
    damaged = b"".join(damage(ledger.read_bytes().splitlines(keepends=True)))
    ledger.write_bytes(damaged)
    with pytest.raises(StateError, match=r"entry \d.*audit verify"):
        open_recorder(tmp_path)
    assert ledger.read_bytes() == damaged


def test_a_ledger_whose_last_entry_was_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    make(tmp_path)
    ledger = tmp_path / "ledger" / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-40] + ledger.read_bytes()[-40:].replace(b"stop", b"start"))
    with pytest.raises(StateError, match="audit verify"):
        open_recorder(tmp_path)


async def test_times_are_the_clock_s_in_microseconds(tmp_path: Path) -> None:
    await open_recorder(tmp_path).close()
    assert [entry["time_us"] for entry in entries(tmp_path)] == [int(clock() * 1e6)] * 2
