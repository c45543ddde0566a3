"""Bodies are looked at without holding the event loop: known and small texts at once, the others by workers."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from maskable import LAZY_RULES, masker, policy

from hoopguard.masking import inspection as inspecting
from hoopguard.masking.detector import DetectionGaveUp, Detector
from hoopguard.masking.inspection import Inspection
from hoopguard.masking.masker import Masked, Masker
from hoopguard.masking.scan import Scan

PII = Masker.build(policy({"name": "pii", "entities": ("pack:pii",)}), "llm", "request")
LONG = "the team met and wrote to bob@example.com about it. " * 400


@pytest.fixture(scope="module")
def inspection() -> Iterator[Inspection]:
    inspection = Inspection()
    yield inspection
    inspection.stop()


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The texts that are looked at in this process."""
    texts: list[str] = []
    scan = Detector.scan

    def noted(self: Detector, text: str, scan_: Scan) -> Any:
        texts.append(text)
        return scan(self, text, scan_)

    monkeypatch.setattr(Detector, "scan", noted)
    return iter([texts])


def run(inspection: Inspection, text: str, *, small: bool = True, by: Masker | None = None) -> Masked:
    chosen = PII if by is None else by
    assert chosen is not None

    def work(masker: Masker) -> Masked:
        return masker.mask(text)

    return asyncio.run(inspection.run(chosen, work, principal="ann", unwanted=lambda: False, small=small))


def test_a_small_text_needs_no_worker() -> None:
    own = Inspection()
    assert run(own, "to bob@example.com, 1").text == "to <EMAIL_ADDRESS>, 1"
    assert own.pids == []


def test_a_long_text_is_looked_at_by_a_worker_and_then_known(
    inspection: Inspection, scanned: Iterator[list[str]]
) -> None:
    texts = next(scanned)
    text = LONG + "Nobody else has sent this."
    expected = text.replace("bob@example.com", "<EMAIL_ADDRESS>")
    assert run(inspection, text).text == expected
    assert inspection.pids
    own = Inspection()
    assert run(own, text) == Masked(expected, {"EMAIL_ADDRESS": 400})
    assert own.pids == []
    assert texts == []


def test_the_history_that_a_turn_resends_is_not_looked_at_again(
    inspection: Inspection, scanned: Iterator[list[str]]
) -> None:
    texts = next(scanned)
    history = [f"message {number}: bob{number}@example.com" for number in range(20)]
    for turn in range(1, 20):

        def work(masker: Masker, turn: int = turn) -> list[str]:
            return [masker.mask(text).text for text in history[:turn]]

        assert PII is not None
        masked = asyncio.run(inspection.run(PII, work, principal="ann", unwanted=lambda: False, small=True))
        assert masked == [f"message {number}: <EMAIL_ADDRESS>" for number in range(turn)]
    assert texts == history[:19]


def test_a_body_with_many_values_is_not_walked_through_on_the_event_loop(inspection: Inspection) -> None:
    threads = []

    def work(masker: Masker) -> str:
        threads.append(threading.current_thread())
        return masker.mask("7").text

    assert PII is not None
    asyncio.run(inspection.run(PII, work, principal="ann", unwanted=lambda: False, small=False))
    assert threading.main_thread() not in threads


@pytest.mark.parametrize("unit", [".", "1.1.1.", "a.a.a.", "1/1/", "0.0312, -0.2210, ", "Chapter ......... 12\n"])
@pytest.mark.parametrize("chars", [10_000, 100_000])
def test_stalling_texts_end_off_the_event_loop(
    inspection: Inspection, scanned: Iterator[list[str]], monkeypatch: pytest.MonkeyPatch, unit: str, chars: int
) -> None:
    texts = next(scanned)
    monkeypatch.setattr(inspecting, "MOST_S", 1.0)
    stalling = (unit * chars)[:chars] + " a@b.co"
    everything = masker(*LAZY_RULES)
    ended = "refused"
    try:
        ended = run(inspection, stalling, by=everything).text
    except DetectionGaveUp:
        assert texts == []
        return
    assert ended.endswith(("<EMAIL_ADDRESS>", " "))
    assert "a@b.co" not in ended
    assert texts == []


def test_others_are_served_while_a_stalling_text_is_looked_at(inspection: Inspection) -> None:
    done: list[str] = []

    async def serve(name: str, text: str, unwanted: Any = lambda: False) -> None:
        def work(masker: Masker) -> str:
            return masker.mask(text).text

        assert PII is not None
        try:
            await inspection.run(PII, work, principal=name, unwanted=unwanted, small=True)
        except DetectionGaveUp:
            done.append(f"{name} refused")
        else:
            done.append(name)

    async def everybody() -> None:
        gone = False
        asked: list[bool] = []

        def hung_up() -> bool:
            asked.append(gone)
            return gone

        stalling = asyncio.create_task(serve("eve", "1/1/" * 500_000, hung_up))
        while len(asked) < 2:  # the second time is while a worker looks
            await asyncio.sleep(0.01)
        for number in range(20):
            await serve(f"ann{number}", f"{number} bob@example.com")
        gone = True
        await stalling

    asyncio.run(everybody())
    assert done == [*(f"ann{number}" for number in range(20)), "eve refused"]


def test_json_texts_are_masked_as_the_masker_does(inspection: Inspection) -> None:
    assert PII is not None
    texts = [
        '{"to": "bob\\u0040example.com", "card": 4111111111111111, "n": [1, 2.5, null]}',
        '{"a": "' + LONG + '", "b": "x\\ny"}',
        "not json at all bob@example.com",
        '{"cut": "bob@example.com',
        "",
    ]

    def work(masker: Masker) -> list[Masked]:
        return [masker.mask_json(text) for text in texts]

    for small in (True, False):
        found = asyncio.run(inspection.run(PII, work, principal="ann", unwanted=lambda: False, small=small))
        assert found == [PII.mask_json(text) for text in texts]


def test_workers_that_cannot_start_mean_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(DetectionGaveUp):
        run(Inspection(), LONG + "1")


def test_a_body_that_asks_for_other_texts_the_second_time_is_refused(inspection: Inspection) -> None:
    texts = iter(range(10))

    def work(masker: Masker) -> Masked:
        return masker.mask(f"{next(texts)} {LONG}")

    assert PII is not None
    with pytest.raises(DetectionGaveUp, match="same texts"):
        asyncio.run(inspection.run(PII, work, principal="ann", unwanted=lambda: False, small=True))


def test_nothing_is_looked_at_for_a_caller_who_is_gone(scanned: Iterator[list[str]]) -> None:
    own = Inspection()
    assert PII is not None
    with pytest.raises(DetectionGaveUp, match="nobody waits"):
        asyncio.run(
            own.run(PII, lambda masker: masker.mask(LONG + "2"), principal="x", unwanted=lambda: True, small=True)
        )
    assert own.pids == []
    assert next(scanned) == []


def test_workers_are_started_before_they_are_needed() -> None:
    own = Inspection(workers=1)
    assert PII is not None
    for future in own.start([PII, PII]):
        future.result(60)
    assert len(own.pids) == 2
    own.stop()
    assert own.pids == []
