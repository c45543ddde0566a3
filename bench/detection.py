"""Detection beside stock Presidio: the same recognisers, the same texts, the same findings, one run.

Stock is Presidio's own ``AnalyzerEngine`` and recognisers with the lightest pipeline that keeps context words
working. What is found is compared too: a ratio between different results would say nothing.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.load import SENTENCE

ENTITY_EVERY = 250
STOCK_DEFAULTS = (
    "CREDIT_CARD",
    "CRYPTO",
    "DATE_TIME",
    "EMAIL_ADDRESS",
    "IBAN_CODE",
    "IP_ADDRESS",
    "MAC_ADDRESS",
    "MEDICAL_LICENSE",
    "PHONE_NUMBER",
    "UK_NHS",
    "URL",
    "US_BANK_NUMBER",
    "US_DRIVER_LICENSE",
    "US_ITIN",
    "US_PASSPORT",
    "US_SSN",
)
"""What Presidio looks for in English when nobody says otherwise, as far as patterns find it."""


@dataclass(frozen=True)
class Case:
    """Texts to look at one after the other, as often as the clock needs."""

    name: str
    texts: Callable[[random.Random], list[str]]


def prose(randomness: random.Random, chars: int) -> str:
    """Return chat prose without entities."""
    words = SENTENCE.split()
    text = ""
    while len(text) < chars:
        count = randomness.randint(6, 16)
        text += " ".join(randomness.choice(words) for _ in range(count)).capitalize() + randomness.choice(
            [".", ".?", "!"]
        )
        text += randomness.choice((" ", " ", "\n\n"))
    return text[:chars]


def with_entities(randomness: random.Random, chars: int) -> str:
    """Return prose in which an entity stands every 250 characters."""
    parts = []
    for _ in range(max(1, chars // ENTITY_EVERY)):
        entity = _entity(randomness)
        parts.append(prose(randomness, ENTITY_EVERY - len(entity) - 2) + " " + entity + " ")
    return "".join(parts)


def _entity(randomness: random.Random) -> str:
    number = randomness.randint
    return randomness.choice(
        (
            f"ann{number(1, 999)}@mail.example.com",
            f"phone ({number(201, 989)}) {number(201, 989)}-{number(1000, 9999)}",
            f"+49 30 {number(100000, 9999999)}",
            "4111 1111 1111 1111",
            f"10.{number(0, 255)}.{number(0, 255)}.{number(1, 254)}",
            "DE89 3704 0044 0532 0130 00",
            f"ssn {number(101, 665)}-{number(10, 99)}-{number(1000, 9999)}",
            f"2024-{number(1, 12):02}-{number(1, 28):02}",
        )
    )


def _history(turns: int) -> Callable[[random.Random], list[str]]:
    """Return a chat in which every request resends all messages so far."""

    def texts(randomness: random.Random) -> list[str]:
        messages = [with_entities(randomness, 1_000) for _ in range(turns)]
        return [message for turn in range(turns) for message in messages[: turn + 1]]

    return texts


CASES = (
    Case("plain prose, 20 of 1 KB", lambda r: [prose(r, 1_000) for _ in range(20)]),
    Case("plain prose, 10 KB", lambda r: [prose(r, 10_000)]),
    Case("plain prose, 100 KB", lambda r: [prose(r, 100_000)]),
    Case("an entity every 250 bytes, 20 of 1 KB", lambda r: [with_entities(r, 1_000) for _ in range(20)]),
    Case("an entity every 250 bytes, 10 KB", lambda r: [with_entities(r, 10_000)]),
    Case("an entity every 250 bytes, 100 KB", lambda r: [with_entities(r, 100_000)]),
    Case("a chat of 40 turns, all resent every turn", _history(40)),
)


class Stock:
    """Presidio as it comes, but for the network and the language model."""

    def __init__(self, entities: Sequence[str]) -> None:
        import tldextract
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer

        from hoopguard.masking.nlp import WordNlpEngine
        from hoopguard.masking.recognisers import build_recognisers

        offline: Any = tldextract
        offline.extract = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())
        classes = [_stock(type(each)) for each in build_recognisers(frozenset(entities), ())]
        self._engine = AnalyzerEngine(
            registry=RecognizerRegistry(recognizers=[cls() for cls in classes], supported_languages=["en"]),
            nlp_engine=WordNlpEngine(),
            supported_languages=["en"],
            context_aware_enhancer=LemmaContextAwareEnhancer(context_matching_mode="whole_word"),
        )

    def find(self, text: str) -> set[tuple[str, int, int, float]]:
        """Return what Presidio finds."""
        return {(each.entity_type, each.start, each.end, each.score) for each in self._engine.analyze(text, "en")}


def _stock(recogniser: Any) -> Any:
    """Return Presidio's own class where ours is but a guarded one; what is ours alone looks beside stock too."""
    return recogniser.__mro__[1] if recogniser.__name__.startswith(("Guarded", "Offline")) else recogniser


class Ours:
    """The detector that the gateway uses."""

    def __init__(self, entities: Sequence[str]) -> None:
        from hoopguard.masking.detector import Budget, Detector

        self._detector = Detector(frozenset(entities), ())
        self._detector.warm_up()
        self._budget = Budget(3_600)

    def find(self, text: str) -> set[tuple[str, int, int, float]]:
        """Return what the detector finds."""
        found = self._detector.detect(text, budget=self._budget)
        return {(each.entity, each.start, each.end, each.score) for each in found}


def _seconds(find: Callable[[str], object], texts: Sequence[str]) -> float:
    began = time.perf_counter()
    for text in texts:
        find(text)
    return time.perf_counter() - began


def _measure(case: Case, stock: Stock, ours: Ours, rounds: int) -> Iterator[tuple[float, float]]:
    for number in range(rounds):
        texts = case.texts(random.Random(f"{case.name} {number}"))
        theirs = _seconds(stock.find, texts)
        mine = _seconds(ours.find, texts)
        if any(stock.find(text) != ours.find(text) for text in texts[:3]):
            raise RuntimeError(f"{case.name}: the results differ")
        yield theirs, mine


def report(rounds: int = 5) -> None:
    """Measure and print."""
    from hoopguard.policy.packs import PACKS

    for title, entities in (("Presidio's own defaults", STOCK_DEFAULTS), ("pack:pii", PACKS["pack:pii"])):
        print(f"\nDetection, {title}: {len(entities)} entities, same findings")
        print(f"{'':44}{'Presidio ms':>13}{'hoopguard ms':>14}{'faster':>9}")
        stock, ours = Stock(entities), Ours(entities)
        for text in ("warm up", with_entities(random.Random(0), 2_000)):
            stock.find(text)
        for case in CASES:
            measured = list(_measure(case, stock, ours, rounds))
            theirs, mine = (statistics.median(times) * 1000 for times in zip(*measured, strict=True))
            ratio = statistics.median(one / other for one, other in measured)
            print(f"  {case.name:42}{theirs:>13.2f}{mine:>14.2f}{ratio:>8.0f}×")


STALLING = {
    "plain prose": None,
    "dots": ".",
    "1.1.1.": "1.1.1.",
    "a.a.a.": "a.a.a.",
    "1/1/": "1/1/",
    "numbers of an embedding": "0.0312, -0.2210, ",
    "a table of contents": "Chapter ................ 12\n",
}
"""Texts that stock Presidio takes seconds or minutes for, and what they repeat."""


def report_holding(chars: int = 100_000) -> None:
    """Print for how long texts of a size keep everybody else on the event loop waiting at most."""
    from hoopguard.masking.inspection import Inspection
    from hoopguard.masking.scan import DetectionGaveUp
    from hoopguard.policy.packs import PACKS

    masker = _masker(PACKS["pack:pii"])
    inspection = Inspection()
    for ready in inspection.start([masker]):
        ready.result()

    async def hold(text: str) -> tuple[str, float, float]:
        gaps: list[float] = []
        ticking = asyncio.create_task(_tick(gaps))
        await asyncio.sleep(0.05)
        gaps.clear()
        began = time.perf_counter()
        try:
            await inspection.run(
                masker, lambda each: each.mask(text), principal="bench", unwanted=lambda: False, small=True
            )
            ended = "looked at"
        except DetectionGaveUp:
            ended = "refused"
        took = time.perf_counter() - began
        await asyncio.sleep(0.01)
        ticking.cancel()
        return ended, took, max(gaps)

    print(f"\nTexts of {chars // 1000} KB: how they end, and for how long they hold the event loop at most")
    for name, unit in STALLING.items():
        text = prose(random.Random(9), chars) if unit is None else (unit * chars)[:chars] + " to a@b.co"
        ended, took, held = asyncio.run(hold(text))
        print(f"  {name:42}{ended:>13} {took:>9.2f} s{held * 1000:>9.1f} ms")
    inspection.stop()


async def _tick(gaps: list[float]) -> None:
    before = time.perf_counter()
    while True:
        await asyncio.sleep(0)
        now = time.perf_counter()
        gaps.append(now - before)
        before = now


def _masker(entities: Sequence[str]) -> Any:
    from hoopguard.masking.masker import Masker
    from hoopguard.policy.model import Policy

    policy = {
        "version": 1,
        "issuer": ({"name": "bench", "url": "http://localhost/idp", "audience": "hoopguard"},),
        "connection": ({"name": "model", "upstream": "http://localhost:8000", "allow": ({"groups": ("*",)},)},),
        "mask": ({"name": "all", "entities": entities},),
    }
    return Masker.build(Policy.model_validate(policy, strict=False), "model", "request")


if __name__ == "__main__":
    report()
    report_holding()
