"""The detector finds what Presidio finds, refuses where Presidio gives up, and never reaches for the network."""

import logging
import socket
import threading
import time
from typing import Any

import phonenumbers
import pytest
import tldextract
from hypothesis import given, settings
from hypothesis import strategies as st
from maskable import ENTITIES, EVERYTHING, NEAR_MISSES, masker, policy, streamed, texts
from presidio_analyzer import AnalyzerEngine, EntityRecognizer, RecognizerRegistry, RecognizerResult
from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer

from hoopguard.masking import memory
from hoopguard.masking.detector import DetectionGaveUp, Detector, Finding
from hoopguard.masking.extensions import EXTENSIONS
from hoopguard.masking.findings import without_contained
from hoopguard.masking.memory import Memory
from hoopguard.masking.nlp import WordNlpEngine
from hoopguard.masking.phone import MIN_DIGITS
from hoopguard.masking.recognisers import catalogue
from hoopguard.masking.scan import Budget, Scan, scanning
from hoopguard.policy.model import Recogniser

CUSTOM = policy().recognisers
OWN_ENTITIES = frozenset(recogniser.entity for recogniser in CUSTOM)
DETECTOR = Detector(frozenset(EVERYTHING), CUSTOM)


def engine(recognisers: Any) -> AnalyzerEngine:
    registry = RecognizerRegistry(recognizers=list(recognisers), supported_languages=["en"])
    return AnalyzerEngine(
        registry=registry,
        nlp_engine=WordNlpEngine(),
        supported_languages=["en"],
        context_aware_enhancer=LemmaContextAwareEnhancer(context_matching_mode="whole_word"),
    )


def stock_recognisers() -> list[Any]:
    """Presidio's own classes as they are, and the custom ones as hoopguard builds them."""
    own = [catalogue()[name] for name in EVERYTHING if name in catalogue()]
    stock = [cls.__mro__[1] if cls.__module__.startswith("hoopguard") else cls for cls in own]
    beside = {build for builds in EXTENSIONS.values() for build in builds}
    others = [r for r in DETECTOR.recognisers if type(r) in beside or r.supported_entities[0] in OWN_ENTITIES]
    return [cls() for cls in stock] + others


SAME = engine(DETECTOR.recognisers)
STOCK = engine(stock_recognisers())


def analyzed(by: AnalyzerEngine, text: str) -> set[tuple[str, int, int, float]]:
    with scanning(Scan(Budget(60))):
        results = by.analyze(text, language="en")
    return {(r.entity_type, r.start, r.end, r.score) for r in results}


def detected(text: str) -> set[tuple[str, int, int, float]]:
    return {(f.entity, f.start, f.end, f.score) for f in DETECTOR.detect(text, budget=Budget(60))}


@pytest.fixture(autouse=True)
def offline_suffixes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stock Presidio use the shipped suffix list too; nothing here may reach the network."""
    monkeypatch.setattr(tldextract, "extract", tldextract.TLDExtract(cache_dir=None, suffix_list_urls=()))

    def refuse(*args: object) -> None:
        raise AssertionError("a recogniser reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@settings(max_examples=150, deadline=None)
@given(text=texts)
def test_the_detector_finds_what_presidio_finds_with_the_same_recognisers(text: str) -> None:
    assert detected(text) == analyzed(SAME, text)


@settings(max_examples=100, deadline=None)
@given(text=texts)
def test_the_detector_finds_what_presidios_own_recognisers_find(text: str) -> None:
    assert detected(text) == analyzed(STOCK, text)


@pytest.mark.parametrize("word", ["", "phone ", "card ", "Call my cell: ", "ssn be ", "iban bank "])
def test_every_example_gets_presidios_type_span_and_score(word: str) -> None:
    for piece in ENTITIES + NEAR_MISSES:
        text = f"{word}{piece} and Be"
        assert detected(text) == analyzed(STOCK, text)


@pytest.mark.parametrize("text", [":: ip ", ":: :: ip", "::, \n-- ip", ":: x ip", "::", "ip: ::, ok", ":: IP ::"])
def test_where_a_finding_has_no_word_the_next_one_counts_as_presidio_counts_it(text: str) -> None:
    assert detected(text) == analyzed(SAME, text)
    rules = masker({"name": "ip", "entities": ("IP_ADDRESS",)})
    assert streamed(rules.stream(), list(text)) == rules.mask(text).text


def test_a_context_word_lifts_a_phone_number_without_a_language_model() -> None:
    assert DETECTOR.detect("Call my phone (415) 867-5309", budget=Budget(10))[0].score == 0.75


def test_unicode_digits_are_digits() -> None:
    card = "4111 1111 1111 1111".translate({ord("1"): "\N{ARABIC-INDIC DIGIT ONE}"})
    text = f"ring +\N{ARABIC-INDIC DIGIT FOUR}9 30 123456 or {card}"
    assert detected(text) == analyzed(STOCK, text)
    assert {finding[0] for finding in detected(text)} >= {"CREDIT_CARD"}


def test_an_address_is_found_with_no_network_and_no_cache() -> None:
    own = Detector(frozenset({"EMAIL_ADDRESS"}), ())
    assert own.detect("to ann@example.co.uk", budget=Budget(10)) == (Finding("EMAIL_ADDRESS", 3, 20, 1.0),)


def test_a_pattern_that_does_not_finish_is_a_refusal() -> None:
    slow = Recogniser(name="slow", entity="SLOW", patterns=("(x+x+)+y",))
    with pytest.raises(DetectionGaveUp):
        Detector(frozenset({"SLOW"}), (slow,)).detect("xxy " + "x" * 5000, budget=Budget(0.2))


def test_hostile_text_is_refused_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(DetectionGaveUp):
        Detector(frozenset({"EMAIL_ADDRESS", "URL"}), ()).detect("1.1." * 100_000 + "@ a@b.co", budget=Budget(0.3))
    assert time.monotonic() - began < 10


def test_too_many_numbers_for_phonenumbers_are_a_refusal() -> None:
    text = " , ".join(["12345"] * 70_000) + " (415) 867-5309"
    with pytest.raises(DetectionGaveUp):
        Detector(frozenset({"PHONE_NUMBER"}), ()).detect(text, budget=Budget(0.5))


def test_phonenumbers_giving_up_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phonenumbers.PhoneNumberMatcher.__init__.__defaults__", (1, 3, 1), raising=True)
    with pytest.raises(DetectionGaveUp, match="too many"):
        Detector(frozenset({"PHONE_NUMBER"}), ()).detect("12345, 12346, 12347, 12348", budget=Budget(10))


def test_no_time_at_all_is_a_refusal_even_for_an_empty_text() -> None:
    with pytest.raises(DetectionGaveUp):
        Detector(frozenset({"EMAIL_ADDRESS"}), ()).detect("", budget=Budget(0))


def test_a_refused_text_is_not_remembered_as_clean() -> None:
    own = Detector(frozenset({"EMAIL_ADDRESS"}), ())
    with pytest.raises(DetectionGaveUp):
        own.detect("bob@example.com", budget=Budget(0))
    assert own.detect("bob@example.com", budget=Budget(10))


def test_a_text_seen_before_is_not_looked_at_again_and_is_not_kept() -> None:
    own = Detector(frozenset({"EMAIL_ADDRESS"}), ())
    first = own.detect("bob@example.com", budget=Budget(10))
    assert own.detect("bob@example.com", budget=Budget(0)) == first
    assert "bob" not in repr(vars(own.memory))


def test_memory_for_texts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_TEXTS", 100)
    own = Memory()
    for number in range(300):
        own.remember(str(number), ())
        assert own.recall("0") == ()
    assert len(own) == 100
    assert [own.recall(str(number)) for number in range(1, 202)] == [None] * 200 + [()]


def test_memory_for_findings_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_FINDINGS", 100)
    own = Memory()
    some = tuple(Finding("X", at, at + 1, 1.0) for at in range(30))
    for number in range(10):
        own.remember(str(number), some)
        own.remember(str(number), some)
    assert [own.recall(str(number)) for number in range(10)] == [None] * 7 + [some] * 3
    own.remember("more than fits", some * 4)
    assert len(own) == 0


def test_an_unknown_entity_is_named_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match=r"SHOE_SIZE; known are .*EMAIL_ADDRESS"):
        Detector(frozenset({"SHOE_SIZE"}), ())


def test_an_entity_that_needs_a_model_is_refused_with_that_reason() -> None:
    with pytest.raises(ValueError, match="PERSON needs a language model"):
        Detector(frozenset({"PERSON"}), ())


@pytest.mark.parametrize("pattern", [r"\ba*", r"\b(?:a|$)", r"\Qa.b\E"])
def test_a_pattern_that_cannot_be_used_is_refused_with_the_recognisers_name(pattern: str) -> None:
    with pytest.raises(ValueError, match="recogniser odd"):
        Detector(frozenset({"ODD"}), (Recogniser(name="odd", entity="ODD", patterns=(pattern,)),))


def test_every_entity_of_the_catalogue_can_be_built() -> None:
    everything = Detector(frozenset(catalogue()), ())
    everything.warm_up()
    assert {"PHONE_NUMBER", "US_DRIVER_LICENSE", "URL", "DATE_TIME", "UK_NHS", "MAC_ADDRESS"} <= catalogue().keys()


def test_nothing_that_presidio_logs_is_written(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for entity in ENTITIES:
        DETECTOR.scan(f"secret {entity}", Scan(Budget(10)))
    logging.getLogger("presidio-analyzer").error("Failed to validate text %s", "secret")
    assert "secret" not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith(("presidio", "decision"))]


def test_threads_share_a_detector() -> None:
    wrong: list[str] = []

    def work(number: int) -> None:
        for turn in range(30):
            text = f"{number} {turn} mail u{number}x{turn}@example.com, ring (415) 867-5309"
            if {f.entity for f in DETECTOR.detect(text, budget=Budget(30))} < {"EMAIL_ADDRESS", "PHONE_NUMBER"}:
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


spans = st.builds(
    lambda entity, start, length, score: RecognizerResult(entity, start, start + length, score),
    st.sampled_from(["A", "B"]),
    st.integers(0, 12),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.3, 0.5, 1.0]),
)


@settings(max_examples=300, deadline=None)
@given(results=st.lists(spans, max_size=20))
def test_contained_findings_are_dropped_as_presidio_drops_them(results: list[RecognizerResult]) -> None:
    ours = without_contained(Finding(r.entity_type, r.start, r.end, r.score) for r in results)
    theirs = EntityRecognizer.remove_duplicates(results)
    assert {(f.entity, f.start, f.end, f.score) for f in ours} == {
        (r.entity_type, r.start, r.end, r.score) for r in theirs
    }


def test_no_valid_phone_number_is_shorter_than_what_is_looked_at() -> None:
    metadata: list[Any] = [
        phonenumbers.PhoneMetadata.metadata_for_region(region) for region in phonenumbers.SUPPORTED_REGIONS
    ]
    metadata += [
        phonenumbers.PhoneMetadata.metadata_for_nongeo_region(code)
        for code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS
    ]
    lengths = [length for entry in metadata for length in entry.general_desc.possible_length if length > 0]
    assert min(lengths) >= MIN_DIGITS


def test_duplicates_are_dropped_as_presidio_drops_them() -> None:
    spans = st.tuples(st.integers(0, 8), st.integers(0, 5), st.sampled_from([0.0, 0.3, 0.5, 1.0]))

    @given(st.lists(spans, max_size=12))
    def check(drawn: list[tuple[int, int, float]]) -> None:
        results = [RecognizerResult("X", start, start + length, score) for start, length, score in drawn]
        ours = EntityRecognizer.remove_duplicates(list(results))
        assert set(map(repr, ours)) == set(map(repr, presidios_remove_duplicates(results)))

    check()


def presidios_remove_duplicates(results: list[Any]) -> list[Any]:
    """Return what Presidio 2.2's ``EntityRecognizer.remove_duplicates`` does."""
    kept: list[Any] = []
    for result in sorted(set(results), key=lambda x: (-x.score, x.start, -(x.end - x.start))):
        if result.score != 0 and not any(result == other or result.contained_in(other) for other in kept):
            kept.append(result)
    return kept


def test_twenty_thousand_addresses_are_found_in_near_linear_time() -> None:
    own = Detector(frozenset({"EMAIL_ADDRESS"}), ())
    assert len(own.detect("a@b.co " * 20_000, budget=Budget(60))) == 20_000
